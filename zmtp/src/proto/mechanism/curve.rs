//! The CURVE mechanism: both sides prove their keys, nobody else reads or alters what they say (RFC 26).
//!
//! ```text
//!  client, keys C c', server's key S          server, keys S s
//!    HELLO     C' [zeros]C'->S          --->    fresh pair S' s'
//!                                       <---  WELCOME  [S' cookie]S->C'
//!    INITIATE  cookie [C vouch props]C'->S' --> asks whether C may come in
//!              vouch = [C' S]C->S'
//!                                       <---  READY    [props]S'->C', or ERROR
//!    MESSAGE                            <-->  MESSAGE
//! ```
//! `[x]A->B` is a box that only A and B can make and open. A key with a prime lives as long as the connection, so what was
//! recorded can't be opened later, even with the long-lived keys.
//!
//! The cookie exists so that a server may forget a client between WELCOME and INITIATE. This one remembers it, as it does
//! the stream, and so its cookie is 96 random octets that have to come back.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use zeroize::Zeroizing;

use super::{
    Credentials, Step,
    boxes::{SharedKey, drawn, numbered},
    keys::{Fresh, KeyPair, PublicKey},
    sealed::{Sealed, Way},
};
use crate::proto::{
    command::{self, Command},
    error::{PeerText, ProtocolError},
    metadata::Metadata,
};

/// One side of a handshake.
#[derive(Debug)]
pub(super) struct Curve {
    /// Our lasting pair.
    keys: KeyPair,
    fresh: Fresh,
    role: Role,
}

#[derive(Debug)]
enum Role {
    Client { server: PublicKey, awaits: ClientAwaits },
    Server(ServerAwaits),
}

#[derive(Debug)]
enum ClientAwaits {
    Greeting,
    Welcome { hello: SharedKey },
    Ready { session: SharedKey },
}

#[derive(Debug)]
enum ServerAwaits {
    Hello,
    Initiate {
        client: PublicKey,
    },
    Verdict {
        ready: Bytes,
        properties: Metadata,
        sealed: Box<Sealed>,
    },
    /// All was handed over, or went wrong.
    Nothing,
}

impl Curve {
    pub(super) const NAME: &'static str = "CURVE";

    pub(super) fn client(keys: KeyPair, server: PublicKey, fresh: Fresh) -> Self {
        Self { keys, fresh, role: Role::Client { server, awaits: ClientAwaits::Greeting } }
    }

    pub(super) fn server(keys: KeyPair, fresh: Fresh) -> Self {
        Self { keys, fresh, role: Role::Server(ServerAwaits::Hello) }
    }

    pub(super) fn is_server(&self) -> bool {
        matches!(self.role, Role::Server(_))
    }

    /// HELLO, from a client.
    pub(super) fn start(&mut self) -> Result<Option<Step>, ProtocolError> {
        let Role::Client { server, awaits } = &mut self.role else { return Ok(None) };
        let key =
            SharedKey::new(self.fresh.ephemeral.secret(), server).ok_or(ProtocolError::Box { command: "HELLO" })?;
        let mut data = BytesMut::new();
        data.put_slice(VERSION);
        data.put_bytes(0, HELLO_PADDING);
        data.put_slice(self.fresh.ephemeral.public().as_octets());
        data.put_u64(1);
        data.put_slice(&key.seal(&numbered(HELLO, 1), &[0; 64]));
        *awaits = ClientAwaits::Welcome { hello: key };
        Ok(Some(Step::Send(command::frame("HELLO", &data))))
    }

