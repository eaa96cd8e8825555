//! rzmq, on its default settings and tokio's runtime of one thread, on which it was faster here than on that of several.
//! PUB is asked not to drop (`XPUB_NODROP`).

use std::process::ExitCode;

use peer::{Executor, Face, Failure, Incoming, Library, Listening, Receiver, Sender};
use rzmq::socket::options::{SUBSCRIBE, XPUB_NODROP};
use rzmq::{Context, Msg, MsgFlags, Socket, SocketType};

fn main() -> ExitCode {
    let play = |work| {
        let executor = match Executor::current_thread() {
            Ok(executor) => executor,
            Err(error) => return error.into(),
        };
        let context = executor.enter(Context::new);
        context.map_or_else(Failure::from, |context| peer::play(Rzmq { context }, executor, work))
    };
    peer::main(&[Face { name: "rzmq", play }])
}

struct Rzmq {
    context: Context,
}

/// A socket as the benchmark sees it.
struct End(Socket);

impl Rzmq {
    async fn connected(&self, kind: SocketType, endpoint: &str) -> Result<End, Failure> {
        let socket = self.context.socket(kind)?;
        if kind == SocketType::Sub {
            socket.set_option_raw(SUBSCRIBE, b"").await?;
        }
        socket.connect(endpoint).await?;
        Ok(End(socket))
    }

    async fn bound(&self, kind: SocketType, endpoint: &str, listening: Listening<'_>) -> Result<End, Failure> {
        let socket = self.context.socket(kind)?;
        if kind == SocketType::Pub {
            socket.set_option(XPUB_NODROP, 1_i32).await?;
        }
        socket.bind(endpoint).await?;
        listening.now();
        Ok(End(socket))
    }
}

impl Library for Rzmq {
    type Push = End;
    type Pull = End;
    type Pub = End;
    type Sub = End;

    async fn push(&self, endpoint: &str) -> Result<End, Failure> {
        self.connected(SocketType::Push, endpoint).await
    }

    async fn pull(&self, endpoint: &str) -> Result<End, Failure> {
        self.connected(SocketType::Pull, endpoint).await
    }

    async fn send_once(&self, endpoint: &str, parts: &[Vec<u8>]) -> Result<(), Failure> {
        let mut push = self.push(endpoint).await?;
        push.send(parts).await?;
        Ok(push.0.close().await?)
    }

    async fn subscribe(&self, endpoint: &str) -> Result<End, Failure> {
        self.connected(SocketType::Sub, endpoint).await
    }

    async fn push_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<End, Failure> {
        self.bound(SocketType::Push, endpoint, listening).await
    }

    async fn pull_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<End, Failure> {
        self.bound(SocketType::Pull, endpoint, listening).await
    }

    async fn publish_for(&self, endpoint: &str, _peers: u16, listening: Listening<'_>) -> Result<End, Failure> {
        self.bound(SocketType::Pub, endpoint, listening).await
    }
}

impl Sender for End {
    async fn send(&mut self, parts: &[Vec<u8>]) -> Result<(), Failure> {
        if let [part] = parts {
            return Ok(self.0.send(Msg::from_vec(part.clone())).await?);
        }
        let mut frames: Vec<_> = parts.iter().map(|part| Msg::from_vec(part.clone())).collect();
        if let Some((_, more)) = frames.split_last_mut() {
            more.iter_mut().for_each(|frame| frame.set_flags(MsgFlags::MORE));
        }
        Ok(self.0.send_multipart(frames).await?)
    }
}

impl Receiver for End {
    async fn recv(&mut self, incoming: &mut Incoming) -> Result<(), Failure> {
        loop {
            let frame = self.0.recv().await?;
            incoming.part(frame.data().unwrap_or_default());
            if !frame.is_more() {
                incoming.end();
                return Ok(());
            }
        }
    }
}
