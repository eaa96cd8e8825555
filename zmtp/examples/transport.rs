//! A transport of one's own: `cargo run -p zmtp --example transport`.
//!
//! It keeps both ends in this process, as `memory://` does, and lets each connection take only so many octets at a time, as a
//! slow line would. Sockets bind and connect with it as with any other: `slow://name`.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::{io::duplex, sync::mpsc};
use zmtp::{
    Message, Options, Pull, Push,
    transport::{BoxFuture, Link, Listener, Transport},
};

/// Where somebody listens, by name.
#[derive(Debug, Default)]
struct Slow(Mutex<HashMap<String, mpsc::Sender<Link>>>);

/// Octets that are on the way at a time.
const LINE: usize = 16;

impl Transport for Slow {
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let (sender, links) = mpsc::channel(8);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(address.to_owned(), sender);
            let listener: Box<dyn Listener> = Box::new(SlowListener { address: address.to_owned(), links });
            Ok(listener)
        })
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        Box::pin(async move {
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let listener = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(address).cloned();
            let (ours, theirs) = duplex(LINE);
            listener.ok_or_else(refused)?.send(Link::new(theirs, "a caller")).await.map_err(|_| refused())?;
            Ok(Link::new(ours, format!("slow://{address}")))
        })
    }
}

struct SlowListener {
    address: String,
    links: mpsc::Receiver<Link>,
}

impl Listener for SlowListener {
    fn address(&self) -> String {
        self.address.clone()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Link>> {
        let link = ready!(self.links.poll_recv(cx));
        Poll::Ready(link.ok_or_else(|| io::ErrorKind::BrokenPipe.into()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let slow = Arc::new(Slow::default());
    let options = Options::new().transport("slow", slow);
    let mut pull = Pull::new(options.clone());
    pull.bind("slow://line").await?;
    let push = Push::new(options);
    push.connect("slow://line")?;
    push.send(Message::builder().more("topic").last(vec![b'x'; 1000])).await?;
    let message = pull.recv().await;
    println!("{} and {} octets", message.frame(0).unwrap_or_default().escape_ascii(), message.octets());
    Ok(())
}