    pub(super) fn handle(&mut self, ours: &[u8], body: Bytes) -> Result<Step, ProtocolError> {
        let (name, data) = command::split_name(body)?;
        let Self { keys, fresh, role } = self;
        match (&mut *role, &name[..]) {
            (Role::Server(awaits @ ServerAwaits::Hello), b"HELLO") => {
                let (client, welcome) = welcome(keys, fresh, data)?;
                *awaits = ServerAwaits::Initiate { client };
                Ok(Step::Send(welcome))
            }
            (Role::Client { server, awaits }, b"WELCOME") => {
                let ClientAwaits::Welcome { hello } = &*awaits else { return Err(unexpected(&name)) };
                let (session, initiate) = initiate(keys, fresh, server, hello, ours, data)?;
                *awaits = ClientAwaits::Ready { session };
                Ok(Step::Send(initiate))
            }
            (Role::Server(awaits @ ServerAwaits::Initiate { .. }), b"INITIATE") => {
                let ServerAwaits::Initiate { client } = std::mem::replace(awaits, ServerAwaits::Nothing) else {
                    return Err(unexpected(&name));
                };
                let (key, session, number, properties) = admit(keys, fresh, &client, data)?;
                let mut ready = BytesMut::new();
                ready.put_u64(1);
                ready.put_slice(&session.seal(&numbered(READY, 1), ours));
                let sealed = Sealed::new(
                    session,
                    Way { prefix: FROM_SERVER, last: 1 },
                    Way { prefix: FROM_CLIENT, last: number },
                );
                let sealed = Box::new(sealed);
                *awaits = ServerAwaits::Verdict { ready: command::frame("READY", &ready), properties, sealed };
                Ok(Step::Ask(Credentials::Curve(key)))
            }
            (Role::Client { awaits, .. }, b"READY") => {
                let ClientAwaits::Ready { session } = std::mem::replace(awaits, ClientAwaits::Greeting) else {
                    return Err(unexpected(&name));
                };
                let (number, properties) = open_numbered(&session, READY, "READY", &data)?;
                let sealed = Sealed::new(
                    session,
                    Way { prefix: FROM_CLIENT, last: 2 },
                    Way { prefix: FROM_SERVER, last: number },
                );
                let properties = Metadata::decode(Bytes::copy_from_slice(&properties))?;
                Ok(Step::Ready { reply: None, properties, seal: Some(Box::new(sealed)) })
            }
            (_, b"ERROR") => Err(ProtocolError::PeerRefused { reason: Command::decode_error(&data)? }),
            _ => Err(unexpected(&name)),
        }
    }

    /// READY, from a server.
    pub(super) fn authorized(&mut self) -> Result<Step, ProtocolError> {
        let Role::Server(awaits) = &mut self.role else { return Err(ProtocolError::UNASKED) };
        match std::mem::replace(awaits, ServerAwaits::Nothing) {
            ServerAwaits::Verdict { ready, properties, sealed } => {
                Ok(Step::Ready { reply: Some(ready), properties, seal: Some(sealed) })
            }
            _ => Err(ProtocolError::UNASKED),
        }
    }
}

/// The server reads HELLO: the client's fresh key, and WELCOME for it.
fn welcome(keys: &KeyPair, fresh: &Fresh, mut data: Bytes) -> Result<(PublicKey, Bytes), ProtocolError> {
    if data.len() != VERSION.len() + HELLO_PADDING + 32 + 8 + SharedKey::TAG + 64 {
        return Err(ProtocolError::MalformedCommand { command: "HELLO", problem: "not of 200 octets" });
    }
    if !data.starts_with(VERSION) {
        return Err(ProtocolError::MalformedCommand { command: "HELLO", problem: "not of version 1.0" });
    }
    data.advance(VERSION.len() + HELLO_PADDING);
    let client = public_key(&mut data, "HELLO")?;
    let key = SharedKey::new(keys.secret(), &client).ok_or(ProtocolError::Box { command: "HELLO" })?;
    let (_, zeros) = open_numbered(&key, HELLO, "HELLO", &data)?;
    if zeros.iter().any(|octet| *octet != 0) {
        return Err(ProtocolError::MalformedCommand { command: "HELLO", problem: "its box is not of zeros" });
    }
    let plain = [&fresh.ephemeral.public().as_octets()[..], &fresh.cookie].concat();
    let sealed = key.seal(&drawn(b"WELCOME-", &fresh.nonce), &plain);
    Ok((client, command::frame("WELCOME", &[&fresh.nonce[..], &sealed].concat())))
}

/// The client reads WELCOME: the key of the connection, and INITIATE.
fn initiate(
    keys: &KeyPair,
    fresh: &Fresh,
    server: &PublicKey,
    hello: &SharedKey,
    ours: &[u8],
    data: Bytes,
) -> Result<(SharedKey, Bytes), ProtocolError> {
    const BOX: ProtocolError = ProtocolError::Box { command: "WELCOME" };
    let malformed = || ProtocolError::MalformedCommand { command: "WELCOME", problem: "not of 168 octets" };
    if data.len() != 16 + SharedKey::TAG + 32 + COOKIE {
        return Err(malformed());
    }
    let (nonce, sealed) = data.split_first_chunk().ok_or_else(malformed)?;
    let plain = hello.open(&drawn(b"WELCOME-", nonce), sealed).ok_or(BOX)?;
    let (theirs, cookie) = plain.split_first_chunk().ok_or_else(malformed)?;
    let theirs = PublicKey::from_octets(*theirs);
    let session = SharedKey::new(fresh.ephemeral.secret(), &theirs).ok_or(BOX)?;
    let lasting = SharedKey::new(keys.secret(), &theirs).ok_or(BOX)?;
    let vouched = [*fresh.ephemeral.public().as_octets(), *server.as_octets()].concat();
    let vouch = lasting.seal(&drawn(b"VOUCH---", &fresh.nonce), &vouched);
    let plain = [&keys.public().as_octets()[..], &fresh.nonce, &vouch, ours].concat();
    let sealed = session.seal(&numbered(INITIATE, 2), &plain);
    let initiate = command::frame("INITIATE", &[cookie, &2u64.to_be_bytes(), &sealed].concat());
    Ok((session, initiate))
}

