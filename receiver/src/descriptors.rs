//! File descriptors: every connection takes one, every topic one and one for each consumer.
//!
//! When they run out nobody can connect any more, services that come back included. So at start the limit is raised as far
//! as the system allows, and if that is not enough for the configured limits, these are lowered, with a notice.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::settings::Limits;

/// Raises the soft limit on open files to the hard one; returns what holds then.
pub fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // If it may not be raised, the old limit holds, and `fit` takes care.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    allowed()
}

/// How many this process may have open now.
pub fn allowed() -> usize {
    let now = getrlimit(Resource::Nofile).current;
    now.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX)
}

/// Lowers `limits` to what `descriptors` allow: half for connections, a quarter for topics, a quarter for consumers.
/// Returns what to tell the operator.
pub fn fit(limits: &mut Limits, descriptors: usize) -> Option<String> {
    let free = descriptors.saturating_sub(RESERVED);
    let (connections, topics) = ((free / 2).max(1), (free / 4).max(1));
    if limits.max_connections <= connections && limits.max_topics <= topics {
        return None;
    }
    limits.max_connections = limits.max_connections.min(connections);
    limits.max_topics = limits.max_topics.min(topics);
    Some(format!(
        "{descriptors} open files are allowed: max_connections is {}, max_topics {}; \
         raise the limit (LimitNOFILE=65536 in a systemd unit) for more",
        limits.max_connections, limits.max_topics
    ))
}

/// Standard streams, the log, epoll, signals, and some to spare.
const RESERVED: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            max_topics: 4096,
            max_connections: 4096,
            max_message_size: 1,
            max_frames: 1,
            topic_max_octets: 1,
            memory_limit: 1,
        }
    }

    #[test]
    fn enough_descriptors_change_nothing() {
        let mut fitted = limits();
        assert_eq!(fit(&mut fitted, 65_536), None);
        assert_eq!(fitted, limits());
    }

    #[test]
    fn few_descriptors_leave_some_for_everyone() {
        let mut fitted = limits();
        let notice = fit(&mut fitted, 1024).unwrap();
        assert_eq!((fitted.max_connections, fitted.max_topics), (496, 248));
        assert!(notice.contains("LimitNOFILE"), "{notice}");
        assert!(fit(&mut limits(), 0).is_some());
    }

    #[test]
    fn raising_never_lowers() {
        let before = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(raise() as u64 >= before);
    }
}
