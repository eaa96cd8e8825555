//! One connection as a value: octets in, events out, octets out, time as an argument.
//! The state machine and its contract are described at [`Connection`].

use std::{
    collections::VecDeque,
    io::IoSlice,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut, buf::Limit};

use super::{
    chunks::IntoFrames,
    command::{self, Command},
    decoder::{Decoder, Item},
    encoder::Encoder,
    error::{PeerText, ProtocolError},
    greeting::Greeting,
    limits::Limits,
    mechanism::{Credentials, Mechanism, Seal, Step},
    metadata::Metadata,
    run::Run,
    socket_type::SocketType,
};

/// What a connection needs to know before it begins.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// The type of the socket that this connection belongs to: PUSH, PULL, PUB or SUB.
    pub socket_type: SocketType,
    /// What the peer may send.
    pub limits: Limits,
    /// One deadline from the start to the peer's READY, not renewed by octets that trickle in.
    pub handshake_timeout: Duration,
}

/// What a peer told about itself in greeting and READY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Major and minor version of its greeting.
    pub version: (u8, u8),
    /// Its socket type.
    pub socket_type: SocketType,
    /// Its properties.
    pub properties: Metadata,
}

/// What happened on a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A peer wants to come in. Only to the server of PLAIN or CURVE; nothing more comes until
    /// [`authorize`](Connection::authorize) or [`refuse`](Connection::refuse).
    Authenticate(Credentials),
    /// The handshake is over; messages may be sent from now on.
    Ready(PeerInfo),
    /// Messages came. Only to PULL and SUB.
    Run(Run),
    /// The peer wants messages whose first frame starts with this. Only to PUB.
    Subscribe(Bytes),
    /// The peer no longer wants them. Only to PUB.
    Cancel(Bytes),
}

/// A ZMTP connection without its stream.
///
/// ```text
///   Greeting ----64 octets----> Handshake ----READY----> Traffic
///       |                           |                       |
///       +---------------------------+----- any error -------+---> Failed
/// ```
/// It neither reads a clock nor a socket, so a fuzzer, another runtime or a test can drive it. Five families of
/// methods:
///
/// | family | methods |
/// |---|---|
/// | octets in | [`read_buffer`](Self::read_buffer), [`handle_read`](Self::handle_read), [`handle_idle`](Self::handle_idle), [`handle_eof`](Self::handle_eof) |
/// | events out | [`poll_event`](Self::poll_event) |
/// | commands in | [`send`](Self::send), [`subscribe`](Self::subscribe), [`cancel`](Self::cancel), [`authorize`](Self::authorize), [`refuse`](Self::refuse) |
/// | octets out | [`poll_transmit`](Self::poll_transmit), [`handle_written`](Self::handle_written) |
/// | time | [`poll_timeout`](Self::poll_timeout), [`handle_timeout`](Self::handle_timeout) |
///
/// **One rule.** After any `handle_*`, drain `poll_event`, then write what `poll_transmit` shows, then sleep until
/// `poll_timeout`. After an error only `poll_transmit`, `handle_written` and drop are of use.
///
/// Nothing is sent before the peer's READY has come: libzmq drops a connection for good on which a message arrives
/// before it has itself sent READY. What a hastier peer sends early is accepted.
#[derive(Debug)]
pub struct Connection {
    setup: Setup,
    mechanism: Mechanism,
    state: State,
    decoder: Decoder,
    encoder: Encoder,
    deadline: Option<Instant>,
    /// Nothing unless the mechanism seals the traffic.
    seal: Option<Box<dyn Seal>>,
    /// Messages to a PUB that wait to be read as subscriptions.
    upstream: Run,
    upstream_frames: Option<IntoFrames>,
    unknown_commands: u64,
}

#[derive(Debug)]
enum State {
    /// `told`: the peer has shown its version, and all of our greeting is on its way.
    Greeting {
        told: bool,
    },
    Handshake {
        greeting: Greeting,
        verdict: Verdict,
    },
    Traffic {
        greeting: Greeting,
    },
    Failed(ProtocolError),
}

/// How far the question is whether a peer may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    NotAsked,
    Awaited,
    Authorized,
}

impl Connection {
    /// A connection without security whose stream was opened at `now`. The start of our greeting waits in
    /// [`poll_transmit`](Self::poll_transmit); the rest follows when the peer has shown its version.
    pub fn new(setup: Setup, now: Instant) -> Self {
        Self::secured(setup, Mechanism::null(), now)
    }

