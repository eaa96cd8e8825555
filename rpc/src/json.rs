//! The JSON of the wire: what Python's `json` module writes and reads (oslo-zmq, section 2.5).
//!
//! It is strict JSON and three things more, all of which real peers send: integers of any size, the
//! tokens `NaN`, `Infinity` and `-Infinity`, and escapes of single surrogates. A [`Text`] is one such
//! text, checked once and then read in place: a message is taken apart without building a tree of it,
//! and arguments go from the frame straight into a caller's own types by serde.
//!
//! What always holds: checking takes one pass and neither recurses nor allocates; nothing nests
//! deeper than [`MAX_DEPTH`]; of a repeated key the last value counts; an error shows no content,
//! which may be secret (oslo-bugs B8).
//!
//! What is written is strict JSON in UTF-8, which all releases read. A float that is no number is
//! written as `null`.

mod scan;
mod text;
mod read;
mod value;

pub use read::ReadError;
pub use scan::{JsonError, JsonFault, MAX_DEPTH};
pub use text::Text;
pub use value::Value;
