//! A whole stream to one connection, which answers as it would on a socket.

use std::{
    io::IoSlice,
    time::{Duration, Instant},
};

use bytes::Bytes;
use zmtp::proto::{Connection, Event, Greeting, Header, Limits, PeerInfo, ProtocolError, Setup, SocketType};

use crate::{cuts::Cuts, elements::TIGHT, feed::fill};

/// Any cut gives the same events and the same end as one read; what is written is our greeting, our READY, then
/// commands, and never a message. To a peer of ZMTP 2.0, where one is let in, it is a greeting without READY and no more.
pub fn connection(input: &[u8]) {
    let Some((cuts, rest)) = Cuts::split_off(input) else { return };
    let Some((&role, stream)) = rest.split_first() else { return };
    let socket_type = ROLES[usize::from(role & 3)];
    let limits = if role & 4 == 0 { Limits::default() } else { TIGHT };
    let admits_2_0 = role & 8 != 0;
    let setup = Setup { socket_type, limits, handshake_timeout: Duration::from_secs(1) };
    let (whole, _) = run(setup, admits_2_0, stream, Cuts::whole());
    let (cut, written) = run(setup, admits_2_0, stream, cuts);
    assert_eq!(cut, whole);
    if admits_2_0 && let Some([code, 0, 0]) = written.strip_prefix(&Greeting::encode("NULL", false)[..11]) {
        return assert_eq!(*code, socket_type.code());
    }
    check_written(&written);
}

/// What a socket would see.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Ready(PeerInfo),
    Message(Vec<Bytes>),
    Subscribe(Bytes),
    Cancel(Bytes),
    End(Result<(), ProtocolError>),
}

fn run(setup: Setup, admits_2_0: bool, mut stream: &[u8], mut cuts: Cuts) -> (Vec<Seen>, Vec<u8>) {
    let opened = Instant::now();
    let mut connection = Connection::new(setup, opened);
    if admits_2_0 {
        connection = connection.admitting_2_0();
    }
    let (mut seen, mut written, mut came) = (Vec::new(), Vec::new(), 0);
    while !stream.is_empty() {
        let n = fill(connection.read_buffer(), &mut stream, cuts.next(), came);
        assert_eq!(connection.handle_read(), n);
        came += n;
        let result = drain(&mut connection, &mut seen);
        write(&mut connection, &mut written);
        if result.is_err() {
            assert_eq!(connection.poll_event().map(|_| ()), result, "an error stays");
            assert_eq!(connection.poll_timeout(), None);
            seen.push(Seen::End(result));
            return (seen, written);
        }
        let deadline = connection.poll_timeout();
        assert!(connection.is_ready() || deadline.is_some(), "a deadline until READY, then where a PING sets one");
        if let Some(at) = deadline.filter(|_| connection.is_ready()) {
            // At once for a fresh ttl, which begins then; no other runs out so soon.
            assert_eq!(connection.handle_timeout(at.min(opened)), Ok(()));
        }
    }
    write(&mut connection, &mut written);
    seen.push(Seen::End(connection.handle_eof()));
    (seen, written)
}

fn drain(connection: &mut Connection, seen: &mut Vec<Seen>) -> Result<(), ProtocolError> {
    while let Some(event) = connection.poll_event()? {
        match event {
            Event::Ready(peer) => seen.push(Seen::Ready(peer)),
            Event::Run(run) => seen.extend(run.map(|message| Seen::Message(message.into_frames().collect()))),
            Event::Subscribe(prefix) => seen.push(Seen::Subscribe(prefix)),
            Event::Cancel(prefix) => seen.push(Seen::Cancel(prefix)),
            other => unreachable!("{other:?}"),
        }
    }
    Ok(())
}

fn write(connection: &mut Connection, written: &mut Vec<u8>) {
    while connection.wants_write() {
        let mut slices = [IoSlice::new(&[]); 8];
        let n = connection.poll_transmit(&mut slices);
        let octets: usize = slices[..n].iter().map(|slice| slice.len()).sum();
        slices[..n].iter().for_each(|slice| written.extend_from_slice(slice));
        connection.handle_written(octets);
    }
}

fn check_written(written: &[u8]) {
    let greeting = Greeting::encode("NULL", false);
    let Some(mut rest) = written.strip_prefix(&greeting) else {
        return assert!(greeting.starts_with(written), "no greeting first: {}", written.escape_ascii());
    };
    for n in 0.. {
        let Ok(Some((header, len))) = Header::decode(rest) else { break };
        let (frame, after) = rest.split_at(len + header.size as usize);
        assert!(header.is_command(), "a message: {}", frame.escape_ascii());
        assert_eq!(frame[len..].starts_with(b"\x05READY"), n == 0, "READY first, and once");
        rest = after;
    }
    assert!(rest.is_empty(), "part of a frame: {}", rest.escape_ascii());
}

const ROLES: [SocketType; 4] = [SocketType::Pull, SocketType::Push, SocketType::Pub, SocketType::Sub];
