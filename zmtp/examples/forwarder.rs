//! Forwards from one PUSH to one PULL without taking messages apart: `cargo run -p zmtp --example forwarder`.
//!
//! An [`Intake`] calls an [`Inbox`] from the connection's own task, so a message is in no queue but the outgoing one.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use zmtp::{Inbox, Intake, Mark, Options, Pull, Push, Run};

struct Forward(Arc<Push>);

impl Inbox for Forward {
    fn poll_deliver(&mut self, _cx: &mut Context<'_>, run: &mut Run) -> Poll<()> {
        // With a backlog without a mark there is always room.
        let _ = self.0.try_send_run(std::mem::take(run));
        Poll::Ready(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = Arc::new(Push::new(Options::new().backlog(Mark::UNLIMITED)));
    let out_endpoint = out.bind("tcp://127.0.0.1:*").await?;
    let intake = Intake::new(Options::new(), move |peer| {
        println!("{peer} connected");
        Forward(out.clone())
    });
    let in_endpoint = intake.bind("tcp://127.0.0.1:*").await?;

    let sender = Push::new(Options::new());
    sender.connect(in_endpoint.as_str())?;
    let mut receiver = Pull::new(Options::new());
    receiver.connect(out_endpoint.as_str())?;
    for n in 0..1000 {
        sender.send(format!("message {n}")).await?;
    }
    for n in 0..1000 {
        assert_eq!(receiver.recv().await.frame(0), Some(format!("message {n}").as_bytes()));
    }
    println!("1,000 messages forwarded, in order");
    Ok(())
}
