//! From the first octet to the peer's READY (RFC 37, Greeting; RFC 15 for a ZMTP 2.0 peer).
//!
//! ```text
//!  Greeting --64 octets, the mechanism fits--> Commands --READY--> done
//!      |                                                            ^
//!      +----12 octets of a 2.0 peer, admitted--> Identity ----------+
//! ```
//! Our greeting is sent in two parts. A libzmq of another mechanism closes as soon as it has seen ours; shown the
//! version first, it has told us its own by then, and the refusal can name both. A 2.0 peer reads the type of our socket
//! where a later one reads the minor version.

use bytes::Bytes;

use super::{
    command,
    decoder::{Decoder, Item},
    encoder::Encoder,
    error::{PeerText, ProtocolError},
    event::{PeerInfo, Setup},
    greeting::{Greeting, OldGreeting},
    mechanism::{Credentials, Mechanism, Seal, Step},
    metadata::Metadata,
    socket_type::SocketType,
};

/// A connection that has no peer yet.
#[derive(Debug)]
pub(crate) struct Handshake {
    mechanism: Mechanism,
    /// Our property list.
    ours: Bytes,
    admits_2_0: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// `told`: the peer has shown its version, and all of our greeting is on its way.
    Greeting {
        told: bool,
    },
    Commands {
        version: (u8, u8),
        verdict: Verdict,
    },
    Identity {
        peer: SocketType,
    },
}

/// How far the question is whether a peer may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    NotAsked,
    Awaited,
    Authorized,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Progress {
    /// More octets, or the verdict.
    Wait,
    Ask(Credentials),
    Done(Established),
}

/// A handshake that is over.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) peer: PeerInfo,
    pub(crate) seal: Option<Box<dyn Seal>>,
}

impl Handshake {
    /// Its first octets are on their way.
    pub(crate) fn begin(mechanism: Mechanism, socket_type: SocketType, encoder: &mut Encoder) -> Self {
        let greeting = Greeting::encode(mechanism.name(), mechanism.is_server());
        encoder.push(Bytes::copy_from_slice(&greeting[..Greeting::VERSION_END]));
        let ours = command::properties(socket_type, &[]);
        Self { mechanism, ours, admits_2_0: false, stage: Stage::Greeting { told: false } }
    }

    /// Tells the peer these properties too.
    pub(crate) fn tell(&mut self, socket_type: SocketType, properties: &[(Bytes, Bytes)]) {
        self.ours = command::properties(socket_type, properties);
    }

    /// Lets a peer of ZMTP 2.0 in, unless there is a mechanism that it does not have.
    pub(crate) fn admit_2_0(&mut self) {
        self.admits_2_0 = self.mechanism.lets_everybody_in();
    }

