//! The admin endpoint: HTTP/1.1 on a Unix socket, and for reading also on a TCP address if one is given.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | a page for people |
//! | `GET /livez` | 200 while the loop that forwards messages turns |
//! | `GET /readyz` | 200, or 503 with reasons ([`Readiness`](crate::view::Readiness)) |
//! | `GET /varz` | the receiver as a whole ([`Overview`](crate::view::Overview)) |
//! | `GET /topicz` | topics ([`Topics`](crate::view::Topics)) |
//! | `GET /connz` | who is connected ([`Connections`](crate::view::Connections)) |
//! | `GET /dropz` | what was dropped ([`Dropped`](crate::view::Dropped)) |
//! | `GET /metrics` | all figures, in the text format of Prometheus |
//! | `GET /tracez` | messages that passed lately, by `id` ([`Trace`](crate::view::Trace)) |
//! | `GET /watch` | messages as they pass, a line of JSON each, of topics that match `topic`; with `body=1` what they say |
//! | `GET /configz` | every option's value and who set it |
//! | `PUT /loglevel` | the body is the level: `error`, `warning`, `info`, `debug` |
//! | `POST /reload` | as SIGHUP; what changed ([`Reloaded`](crate::view::Reloaded)), or 422 |
//! | `POST /drain` | as SIGTERM: 202, and the end follows |
//!
//! Who may ask: whoever may write to the Unix socket (mode 0660, in a directory of its own). TCP has no such check, so it
//! answers only what is asked with `GET`, and only to callers that name it by its address: a page in somebody's browser
//! cannot. It all runs on the thread that forwards messages, and sleeps while nobody asks.

mod process;
mod desk;
mod metrics;
mod watch;
mod page;
mod answer;
mod sockets;
mod server;
mod client;

pub use self::client::{AskError, ask, follow, places};
pub(crate) use self::desk::{Desk, Order};
pub(crate) use self::server::Admin;
pub use self::sockets::AdminError;
