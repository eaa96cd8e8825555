//! A server: the methods of some endpoints, for whoever calls them.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tracing::{debug, warn};
use zmtp::Message;

use crate::consumer::Consumer;
pub use crate::consumer::{StartError, Stopped};
use crate::deadline;
use crate::dispatch::{Endpoint, Running, dispatch};
use crate::envelope::Envelope;
use crate::received::{Incoming, Received, ReplyTo};
use crate::remote_error::RemoteError;
use crate::topic::{FANOUT_PREFIX, Topic};
use crate::transport::{Shared, Transport, wire};
use crate::write::Encoded;

/// A server at work. Dropping it ends it at once; [`Server::stop`] ends it in order.
#[derive(Debug)]
pub struct Server {
    consumer: Consumer,
}

/// A server to be. See [`Server::builder`].
#[derive(Debug)]
#[must_use]
pub struct ServerBuilder {
    topic: String,
    server: Option<String>,
    concurrency: Option<usize>,
    endpoints: Vec<Endpoint>,
}

impl Server {
    /// A server of a topic.
    pub fn builder(topic: impl Into<String>) -> ServerBuilder {
        ServerBuilder { topic: topic.into(), server: None, concurrency: None, endpoints: Vec::new() }
    }

    /// Ends: takes back its announcements, takes no more requests, runs those that have arrived, and answers them, for
    /// at most `limit`. Replies leave with the transport, which see.
    ///
    /// Not cancel-safe: dropping the future ends it at once.
    pub async fn stop(self, limit: Duration) -> Stopped {
        self.consumer.stop(limit).await
    }
}

impl ServerBuilder {
    /// The name by which a target can choose this server; by default the machine's, `rpc_zmq_host`.
    ///
    /// It need not be a host, if the matchmaker takes announcements; and `host1@lvm` is the server `lvm` of several
    /// on the machine `host1` (oslo-bugs B1, B37).
    pub fn server(mut self, server: impl Into<String>) -> Self {
        self.server = Some(server.into());
        self
    }

    /// Most requests handled at once; by default that of the settings.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = Some(requests.max(1));
        self
    }

    /// Adds methods. Of several endpoints the first that has a method runs it.
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoints.push(endpoint);
        self
    }

    /// Starts: connects to this machine's receiver, and announces the topic to the matchmaker.
    ///
    /// Neither needs to be there yet.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn start(self, transport: &Transport) -> Result<Server, StartError> {
        let Self { topic, server, concurrency, endpoints } = self;
        if topic.contains('.') {
            return Err(StartError::Dotted { topic });
        }
        let shared = &transport.shared;
        let host = shared.settings.host.as_str();
        let server = server.unwrap_or_else(|| host.to_owned());
        let mut keys = vec![format!("{topic}.{host}"), format!("{FANOUT_PREFIX}{topic}")];
        if server != host {
            keys.push(format!("{topic}.{server}"));
        }
        let registered = vec![topic.parse()?, format!("{topic}.{server}").parse()?];
        let concurrency = concurrency.unwrap_or(shared.settings.concurrency);
        let desk = Arc::new(Desk { endpoints, shared: shared.clone() });
        let handle = move |message| {
            let desk = desk.clone();
            async move { desk.serve(message).await }
        };
        let consumer = Consumer::start(shared, &keys, registered, concurrency, handle).await?;
        Ok(Server { consumer })
    }
}

/// What every request meets.
struct Desk {
    endpoints: Vec<Endpoint>,
    shared: Arc<Shared>,
}

impl Desk {
    /// Runs one request, and replies if that is wanted. A message that is none is dropped and counted (oslo-bugs B23).
    async fn serve(&self, message: Message) {
        if let Err(reason) = self.try_serve(&message).await
            && self.shared.drops.add(reason, 1).is_multiple_of(LOGGED_EVERY)
        {
            warn!(reason, octets = message.octets(), "a message cannot be understood and is dropped");
        }
    }

    async fn try_serve(&self, message: &Message) -> Result<(), &'static str> {
        let (running, method, reply_to) = {
            let envelope = Envelope::decode(message.frames()).map_err(|error| error.reason())?;
            let received = Received::decode(envelope.body).map_err(|error| error.reason())?;
            let Incoming::Request(request) = received.read().map_err(|error| error.reason())? else {
                return Err("message-without-method");
            };
            debug!(topic = %envelope.topic, method = %request.method, octets = message.octets(), "request");
            let running = dispatch(&self.endpoints, received.context(), &request);
            let reply_to = request.reply_to.map(|ReplyTo { id, topic }| (id.into_owned(), topic.into_owned()));
            (running, request.method.into_owned(), reply_to)
        };
        let outcome = match running {
            Ok(running) => guarded(running).await,
            Err(error) => Err(error),
        };
        let reply = match (outcome, &reply_to) {
            (Ok(reply), _) => reply,
            (Err(error), Some((id, _))) => {
                debug!(method, id, class = error.class, "an error is the reply");
                Encoded::failure(id, &error).ok()
            }
            (Err(error), None) => {
                // Of a cast nobody else hears. The text may hold anything, so it is not logged.
                warn!(method, class = error.class, "a cast failed");
                return Ok(());
            }
        };
        if let (Some(reply), Some((id, topic))) = (reply, &reply_to) {
            self.reply(id, topic, reply).await;
        }
        Ok(())
    }

    /// Sends a reply to its caller's host, and nowhere else (oslo-bugs B42).
    async fn reply(&self, id: &str, topic: &str, reply: Encoded) {
        let to = Topic::parse(topic.as_bytes()).ok().and_then(|_| self.shared.reply_host(topic));
        let Some(host) = to else {
            self.shared.drops.add("reply-topic", 1);
            return warn!(id, "a caller's reply topic names no host: the reply is dropped");
        };
        let end = deadline::after(self.shared.settings.cast_timeout);
        if let Err(error) = self.shared.send(host, wire(id.as_bytes(), topic, reply), end).await {
            self.shared.drops.add("reply-unsent", 1);
            warn!(id, "a reply cannot be sent: {error}");
        }
    }
}

/// A method's outcome; an error if it panics, so that its caller need not wait for the timeout.
async fn guarded(mut running: Running) -> Result<Option<Encoded>, RemoteError> {
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx)));
        polled.unwrap_or_else(|_| Poll::Ready(Err(RemoteError::builtin("RuntimeError", "the method panicked"))))
    })
    .await
}

/// Of messages dropped for the same reason, one in so many is logged.
const LOGGED_EVERY: u64 = 1000;
