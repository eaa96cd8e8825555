//! Security mechanisms: how two peers come from the greeting to READY. NULL is the only one so far.

mod null;

pub(crate) use null::Null;
