//! The sockets: [`Push`], [`Pull`], [`Pub`], [`Sub`], and [`Intake`], a PULL that hands on instead of queueing.

mod security;
mod options;
mod monitor;
mod trace;
mod announcer;
mod lock;
mod stats;
mod backoff;
mod roster;
mod brief;
mod outcome;
mod shared;
mod core;
mod lifecycle;
mod outbound;
mod inbound;
mod push;
mod pull;
mod publish;
mod subscribe;
mod intake;

pub use intake::{Inbox, Intake};
pub use monitor::{Monitor, SocketEvent};
pub use options::{GiveUp, NotAProperty, Options};
pub use outcome::{BindError, CloseReport, ConnectError, SendError};
pub use publish::Pub;
pub use pull::Pull;
pub use push::Push;
pub use security::{Applicant, Authenticator, Security, Verdict};
pub use stats::{Metric, Stats};
pub use subscribe::Sub;
