//! One connection as a value: octets in, events out, octets out, time as an argument.
//! The state machine and its contract are described at [`Connection`].

use std::{collections::VecDeque, io::IoSlice, time::Instant};

use bytes::{Bytes, BytesMut, buf::Limit};

use super::{
    command::{self, Command},
    decoder::{Decoder, Item},
    encoder::Encoder,
    error::ProtocolError,
    event::{Event, Setup},
    greeting::OldGreeting,
    handshake::{Established, Handshake, Progress},
    heartbeat::{Heartbeat, Heartbeats, Signs},
    mechanism::{Mechanism, Seal},
    run::Run,
    socket_type::SocketType,
    upstream::Upstream,
};

/// A ZMTP connection without its stream.
///
/// ```text
///   Handshake ----READY----> Traffic
///       |                       |
///       +----- any error -------+---> Failed
/// ```
/// It neither reads a clock nor a socket, so a fuzzer, another runtime or a test can drive it. Five families of
/// methods:
///
/// | family | methods |
/// |---|---|
/// | octets in | [`read_buffer`](Self::read_buffer), [`handle_read`](Self::handle_read), [`handle_idle`](Self::handle_idle), [`handle_unread`](Self::handle_unread), [`handle_eof`](Self::handle_eof) |
/// | events out | [`poll_event`](Self::poll_event) |
/// | commands in | [`send`](Self::send), [`subscribe`](Self::subscribe), [`cancel`](Self::cancel), [`authorize`](Self::authorize), [`refuse`](Self::refuse) |
/// | octets out | [`poll_transmit`](Self::poll_transmit), [`handle_written`](Self::handle_written) |
/// | time | [`poll_timeout`](Self::poll_timeout), [`handle_timeout`](Self::handle_timeout) |
///
/// **One rule.** After any `handle_*`, drain `poll_event`, then write what `poll_transmit` shows, then sleep until
/// `poll_timeout`. After an error only `poll_transmit`, `handle_written` and drop are of use.
///
/// ```
/// use std::{io::IoSlice, time::{Duration, Instant}};
/// use bytes::BufMut as _;
/// use zmtp::proto::{Connection, Event, Limits, Message, Setup, SocketType};
///
/// let now = Instant::now();
/// let connection = |socket_type| {
///     Connection::new(Setup { socket_type, limits: Limits::default(), handshake_timeout: Duration::from_secs(30) }, now)
/// };
/// let mut push = connection(SocketType::Push);
/// let mut pull = connection(SocketType::Pull);
/// // Here memory is the network.
/// let carry = |from: &mut Connection, to: &mut Connection| {
///     let mut slices = [IoSlice::new(&[]); 8];
///     let n = from.poll_transmit(&mut slices);
///     let octets: Vec<u8> = slices[..n].iter().flat_map(|slice| slice.to_vec()).collect();
///     from.handle_written(octets.len());
///     to.read_buffer().put_slice(&octets);
///     to.handle_read();
///     let mut events = Vec::new();
///     while let Some(event) = to.poll_event()? {
///         events.push(event);
///     }
///     Ok::<_, zmtp::ProtocolError>(events)
/// };
/// # (|| {
/// while !push.is_ready() || !pull.is_ready() {
///     carry(&mut push, &mut pull)?;
///     carry(&mut pull, &mut push)?;
/// }
/// push.send(Message::from("hello").into());
/// let events = carry(&mut push, &mut pull)?;
/// assert!(matches!(&events[..], [Event::Run(run)] if run.messages() == 1));
/// # Ok::<_, zmtp::ProtocolError>(())
/// # })().unwrap();
/// ```
///
/// Nothing is sent before the peer's READY has come: libzmq drops a connection for good on which a message arrives
/// before it has itself sent READY. What a hastier peer sends early is accepted.
#[derive(Debug)]
pub struct Connection {
    setup: Setup,
    state: State,
    decoder: Decoder,
    encoder: Encoder,
    opened: Instant,
    heartbeat: Option<Box<Heartbeat>>,
    reads: u32,
    writes: u32,
    /// Nothing unless the mechanism seals the traffic.
    seal: Option<Box<dyn Seal>>,
    upstream: Upstream,
    unknown_commands: u64,
}

