//! A PULL that keeps some of what it receives.

use anyhow::bail;
use zmtp::{Options, Pull};

/// What is kept of 1,000 messages.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kept {
    /// Nothing.
    None,
    /// One message, as it was received.
    Some,
    /// A copy of one in memory of its own.
    Copies,
}

impl Kept {
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        match text {
            "none" => Ok(Self::None),
            "some" => Ok(Self::Some),
            "copies" => Ok(Self::Copies),
            _ => bail!("keep none, some or copies, not {text}"),
        }
    }
}

/// Receives until the process is ended.
pub(crate) async fn run(which: Kept) -> anyhow::Result<()> {
    let mut pull = Pull::new(Options::new());
    println!("{}", pull.bind("tcp://127.0.0.1:*").await?.address());
    let mut kept = Vec::new();
    for n in 1_usize.. {
        let message = pull.recv().await;
        if n.is_multiple_of(ONE_OF) {
            match which {
                Kept::None => {}
                Kept::Some => kept.push(message),
                Kept::Copies => kept.push(message.detach()),
            }
        }
        if n.is_multiple_of(REPORT) {
            println!("received");
        }
    }
    Ok(())
}

/// Each time the same place in a run of messages, of which there are 250: the worst that a keeper can do.
const ONE_OF: usize = 1000;

/// After so many messages it says so.
const REPORT: usize = 100_000;
