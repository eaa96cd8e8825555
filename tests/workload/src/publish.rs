//! A PUB and its SUBs, each in a plain loop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::task::JoinSet;
use tokio::time::timeout;
use zmtp::{Options, Pub, Sub};

use crate::Work;
use crate::shape::Shape;

/// One that publishes, and those who get all of it.
pub(crate) struct Publish {
    publisher: Arc<Pub>,
    subscribers: Vec<Sub>,
    body: Arc<[u8]>,
}

impl Publish {
    /// So many subscribers, each of which gets what is published from now on.
    pub(crate) async fn new(subscribers: usize, shape: Shape) -> anyhow::Result<Self> {
        let publisher = Pub::new(Options::new());
        let endpoint = publisher.bind("tcp://127.0.0.1:*").await?;
        let mut subscribed = Vec::new();
        for _ in 0..subscribers {
            let mut subscriber = Sub::new(Options::new());
            subscriber.subscribe("");
            subscriber.connect(endpoint.as_str())?;
            // Its subscription is there when a message is.
            while subscriber.recv_timeout(MOMENT).await.is_none() {
                publisher.send("")?;
            }
            subscribed.push(subscriber);
        }
        for subscriber in &mut subscribed {
            while subscriber.recv_timeout(MOMENT).await.is_some() {}
        }
        let body = shape.bodies().pop().context("a message has a frame")?;
        Ok(Self { publisher: Arc::new(publisher), subscribers: subscribed, body: body.into() })
    }
}

impl Work for Publish {
    async fn pass(&mut self, messages: usize) -> anyhow::Result<()> {
        let (publisher, body) = (self.publisher.clone(), self.body.clone());
        let sender = tokio::spawn(async move {
            for n in 0..messages {
                publisher.send(&body[..])?;
                if n % BATCH == 0 {
                    publisher.drained_to(AHEAD).await;
                }
            }
            anyhow::Ok(())
        });
        let mut receivers = JoinSet::new();
        for mut subscriber in self.subscribers.drain(..) {
            let size = self.body.len();
            receivers.spawn(async move {
                for _ in 0..messages {
                    let message = subscriber.recv().await;
                    ensure!(message.frames().last().map(<[u8]>::len) == Some(size), "another message came");
                }
                Ok(subscriber)
            });
        }
        while let Some(received) = timeout(PATIENCE, receivers.join_next()).await? {
            self.subscribers.push(received??);
        }
        sender.await?
    }
}

/// For a subscription or a message to arrive.
const MOMENT: Duration = Duration::from_millis(50);
/// How often a sender that must lose nothing looks whether its subscribers keep up, and how many octets it may be ahead: of
/// messages of 64 octets a quarter of what their marks allow.
const BATCH: usize = 64;
const AHEAD: usize = 16 << 10;
/// Ten times what the longest pass takes under a tool that counts instructions.
const PATIENCE: Duration = Duration::from_secs(120);
