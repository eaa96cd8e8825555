//! A queue of messages with a mark: the only place where the high-water mark is applied.
//!
//! Small messages are gathered into one buffer as they come, so that they leave in one slice of one `writev` and pin
//! no read page while they wait. Large runs stay slices.

use std::{collections::VecDeque, ops::Range};

use bytes::{Bytes, BytesMut};

use super::{budget::Budget, mark::Mark};
use crate::proto::{Payload, Picked, Run, page};

/// Messages in order, up to a [`Mark`].
#[derive(Debug)]
pub struct Queue {
    mark: Mark,
    budget: Option<Budget>,
    /// Whether the budget also binds a message that finds the queue empty.
    strict: bool,
    /// Holds the latest message only.
    latest: bool,
    /// Messages that a later one took the place of.
    replaced: u64,
    runs: VecDeque<Run>,
    /// Small messages behind `runs`.
    gathered: BytesMut,
    gathered_messages: usize,
    /// Whether they lie in a page, which goes back when it is empty.
    in_page: bool,
    /// Behind these, where in a shared page more lie, and how many.
    shared: Vec<(Range<usize>, usize)>,
    messages: usize,
    octets: usize,
}

impl Queue {
    /// The queue of a peer. One message passes it while it is empty even when the budget is used up: it leaves at once,
    /// and a topic that is served goes on when others fill the memory.
    pub fn new(mark: Mark, budget: Option<Budget>) -> Self {
        Self {
            mark,
            budget,
            strict: false,
            latest: false,
            replaced: 0,
            runs: VecDeque::new(),
            gathered: BytesMut::new(),
            gathered_messages: 0,
            in_page: false,
            shared: Vec::new(),
            messages: 0,
            octets: 0,
        }
    }

    /// A queue for messages that nobody waits for: the budget binds all of them.
    pub fn for_waiting(mark: Mark, budget: Option<Budget>) -> Self {
        let mut queue = Self::new(mark, budget);
        queue.strict = true;
        queue
    }

    /// The same, holding the latest message only, whatever the mark.
    #[must_use]
    pub fn keeping_latest(mut self, on: bool) -> Self {
        if on {
            // Full with one message, so that the usual way is left where there is one to replace.
            (self.latest, self.mark) = (true, Mark::messages(1));
        }
        self
    }

    /// Messages that a later one took the place of.
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    /// From now on another mark. What is held stays.
    pub fn set_mark(&mut self, mark: Mark) {
        if !self.latest {
            self.mark = mark;
        }
    }

    /// Messages held.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Octets held.
    pub fn octets(&self) -> usize {
        self.octets
    }

    /// Whether it holds nothing.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Takes from the front of `run` what fits; the rest stays in `run`. Returns how many messages it took.
    pub fn push(&mut self, run: &mut Run) -> usize {
        if self.latest {
            return self.push_latest(run);
        }
        let messages = self.mark.messages.saturating_sub(self.messages);
        let budget = self.budget.as_ref().map_or(usize::MAX, Budget::left);
        let octets = self.mark.octets.saturating_sub(self.octets).min(budget);
        let mut part = run.split_fitting(messages, octets);
        if part.is_empty() && messages > 0 && self.lets_one_pass(budget) {
            part = run.split_first();
        }
        let taken = part.messages();
        self.append(part);
        taken
    }

    /// Takes all of `picked` if all of it fits.
    pub fn push_picked(&mut self, picked: Picked<'_>) -> bool {
        let (messages, octets) = (picked.messages(), picked.octets());
        let budget = self.budget.as_ref().map_or(usize::MAX, Budget::left);
        let fits = !self.latest
            && messages <= self.mark.messages.saturating_sub(self.messages)
            && octets <= self.mark.octets.saturating_sub(self.octets).min(budget);
        if fits {
            self.count_in(messages, octets);
            for (at, messages) in picked.parts() {
                if at.len() < GATHERED {
                    self.gather(messages, at.len()).extend_from_slice(&picked.as_octets()[at]);
                } else {
                    self.add(Run::contiguous(picked.slice(at), messages));
                }
            }
        }
        fits
    }

    /// Takes all of `run`, whatever the mark and the budget say.
    pub fn exceed(&mut self, run: Run) {
        self.append(run);
    }

