//! The sockets: [`Push`], [`Pull`], [`Pub`], [`Sub`], and [`Intake`], a PULL that hands on instead of queueing.

mod security;
mod options;
mod monitor;
mod stats;
mod backoff;
mod roster;
mod brief;
mod core;
mod outbound;
mod inbound;
mod push;
mod pull;
mod publish;
mod subscribe;
mod intake;

pub use self::core::{BindError, CloseReport, ConnectError};
pub use intake::{Inbox, Intake};
pub use monitor::{Monitor, SocketEvent};
pub use options::Options;
pub use publish::Pub;
pub use pull::Pull;
pub use push::{Push, SendError};
pub use security::{Applicant, Authenticator, Security, Verdict};
pub use stats::Stats;
pub use subscribe::Sub;
