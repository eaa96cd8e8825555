//! Work to be measured, in one thread, so that the same is done each time: `workload WORK MESSAGES`.
//!
//! - `decode`, `encode` (each with `-1x64` and `-4x64`, frames by octets): the protocol core and a queue, without I/O.
//! - `pipe-…`, `tcp-…`: a PUSH and a PULL, in memory and over the loopback interface; `tcp-1x1Mi` too.
//! - `publish-1`, `publish-8`: a PUB and as many SUBs, over the loopback interface.
//! - `forward-1`, `forward-8`: the receiver with one topic, and with eight by turns; its ends are bare sockets.
//! - `forward-lone`: the receiver with one topic and one message at a time.
//!
//! Each does some of its work first, to have its memory, and then the part that counts; at the end it prints the
//! allocations of that part: `allocations=2 octets=128`. Who counts something else, such as instructions, compares two
//! runs of different length.
//!
//! `workload keep WHICH`, with `none`, `some` or `copies`, is a PULL to be measured from outside. It prints where it
//! listens and then, for each 100,000 messages, `received`. Of about 1,000 messages it keeps none, one, or a copy of
//! one.

use std::future::Future;

use anyhow::{Context, bail};

mod shape;
mod codec;
mod pipe;
mod publish;
mod forward;
mod keep;

use codec::{Decode, Encode};
use forward::{Forward, Lone};
use keep::Kept;
use pipe::Pipe;
use publish::Publish;
use shape::Shape;

/// Something that can be done to any number of messages, again and again.
trait Work {
    /// Does it once to each of so many messages, all of which have arrived when it is over.
    fn pass(&mut self, messages: usize) -> impl Future<Output = anyhow::Result<()>>;
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(work), Some(argument)) = (arguments.next(), arguments.next()) else {
        bail!("usage: workload WORK MESSAGES, or workload keep WHICH");
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if work == "keep" {
        return runtime.block_on(keep::run(Kept::parse(&argument)?));
    }
    let messages = argument.parse().context("MESSAGES is not a number")?;
    let run = Run { runtime, messages };
    match work.as_str() {
        "decode-1x64" => run.measure(async { Ok(Decode::new(Shape::SMALL)) }),
        "decode-4x64" => run.measure(async { Ok(Decode::new(Shape::PARTS)) }),
        "encode-1x64" => run.measure(async { Ok(Encode::new(Shape::SMALL)) }),
        "encode-4x64" => run.measure(async { Ok(Encode::new(Shape::PARTS)) }),
        "pipe-1x64" => run.measure(Pipe::new("memory://pipe", Shape::SMALL)),
        "pipe-4x64" => run.measure(Pipe::new("memory://pipe", Shape::PARTS)),
        "tcp-1x64" => run.measure(Pipe::new("tcp://127.0.0.1:*", Shape::SMALL)),
        "tcp-4x64" => run.measure(Pipe::new("tcp://127.0.0.1:*", Shape::PARTS)),
        "tcp-1x1Mi" => run.measure(Pipe::new("tcp://127.0.0.1:*", Shape::LARGE)),
        "publish-1" => run.measure(Publish::new(1, Shape::SMALL)),
        "publish-8" => run.measure(Publish::new(8, Shape::SMALL)),
        "forward-1" => run.measure(Forward::new(1)),
        "forward-8" => run.measure(Forward::new(8)),
        "forward-lone" => run.measure(async { Ok(Lone(Forward::new(1).await?)) }),
        _ => bail!("no work {work}"),
    }
}

/// How to do a work.
struct Run {
    runtime: tokio::runtime::Runtime,
    messages: usize,
}

impl Run {
    fn measure<W: Work>(self, work: impl Future<Output = anyhow::Result<W>>) -> anyhow::Result<()> {
        let mut work = self.runtime.block_on(work)?;
        // As many for every length: what two runs differ by is the part that counts.
        self.runtime.block_on(work.pass(WARM_UP))?;
        let mut outcome = Ok(());
        let counted = allocation_counter::measure(|| outcome = self.runtime.block_on(work.pass(self.messages)));
        outcome?;
        println!("allocations={} octets={}", counted.count_total, counted.bytes_total);
        // Sockets need their runtime to end.
        self.runtime.block_on(async { drop(work) });
        Ok(())
    }
}

/// Enough to connect and to have the first pages and large bodies, and a multiple of the number of topics.
const WARM_UP: usize = 200;