    /// As [`new`](Self::new), with a security mechanism. A peer of any other is refused, and so is one that is too old
    /// to have a mechanism.
    pub fn secured(setup: Setup, mechanism: Mechanism, now: Instant) -> Self {
        let mut encoder = Encoder::default();
        let mut decoder = Decoder::new(setup.limits);
        decoder.refuse_messages(Some("before READY"));
        let greeting = Greeting::encode(mechanism.name(), mechanism.is_server());
        encoder.push(Bytes::copy_from_slice(&greeting[..Greeting::VERSION_END]));
        Self {
            setup,
            mechanism,
            state: State::Greeting { told: false },
            decoder,
            encoder,
            deadline: now.checked_add(setup.handshake_timeout),
            seal: None,
            upstream: Run::default(),
            upstream_frames: None,
            unknown_commands: 0,
        }
    }

    /// Room to read into, never empty.
    pub fn read_buffer(&mut self) -> Limit<&mut BytesMut> {
        self.decoder.read_buffer()
    }

    /// Octets were read into the buffer; returns how many.
    pub fn handle_read(&mut self) -> usize {
        self.decoder.handle_read()
    }

    /// Nothing has come and nothing may come for long: gives back what memory is not needed until then.
    ///
    /// Optional; worth it for whoever has many connections.
    pub fn handle_idle(&mut self) {
        self.decoder.handle_idle();
    }

    /// The stream has ended. A message that is not all there is dropped.
    ///
    /// # Errors
    /// [`ProtocolError::Closed`] when the handshake had begun and was not over.
    pub fn handle_eof(&mut self) -> Result<(), ProtocolError> {
        let state = match &self.state {
            // A health check that connects and goes has broken no rule.
            State::Greeting { .. } if self.decoder.unparsed().is_empty() => return Ok(()),
            State::Greeting { .. } => "within the greeting",
            State::Handshake { .. } => "before READY, as libzmq does when socket types do not go together",
            State::Traffic { .. } => return Ok(()),
            State::Failed(error) => return Err(error.clone()),
        };
        Err(self.fail(ProtocolError::Closed { state }))
    }

    /// The next event; `None` when more octets are needed.
    ///
    /// # Errors
    /// What the peer did wrong; from then on the same error always.
    pub fn poll_event(&mut self) -> Result<Option<Event>, ProtocolError> {
        if let State::Failed(error) = &self.state {
            return Err(error.clone());
        }
        self.next_event().map_err(|error| self.fail(error))
    }

    /// Queues messages. Only after [`Event::Ready`], and only on PUSH and PUB.
    pub fn send(&mut self, run: Run) {
        debug_assert!(self.is_ready());
        let Some(seal) = &mut self.seal else { return self.encoder.push_run(run) };
        for message in run {
            self.encoder.push_sealed(seal.seal(&message), message);
        }
    }

    /// Asks the peer, a PUB, for messages that start with `prefix`. Only after [`Event::Ready`].
    pub fn subscribe(&mut self, prefix: &[u8]) {
        self.send_subscription(prefix, true);
    }

    /// Ends a subscription.
    pub fn cancel(&mut self, prefix: &[u8]) {
        self.send_subscription(prefix, false);
    }

    /// The peer of [`Event::Authenticate`] may come in: the handshake goes on with the next
    /// [`poll_event`](Self::poll_event).
    pub fn authorize(&mut self) {
        if let State::Handshake { verdict, .. } = &mut self.state
            && *verdict == Verdict::Awaited
        {
            *verdict = Verdict::Authorized;
        }
    }

    /// The peer of [`Event::Authenticate`] may not come in. It is told by an ERROR without the reason, which waits in
    /// [`poll_transmit`](Self::poll_transmit).
    pub fn refuse(&mut self, reason: &'static str) -> ProtocolError {
        if !matches!(self.state, State::Failed(_)) {
            self.encoder.push(command::error(REFUSED));
        }
        self.fail(ProtocolError::Unauthorized { reason })
    }

