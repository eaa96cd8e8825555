//! From octets read to runs, and from payloads to octets to write.

use std::collections::VecDeque;
use std::hint::black_box;

use anyhow::ensure;
use bytes::{Buf, BufMut};
use zmtp::pattern::Queue;
use zmtp::proto::{Decoder, Item};
use zmtp::{Limits, Mark, Multipart, Run};

use crate::Work;
use crate::shape::{Shape, wire};

/// Octets as they come from a socket, in reads of a page, to runs.
pub(crate) struct Decode {
    decoder: Decoder,
    /// Messages back to back.
    octets: Vec<u8>,
    message: usize,
}

impl Decode {
    pub(crate) fn new(shape: Shape) -> Self {
        let bodies = shape.bodies();
        let frames: Vec<_> = bodies.iter().map(Vec::as_slice).collect();
        let message = wire(&frames);
        Self { decoder: Decoder::new(Limits::default()), octets: message.repeat(BATCH), message: message.len() }
    }
}

impl Work for Decode {
    async fn pass(&mut self, messages: usize) -> anyhow::Result<()> {
        let mut left = messages;
        let mut decoded = 0;
        while left > 0 {
            let batch = left.min(BATCH);
            let mut octets = &self.octets[..batch * self.message];
            while !octets.is_empty() {
                let mut room = self.decoder.read_buffer();
                let n = octets.len().min(room.remaining_mut());
                room.put_slice(&octets[..n]);
                octets.advance(n);
                self.decoder.handle_read();
                while let Some(Item::Run(run)) = self.decoder.decode()? {
                    decoded += black_box(run).messages();
                }
            }
            left -= batch;
        }
        ensure!(decoded == messages, "{decoded} of {messages} messages");
        Ok(())
    }
}

/// Payloads into the queue of a peer, and from there as runs to its connection.
pub(crate) struct Encode {
    queue: Queue,
    bodies: Vec<Vec<u8>>,
    taken: VecDeque<Run>,
}

impl Encode {
    pub(crate) fn new(shape: Shape) -> Self {
        Self { queue: Queue::new(Mark::default(), None), bodies: shape.bodies(), taken: VecDeque::new() }
    }
}

impl Work for Encode {
    async fn pass(&mut self, messages: usize) -> anyhow::Result<()> {
        let octets: usize = self.bodies.iter().map(|body| 2 + body.len()).sum();
        let mut left = messages;
        while left > 0 {
            let batch = left.min(BATCH);
            for _ in 0..batch {
                let put = self.queue.put(Multipart(black_box(&self.bodies)), octets);
                ensure!(put.is_ok(), "the queue is full");
            }
            self.queue.take(usize::MAX, &mut self.taken);
            let taken: usize = self.taken.drain(..).map(|run| black_box(run).messages()).sum();
            ensure!(taken == batch, "{taken} of {batch} messages");
            left -= batch;
        }
        Ok(())
    }
}

/// Messages that are handled together: some hundred, as on a busy connection, and several pages of either shape.
const BATCH: usize = 1000;
