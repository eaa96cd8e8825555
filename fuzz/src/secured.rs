//! Somebody between a client and a server of PLAIN or CURVE.

use std::{
    io::IoSlice,
    time::{Duration, Instant},
};

use zmtp::{
    Message,
    proto::{
        Connection, Event, Fresh, KeyPair, Limits, Mechanism, PlainLogin, ProtocolError, SecretKey, Setup, SocketType,
    },
};

use crate::{cuts::Cuts, feed::fill};

/// A client sends messages to a server, and on the way of one of them an octet is altered and others are added. What
/// arrives under CURVE is a start of what was sent, and all of it when nothing was done. PLAIN promises only that nothing
/// breaks.
pub fn secured(input: &[u8]) {
    let Some((cuts, rest)) = Cuts::split_off(input) else { return };
    let Some((&[mode, high, low, flip], tail)) = rest.split_first_chunk() else { return };
    let sealed = mode & 1 == 0;
    let (to_server, at) = (mode & 2 == 0, usize::from(u16::from_be_bytes([high, low])));
    let mut client = Side::new(SocketType::Push, client(sealed), cuts.clone());
    let mut server = Side::new(SocketType::Pull, server(sealed), cuts);
    let mut ready = false;
    loop {
        for from_client in [true, false] {
            let (from, to) = if from_client { (&mut client, &mut server) } else { (&mut server, &mut client) };
            let passed = from.written;
            let mut octets = from.write();
            let altered = at.checked_sub(passed).filter(|_| from_client == to_server);
            if let Some(octet) = altered.and_then(|at| octets.get_mut(at)) {
                *octet ^= flip;
            }
            to.read(&octets);
        }
        if client.connection.is_ready() && !std::mem::replace(&mut ready, true) {
            MESSAGES.iter().for_each(|message| client.connection.send(Message::from(*message).into()));
        }
        if !client.connection.wants_write() && !server.connection.wants_write() {
            break;
        }
    }
    (if to_server { &mut server } else { &mut client }).read(tail);
    if sealed {
        assert!(MESSAGES.starts_with(&server.messages()), "what was not sent: {:?}", server.messages());
    }
    if flip == 0 {
        assert!(server.messages().starts_with(&MESSAGES), "{:?} {:?}", client.end, server.end);
    }
}

struct Side {
    connection: Connection,
    cuts: Cuts,
    came: usize,
    written: usize,
    received: Vec<Vec<u8>>,
    end: Option<ProtocolError>,
}

impl Side {
    fn new(socket_type: SocketType, mechanism: Mechanism, cuts: Cuts) -> Self {
        let setup = Setup { socket_type, limits: Limits::default(), handshake_timeout: Duration::from_secs(1) };
        let connection = Connection::secured(setup, mechanism, Instant::now());
        Self { connection, cuts, came: 0, written: 0, received: Vec::new(), end: None }
    }

    fn write(&mut self) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 8];
        let n = self.connection.poll_transmit(&mut slices);
        let octets: Vec<u8> = slices[..n].iter().flat_map(|slice| slice.to_vec()).collect();
        self.connection.handle_written(octets.len());
        self.written += octets.len();
        octets
    }

    fn read(&mut self, mut octets: &[u8]) {
        while !octets.is_empty() && self.end.is_none() {
            let n = fill(self.connection.read_buffer(), &mut octets, self.cuts.next(), self.came);
            assert_eq!(self.connection.handle_read(), n);
            self.came += n;
            loop {
                match self.connection.poll_event() {
                    Ok(Some(Event::Run(run))) => {
                        self.received.extend(run.map(|message| message.frames().flatten().copied().collect()));
                    }
                    Ok(Some(Event::Authenticate(_))) => self.connection.authorize(),
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => {
                        self.end = Some(error);
                        break;
                    }
                }
            }
        }
    }

    fn messages(&self) -> Vec<&[u8]> {
        self.received.iter().map(Vec::as_slice).collect()
    }
}

fn client(sealed: bool) -> Mechanism {
    match PlainLogin::new("admin", "secret") {
        Ok(login) if !sealed => Mechanism::plain_client(login),
        _ => Mechanism::curve_client(keys(1), keys(2).public(), Fresh::from_octets(&[3; Fresh::OCTETS])),
    }
}

fn server(sealed: bool) -> Mechanism {
    if sealed {
        Mechanism::curve_server(keys(2), Fresh::from_octets(&[4; Fresh::OCTETS]))
    } else {
        Mechanism::plain_server()
    }
}

/// Secret keys that are always the same, so that a finding repeats.
fn keys(octet: u8) -> KeyPair {
    SecretKey::from_octets([octet; 32]).into()
}

const MESSAGES: [&[u8]; 3] = [b"first", b"", &[b'x'; 300]];