#[derive(Debug)]
enum State {
    /// In a box, which is freed with all secrets in it when the handshake is over.
    Handshake(Box<Handshake>),
    Traffic {
        version: (u8, u8),
    },
    Failed(ProtocolError),
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
        let handshake = Handshake::begin(mechanism, setup.socket_type, &mut encoder);
        Self {
            setup,
            state: State::Handshake(Box::new(handshake)),
            decoder,
            encoder,
            opened: now,
            heartbeat: None,
            reads: 0,
            writes: 0,
            seal: None,
            upstream: Upstream::default(),
            unknown_commands: 0,
        }
    }

    /// The same, asking the peer from its READY on whether it is still there.
    #[must_use]
    pub fn with_heartbeats(mut self, heartbeats: Heartbeats) -> Self {
        self.heartbeat = Some(Box::new(Heartbeat::new(heartbeats)));
        self
    }

    /// The same, telling the peer these properties too (RFC 37, Metadata). Names have 1 to 255 octets.
    #[must_use]
    pub fn with_properties(mut self, properties: &[(Bytes, Bytes)]) -> Self {
        if let State::Handshake(handshake) = &mut self.state {
            handshake.tell(self.setup.socket_type, properties);
        }
        self
    }

    /// The same, also for a peer of ZMTP 2.0 (RFC 15, libzmq 3.2), unless there is a mechanism, which such a peer does not
    /// know. One of ZMTP 1.0 is refused in any case.
    #[must_use]
    pub fn admitting_2_0(mut self) -> Self {
        if let State::Handshake(handshake) = &mut self.state {
            handshake.admit_2_0();
        }
        self
    }

    /// Room to read into, never empty.
    pub fn read_buffer(&mut self) -> Limit<&mut BytesMut> {
        self.decoder.read_buffer()
    }

    /// Octets were read into the buffer; returns how many.
    pub fn handle_read(&mut self) -> usize {
        self.reads = self.reads.wrapping_add(1);
        self.decoder.handle_read()
    }

    /// Nothing has come and nothing may come for long: gives back what memory is not needed until then.
    ///
    /// Optional; worth it for whoever has many connections.
    pub fn handle_idle(&mut self) {
        self.decoder.handle_idle();
    }

    /// Nothing is read for now, since there is no room for what has come: the silence is not the peer's.
    pub fn handle_unread(&mut self) {
        self.reads = self.reads.wrapping_add(1);
    }

    /// The stream has ended. A message that is not all there is dropped.
    ///
    /// # Errors
    /// [`ProtocolError::Closed`] when the handshake had begun and was not over.
    pub fn handle_eof(&mut self) -> Result<(), ProtocolError> {
        let state = match &self.state {
            // A health check that connects and goes has broken no rule.
            State::Handshake(handshake) if handshake.is_untouched(&self.decoder) => return Ok(()),
            State::Handshake(handshake) => handshake.state(),
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
        if let State::Handshake(handshake) = &mut self.state {
            handshake.authorize();
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
        self.writes = self.writes.wrapping_add(1);
        self.encoder.handle_written(octets);
    }

    /// Whether something waits to be written.
    pub fn wants_write(&self) -> bool {
        !self.encoder.is_empty()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): at once, when the time has passed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match (&self.heartbeat, &self.state) {
            (Some(heartbeat), State::Traffic { .. }) => heartbeat.poll_timeout(self.opened),
            (_, State::Handshake(_)) => self.opened.checked_add(self.setup.handshake_timeout),
            _ => None,
        }
    }

    /// Time has passed.
    ///
    /// # Errors
    /// [`ProtocolError::HandshakeTimeout`] when the handshake is not over at its deadline, [`ProtocolError::Silent`] when
    /// the peer is to be taken for gone.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ProtocolError> {
        if self.is_ready() {
            return self.beat(now).map_err(|error| self.fail(error));
        }
        if self.poll_timeout().is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        let millis = self.setup.handshake_timeout.as_millis();
        Err(self.fail(ProtocolError::HandshakeTimeout { millis }))
    }

    /// Octets of an unfinished message that are held, beyond the read buffer.
    pub fn unfinished(&self) -> usize {
        self.decoder.unfinished() + self.seal.as_ref().map_or(0, |seal| seal.unfinished())
    }

    /// Whether the peer is within no message, as far as it has come.
    pub fn is_between_messages(&self) -> bool {
        self.decoder.is_between_messages() && self.unfinished() == 0
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
                State::Handshake(handshake) => {
                    match handshake.next(&self.setup, &mut self.decoder, &mut self.encoder)? {
                        Progress::Wait => return Ok(None),
                        Progress::Ask(credentials) => return Ok(Some(Event::Authenticate(credentials))),
                        Progress::Done(established) => return self.establish(established).map(Some),
                    }
                }
                State::Traffic { .. } => {
                    if let Some((prefix, wanted)) = self.upstream.next(self.setup.limits.max_command)? {
                        return Ok(Some(if wanted { Event::Subscribe(prefix) } else { Event::Cancel(prefix) }));
                    }
                    match self.next_item()? {
                        None => return Ok(None),
                        Some(Item::Run(run)) if self.setup.socket_type == SocketType::Pub => {
                            self.upstream.arrive(run);
                        }
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

    fn establish(&mut self, established: Established) -> Result<Event, ProtocolError> {
        let Established { peer, seal } = established;
        self.state = State::Traffic { version: peer.version };
        let refuses = self.refuses_messages();
        self.decoder.refuse_messages(refuses);
        if peer.version == OldGreeting::VERSION {
            self.heartbeat = None;
        }
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.start();
        }
        if let Some(mut seal) = seal {
            seal.hold_to(self.setup.limits, refuses);
            self.decoder.expect_sealed(seal.outer_limits());
            self.seal = Some(seal);
        }
        Ok(Event::Ready(peer))
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
        if matches!(self.state, State::Traffic { version: OldGreeting::VERSION }) {
            return Err(OldGreeting::NO_COMMANDS);
        }
        let is_pub = self.setup.socket_type == SocketType::Pub;
        match Command::decode(body)? {
            Command::Subscribe(prefix) if is_pub => Ok(Some(Event::Subscribe(prefix))),
            Command::Cancel(prefix) if is_pub => Ok(Some(Event::Cancel(prefix))),
            Command::Ping { ttl, context } => {
                if ttl > 0 || self.heartbeat.is_some() {
                    self.heartbeat.get_or_insert_default().handle_ping(ttl);
                }
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

    /// What the time brings after the handshake.
    fn beat(&mut self, now: Instant) -> Result<(), ProtocolError> {
        let Some(heartbeat) = &mut self.heartbeat else { return Ok(()) };
        let signs = Signs { reads: self.reads, writes: self.writes, ping_waits: self.encoder.has_ping() };
        if let Some(ping) = heartbeat.handle_timeout(now, signs)? {
            match &mut self.seal {
                None => self.encoder.push_ping(ping, false),
                Some(seal) => self.encoder.push_ping(seal.seal_frame(&ping), true),
            }
        }
        Ok(())
    }

    fn send_subscription(&mut self, prefix: &[u8], subscribe: bool) {
        let State::Traffic { version } = self.state else { return };
        let as_command = version >= SUBSCRIPTION_COMMANDS;
        let frame = command::subscription(prefix, subscribe, as_command);
        self.encoder.push(match &mut self.seal {
            None => frame,
            Some(seal) => seal.seal_frame(&frame),
        });
    }

    fn fail(&mut self, error: ProtocolError) -> ProtocolError {
        self.state = State::Failed(error.clone());
        error
    }
}

/// From this version on subscriptions travel as commands, before it as messages (RFC 37).
const SUBSCRIPTION_COMMANDS: (u8, u8) = (3, 1);
/// What a peer that is not let in gets to know: the status code of ZAP (RFC 27) for it, which libzmq reports as such.
const REFUSED: &str = "400";
