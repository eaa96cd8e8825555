//! What the options of `matchmaker` take from its program.

#[path = "../../../matchmaker/src/bin/matchmaker/sync/pace.rs"]
#[allow(dead_code, reason = "nothing is parsed here")]
pub(crate) mod pace;
