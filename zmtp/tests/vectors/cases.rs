//! What is expected of each vector: transcripts, written after the tables of the protocol notes and the RFCs.

use zmtp::proto::{
    Limits,
    SocketType::{self, Dealer, Pair, Pub, Pull, Push, Rep, Req, Router, Sub, XPub, XSub},
};

/// Scenario, type of its libzmq socket, transcript of libzmq's octets, transcript of the octets libzmq was given.
///
/// The first is of a connection of the type that goes with libzmq's, the second of one in libzmq's place. `/` parts
/// the connections of a scenario.
pub(crate) type Case = (&'static str, SocketType, &'static str, &'static str);

pub(crate) const CASES: &[Case] = &[
    // Greeting.
    ("staged_greeting.PUSH.peer3.1", Push, "PUSH/3.1", "PULL/3.1"),
    ("staged_greeting.PUSH.peer3.0", Push, "PUSH/3.1", "PULL/3.0"),
    ("staged_greeting.PULL.peer3.1", Pull, "PULL/3.1", "PUSH/3.1"),
    ("staged_greeting.PULL.peer3.0", Pull, "PULL/3.1", "PUSH/3.0"),
    ("staged_greeting.PUB.peer3.1", Pub, "PUB/3.1", "SUB/3.1"),
    ("staged_greeting.PUB.peer3.0", Pub, "PUB/3.1", "SUB/3.0"),
    ("staged_greeting.SUB.peer3.1", Sub, "SUB/3.1", "PUB/3.1"),
    ("staged_greeting.SUB.peer3.0", Sub, "SUB/3.1", "PUB/3.0"),
    ("staged_greeting.XPUB.peer3.1", XPub, "XPUB/3.1", "XSUB/3.1"),
    ("staged_greeting.XSUB.peer3.1", XSub, "XSUB/3.1", "XPUB/3.1"),
    ("staged_greeting.DEALER.peer3.1", Dealer, "!socket-type", "!socket-type"),
    ("staged_greeting.ROUTER.peer3.1", Router, "!socket-type", "!socket-type"),
    ("staged_greeting.PAIR.peer3.1", Pair, "!socket-type", "!socket-type"),
    ("staged_greeting.REQ.peer3.1", Req, "!socket-type", "!socket-type"),
    ("staged_greeting.REP.peer3.1", Rep, "!socket-type", "!socket-type"),
    ("connecting_side.PUSH", Push, "PUSH/3.1 [hi]", "PULL/3.1"),
    ("signature_with_identity.PULL", Pull, "PULL/3.1", "PUSH/3.1"),
    ("ready_with_identity.DEALER", Dealer, "!socket-type", "!socket-type"),
    ("greeting_variant.major4", Pull, "PULL/3.1", "PUSH/4.0 [ok]"),
    ("greeting_variant.major255", Pull, "PULL/3.1", "PUSH/255.255 [ok]"),
    ("greeting_variant.minor9", Pull, "PULL/3.1", "PUSH/3.9 [ok]"),
    ("greeting_variant.padding_nonzero", Pull, "PULL/3.1", "PUSH/3.1 [ok]"),
    ("greeting_variant.sig_byte9_01", Pull, "PULL/3.1", "PUSH/3.1 [ok]"),
    ("greeting_variant.as_server_1", Pull, "PULL/3.1", "PUSH/3.1 [ok]"),
    ("greeting_variant.filler_nonzero", Pull, "PULL/3.1", "PUSH/3.1 [ok]"),
    ("greeting_variant.mechanism_PLAIN", Pull, "", "!mechanism"),
    ("greeting_variant.mechanism_PLAIN@4.3.4", Pull, "!closed-in-handshake", "!mechanism"),
    ("greeting_variant.mechanism_null_lower", Pull, "!closed-in-handshake", "!mechanism"),
    ("greeting_variant.mechanism_null_lower@4.3.4", Pull, "", "!mechanism"),
    ("greeting_variant.mechanism_trailing_garbage", Pull, "", "!mechanism"),
    ("greeting_variant.mechanism_empty", Pull, "!closed-in-handshake", "!mechanism"),
    ("garbage.http", Pull, "!closed-in-handshake", "!not-zmtp"),
    ("http_client_on_PUSH", Push, "!closed-in-handshake", "!not-zmtp"),
    ("http_client_on_PUSH@4.3.4", Push, "!closed-in-handshake", "!not-zmtp"),
    ("http_client_on_PUB", Pub, "!closed-in-handshake", "!not-zmtp"),
    ("http_client_on_PUB@4.3.4", Pub, "!closed-in-handshake", "!not-zmtp"),
    ("handshake_timeout.greeting", Pull, "!closed-in-handshake", "!closed-in-handshake"),
    ("handshake_timeout.ready", Pull, "PULL/3.1", "!closed-in-handshake"),
    // ZMTP 1.0 and 2.0. To such a peer libzmq writes what is no greeting of ZMTP 3 either.
    ("zmtp2.0.PUSH", Push, "!mechanism", "!old-version"),
    ("zmtp2.0.PULL", Pull, "!closed-in-handshake", "!old-version"),
    ("zmtp2.0.PUB", Pub, "!closed-in-handshake", "!old-version"),
    ("zmtp2.0.SUB", Sub, "!closed-in-handshake", "!old-version"),
    ("zmtp2.0.XPUB", XPub, "!closed-in-handshake", "!old-version"),
    ("zmtp2.0.XSUB", XSub, "!closed-in-handshake", "!old-version"),
    ("zmtp2.0.revision2.PULL", Pull, "!closed-in-handshake", "!old-version"),
    ("zmtp1.0.PUSH", Push, "!mechanism", "!old-version"),
    ("zmtp1.0.PULL", Pull, "!closed-in-handshake", "!old-version"),
    ("zmtp1.0.PUB", Pub, "!closed-in-handshake", "!old-version"),
    ("zmtp1.0.SUB", Sub, "!closed-in-handshake", "!old-version"),
    ("zmtp1.0.longform.PULL", Pull, "!closed-in-handshake", "!old-version"),
    ("revision0.PULL", Pull, "!closed-in-handshake", "!old-version"),
    // READY and ERROR.
    ("ready_variant.wrong_type", Pull, "PULL/3.1", "!socket-type"),
    ("ready_variant.bogus_type", Pull, "PULL/3.1", "!socket-type"),
    ("ready_variant.no_socket_type", Pull, "PULL/3.1", "!no-socket-type"),
    ("ready_variant.lowercase_name", Pull, "PULL/3.1", "!socket-type"),
    ("ready_variant.dup_types", Pull, "PULL/3.1", "!malformed-command"),
    ("ready_variant.zero_len_name", Pull, "PULL/3.1", "!malformed-command"),
    ("ready_variant.trailing_1byte", Pull, "PULL/3.1", "!malformed-command"),
    ("ready_variant.value_len_overrun", Pull, "PULL/3.1", "!malformed-command"),
    ("ready_variant.value_len_ffffffff", Pull, "PULL/3.1", "!malformed-command"),
    ("ready_variant.long_form", Pull, "PULL/3.1", "PUSH/3.1 [ok]"),
    ("ready_variant.not_command_flag", Pull, "PULL/3.1", "!unexpected-message"),
    ("ready_variant.identity_256", Pull, "PULL/3.1", "PUSH/3.1 [ok]"),
    ("ready_variant.identity_zero", Pull, "PULL/3.1", "PUSH/3.1 [ok]"),
    ("ready_variant.x_property", Pull, "PULL/3.1", "PUSH/3.1 [ok]"),
    ("ready_variant.resource", Pull, "PULL/3.1", "PUSH/3.1 [ok]"),
    ("ready_variant.unknown_cmd", Pull, "PULL/3.1", "!unexpected-command"),
    ("ready_variant.message_first", Pull, "PULL/3.1", "!unexpected-message"),
    ("ready_variant.ready_twice", Pull, "PULL/3.1", "PUSH/3.1 !unexpected-command"),
    ("ready_variant.error_cmd", Pull, "PULL/3.1", "!peer-refused"),
    ("ready_variant.error_400", Pull, "PULL/3.1", "!peer-refused"),
    ("ready_variant.error_trunc", Pull, "PULL/3.1", "!malformed-command"),
    ("ready_variant.ping_first", Pull, "PULL/3.1", "!unexpected-command"),
    ("ready_variant.ready_more_flag", Pull, "PULL/3.1", "!command-more"),
    ("ready_variant.empty_cmd", Pull, "PULL/3.1", "!malformed-command"),
    ("reconnect_after_protocol_error.mechanism_mismatch", Push, "!closed-in-handshake", "!mechanism"),
    ("reconnect_after_protocol_error.wrong_socket_type", Push, "!closed-in-handshake", "!socket-type"),
    ("reconnect_after_protocol_error.error_command", Push, "PUSH/3.1", "!peer-refused"),
    ("reconnect_after_protocol_error.bad_ready", Push, "!closed-in-handshake", "!unexpected-command"),
    ("reconnect_after_protocol_error.bad_ready@4.3.4", Push, "", "!unexpected-command"),
    ("reconnect_after_protocol_error.after_handshake", Push, "PUSH/3.1", "PULL/3.1 !frame-too-large"),
    ("zap.NULL.200", Pull, "PULL/3.1", "PUSH/3.1"),
    ("zap.NULL.300", Pull, "!closed-in-handshake", "PUSH/3.1"),
    ("zap.NULL.400", Pull, "!peer-refused", "PUSH/3.1"),
    ("zap.NULL.500", Pull, "!peer-refused", "PUSH/3.1"),
    // Other mechanisms.
    ("plain_server.200", Pull, "!mechanism", "!mechanism"),
    ("plain_server.300", Pull, "!mechanism", "!mechanism"),
    ("plain_server.400", Pull, "!mechanism", "!mechanism"),
    ("plain_server.no_zap_handler", Pull, "!mechanism", "!mechanism"),
    ("plain_client.PUSH", Push, "!mechanism", "!mechanism"),
    ("plain_client.both_clients", Push, "!mechanism", "!mechanism"),
    ("curve_client.PUSH", Push, "!mechanism", "!mechanism"),
    ("curve_server.PULL", Pull, "!mechanism", "!mechanism"),
    (
        "curve_server.downgrade_attempts",
        Pull,
        "!closed-in-handshake",
        "!closed-in-handshake / !old-version / !old-version",
    ),
    // Frames and their limits.
    ("frames.PUSH.peer3.1", Push, "PUSH/3.1 [] [hello] [a||c] [x*255] [y*256] [q*256|e]", "PULL/3.1"),
    ("frames.PUSH.peer3.0", Push, "PUSH/3.1 [] [hello] [a||c] [x*255] [y*256] [q*256|e]", "PULL/3.0"),
    ("ping_inside_multipart.PULL", Pull, "PULL/3.1", "PUSH/3.1 [p1|p2]"),
    ("disconnect_mid_multipart.PULL", Pull, "PULL/3.1", "PUSH/3.1"),
    ("tolerance.PULL.peer3.1", Pull, "PULL/3.1", "PUSH/3.1 [abc] !reserved-flags"),
    ("huge_length.len_2^63", Pull, "PULL/3.1", "PUSH/3.1 !frame-too-large"),
    ("huge_length.len_2^64-1", Pull, "PULL/3.1", "PUSH/3.1 !frame-too-large"),
    ("huge_length.len_2^63-1", Pull, "PULL/3.1", "PUSH/3.1 !frame-too-large"),
    ("huge_length.len_2^48", Pull, "PULL/3.1", "PUSH/3.1 !frame-too-large"),
    ("maxmsgsize.100", Pull, "PULL/3.1", "PUSH/3.1 [m*100] [m*60|n*60] !frame-too-large"),
    ("maxmsgsize.applies_to_ready", Pull, "PULL/3.1", "!frame-too-large"),
    ("queue.connecting_PUSH", Push, "PUSH/3.1 [m0] [m1] [m2] / PUSH/3.1", "PULL/3.1 / PULL/3.1"),
    ("bound_PUSH_peer_gone", Push, "PUSH/3.1", "PULL/3.1"),
    ("hwm_nonreading_peer.1", Push, "PUSH/3.1", "PULL/3.1"),
    ("hwm_nonreading_peer.10", Push, "PUSH/3.1", "PULL/3.1"),
    ("hwm_nonreading_peer.1000", Push, "PUSH/3.1", "PULL/3.1"),
    ("ipc", Pull, "PULL/3.1", "PUSH/3.1 [ipc]"),
    // PING and PONG; the answers are octets, looked at in libzmq's place.
    ("ping.PULL.peer3.1", Pull, "PULL/3.1", "PUSH/3.1"),
    ("ping.PULL.peer3.0", Pull, "PULL/3.1", "PUSH/3.0"),
    ("ping_ttl.1", Pull, "PULL/3.1", "PUSH/3.1"),
    ("ping_ttl.3", Pull, "PULL/3.1", "PUSH/3.1"),
    ("ping_ttl.656", Pull, "PULL/3.1", "PUSH/3.1"),
    ("heartbeat_sender.PUSH.peer3.1", Push, "PUSH/3.1", "PULL/3.1"),
    ("heartbeat_sender.PUSH.peer3.0", Push, "PUSH/3.1", "PULL/3.0"),
    // Subscriptions.
    (
        "subscriptions.SUB.peer3.1",
        Sub,
        "SUB/3.1 + +pre +t*244 +t*245 +t*246 +t*254 +t*256 -",
        "PUB/3.1 [Axyz] [Axyz] [prefixed]",
    ),
    (
        "subscriptions.SUB.peer3.0",
        Sub,
        "SUB/3.1 + +pre +t*244 +t*245 +t*246 +t*254 +t*256 -",
        "PUB/3.0 [Axyz] [Axyz] [prefixed]",
    ),
    // A topic of 246 octets: a long size without the LONG flag, which reads as an empty command.
    (
        "subscriptions.SUB.peer3.1@4.3.4",
        Sub,
        "SUB/3.1 + +pre +t*244 +t*245 !malformed-command",
        "PUB/3.1 [Axyz] [Axyz] [prefixed]",
    ),
    ("subscriptions.XPUB.peer3.1", XPub, "XPUB/3.1 [hello]", "SUB/3.1 +cmd +msg + -cmd -msg -never"),
    ("subscriptions.XPUB.peer3.0", XPub, "XPUB/3.1 [hello]", "SUB/3.0 +cmd +msg + -cmd -msg -never"),
    (
        "subscriptions_stepwise.SUB.peer3.1",
        Sub,
        "SUB/3.1 +pre +A +A + -A - +t*244 +t*245 +t*246 +t*248 +t*249 +t*250 +t*253 +t*254 +t*255 +t*256 -t*248 -t*249 \
         -t*250 -t*254 -t*255 -t*256",
        "PUB/3.1",
    ),
    (
        "subscriptions_stepwise.SUB.peer3.1@4.3.4",
        Sub,
        "SUB/3.1 +pre +A +A + -A - +t*244 +t*245 !malformed-command",
        "PUB/3.1",
    ),
    // The same fault of libzmq's in a message, of a topic of 255 octets: four short frames, then a `t` for flags.
    (
        "subscriptions_stepwise.SUB.peer3.0",
        Sub,
        "SUB/3.1 +pre +A +A + -A - +t*244 +t*245 +t*246 +t*248 +t*249 +t*250 +t*253 +t*254 - !reserved-flags",
        "PUB/3.0",
    ),
    ("subscriptions_stepwise.SUB.peer2.0", Sub, "!mechanism", "!old-version"),
    ("subscriptions_stepwise.SUB.peer1.0", Sub, "!mechanism", "!old-version"),
    ("pub_filtering.PUB", Pub, "PUB/3.1 [news] [ne|part2] [news2]", "SUB/3.1 +ne"),
    ("xpub_counts", XPub, "XPUB/3.1 [ccc] [ddd] [bbb]", "SUB/3.1 +a +a -a -a !command-more"),
];

/// Scenarios without an octet, and why there is nothing here to replay.
pub(crate) const NOT_PROTOCOL: &[(&str, &str)] = &[
    ("reconnect.close_before_greeting", "times between attempts to connect"),
    ("reconnect.backoff", "times between attempts to connect"),
    ("hwm.PUSH", "how many messages the socket takes without a peer"),
    ("endpoints", "which endpoint strings the socket takes"),
    ("endpoints_ipv6", "which endpoint strings the socket takes"),
];

/// Scenarios that only tell what came of octets of `constructed`; the test `early_messages_are_accepted` writes them.
pub(crate) const PIPELINING: &[&str] = &[
    "pipelining.greeting_then_wait",
    "pipelining.greeting+READY",
    "pipelining.greeting+READY+message",
    "pipelining.greeting|READY+message (no wait)",
    "pipelining.connecting_PULL",
];

/// Where a connection in libzmq's place writes other octets than libzmq did, or ends when libzmq went on, or goes on
/// when libzmq ended: the start of the scenario's name, and why.
pub(crate) const DIFFERENCES: &[(&str, &str)] = &[
    // Not offered.
    ("zmtp1.0.", "ZMTP 1.0 is refused: it has no handshake, so any client would become a peer"),
    ("zmtp2.0.", "ZMTP 2.0 is refused, and so is revision 2, which libzmq takes for 3.x"),
    ("revision0.", "ZMTP 1.0 is refused, whatever the greeting that leads to it"),
    ("subscriptions_stepwise.SUB.peer1.0", "ZMTP 1.0 is refused"),
    ("subscriptions_stepwise.SUB.peer2.0", "ZMTP 2.0 is refused"),
    ("garbage.http", "what is no greeting is refused, not taken for ZMTP 1.0"),
    ("http_client_on_", "what is no greeting is refused, not taken for ZMTP 1.0"),
    ("plain_", "without security here; with it in `secured.rs`"),
    ("curve_", "without security here; with it in `secured.rs`"),
    ("zap.NULL.300", "nobody is asked whether the peer may connect"),
    ("zap.NULL.400", "nobody is asked whether the peer may connect"),
    ("zap.NULL.500", "nobody is asked whether the peer may connect"),
    ("staged_greeting.XPUB", "a PUB is in its place and says so in READY"),
    ("subscriptions.XPUB", "a PUB is in its place and says so in READY"),
    ("xpub_counts", "a PUB is in its place, and a command with MORE is refused: RFC 37 forbids it"),
    ("staged_greeting.XSUB", "a SUB is in its place and says so in READY"),
    ("staged_greeting.DEALER", "a type of no socket here"),
    ("staged_greeting.ROUTER", "a type of no socket here"),
    ("staged_greeting.PAIR", "a type of no socket here"),
    ("staged_greeting.REQ", "a type of no socket here"),
    ("staged_greeting.REP", "a type of no socket here"),
    ("ready_with_identity.DEALER", "a type of no socket here"),
    ("heartbeat_sender.", "a connection has no timer to send PING by"),
    ("ping_ttl.", "a connection has no timer for the ttl of a PING, which libzmq computes with 16 bits"),
    // Stricter.
    ("ready_variant.no_socket_type", "without a type the pair can't be checked; every known library sends one"),
    ("ready_variant.lowercase_name", "names of properties ignore case, so the wrong type is seen"),
    ("ready_variant.zero_len_name", "RFC 37 has names of at least one octet"),
    ("ready_variant.not_command_flag", "READY is a command"),
    ("ready_variant.ready_more_flag", "RFC 37 forbids MORE on a command"),
    ("ready_variant.ready_twice", "a second READY is a fault of the peer's, not noise"),
    ("tolerance.PULL", "RFC 37 has reserved bits zero; what is forwarded as it came has to be clean"),
    ("reconnect_after_protocol_error.error_command", "a peer that says ERROR is believed at once"),
    // Said to a peer that is refused.
    ("ready_variant.wrong_type", "ERROR tells the peer why; libzmq only closes"),
    ("ready_variant.bogus_type", "ERROR tells the peer why; libzmq only closes"),
    ("reconnect_after_protocol_error.wrong_socket_type", "ERROR tells the peer why; libzmq only closes"),
    ("greeting_variant.mechanism_", "the greeting ends once the peer's version is known, before its mechanism is"),
    ("reconnect_after_protocol_error.mechanism_mismatch", "the greeting ends once the peer's version is known"),
    (
        "reconnect_after_protocol_error.bad_ready",
        "greeting and READY are written before the peer's command is looked at",
    ),
    // Faults of libzmq's.
    ("subscriptions.SUB.peer3.1@4.3.4", "libzmq 4.3.4 forgets the LONG flag of a SUBSCRIBE of 256 octets or more"),
    (
        "subscriptions_stepwise.SUB.peer3.1@4.3.4",
        "libzmq 4.3.4 forgets the LONG flag of a SUBSCRIBE of 256 octets or more",
    ),
    ("subscriptions_stepwise.SUB.peer3.0", "libzmq forgets the LONG flag of a subscription of 256 octets"),
];

/// The limits under which a scenario was captured.
pub(crate) fn limits(scenario: &str) -> Limits {
    let limits = Limits::default();
    match scenario {
        "maxmsgsize.100" => Limits { max_frame: 100, ..limits },
        "maxmsgsize.applies_to_ready" => Limits { max_command: 10, ..limits },
        _ => limits,
    }
}

/// The type among ours that goes with a libzmq socket; any, when none does.
pub(crate) fn counterpart(libzmq: SocketType) -> SocketType {
    match libzmq {
        Push => Pull,
        Sub | XSub => Pub,
        Pub | XPub => Sub,
        _ => Push,
    }
}

/// The type among ours that can take a libzmq socket's place; any, when none can.
pub(crate) fn substitute(libzmq: SocketType) -> SocketType {
    match libzmq {
        XPub => Pub,
        XSub => Sub,
        Push | Pull | Pub | Sub => libzmq,
        _ => Push,
    }
}
