//! Who gets the next message, and whose message is next: the policies of RFC 29 and RFC 30 as data structures.
//!
//! They know neither streams nor tasks nor clocks, and so are tested with plain calls. The modules stand in reading
//! order; each imports only ones before it.

mod budget;
mod mark;
mod queue;
mod numbers;
mod ledger;
mod peers;
mod load_balancer;
mod subscriptions;
mod retention;
mod distributor;
mod fair_queue;

pub use budget::Budget;
pub use distributor::Distributor;
pub use fair_queue::{FairQueue, Turns};
pub use load_balancer::{LoadBalancer, Overflow};
pub use mark::Mark;
pub use numbers::Numbers;
pub use peers::{Outflow, PeerId, PeerIds, Tally};
pub use queue::Queue;
pub use retention::LateJoiners;
pub use subscriptions::{SubscriptionLimits, Subscriptions};
