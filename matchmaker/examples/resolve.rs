//! Resolves keys through a ring file, three times each, to show whose turn it is.
//!
//! ```text
//! cargo run -p matchmaker --example resolve
//! cargo run -p matchmaker --example resolve -- /etc/oslo/matchmaker_ring.json scheduler
//! ```

use std::env;
use std::error::Error;
use std::sync::Arc;

use matchmaker::{MatchMaker, RingFile, Topic};

/// What an invocation without arguments resolves.
const RING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/matchmaker_ring.json");
const KEYS: [&str; 4] = ["scheduler", "compute.node2", "fanout~compute", "zmq_replies.host1"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let ring = arguments.next().unwrap_or_else(|| RING.to_owned());
    let mut keys: Vec<String> = arguments.collect();
    if keys.is_empty() {
        keys = KEYS.map(str::to_owned).into();
    }

    let matchmaker = MatchMaker::new(Arc::new(RingFile::open(ring)?));
    for key in keys {
        let key: Topic = key.parse()?;
        for turn in 1..=3 {
            let destinations = matchmaker.resolve(&key).await?;
            for to in &destinations {
                println!("{key} #{turn}: {} to {}", to.topic, to.host.with_port(9501));
            }
        }
    }
    Ok(())
}
