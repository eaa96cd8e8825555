//! `TOPIC` or `TOPIC.SERVER`, as typed.

use oslo_rpc::Target;

/// What follows the first dot is the server; servers may have dots in their names, topics may not.
pub(crate) fn parse(text: &str) -> Target {
    match text.split_once('.') {
        Some((topic, server)) => Target::topic(topic).server(server),
        None => Target::topic(text),
    }
}