    /// Whether the handshake is over and the connection is whole.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Traffic { .. })
    }

    /// Fills `slices` with what to write next; returns how many. 0: nothing to write.
    pub fn poll_transmit<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.encoder.poll_transmit(slices)
    }

    /// `octets` of what [`poll_transmit`](Self::poll_transmit) showed are written.
    pub fn handle_written(&mut self, octets: usize) {
        self.encoder.handle_written(octets);
    }

    /// Whether something waits to be written.
    pub fn wants_write(&self) -> bool {
        !self.encoder.is_empty()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Time has passed.
    ///
    /// # Errors
    /// [`ProtocolError::HandshakeTimeout`] when the handshake is not over at its deadline.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        self.deadline = None;
        let millis = self.setup.handshake_timeout.as_millis();
        Err(self.fail(ProtocolError::HandshakeTimeout { millis }))
    }

    /// Octets of an unfinished message that are held, beyond the read buffer.
    pub fn unfinished(&self) -> usize {
        self.decoder.unfinished() + self.seal.as_ref().map_or(0, |seal| seal.unfinished())
    }

    /// Messages that were written whole to the stream.
    pub fn messages_written(&self) -> u64 {
        self.encoder.messages_written()
    }

    /// Commands of unknown name that were ignored after the handshake.
    pub fn unknown_commands(&self) -> u64 {
        self.unknown_commands
    }

    /// At the end: the messages given to [`send`](Self::send) that were not written whole, in order.
    pub fn take_unsent(&mut self) -> VecDeque<Run> {
        self.encoder.take_unsent()
    }

    fn next_event(&mut self) -> Result<Option<Event>, ProtocolError> {
        loop {
            match &mut self.state {
                State::Greeting { told } => {
                    let octets = self.decoder.unparsed();
                    let greeting = Greeting::decode(octets)?;
                    // A libzmq of another mechanism closes as soon as it has seen ours. Shown the version first, it
                    // has told us its own by then, and the refusal can name both.
                    if octets.len() >= Greeting::VERSION_END && !std::mem::replace(told, true) {
                        let ours = Greeting::encode(self.mechanism.name(), self.mechanism.is_server());
                        self.encoder.push(Bytes::copy_from_slice(&ours[Greeting::VERSION_END..]));
                    }
                    let Some(greeting) = greeting else { return Ok(None) };
                    greeting.require(self.mechanism.name())?;
                    self.decoder.skip(Greeting::LEN);
                    if let Some(first) = self.mechanism.start(self.setup.socket_type)? {
                        self.encoder.push(first);
                    }
                    self.state = State::Handshake { greeting, verdict: Verdict::NotAsked };
                }
                State::Handshake { greeting, verdict } => {
                    let greeting = *greeting;
                    let step = match verdict {
                        Verdict::Awaited => return Ok(None),
                        Verdict::Authorized => {
                            *verdict = Verdict::NotAsked;
                            self.mechanism.authorized()?
                        }
                        Verdict::NotAsked => match self.decoder.decode()? {
                            None => return Ok(None),
                            // Refused by the decoder at the header.
                            Some(Item::Run(_)) => continue,
                            Some(Item::Command(body)) => self.mechanism.handle(self.setup.socket_type, body)?,
                        },
                    };
                    match step {
                        Step::Send(frame) => self.encoder.push(frame),
                        Step::Ask(credentials) => {
                            self.state = State::Handshake { greeting, verdict: Verdict::Awaited };
                            return Ok(Some(Event::Authenticate(credentials)));
                        }
                        Step::Ready { reply, properties, seal } => {
                            let ready = self.finish_handshake(greeting, reply, properties)?;
                            if let Some(mut seal) = seal {
                                seal.hold_to(self.setup.limits, self.refuses_messages());
                                self.decoder.expect_sealed(seal.outer_limits());
                                self.seal = Some(seal);
                            }
                            return Ok(Some(ready));
                        }
                    }
                }
                State::Traffic { .. } => {
                    if let Some(event) = self.next_upstream()? {
                        return Ok(Some(event));
                    }
                    match self.next_item()? {
                        None => return Ok(None),
                        Some(Item::Run(run)) if self.setup.socket_type == SocketType::Pub => self.upstream = run,
                        Some(Item::Run(run)) => return Ok(Some(Event::Run(run))),
                        Some(Item::Command(body)) => {
                            if let Some(event) = self.handle_command(body)? {
                                return Ok(Some(event));
                            }
                        }
                    }
                }
                State::Failed(error) => return Err(error.clone()),
            }
        }
    }

    fn finish_handshake(
        &mut self,
        greeting: Greeting,
        reply: Option<Bytes>,
        properties: Metadata,
    ) -> Result<Event, ProtocolError> {
        let name = properties.find(b"Socket-Type").ok_or(ProtocolError::NoSocketType)?;
        let ours = self.setup.socket_type;
        let Some(socket_type) = SocketType::parse(name).filter(|peer| ours.goes_with(*peer)) else {
            // Its READY was seen, so a libzmq peer is past the state in which ERROR would make it wait.
            self.encoder.push(command::error("Invalid socket type"));
            return Err(ProtocolError::SocketType { ours: ours.name(), found: PeerText::new(name) });
        };
        if let Some(reply) = reply {
            self.encoder.push(reply);
        }
        self.state = State::Traffic { greeting };
        self.deadline = None;
        self.decoder.refuse_messages(self.refuses_messages());
        Ok(Event::Ready(PeerInfo { version: (greeting.major, greeting.minor), socket_type, properties }))
    }

    /// Why the traffic may hold no messages, where it may not.
    fn refuses_messages(&self) -> Option<&'static str> {
        (self.setup.socket_type == SocketType::Push).then_some("to a PUSH socket")
    }

    /// What came after the handshake, with its seal broken.
    #[inline]
    fn next_item(&mut self) -> Result<Option<Item>, ProtocolError> {
        let Some(seal) = &mut self.seal else { return self.decoder.decode() };
        loop {
            if let Some(item) = seal.next()? {
                return Ok(Some(item));
            }
            match self.decoder.decode()? {
                Some(Item::Run(run)) => seal.arrive(run),
                other => return Ok(other),
            }
        }
    }

    fn handle_command(&mut self, body: Bytes) -> Result<Option<Event>, ProtocolError> {
        let is_pub = self.setup.socket_type == SocketType::Pub;
        match Command::decode(body)? {
            Command::Subscribe(prefix) if is_pub => Ok(Some(Event::Subscribe(prefix))),
            Command::Cancel(prefix) if is_pub => Ok(Some(Event::Cancel(prefix))),
            Command::Ping { context, .. } => {
                let pong = command::pong(&context);
                match &mut self.seal {
                    None => self.encoder.push_pong(pong),
                    // Sealed frames keep their order, so one answer stands for all PINGs that came while it waits.
                    Some(seal) if !self.encoder.has_pong() => self.encoder.push_sealed_pong(seal.seal_frame(&pong)),
                    Some(_) => {}
                }
                Ok(None)
            }
            Command::Pong => Ok(None),
            Command::Unknown(_) => {
                self.unknown_commands += 1;
                Ok(None)
            }
            Command::Error(reason) => Err(ProtocolError::PeerRefused { reason }),
            other => Err(ProtocolError::UnexpectedCommand { name: other.name(), state: "after READY" }),
        }
    }

    /// Reads what a 3.0 peer sent to our PUB: each frame that starts with 1 or 0 is a subscription or its end (RFC
    /// 23); anything else is dropped, as libzmq does.
    fn next_upstream(&mut self) -> Result<Option<Event>, ProtocolError> {
        loop {
            for mut frame in self.upstream_frames.iter_mut().flatten() {
                let Some(kind @ (0 | 1)) = frame.first().copied() else { continue };
                frame.advance(1);
                let limit = self.setup.limits.max_command;
                if frame.len() > limit {
                    return Err(ProtocolError::FrameTooLarge { size: frame.len() as u64, limit: limit as u64 });
                }
                return Ok(Some(if kind == 1 { Event::Subscribe(frame) } else { Event::Cancel(frame) }));
            }
            self.upstream_frames = self.upstream.pop().map(|message| message.into_frames());
            if self.upstream_frames.is_none() {
                return Ok(None);
            }
        }
    }

    fn send_subscription(&mut self, prefix: &[u8], subscribe: bool) {
        let State::Traffic { greeting } = &self.state else { return };
        let as_command = greeting.has_subscription_commands();
        let frame = command::subscription(prefix, subscribe, as_command);
        self.encoder.push(match &mut self.seal {
            None => frame,
            Some(seal) => seal.seal_frame(&frame),
        });
    }

    fn fail(&mut self, error: ProtocolError) -> ProtocolError {
        self.state = State::Failed(error.clone());
        self.deadline = None;
        error
    }
}

/// What a peer that is not let in gets to know: the status code of ZAP (RFC 27) for it, which libzmq reports as such.
const REFUSED: &str = "400";
