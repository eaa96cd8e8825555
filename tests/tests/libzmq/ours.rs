//! Our four sockets as one type, for scenarios that are the same for each.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::json;
use tokio::time::timeout;
use zmtp::proto::SocketType;
use zmtp::{CloseReport, Message, Monitor, Options, Pub, Pull, Push, Stats, Sub};

use crate::deadline::soon;
use crate::peer::{Peer, Theirs};

/// The types of our sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Push,
    Pull,
    Pub,
    Sub,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Push, Self::Pull, Self::Pub, Self::Sub];

    pub(crate) fn socket_type(self) -> SocketType {
        match self {
            Self::Push => SocketType::Push,
            Self::Pull => SocketType::Pull,
            Self::Pub => SocketType::Pub,
            Self::Sub => SocketType::Sub,
        }
    }

    /// The type that it is made for.
    pub(crate) fn partner(self) -> SocketType {
        match self {
            Self::Push => SocketType::Pull,
            Self::Pull => SocketType::Push,
            Self::Pub => SocketType::Sub,
            Self::Sub => SocketType::Pub,
        }
    }
}

/// One of our sockets. A SUB is subscribed to everything.
#[derive(Debug)]
pub(crate) enum Ours {
    Push(Push),
    Pull(Pull),
    Pub(Pub),
    Sub(Sub),
}

impl Ours {
    pub(crate) fn new(kind: Kind) -> Self {
        Self::with(kind, Options::new())
    }

    pub(crate) fn with(kind: Kind, options: Options) -> Self {
        match kind {
            Kind::Push => Self::Push(Push::new(options)),
            Kind::Pull => Self::Pull(Pull::new(options)),
            Kind::Pub => Self::Pub(Pub::new(options)),
            Kind::Sub => {
                let sub = Sub::new(options);
                sub.subscribe("");
                Self::Sub(sub)
            }
        }
    }

    pub(crate) async fn bind(&self, endpoint: &str) -> anyhow::Result<String> {
        let bound = match self {
            Self::Push(push) => push.bind(endpoint).await,
            Self::Pull(pull) => pull.bind(endpoint).await,
            Self::Pub(publisher) => publisher.bind(endpoint).await,
            Self::Sub(sub) => sub.bind(endpoint).await,
        };
        Ok(bound?.to_string())
    }

    pub(crate) fn connect(&self, endpoint: &str) -> anyhow::Result<()> {
        let connected = match self {
            Self::Push(push) => push.connect(endpoint),
            Self::Pull(pull) => pull.connect(endpoint),
            Self::Pub(publisher) => publisher.connect(endpoint),
            Self::Sub(sub) => sub.connect(endpoint),
        };
        connected?;
        Ok(())
    }

