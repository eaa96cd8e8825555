//! A PUSH and a PULL, each in a plain loop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use tokio::time::timeout;
use zmtp::{Multipart, Options, Pull, Push};

use crate::Work;
use crate::shape::Shape;

/// Two sockets, connected.
pub(crate) struct Pipe {
    push: Arc<Push>,
    pull: Pull,
    bodies: Arc<Vec<Bytes>>,
}

impl Pipe {
    pub(crate) async fn new(endpoint: &str, shape: Shape) -> anyhow::Result<Self> {
        let pull = Pull::new(Options::new());
        let endpoint = pull.bind(endpoint).await?;
        let push = Push::new(Options::new());
        push.connect(endpoint.as_str())?;
        Ok(Self { push: Arc::new(push), pull, bodies: Arc::new(shape.bodies().into_iter().map(Bytes::from).collect()) })
    }
}

impl Work for Pipe {
    async fn pass(&mut self, messages: usize) -> anyhow::Result<()> {
        let (push, bodies) = (self.push.clone(), self.bodies.clone());
        let sender = tokio::spawn(async move {
            for _ in 0..messages {
                match bodies.as_slice() {
                    // A large body is the program's own, so nothing copies it; small ones are copied from where they lie.
                    [body] if body.len() >= LARGE => push.send(body.clone()).await?,
                    [body] => push.send(&body[..]).await?,
                    bodies => push.send(Multipart(bodies)).await?,
                }
            }
            anyhow::Ok(())
        });
        let receive = async {
            let size = self.bodies.last().map(Bytes::len);
            for _ in 0..messages {
                let message = self.pull.recv().await;
                // To compare octets would cost more than to receive them.
                ensure!(message.frames().last().map(<[u8]>::len) == size, "another message came");
            }
            Ok(())
        };
        timeout(PATIENCE, receive).await??;
        sender.await?
    }
}

/// As in a program: who has a large body hands it over.
const LARGE: usize = 64 << 10;

/// Ten times what the longest pass takes under a tool that counts instructions.
const PATIENCE: Duration = Duration::from_secs(120);
