//! Publishes to two subscribers, each of which gets what it asked for: `cargo run -p zmtp --example pub_sub`.
//!
//! What is published before a subscriber has come is not for it. Here messages wait a moment for those who come late.

use std::time::Duration;

use zmtp::{LateJoiners, Mark, Message, Options, Pub, Sub};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let late = LateJoiners { time: Duration::from_secs(5), mark: Mark::messages(100) };
    let publisher = Pub::new(Options::new().late_joiners(late));
    let endpoint = publisher.bind("tcp://127.0.0.1:*").await?;
    for (topic, text) in [("sport", "2:1"), ("weather", "sunny"), ("weather.wind", "mild")] {
        publisher.send(Message::builder().more(topic).last(text))?;
    }

    for (topic, count) in [("weather", 2), ("sport", 1)] {
        let mut sub = Sub::new(Options::new());
        sub.subscribe(topic);
        sub.connect(endpoint.as_str())?;
        for _ in 0..count {
            let message = sub.recv().await;
            let frames: Vec<_> = message.frames().map(|frame| frame.escape_ascii().to_string()).collect();
            println!("{topic}: {}", frames.join(" "));
        }
    }
    Ok(())
}