    pub(crate) fn monitor(&self) -> Monitor {
        match self {
            Self::Push(push) => push.monitor(),
            Self::Pull(pull) => pull.monitor(),
            Self::Pub(publisher) => publisher.monitor(),
            Self::Sub(sub) => sub.monitor(),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        match self {
            Self::Push(push) => push.stats(),
            Self::Pull(pull) => pull.stats(),
            Self::Pub(publisher) => publisher.stats(),
            Self::Sub(sub) => sub.stats(),
        }
    }

    pub(crate) async fn close(self) -> CloseReport {
        match self {
            Self::Push(push) => push.close(Duration::ZERO).await,
            Self::Pull(pull) => pull.close(Duration::ZERO).await,
            Self::Pub(publisher) => publisher.close(Duration::ZERO).await,
            Self::Sub(sub) => sub.close(Duration::ZERO).await,
        }
    }

    /// Sends a message if it is of the types that send.
    pub(crate) async fn send(&self, message: Message) -> anyhow::Result<()> {
        match self {
            Self::Push(push) => soon(push.send(message)).await??,
            Self::Pub(publisher) => publisher.send(message)?,
            Self::Pull(_) | Self::Sub(_) => bail!("{self:?} does not send"),
        }
        Ok(())
    }

    /// Receives a message if it is of the types that receive.
    pub(crate) async fn recv(&mut self) -> anyhow::Result<Message> {
        match self {
            Self::Pull(pull) => soon(pull.recv()).await,
            Self::Sub(sub) => soon(sub.recv()).await,
            Self::Push(_) | Self::Pub(_) => bail!("{self:?} does not receive"),
        }
    }

    /// Gets `text` across, in the one direction that there is, to or from the only peer, and leaves nothing on the way.
    ///
    /// PUSH and PULL pass it once. What a PUB publishes before it knows of the subscription is lost as it should be, so
    /// there it is repeated until it arrives.
    pub(crate) async fn exchange(&mut self, peer: &mut Peer, theirs: Theirs, text: &str) -> anyhow::Result<()> {
        match self {
            Self::Push(push) => {
                soon(push.send(text.to_owned())).await??;
                ensure!(peer.receive(theirs, 1)? == [text]);
            }
            Self::Pull(pull) => {
                peer.send(theirs, &[text])?;
                ensure!(soon(pull.recv()).await? == Message::from(text.to_owned()));
            }
            Self::Pub(publisher) => publish_until_wanted(publisher, peer, theirs, text)?,
            Self::Sub(sub) => subscribe_until_heard(sub, peer, theirs, text).await?,
        }
        Ok(())
    }
}

impl Peer {
    /// A socket that goes with ours. A SUB is subscribed to everything.
    pub(crate) fn partner(&mut self, kind: Kind) -> anyhow::Result<Theirs> {
        let options = if kind == Kind::Pub { json!({ "SUBSCRIBE": "" }) } else { json!({}) };
        self.socket(kind.partner().name(), options)
    }
}

/// Publishes `text` until libzmq's SUB gets it, which then receives it as often as it was published since it subscribed.
pub(crate) fn publish_until_wanted(publisher: &Pub, peer: &mut Peer, theirs: Theirs, text: &str) -> anyhow::Result<()> {
    let wanted = || {
        let tally = publisher.stats().tally;
        tally.accepted - tally.unmatched
    };
    let before = wanted();
    for _ in 0..ATTEMPTS {
        publisher.send(text.to_owned())?;
        // A libzmq SUB that was bound, or has come back, subscribes when it is looked at.
        if peer.is_readable(theirs, GLANCE)? {
            let received = peer.receive(theirs, usize::try_from(wanted() - before)?)?;
            ensure!(received.iter().all(|received| received == text), "{received:?} came in place of {text}");
            return Ok(());
        }
    }
    bail!("nobody wants {text}")
}

/// Has libzmq's PUB publish `text` until our SUB gets it, which then receives all that was published since it subscribed.
async fn subscribe_until_heard(sub: &mut Sub, peer: &mut Peer, theirs: Theirs, text: &str) -> anyhow::Result<()> {
    for attempt in 0..ATTEMPTS {
        peer.send(theirs, &[format!("{text} {attempt}")])?;
        if let Ok(first) = timeout(GLANCE, sub.recv()).await {
            let mut number = number_after(text, &first)?;
            while number < attempt {
                let next = number_after(text, &soon(sub.recv()).await?)?;
                ensure!(next == number + 1, "number {next} came after {number}");
                number = next;
            }
            return Ok(());
        }
    }
    bail!("{text} was not heard")
}

fn number_after(text: &str, message: &Message) -> anyhow::Result<u32> {
    let body = std::str::from_utf8(message.frame(0).unwrap_or_default())?;
    let number = body.strip_prefix(text).with_context(|| format!("{body:?} came in place of {text:?}"))?;
    Ok(number.trim_start().parse()?)
}

/// Time enough for a message between two processes that have nothing else to do.
const GLANCE: Duration = Duration::from_millis(10);

/// With a glance at each, ten seconds.
const ATTEMPTS: u32 = 1000;