/// The server reads INITIATE: the client's lasting key, which it has proven to have, the key of the connection, the
/// number of the command, and the client's properties.
fn admit(
    keys: &KeyPair,
    fresh: &Fresh,
    client: &PublicKey,
    mut data: Bytes,
) -> Result<(PublicKey, SharedKey, u64, Metadata), ProtocolError> {
    const BOX: ProtocolError = ProtocolError::Box { command: "INITIATE" };
    let malformed = |problem| ProtocolError::MalformedCommand { command: "INITIATE", problem };
    if data.len() < COOKIE || data.split_to(COOKIE) != fresh.cookie[..] {
        return Err(malformed("not with the cookie of WELCOME"));
    }
    let session = SharedKey::new(fresh.ephemeral.secret(), client).ok_or(BOX)?;
    let (number, plain) = open_numbered(&session, INITIATE, "INITIATE", &data)?;
    let mut plain = Bytes::copy_from_slice(&plain);
    let key = public_key(&mut plain, "INITIATE")?;
    if plain.len() < 16 + SharedKey::TAG + 64 {
        return Err(malformed("no vouch"));
    }
    let mut nonce = [0; 16];
    plain.copy_to_slice(&mut nonce);
    let vouch = plain.split_to(SharedKey::TAG + 64);
    let lasting = SharedKey::new(fresh.ephemeral.secret(), &key).ok_or(BOX)?;
    let vouched = lasting.open(&drawn(b"VOUCH---", &nonce), &vouch).ok_or(BOX)?;
    if vouched[..] != [*client.as_octets(), *keys.public().as_octets()].concat() {
        return Err(malformed("vouches for other keys"));
    }
    Ok((key, session, number, Metadata::decode(plain)?))
}

fn public_key(data: &mut Bytes, command: &'static str) -> Result<PublicKey, ProtocolError> {
    let key = data.first_chunk().copied().ok_or(ProtocolError::MalformedCommand { command, problem: "no key" })?;
    data.advance(key.len());
    Ok(PublicKey::from_octets(key))
}

/// Opens `number(8) box`.
fn open_numbered(
    key: &SharedKey,
    prefix: &[u8; 16],
    command: &'static str,
    data: &[u8],
) -> Result<(u64, Zeroizing<Vec<u8>>), ProtocolError> {
    let (number, sealed) =
        data.split_first_chunk().ok_or(ProtocolError::MalformedCommand { command, problem: "no number" })?;
    let number = u64::from_be_bytes(*number);
    let plain = key.open(&numbered(prefix, number), sealed).ok_or(ProtocolError::Box { command })?;
    Ok((number, plain))
}

fn unexpected(name: &[u8]) -> ProtocolError {
    ProtocolError::UnexpectedCommand { name: PeerText::new(name), state: "in the CURVE handshake" }
}