    /// Removes messages from the front until `octets` octets or `messages` messages are gone, at least one. Returns how
    /// many it removed.
    pub fn discard(&mut self, messages: usize, octets: usize) -> usize {
        let Some(mut first) = self.pop_run() else { return 0 };
        let mut gone = first.split_fitting(messages, octets).messages();
        if gone == 0 {
            gone = first.split_first().messages();
        }
        self.put_back(VecDeque::from([first]));
        gone
    }

    /// Takes one message, which has `octets` octets, or gives it back when it finds no room.
    ///
    /// # Errors
    /// The message.
    #[inline]
    pub fn put<P: Payload>(&mut self, payload: P, octets: usize) -> Result<(), P> {
        if !self.fits(octets) && !self.make_way() {
            return Err(payload);
        }
        if gathers::<P>(octets) {
            self.count_in(1, octets);
            payload.encode(self.gather(1, octets));
        } else {
            self.append(payload.into_message().into());
        }
        Ok(())
    }

    /// Takes a message that lies at `at` of a page that several queues share, if it finds room. The page's owner calls
    /// [`settle`](Self::settle) before anything else is added or taken.
    #[inline]
    pub fn share(&mut self, at: Range<usize>) -> bool {
        let octets = at.len();
        let fits = self.fits(octets) || self.make_way();
        if fits {
            self.count_in(1, octets);
            match self.shared.last_mut() {
                Some((before, messages)) if before.end == at.start => (before.end, *messages) = (at.end, *messages + 1),
                _ => self.shared.push((at, 1)),
            }
        }
        fits
    }

    /// Whether it has taken something of a shared page that is not settled.
    pub fn shares(&self) -> bool {
        !self.shared.is_empty()
    }

    /// The shared page is complete: what this queue took of it is here.
    pub fn settle(&mut self, page: &Bytes) {
        let mut shared = std::mem::take(&mut self.shared);
        shared.drain(..).for_each(|(at, messages)| self.add(Run::contiguous(page.slice(at), messages)));
        // Empty again, and kept for its memory.
        self.shared = shared;
    }

    /// Puts messages back in front, in order, whatever the mark: they were in here before.
    pub fn put_back(&mut self, runs: VecDeque<Run>) {
        for run in runs.into_iter().rev().filter(|run| !run.is_empty()) {
            self.count_in(run.messages(), run.octets());
            self.runs.push_front(run);
        }
    }

    /// Moves whole runs from the front to `to`, at least one and then up to about `octets` octets.
    pub fn take(&mut self, mut octets: usize, to: &mut impl Extend<Run>) {
        while !self.is_empty() {
            if self.runs.is_empty() {
                self.seal();
            }
            let Some(run) = self.runs.pop_front() else { break };
            let len = run.octets();
            self.messages -= run.messages();
            self.octets -= len;
            if let Some(budget) = &self.budget {
                budget.give_back(len);
            }
            to.extend([run]);
            if len >= octets {
                break;
            }
            octets -= len;
        }
        if self.is_empty() {
            self.turn_page_to(BytesMut::new());
        }
    }

    /// Takes the first run, whatever it holds.
    pub fn pop_run(&mut self) -> Option<Run> {
        let mut first = VecDeque::new();
        self.take(1, &mut first);
        first.pop_front()
    }

    /// Whether [`push`](Self::push) would take a message of `octets` octets.
    #[inline]
    pub fn has_room(&self, octets: usize) -> bool {
        self.fits(octets) || self.latest
    }

    #[inline]
    fn fits(&self, octets: usize) -> bool {
        let budget = self.budget.as_ref().map_or(usize::MAX, Budget::left);
        let left = self.mark.octets.saturating_sub(self.octets).min(budget);
        self.messages < self.mark.messages && (octets <= left || self.lets_one_pass(budget))
    }

    #[inline]
    fn lets_one_pass(&self, budget: usize) -> bool {
        self.is_empty() && (budget > 0 || !self.strict)
    }

    /// Forgets what is held where only the latest counts; false elsewhere.
    #[cold]
    fn make_way(&mut self) -> bool {
        if self.latest {
            self.replaced += self.messages as u64;
            if let Some(budget) = &self.budget {
                budget.give_back(self.octets);
            }
            (self.messages, self.octets, self.gathered_messages) = (0, 0, 0);
            self.runs.clear();
            self.gathered.clear();
            self.shared.clear();
        }
        self.latest
    }

