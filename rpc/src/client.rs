//! Calls, casts, fanouts and notifications.

use std::fmt;
use std::time::Duration;

use matchmaker::{Absence, Destination, LookupError, NameError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};
use zmtp::{ConnectError, Message};

use crate::context::Context;
use crate::deadline;
use crate::envelope::{Envelope, EnvelopeError, NO_ID};
use crate::json::ReadError;
use crate::link::{Reached, Ticket};
use crate::pending::Waiter;
use crate::remote_error::RemoteError;
use crate::reply::{Outcome, Reply, ReplyError};
use crate::target::Target;
use crate::transport::{RouteError, Shared, Transport, wire};
use crate::write::{EncodeError, Encoded, Head};

/// Sends requests. Cheap to clone: each clone may have its own context and timeout.
///
/// ```no_run
/// use oslo_rpc::{Client, Settings, Target, Transport};
///
/// #[derive(serde::Serialize)]
/// struct Echo { value: &'static str }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = Transport::open(Settings::new("node7".parse()?)).await?;
/// let client = Client::new(&transport);
/// let echoed: String = client.call(&Target::topic("compute"), "echo", &Echo { value: "hello" }).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
    context: Context,
    timeout: Duration,
}

/// A call without a result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// The method raised an exception, or there is no such method.
    #[error(transparent)]
    Remote(Box<RemoteError>),
    /// No reply came in time.
    #[error(transparent)]
    TimedOut(Box<TimedOut>),
    /// The request has nowhere to go.
    #[error("{0}")]
    Route(#[from] RouteError),
    /// The target is a fanout, which has many results or none.
    #[error("a fanout has no result: cast it, or call one server")]
    Fanout,
    /// The topic or the server of the target is no name.
    #[error("the target cannot be addressed")]
    Target(#[from] NameError),
    /// The arguments cannot be sent.
    #[error("the arguments cannot be sent")]
    Encode(#[from] EncodeError),
    /// The reply is no envelope. The service is at fault.
    #[error("the reply cannot be understood")]
    Envelope(#[from] EnvelopeError),
    /// The reply is no reply. The service is at fault.
    #[error("the reply cannot be understood")]
    Reply(#[from] ReplyError),
    /// The result has another type than was asked for.
    #[error("the result has another type than expected")]
    Result(#[from] ReadError),
    /// Replies cannot be received here.
    #[error("replies cannot be received: set rpc_zmq_ipc_dir to the directory of this machine's receiver")]
    Replies(#[source] ConnectError),
}

/// A call that no reply came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedOut {
    /// The topic, as on the wire if it came that far.
    pub topic: String,
    /// The method.
    pub method: String,
    /// The message id, by which logs of other machines know the call.
    pub id: String,
    /// How long it waited.
    pub waited: Duration,
    /// How far the request came.
    pub stage: Stage,
}

/// How far a request came. The address is that of the receiver it was sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "every `address` is a host and a port")]
pub enum Stage {
    /// The matchmaker had not answered.
    Lookup,
    /// A host was found, and there was no connection to it.
    Matched {
        address: String,
        /// Why not, as far as known.
        failure: Option<String>,
    },
    /// There was a connection, and the peer did not read the request.
    Connected { address: String },
    /// The request was written, and no reply came.
    Written { address: String },
}

/// A cast, fanout or notification that was not taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CastError {
    /// It has nowhere to go.
    #[error("{0}")]
    Route(#[from] RouteError),
    /// The topic or the server of the target is no name.
    #[error("the target cannot be addressed")]
    Target(#[from] NameError),
    /// The arguments or the payload cannot be sent.
    #[error("the arguments cannot be sent")]
    Encode(#[from] EncodeError),
}

impl Client {
    /// A client with an empty context, and the timeout of the settings.
    pub fn new(transport: &Transport) -> Self {
        let timeout = transport.settings().response_timeout;
        Self { transport: transport.clone(), context: Context::default(), timeout }
    }

    /// The same, on behalf of somebody.
    #[must_use]
    pub fn with_context(mut self, context: Context) -> Self {
        self.context = context;
        self
    }

    /// The same, with another time that its calls may take (oslo-bugs B29).
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Its transport.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Its context.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Has one server run a method; returns its result. `args` is a struct or map of keyword arguments, or `()`.
    ///
    /// Cancel-safe in that nothing is left behind; a request that has left is run all the same.
    ///
    /// # Errors
    ///
    /// [`CallError`]. No host is told at once, not after the timeout.
    pub async fn call<R: DeserializeOwned>(
        &self,
        target: &Target,
        method: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<R, CallError> {
        if target.fanout {
            return Err(CallError::Fanout);
        }
        let shared = &*self.transport.shared;
        let begun = Instant::now();
        let key = target.key()?;
        let mut waiter = shared.pending.wait().ok_or(RouteError::Closed)?;
        let id = waiter.id();
        let head = Head { reply_to: Some((&id, &shared.reply_topic)), ..head(target, method) };
        let body = Encoded::request(shared.settings.style, &self.context, head, args)?;

        let end = deadline::after(self.timeout);
        let mut sent = None;
        let exchange = async {
            shared.expect_replies().await.map_err(CallError::Replies)?;
            exchange(shared, &key, body, end, &mut waiter, &mut sent).await
        };
        let Ok(reply) = timeout_at(end, exchange).await else {
            let (topic, stage) = match &sent {
                Some((topic, ticket)) => (topic.to_string(), stage(ticket)),
                None => (key.to_string(), Stage::Lookup),
            };
            let timed_out = TimedOut { topic, method: method.to_owned(), id, waited: begun.elapsed(), stage };
            return Err(CallError::TimedOut(Box::new(timed_out)));
        };
        let reply = reply?;
        debug!(topic = %key, method, id, octets = reply.octets(), "reply");
        let envelope = Envelope::decode(tail(&reply))?;
        match Reply::decode(envelope.body)?.outcome()? {
            Outcome::Result(result) => Ok(result.read()?),
            Outcome::Error(error) => Err(CallError::Remote(error)),
        }
    }

    /// Has one server, or with a fanout all servers, run a method, and waits for nothing.
    ///
    /// When it returns the message is on its way in order; it is dropped if it cannot be sent within the cast
    /// timeout of the settings. To know that all have left, [`Transport::close`].
    ///
    /// Cancel-safe in that the message is taken or not.
    ///
    /// # Errors
    ///
    /// [`CastError`]. That nobody serves the topic is one only if the settings say so; otherwise it is logged and
    /// counted.
    pub async fn cast(&self, target: &Target, method: &str, args: &(impl Serialize + ?Sized)) -> Result<(), CastError> {
        let shared = &*self.transport.shared;
        let body = Encoded::request(shared.settings.style, &self.context, head(target, method), args)?;
        send(shared, &target.key()?, body).await
    }

    /// [`Client::cast`] to all servers of a topic.
    ///
    /// # Errors
    ///
    /// As [`Client::cast`].
    pub async fn fanout(
        &self,
        target: &Target,
        method: &str,
        args: &(impl Serialize + ?Sized),
    ) -> Result<(), CastError> {
        self.cast(&target.clone().fanout(), method, args).await
    }
}

impl CallError {
    /// Whether the same call may succeed later: nobody was there, or nobody answered. It may have been run.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::Route(RouteError::Lookup(_) | RouteError::Full { .. }))
    }

    /// Whether nobody serves the topic.
    pub fn is_no_host(&self) -> bool {
        matches!(self, Self::Route(RouteError::Lookup(LookupError::NoHost { .. })))
    }
}

impl From<LookupError> for CallError {
    fn from(error: LookupError) -> Self {
        Self::Route(error.into())
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, method, id, waited, stage } = self;
        write!(f, "no reply from {topic} to {method} within {:.1} s (id {id}): {stage}", waited.as_secs_f64())
    }
}

impl std::error::Error for TimedOut {}

/// What happened, and what to look at next.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup => f.write_str("the matchmaker did not answer; see that its registry runs"),
            Self::Matched { address, failure } => {
                write!(f, "matched {address}, not connected")?;
                if let Some(failure) = failure {
                    write!(f, " ({failure})")?;
                }
                f.write_str("; see that the receiver runs there and rpc_zmq_port is right")
            }
            Self::Connected { address } => {
                write!(f, "connected to {address}, not written; its receiver does not read: see its log")
            }
            Self::Written { address } => write!(
                f,
                "written to {address}, no reply; see that the service runs there, that its rpc_zmq_host ends the topic, \
                 and that this machine's receiver runs"
            ),
        }
    }
}

/// Resolves, sends, and waits for the reply.
async fn exchange(
    shared: &Shared,
    key: &matchmaker::Topic,
    body: Encoded,
    end: Instant,
    waiter: &mut Waiter,
    sent: &mut Option<(matchmaker::Topic, Ticket)>,
) -> Result<Message, CallError> {
    // Everything but a fanout has one destination.
    let destination = shared.matchmaker.resolve(key).await?.swap_remove(0);
    let message = wire(NO_ID, destination.topic.as_str(), body);
    let ticket = shared.send(destination.host.as_str(), message, end).await?;
    *sent = Some((destination.topic, ticket));
    Ok(waiter.reply().await.ok_or(RouteError::Closed)?)
}

/// Sends a body to all destinations of a key.
pub(crate) async fn send(shared: &Shared, key: &matchmaker::Topic, body: Encoded) -> Result<(), CastError> {
    let destinations: Vec<Destination> = match shared.matchmaker.resolve(key).await {
        Ok(destinations) => destinations,
        Err(LookupError::NoHost { backend, absence, .. }) if !shared.settings.fail_without_host => {
            if shared.drops.add("no-host", 1).is_multiple_of(LOGGED_EVERY) {
                let hint = match absence {
                    Absence::UnknownTopic { nearest: Some(nearest), .. } => format!("; nearest: {nearest:?}"),
                    _ => String::new(),
                };
                warn!(topic = %key, "nobody serves the topic in {backend}{hint}: messages are dropped");
            }
            return Ok(());
        }
        Err(error) => return Err(RouteError::from(error).into()),
    };
    let end = deadline::after(shared.settings.cast_timeout);
    Ok(shared.send_copies(&destinations, body, end).await?)
}

fn head<'a>(target: &'a Target, method: &'a str) -> Head<'a> {
    Head { method, namespace: target.namespace.as_deref(), version: &target.version, reply_to: None }
}

/// The frames of a reply. Of a `cast` with more than four the last is the body.
fn tail(reply: &Message) -> impl Iterator<Item = &[u8]> {
    let frames = reply.frames().count();
    let is_cast = reply.frame(2) == Some(b"cast");
    reply.frames().enumerate().filter(move |(n, _)| !is_cast || *n < 3 || n + 1 == frames).map(|(_, frame)| frame)
}

fn stage(ticket: &Ticket) -> Stage {
    let address = ticket.address().to_owned();
    match ticket.reached() {
        Reached::NotConnected(failure) => Stage::Matched { address, failure: failure.map(Into::into) },
        Reached::Connected => Stage::Connected { address },
        Reached::Written => Stage::Written { address },
    }
}

/// Of casts that nobody serves, one in so many is logged.
const LOGGED_EVERY: u64 = 1000;
