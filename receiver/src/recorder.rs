//! The flight recorder: what passed last, message by message, without bodies.
//!
//! A read that brings few messages is taken down message by message, with ids. Of one that brings many only the first run
//! of neighbours is, as one line, and the rest is counted: so that it costs next to nothing when there is much to
//! do. RPC as the original drivers send it has a connection for each message, and so is taken down whole.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oslo_rpc::envelope::Style;

use crate::passing::{Id, Outcome};
use crate::senders::Sender;

/// The records, shared by all connections.
#[derive(Debug)]
pub(crate) struct Recorder {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    records: VecDeque<Record>,
    unrecorded: u64,
}

/// One message, or neighbours of one topic from one sender.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// By the receiver's clock.
    pub(crate) at: u64,
    pub(crate) sender: Arc<Sender>,
    /// The topic's key; empty if it has none.
    pub(crate) topic: Arc<str>,
    pub(crate) style: Option<Style>,
    /// Of the first.
    pub(crate) id: Id,
    pub(crate) messages: usize,
    /// Of all.
    pub(crate) octets: usize,
    pub(crate) outcome: Outcome,
}

impl Recorder {
    /// Keeps `most` records; none: it does nothing.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, state: Mutex::default() }
    }

    /// Whether it keeps records at all.
    pub(crate) fn is_on(&self) -> bool {
        self.most > 0
    }

    /// Takes one down; the oldest makes room.
    pub(crate) fn add(&self, record: Record) {
        let mut state = self.lock();
        if state.records.len() >= self.most {
            state.records.pop_front();
        }
        state.records.push_back(record);
    }

    /// So many passed of which there is no id.
    pub(crate) fn skip(&self, messages: usize) {
        if self.is_on() {
            self.lock().unrecorded += messages as u64;
        }
    }

    /// Messages that passed, of which there is no id.
    pub(crate) fn unrecorded(&self) -> u64 {
        self.lock().unrecorded
    }

    /// How many records there are, and the time of the first.
    pub(crate) fn extent(&self) -> (usize, Option<u64>) {
        let state = self.lock();
        (state.records.len(), state.records.front().map(|record| record.at))
    }

    /// The records that are `wanted`, the last one first, at most `most`.
    pub(crate) fn last(&self, most: usize, wanted: impl Fn(&Record) -> bool) -> Vec<Record> {
        self.lock().records.iter().rev().filter(|record| wanted(record)).take(most).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