    fn push_latest(&mut self, run: &mut Run) -> usize {
        let messages = run.messages();
        let Some(last) = std::mem::take(run).last() else { return 0 };
        self.make_way();
        self.replaced += messages as u64 - 1;
        self.append(last.into());
        messages
    }

    /// Appends whatever the mark says, for a caller that has asked before.
    fn append(&mut self, run: Run) {
        if run.is_empty() {
            return;
        }
        self.count_in(run.messages(), run.octets());
        self.add(run);
    }

    /// Appends what is counted.
    fn add(&mut self, run: Run) {
        let octets = run.octets();
        if octets >= GATHERED {
            self.seal();
            self.runs.push_back(run);
            return;
        }
        let gathered = self.gather(run.messages(), octets);
        run.chunks().for_each(|chunk| gathered.extend_from_slice(chunk));
    }

    /// Room for messages that the caller appends and has counted.
    #[inline]
    fn gather(&mut self, messages: usize, octets: usize) -> &mut BytesMut {
        if self.gathered.len() + octets > SEGMENT {
            self.seal();
        }
        if self.gathered.capacity() - self.gathered.len() < octets {
            // What nobody waits for may lie there for long, in thousands of queues: a page for each would be more than what
            // is in it, and no budget knows of it.
            if self.strict && !self.in_page && self.gathered.len() + octets <= BEGINNING {
                self.gathered.reserve(octets);
            } else {
                self.turn_page_to(page::take(octets));
                self.in_page = true;
            }
        }
        self.gathered_messages += messages;
        &mut self.gathered
    }

    #[inline]
    fn count_in(&mut self, messages: usize, octets: usize) {
        self.messages += messages;
        self.octets += octets;
        if let Some(budget) = &self.budget {
            budget.take(octets);
        }
    }

    /// Goes on gathering elsewhere.
    fn turn_page_to(&mut self, next: BytesMut) {
        self.seal();
        let last = std::mem::replace(&mut self.gathered, next);
        if std::mem::take(&mut self.in_page) {
            page::give_back(last);
        }
    }

    /// Ends the gathering of what is gathered so far.
    fn seal(&mut self) {
        if self.gathered_messages > 0 {
            let octets = self.gathered.split().freeze();
            self.runs.push_back(Run::contiguous(octets, std::mem::take(&mut self.gathered_messages)));
        }
    }
}

/// Whether a message of `octets` octets is copied: if it is small, and if it has to be copied in any case.
#[inline]
pub(super) fn gathers<P: Payload>(octets: usize) -> bool {
    octets < GATHERED || P::BORROWED && octets <= SEGMENT
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.give_back(self.octets);
        }
    }
}