    /// When it breaks off: in which state that would be.
    pub(crate) fn state(&self) -> &'static str {
        match self.stage {
            Stage::Greeting { .. } => "within the greeting",
            Stage::Commands { .. } => "before READY, as libzmq does when socket types do not go together",
            Stage::Identity { .. } => "before the identity",
        }
    }

    /// Whether the peer has said nothing, or too little to be taken for anything.
    pub(crate) fn is_untouched(&self, decoder: &Decoder) -> bool {
        matches!(self.stage, Stage::Greeting { .. }) && decoder.unparsed().is_empty()
    }

    /// The peer that was asked for may come in.
    pub(crate) fn authorize(&mut self) {
        if let Stage::Commands { verdict, .. } = &mut self.stage
            && *verdict == Verdict::Awaited
        {
            *verdict = Verdict::Authorized;
        }
    }

    /// Goes on with what has come.
    pub(crate) fn next(
        &mut self,
        setup: &Setup,
        decoder: &mut Decoder,
        encoder: &mut Encoder,
    ) -> Result<Progress, ProtocolError> {
        loop {
            let step = match &mut self.stage {
                Stage::Greeting { told } => {
                    let octets = decoder.unparsed();
                    let greeting = match Greeting::decode(octets) {
                        Err(ProtocolError::OldVersion { major: OldGreeting::MAJOR }) if self.admits_2_0 => {
                            let Some(old) = OldGreeting::decode(octets)? else { return Ok(Progress::Wait) };
                            self.greet_2_0(old, setup, decoder, encoder)?;
                            continue;
                        }
                        greeting => greeting?,
                    };
                    if octets.len() >= Greeting::VERSION_END && !std::mem::replace(told, true) {
                        let ours = Greeting::encode(self.mechanism.name(), self.mechanism.is_server());
                        encoder.push(Bytes::copy_from_slice(&ours[Greeting::VERSION_END..]));
                    }
                    let Some(greeting) = greeting else { return Ok(Progress::Wait) };
                    greeting.require(self.mechanism.name())?;
                    decoder.skip(Greeting::LEN);
                    self.stage =
                        Stage::Commands { version: (greeting.major, greeting.minor), verdict: Verdict::NotAsked };
                    self.mechanism.start(&self.ours)?
                }
                Stage::Commands { verdict, .. } => match verdict {
                    Verdict::Awaited => return Ok(Progress::Wait),
                    Verdict::Authorized => {
                        *verdict = Verdict::NotAsked;
                        Some(self.mechanism.authorized(&self.ours)?)
                    }
                    Verdict::NotAsked => match decoder.decode()? {
                        None => return Ok(Progress::Wait),
                        // Refused by the decoder at the header.
                        Some(Item::Run(_)) => None,
                        Some(Item::Command(body)) => Some(self.mechanism.handle(&self.ours, body)?),
                    },
                },
                Stage::Identity { peer } => {
                    let Some((identity, len)) = OldGreeting::identity(decoder.unparsed())? else {
                        return Ok(Progress::Wait);
                    };
                    let peer = old_peer(*peer, identity);
                    decoder.skip(len);
                    return Ok(Progress::Done(Established { peer, seal: None }));
                }
            };
            match step {
                None => {}
                Some(Step::Send(frame)) => encoder.push(frame),
                Some(Step::Ask(credentials)) => {
                    if let Stage::Commands { verdict, .. } = &mut self.stage {
                        *verdict = Verdict::Awaited;
                    }
                    return Ok(Progress::Ask(credentials));
                }
                Some(Step::Ready { reply, properties, seal }) => {
                    let peer = self.admit(setup.socket_type, properties, encoder)?;
                    reply.into_iter().for_each(|reply| encoder.push(reply));
                    return Ok(Progress::Done(Established { peer, seal }));
                }
            }
        }
    }

    /// The peer has told all; its type decides.
    fn admit(&self, ours: SocketType, properties: Metadata, encoder: &mut Encoder) -> Result<PeerInfo, ProtocolError> {
        let Stage::Commands { version, .. } = self.stage else { return Err(ProtocolError::UNASKED) };
        let name = properties.find(b"Socket-Type").ok_or(ProtocolError::NoSocketType)?;
        let Some(socket_type) = SocketType::parse(name).filter(|peer| ours.goes_with(*peer)) else {
            // Its READY was seen, so a libzmq peer is past the state in which ERROR would make it wait.
            encoder.push(command::error("Invalid socket type"));
            return Err(ProtocolError::SocketType { ours: ours.name(), found: PeerText::new(name) });
        };
        Ok(PeerInfo { version, socket_type, properties, user_id: None })
    }

    /// The peer has shown that it is of ZMTP 2.0: all that it wants of us is the type of our socket, and an identity.
    fn greet_2_0(
        &mut self,
        old: OldGreeting,
        setup: &Setup,
        decoder: &mut Decoder,
        encoder: &mut Encoder,
    ) -> Result<(), ProtocolError> {
        let ours = setup.socket_type;
        encoder.push(Bytes::copy_from_slice(&OldGreeting::rest(ours)));
        let Some(peer) = SocketType::of_code(old.code).filter(|peer| ours.goes_with(*peer)) else {
            return Err(ProtocolError::SocketType { ours: ours.name(), found: PeerText::new(&[old.code]) });
        };
        decoder.skip(OldGreeting::LEN);
        self.stage = Stage::Identity { peer };
        Ok(())
    }
}

/// What a 2.0 peer told about itself.
fn old_peer(socket_type: SocketType, identity: &[u8]) -> PeerInfo {
    let mut properties = vec![("Socket-Type".into(), socket_type.name().into())];
    if !identity.is_empty() {
        properties.push(("Identity".into(), Bytes::copy_from_slice(identity)));
    }
    let properties = Metadata::of(properties);
    PeerInfo { version: OldGreeting::VERSION, socket_type, properties, user_id: None }
}
