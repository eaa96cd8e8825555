//! ZMTP without libzmq.
pub mod proto;
pub use proto::{Message, MessageBuilder, Run};