/// Runs below this are copied together: the copy costs less than a slice of its own in `writev` would, and a waiting
/// message pins at most 16 times its size of a 64 KiB page.
const GATHERED: usize = 4 << 10;
/// Octets of small messages for which a queue that nobody waits for takes no page: they grow into it by doubling, which is
/// ten times for one that goes on to be a page.
const BEGINNING: usize = 4 << 10;
/// Copies go into segments of this size, so that a long queue is many pages that are free again as it drains.
pub(super) const SEGMENT: usize = page::SIZE;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Message;

    fn run(n: usize, body: usize) -> Run {
        let message = [&[0u8, body as u8][..], &vec![b'x'; body]].concat();
        Run::contiguous(message.repeat(n).into(), n)
    }

    fn numbered(range: Range<u8>) -> Run {
        let octets: Vec<u8> = range.clone().flat_map(|n| [0, 1, n]).collect();
        Run::contiguous(octets.into(), range.len())
    }

    fn drain(queue: &mut Queue) -> Vec<u8> {
        let mut runs = Vec::new();
        queue.take(usize::MAX, &mut runs);
        runs.into_iter().flatten().map(|m| m.frame(0).unwrap()[0]).collect()
    }

    #[test]
    fn both_marks_hold_and_the_rest_stays() {
        let mut queue = Queue::new(Mark { messages: 10, octets: 100 }, None);
        let mut many = run(30, 1);
        assert_eq!(queue.push(&mut many), 10);
        assert_eq!(many.messages(), 20);
        assert_eq!(queue.push(&mut many), 0);
        let mut queue = Queue::new(Mark { messages: 1000, octets: 100 }, None);
        assert_eq!(queue.push(&mut run(30, 8)), 10);
        assert_eq!((queue.messages(), queue.octets()), (10, 100));
    }

    #[test]
    fn one_large_message_passes_an_empty_queue() {
        let mut queue = Queue::new(Mark { messages: 10, octets: 100 }, None);
        let mut large = Run::from(Message::from(vec![0; 1000]));
        assert_eq!(queue.push(&mut large), 1);
        assert_eq!(queue.push(&mut Run::from(Message::from("x"))), 0);
    }

    #[test]
    fn order_is_kept_over_gathered_and_large_and_put_back() {
        let mut queue = Queue::new(Mark::UNLIMITED, None);
        queue.push(&mut numbered(1..4));
        let mut large = vec![0u8; 5000];
        large[0] = 4;
        queue.push(&mut Run::from(Message::from(large)));
        queue.push(&mut numbered(5..7));
        queue.put_back(VecDeque::from([numbered(0..1)]));
        assert_eq!(queue.pop_run().unwrap().messages(), 1);
        assert_eq!(drain(&mut queue), [1, 2, 3, 4, 5, 6]);
        assert!(queue.is_empty() && queue.octets() == 0);
    }

    #[test]
    fn what_nobody_waits_for_begins_small_and_goes_on_in_pages() {
        let mut queue = Queue::for_waiting(Mark::UNLIMITED, None);
        queue.push(&mut numbered(0..3));
        assert!(!queue.in_page && queue.gathered.capacity() < 100, "{}", queue.gathered.capacity());
        let mut large = vec![0u8; 5000];
        large[0] = 3;
        queue.push(&mut Run::from(Message::from(large)));
        queue.push(&mut numbered(4..6));
        assert!(queue.gathered.capacity() < 100);
        assert_eq!(drain(&mut queue), [0, 1, 2, 3, 4, 5]);
        for _ in 0..200 {
            queue.push(&mut run(1, 50));
        }
        assert!(queue.in_page && queue.messages() == 200);
        assert_eq!(drain(&mut queue).len(), 200);
        assert!(!queue.in_page && queue.gathered.capacity() == 0);
        let mut served = Queue::new(Mark::UNLIMITED, None);
        served.push(&mut numbered(0..1));
        assert!(served.in_page);
    }

    #[test]
    fn take_stops_near_the_limit() {
        let mut queue = Queue::new(Mark::UNLIMITED, None);
        for _ in 0..100 {
            queue.push(&mut run(40, 50));
        }
        let mut runs = Vec::new();
        queue.take(1, &mut runs);
        assert_eq!(runs.len(), 1);
        assert!(runs[0].octets() <= SEGMENT);
    }

    #[test]
    fn the_latest_takes_the_place_of_the_others() {
        let budget = Budget::new(1000);
        let mut queue = Queue::new(Mark::default(), Some(budget.clone())).keeping_latest(true);
        assert_eq!(queue.push(&mut numbered(0..5)), 5);
        assert!(queue.has_room(1 << 30));
        queue.put(Message::from(vec![7]), 3).unwrap();
        assert_eq!((queue.messages(), queue.octets(), budget.used(), queue.replaced()), (1, 3, 3, 5));
        assert_eq!(drain(&mut queue), [7]);
        queue.set_mark(Mark::UNLIMITED);
        queue.put(Message::from(vec![8; 5000]), 5009).unwrap();
        queue.push(&mut numbered(9..10));
        assert_eq!((drain(&mut queue), queue.replaced(), budget.used()), (vec![9], 6, 0));
    }

    #[test]
    fn a_budget_is_shared_and_given_back() {
        let budget = Budget::new(100);
        let mut a = Queue::new(Mark::UNLIMITED, Some(budget.clone()));
        let mut b = Queue::new(Mark::UNLIMITED, Some(budget.clone()));
        assert_eq!(a.push(&mut run(6, 8)), 6);
        assert_eq!(b.push(&mut run(6, 8)), 4);
        drain(&mut a);
        assert_eq!(budget.used(), 40);
        drop(b);
        assert_eq!(budget.used(), 0);
    }
}
