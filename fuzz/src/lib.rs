//! Fuzz targets: each takes any octets, and panics when something that always holds does not.
//!
//! A target's body is a plain function, so one list of inputs serves three purposes: `cargo xtask fuzz TARGET` searches
//! on from `corpus/TARGET` (nightly, libFuzzer), `cargo test -p fuzz` replays the whole corpus, and `cargo run -p fuzz
//! --bin TARGET FILE…` replays one finding; the last two need neither nightly nor a C++ compiler.
//!
//! | target | input | what holds |
//! |---|---|---|
//! | [`greeting`] | the start of a stream | decided at the first telling octet, and for good |
//! | [`frames`] | cuts, then frames | any cut gives what a short model finds; memory follows what came |
//! | [`metadata`] | a property list | what is accepted encodes to the same octets |
//! | [`command`] | a command's body | what is decoded is what was there; names print harmlessly |
//! | [`connection`] | cuts, a role, a stream | any cut gives the same events; what is answered is well-formed |
//! | [`operations`] | a socket type, a mechanism, things to do | an error is the last word; what has passed is not due again |
//! | [`pair`] | things to do | messages and subscriptions arrive once, whole and in order |
//! | [`secured`] | cuts, a mechanism, what is altered and added on the way | under CURVE no message arrives that was not sent |
//! | [`subscriptions`] | things to do | a topic is for those who subscribed to a start of it |
//! | [`ring`] | a ring file | strict JSON is read as a JSON reader reads it |
//! | [`ini`] | a configuration file | values are found on their lines; references end |
//! | [`endpoint`] | an endpoint | what is accepted is its parts again; what is refused is named |
//! | [`key`] | a key | what is accepted is written as the same text |
//! | [`topic`] | a topic frame | what is accepted is one harmless file name |
//! | [`received`] | frames of a message | JSON is JSON; requests and replies are the same when written again |
//!
//! # What was run
//!
//! In November 2026, with AddressSanitizer, each for at least ten minutes of one process that shared two busy CPUs,
//! most of them at a low priority, and from the corpus as it was:
//!
//! | target | executions |
//! |---|--:|
//! | [`command`] | 8,238,943 |
//! | [`connection`] | 664,535 |
//! | [`endpoint`] | 2,276,390 |
//! | [`frames`] | 186,699 |
//! | [`greeting`] | 10,295,805 |
//! | [`ini`] | 968,390 |
//! | [`key`] | 27,467,945 |
//! | [`metadata`] | 7,682,705 |
//! | [`operations`] | 888,067 |
//! | [`pair`] | 130,952 |
//! | [`received`], four minutes, until it found something; not run again since that is mended | 473,855 |
//! | [`ring`] | 700,906 |
//! | [`secured`] | 108,478 |
//! | [`subscriptions`] | 704,141 |
//! | [`topic`] | 9,820,819 |
//!
//! Two findings. Of [`connection`], when it had learned to let peers of ZMTP 2.0 in: whether a PUSH told of such a peer
//! before it refused its message depended on where its octets were cut; the input is in the corpus as
//! `zmtp2.0.message-behind-identity-to-PUSH`, the test is `old::an_old_peer_that_breaks_the_rules_is_refused`. Of
//! [`received`]: a value that is no number showed as `NaN` by itself and as `null` within another, and is sent as `null`;
//! the input is `reply-that-is-no-number`, the test `what_is_no_number_is_null_wherever_it_is_written`.
//!
//! Plain `cargo fuzz` needs `CARGO_PROFILE_RELEASE_LTO=off` in its environment: the release profile's fat LTO does not
//! go with libFuzzer's instrumentation.
//!
//! The seeds, named after scenarios, come from the captured vectors (`cargo run -p fuzz --example seed`). The inputs
//! named by a hash are the few of a long search that reach what the seeds do not. A search leaves all it finds in the
//! corpus: keep what `cargo fuzz cmin` keeps. A finding goes to the corpus, and a test with a name to the crate that
//! had the fault.

mod cuts;
mod feed;
mod model;
mod elements;
mod connection;
mod operations;
mod pair;
mod secured;
mod subscriptions;
mod text;
mod received;
pub mod replay;

pub use connection::connection;
pub use elements::{command, frames, greeting, metadata};
pub use operations::operations;
pub use pair::pair;
pub use received::received;
pub use secured::secured;
pub use subscriptions::subscriptions;
pub use text::{endpoint, ini, key, ring, topic};

/// The body of a target.
pub type Target = fn(&[u8]);

/// Every target with its name, which is that of its binary and of its directory in the corpus.
pub const TARGETS: [(&str, Target); 15] = [
    ("greeting", greeting),
    ("frames", frames),
    ("metadata", metadata),
    ("command", command),
    ("connection", connection),
    ("operations", operations),
    ("pair", pair),
    ("secured", secured),
    ("subscriptions", subscriptions),
    ("ring", ring),
    ("ini", ini),
    ("endpoint", endpoint),
    ("key", key),
    ("topic", topic),
    ("received", received),
];

/// The entry point of a binary: libFuzzer's under `cargo fuzz`, else [`replay::main`].
#[macro_export]
macro_rules! target {
    ($body:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|octets: &[u8]| $body(octets));

        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            $crate::replay::main($body)
        }
    };
}
