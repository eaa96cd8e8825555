//! New settings for a running daemon: what can be taken at once, and what waits for a restart.

use crate::logging::LogSettings;
use crate::settings::Settings;

/// What became of new settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// Those of the running daemon from now on.
    pub settings: Settings,
    /// Options that changed and count from now on.
    pub applied: Vec<&'static str>,
    /// Options that changed and count from the next start.
    pub pending: Vec<&'static str>,
}

impl Reload {
    /// Takes from `wanted` what a daemon that runs with `running` can take.
    #[must_use]
    pub fn of(running: &Settings, wanted: &Settings) -> Self {
        let mut settings = running.clone();
        let mut applied = Vec::new();
        adopt("debug or verbose", &mut settings.log.levels.all, &wanted.log.levels.all, &mut applied);
        adopt("default_log_levels", &mut settings.log.levels.modules, &wanted.log.levels.modules, &mut applied);
        adopt("rpc_zmq_topic_backlog", &mut settings.topic_backlog, &wanted.topic_backlog, &mut applied);
        adopt("max_topics", &mut settings.limits.max_topics, &wanted.limits.max_topics, &mut applied);
        adopt("topic_max_octets", &mut settings.limits.topic_max_octets, &wanted.limits.topic_max_octets, &mut applied);
        adopt(
            "topic_policy, topic_ttl, topic_octets or allow_topics",
            &mut settings.topics,
            &wanted.topics,
            &mut applied,
        );
        adopt(
            "allow_from, max_connections_per_address or max_octets_per_second",
            &mut settings.access,
            &wanted.access,
            &mut applied,
        );
        adopt("hold_time", &mut settings.hold_time, &wanted.hold_time, &mut applied);
        adopt("drain_timeout", &mut settings.drain_timeout, &wanted.drain_timeout, &mut applied);
        adopt("lame_duck_time", &mut settings.lame_duck_time, &wanted.lame_duck_time, &mut applied);
        settings.warnings.clone_from(&wanted.warnings);
        Self { settings, applied, pending: pending(running, wanted) }
    }
}

fn adopt<T: PartialEq + Clone>(option: &'static str, running: &mut T, wanted: &T, applied: &mut Vec<&'static str>) {
    if running != wanted {
        running.clone_from(wanted);
        applied.push(option);
    }
}

/// What is bound, open or known to connected peers stays as it is.
fn pending(running: &Settings, wanted: &Settings) -> Vec<&'static str> {
    let (limits, new) = (&running.limits, &wanted.limits);
    [
        ("rpc_zmq_bind_address", running.bind.address != wanted.bind.address),
        ("rpc_zmq_port", running.bind.port != wanted.bind.port),
        ("rpc_zmq_ipc_dir", running.ipc_dir != wanted.ipc_dir),
        ("rpc_zmq_host", running.host != wanted.host),
        (
            "log_file, log_dir, use_stderr, use_json, use_syslog, syslog_log_facility, use_journal or rate_limit_*",
            LogSettings { levels: wanted.log.levels.clone(), ..running.log.clone() } != wanted.log,
        ),
        ("curve_port, curve_bind_address, curve_key_file or curve_clients", running.curve != wanted.curve),
        ("spool_dir, spool_max_octets or spool_fsync", running.spool != wanted.spool),
        ("max_connections", limits.max_connections != new.max_connections),
        ("max_message_size", limits.max_message_size != new.max_message_size),
        ("max_frames", limits.max_frames != new.max_frames),
        ("memory_limit", limits.memory_limit != new.memory_limit),
        ("backend_fallback", running.backend_fallback != wanted.backend_fallback),
        ("handshake_timeout", running.handshake_timeout != wanted.handshake_timeout),
        ("busy_poll", running.busy_poll != wanted.busy_poll),
        ("flight_records", running.flight_records != wanted.flight_records),
        ("admin_socket, admin_listen or metrics_max_topics", running.admin != wanted.admin),
    ]
    .into_iter()
    .filter_map(|(option, changed)| changed.then_some(option))
    .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oslo_config::{Config, parse};

    use super::*;
    use crate::settings::DECLARED;

    fn settings(text: &str) -> Settings {
        let mut config = Config::new(DECLARED);
        config.push(parse(text.as_bytes(), "x.conf".as_ref()).unwrap());
        Settings::from_config(&config).unwrap()
    }

    #[test]
    fn what_can_change_changes_and_the_rest_is_named_each_time() {
        let running = settings("");
        let wanted = settings(
            "[DEFAULT]\ndebug = True\nrpc_zmq_port = 1\nrpc_zmq_topic_backlog = 7\n\
             [zmq_receiver]\ndrain_timeout = 3\nmax_frames = 9\n",
        );
        let reload = Reload::of(&running, &wanted);
        assert_eq!(reload.applied, ["debug or verbose", "rpc_zmq_topic_backlog", "drain_timeout"]);
        assert_eq!(reload.pending, ["rpc_zmq_port", "max_frames"]);
        assert_eq!((reload.settings.drain_timeout, reload.settings.bind.port), (Duration::from_secs(3), 9501));
        let again = Reload::of(&reload.settings, &wanted);
        assert_eq!((again.applied.len(), again.pending), (0, reload.pending));
    }

    #[test]
    fn nothing_new_changes_nothing() {
        let running = settings("");
        assert_eq!(Reload::of(&running, &running), Reload { settings: running, applied: vec![], pending: vec![] });
    }
}
