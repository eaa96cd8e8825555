//! The keys that a topic has in Redis (oslo-zmq, section 7.1).
//!
//! | key | type | what |
//! |---|---|---|
//! | `compute` | set | the members `compute.host1`, `compute.host2` |
//! | `compute.host1` | set that holds `""` (1.8.3), or string (1.4.1) | there while that member lives |
//!
//! A directed topic is a topic like any other, so `compute.host1` is at once the first key of the
//! table and the second: a set of `""` and `compute.host1.host1`.

use crate::name::{Host, Topic};

/// What stands for `host` in the set of `topic`; also the key that lives as long as it.
pub(super) fn member(topic: &Topic, host: &Host) -> String {
    format!("{topic}.{host}")
}

/// The host of a member: all after the topic and a dot, because both may have dots (oslo-bugs B37).
/// None for the `""` of a liveness key, and for what is no name.
pub(super) fn host(topic: &Topic, member: &[u8]) -> Option<Host> {
    let member = std::str::from_utf8(member).ok()?;
    member.strip_prefix(topic.as_str())?.strip_prefix('.')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_follows_the_topic() {
        let topic = |text: &str| text.parse::<Topic>().unwrap();
        for (of, text, expected) in [
            ("compute", "compute.host1", Some("host1")),
            ("compute", "compute.host1.example.com", Some("host1.example.com")),
            ("compute.host1", "compute.host1.host1", Some("host1")),
            ("engine.0f3c-uuid", "engine.0f3c-uuid.host1", Some("host1")),
            ("compute", "compute.::1", Some("::1")),
            ("compute", "", None),
            ("compute", "compute", None),
            ("compute", "compute.", None),
            ("compute", "computer.host1", None),
            ("compute", "conductor.host1", None),
            ("compute", "compute.a b", None),
        ] {
            let found = host(&topic(of), text.as_bytes());
            assert_eq!(found.as_ref().map(Host::as_str), expected, "{of} {text}");
            if let Some(host) = found {
                assert_eq!(member(&topic(of), &host), text);
            }
        }
        assert_eq!(host(&topic("compute"), b"compute.\xff"), None);
    }
}