/// Octets of the cookie in WELCOME and INITIATE.
const COOKIE: usize = 96;
const VERSION: &[u8] = b"\x01\x00";
/// RFC 26 says 70 in its prose; 72 make the 200 octets that its grammar and libzmq have, so that HELLO is no shorter than
/// WELCOME and a forged sender's address no amplifier.
const HELLO_PADDING: usize = 72;
const HELLO: &[u8; 16] = b"CurveZMQHELLO---";
const INITIATE: &[u8; 16] = b"CurveZMQINITIATE";
const READY: &[u8; 16] = b"CurveZMQREADY---";
/// RFC 26 shows one prefix for MESSAGE; libzmq has one for each way, so that no nonce is used twice.
const FROM_CLIENT: &[u8; 16] = b"CurveZMQMESSAGEC";
const FROM_SERVER: &[u8; 16] = b"CurveZMQMESSAGES";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::socket_type::SocketType;

    fn ours(socket_type: SocketType) -> Bytes {
        command::properties(socket_type, &[])
    }

    /// The conversation of libzmq, a server, with a client whose secret keys are known.
    struct Captured {
        steps: serde_json::Value,
    }

    impl Captured {
        fn load() -> Self {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/zmtp.json");
            let mut all: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            Self { steps: all["captured"]["curve_server.PULL"]["steps"].take() }
        }

        fn frame(&self, label: &str) -> Vec<u8> {
            let step = self.steps.as_array().unwrap().iter().find(|step| step["label"] == label).unwrap();
            hex(step["hex"].as_str().unwrap())
        }

        fn body(&self, label: &str) -> Bytes {
            let frame = self.frame(label);
            Bytes::from(frame).slice(2..)
        }

        fn key(&self, name: &str) -> [u8; 32] {
            let keys = &self.steps.as_array().unwrap().last().unwrap()["note"]["keys"];
            hex(keys[name].as_str().unwrap()).try_into().unwrap()
        }

        fn client(&self, nonce: [u8; 16]) -> Curve {
            let keys = KeyPair::from(super::super::SecretKey::from_octets(self.key("c")));
            assert_eq!(keys.public().as_octets(), &self.key("C"));
            let mut fresh = [0; Fresh::OCTETS];
            fresh[..32].copy_from_slice(&self.key("cprime"));
            fresh[32..48].copy_from_slice(&nonce);
            Curve::client(keys, PublicKey::from_octets(self.key("S")), Fresh::from_octets(&fresh))
        }
    }

    fn hex(digits: &str) -> Vec<u8> {
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    fn sent(step: Step) -> Bytes {
        let Step::Send(frame) = step else { panic!("{step:?}") };
        frame
    }

    #[test]
    fn a_client_writes_what_libzmq_took() {
        let captured = Captured::load();
        // The nonce of the vouch is in the box: open it with the keys that a first try comes by.
        let mut first = captured.client([0; 16]);
        first.start().unwrap();
        first.handle(&ours(SocketType::Push), captured.body("WELCOME")).unwrap();
        let Role::Client { awaits: ClientAwaits::Ready { session }, .. } = &first.role else { panic!("{first:?}") };
        let data = captured.frame("INITIATE").split_off(9 + 9 + COOKIE);
        let (_, plain) = open_numbered(session, INITIATE, "INITIATE", &data).unwrap();

        let mut client = captured.client(plain[32..48].try_into().unwrap());
        let Some(Step::Send(hello)) = client.start().unwrap() else { panic!("a client begins") };
        assert_eq!(hello, captured.frame("HELLO"));
        let initiate = client.handle(&ours(SocketType::Push), captured.body("WELCOME")).unwrap();
        assert_eq!(sent(initiate), captured.frame("INITIATE"));
        let ready = client.handle(&ours(SocketType::Push), captured.body("READY")).unwrap();
        let Step::Ready { reply: None, properties, seal: Some(mut seal) } = ready else { panic!("{ready:?}") };
        assert_eq!(properties.find(b"Socket-Type").unwrap(), "PULL");
        let message = seal.seal(&"hello".into());
        assert_eq!(message, captured.frame("MESSAGE nonce 3 flags 0 (command bit False)"));
    }

    #[test]
    fn altered_commands_get_nowhere() {
        let captured = Captured::load();
        for label in ["WELCOME", "READY"] {
            let whole = captured.body(label);
            for at in 0..whole.len() {
                let mut client = captured.client([0; 16]);
                client.start().unwrap();
                if label == "READY" {
                    client.handle(&ours(SocketType::Push), captured.body("WELCOME")).unwrap();
                }
                let mut altered = whole.to_vec();
                altered[at] ^= 0x20;
                assert!(client.handle(&ours(SocketType::Push), altered.into()).is_err(), "{label}: octet {at}");
                assert!(client.handle(&ours(SocketType::Push), whole.slice(..at)).is_err(), "{label}: cut at {at}");
            }
        }
    }

    /// A client makes its box itself, so that it opens proves nothing about what is inside.
    #[test]
    fn what_a_client_sealed_is_checked_at_each_length() {
        let keys = |octet| KeyPair::from(super::super::SecretKey::from_octets([octet; 32]));
        let fresh = |octet| Fresh::from_octets(&[octet; Fresh::OCTETS]);
        let (pull, push) = (ours(SocketType::Pull), ours(SocketType::Push));
        // A key, the nonce of the vouch and the vouch; a list of properties without one is whole too.
        let without_properties = 32 + 16 + SharedKey::TAG + 64;
        for len in 0..without_properties + push.len() {
            let mut server = Curve::server(keys(1), fresh(3));
            let mut client = Curve::client(keys(2), keys(1).public(), fresh(4));
            let Some(Step::Send(hello)) = client.start().unwrap() else { panic!("a client begins") };
            let welcome = sent(server.handle(&pull, hello.slice(2..)).unwrap());
            let initiate = sent(client.handle(&push, welcome.slice(2..)).unwrap()).slice(9..);
            let Role::Client { awaits: ClientAwaits::Ready { session }, .. } = &client.role else {
                panic!("{client:?}")
            };
            let (start, numbered_box) = initiate.split_at(b"\x08INITIATE".len() + COOKIE);
            let (number, plain) = open_numbered(session, INITIATE, "INITIATE", numbered_box).unwrap();
            let cut = session.seal(&numbered(INITIATE, number), &plain[..len]);
            let altered = [start, &number.to_be_bytes(), &cut].concat();
            assert_eq!(server.handle(&pull, altered.into()).is_ok(), len == without_properties, "{len}");
        }
    }
}
