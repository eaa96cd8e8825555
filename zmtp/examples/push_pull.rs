//! Sends and receives one message over TCP: `cargo run -p zmtp --example push_pull`.

use std::time::Duration;

use zmtp::{Message, Options, Pull, Push};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut pull = Pull::new(Options::new());
    let endpoint = pull.bind("tcp://127.0.0.1:*").await?;

    let push = Push::new(Options::new());
    push.connect(endpoint.as_str())?;
    push.send(Message::builder().more("topic").last("hello")).await?;

    let message = pull.recv().await;
    for frame in message.frames() {
        println!("{}", frame.escape_ascii());
    }
    println!("{:?}", push.close(Duration::from_secs(1)).await);
    Ok(())
}
