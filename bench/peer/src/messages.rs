//! The messages of a turn: how they are made, and how each one received is checked.
//!
//! The first eight octets of the first part are a number, big-endian: the sender in the upper 16 bits, the message
//! in the rest. All others are the same in each message. Every message is checked for its number and for the number and
//! length of its parts, and every 17th octet by octet: so checking is a small part of what is measured, and yet a library
//! that mixes up octets is found out, for what it does wrong does not depend on a prime.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

use crate::control::{Control, Tally};
use crate::work::{Role, Work};

/// One sender's messages, made one after the other in the same place.
#[derive(Debug)]
pub struct Outgoing {
    parts: Vec<Vec<u8>>,
    sender: u64,
}

/// One socket's view of what arrives.
///
/// Messages are shown to it part by part: [`part`](Self::part) for each, then [`end`](Self::end).
#[derive(Debug)]
pub struct Incoming {
    template: Vec<Vec<u8>>,
    senders: Vec<Seen>,
    control: Control,
    /// What others see of the two counters below, which nobody else changes.
    tally: Arc<Tally>,
    end: End,
    received: u64,
    sum: u64,
    /// The message under way.
    next_part: usize,
    number: u64,
    sampled: bool,
    intact: bool,
}

/// When a socket has all its messages.
#[derive(Debug, Clone, Copy)]
enum End {
    /// After so many.
    After(u64),
    /// When all sockets of this process have theirs together; [`Control`] looks after it.
    Together,
    /// When its user says so.
    Never,
}

/// What has come from one sender.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// The least number not seen yet.
    next: u64,
    warm: bool,
}

impl Outgoing {
    /// The messages of one sender, with parts of so many octets; the first has room for a number ([`Sizes`](crate::Sizes)).
    pub fn new(sizes: &[u64], sender: u16) -> Self {
        Self { parts: template(sizes), sender: u64::from(sender) << NUMBER_BITS }
    }

    /// From now on, the messages of another sender.
    pub fn become_sender(&mut self, sender: u16) {
        self.sender = u64::from(sender) << NUMBER_BITS;
    }

    /// Message `number`, valid until the next is made.
    pub fn message(&mut self, number: u64) -> &[Vec<u8>] {
        if let Some(number_octets) = self.parts[0].first_chunk_mut() {
            *number_octets = (self.sender | number).to_be_bytes();
        }
        &self.parts
    }

    /// A message that is not counted and only shows that a connection works.
    pub fn warm_up(&mut self) -> &[Vec<u8>] {
        self.message(WARM_UP)
    }
}

impl Incoming {
    /// For socket number `socket` of this process, which counts in `control`.
    pub fn new(work: &Work, control: Control, socket: u16) -> Self {
        let end = match work.role {
            Role::Ping | Role::Pong => End::Never,
            // Messages may be dealt out to several PULL in any shares.
            Role::Pull if work.sockets > 1 => End::Together,
            _ => End::After(work.expected() / u64::from(work.sockets)),
        };
        Self {
            template: template(&work.sizes()),
            senders: vec![Seen::default(); usize::try_from(work.senders()).unwrap_or(0)],
            tally: control.tally(socket),
            control,
            end,
            received: 0,
            sum: 0,
            next_part: 0,
            number: 0,
            sampled: false,
            intact: true,
        }
    }

    /// Whether all messages have come.
    #[inline]
    pub fn complete(&self) -> bool {
        match self.end {
            End::After(expected) => self.received >= expected,
            End::Together => self.control.is_done(),
            End::Never => false,
        }
    }

    /// The number of the last message, as [`Outgoing::message`] takes it.
    pub fn number(&self) -> u64 {
        self.number & WARM_UP
    }

    /// Takes a whole message.
    #[inline]
    pub fn message<'a>(&mut self, parts: impl IntoIterator<Item = &'a [u8]>) {
        for part in parts {
            self.part(part);
        }
        self.end();
    }

    /// Takes the next part of a message.
    #[inline]
    pub fn part(&mut self, octets: &[u8]) {
        let Some(template) = self.template.get(self.next_part) else {
            self.intact = false;
            return;
        };
        let mut start = 0;
        if self.next_part == 0 {
            let Some(number) = octets.first_chunk() else {
                self.intact = false;
                self.next_part = 1;
                return;
            };
            self.number = u64::from_be_bytes(*number);
            self.sampled = self.number.is_multiple_of(SAMPLE);
            start = NUMBER;
        }
        self.next_part += 1;
        self.intact &= octets.len() == template.len();
        if self.sampled {
            self.intact = self.intact && octets[start..] == template[start..];
        }
    }

    /// Takes the end of a message.
    #[inline]
    pub fn end(&mut self) {
        let intact = self.intact && self.next_part == self.template.len();
        let (sender, number) = (self.number >> NUMBER_BITS, self.number & WARM_UP);
        (self.next_part, self.intact) = (0, true);
        let seen = usize::try_from(sender).ok().and_then(|sender| self.senders.get_mut(sender));
        let Some(seen) = seen.filter(|_| intact) else {
            self.tally.foreign.fetch_add(1, Relaxed);
            return;
        };
        if number == WARM_UP {
            if !seen.warm {
                seen.warm = true;
                self.warmed_up();
            }
            return;
        }
        if number < seen.next {
            self.tally.out_of_order.fetch_add(1, Relaxed);
        } else {
            seen.next = number + 1;
        }
        self.received += 1;
        self.sum = self.sum.wrapping_add(number);
        self.tally.sum.store(self.sum, Relaxed);
        self.tally.received.store(self.received, Release);
        if let End::After(expected) = self.end
            && self.received == expected
        {
            self.control.socket_done();
        }
    }

    #[cold]
    fn warmed_up(&self) {
        if self.senders.iter().all(|seen| seen.warm) {
            self.control.socket_connected();
        }
    }
}

fn template(sizes: &[u64]) -> Vec<Vec<u8>> {
    // Part for part a little different, so that exchanged parts are seen.
    let part = |(part, &size): (u64, &u64)| (0..size).map(|at| b'a' + ((at + part) % 26) as u8).collect();
    (0..).zip(sizes).map(part).collect()
}

/// Octets of a number.
const NUMBER: usize = 8;

/// Bits of a number that are not the sender's.
const NUMBER_BITS: u32 = 48;

/// The number of messages that are not counted.
const WARM_UP: u64 = (1 << NUMBER_BITS) - 1;

/// Messages with a number that this divides are compared octet by octet.
const SAMPLE: u64 = 17;

#[cfg(test)]
mod tests {
    use super::*;

    fn work(role: Role, sizes: &str, count: u64, peers: u16) -> Work {
        let (addr, back) = (String::new(), String::new());
        let size = sizes.parse().unwrap();
        Work { role, addr, back, size, parts: 1, count, sockets: 1, peers, reverse: false }
    }

    /// What a receiver reports of these messages of two parts of 20 octets, when 100 are due from two senders.
    fn report(messages: &[(u16, u64)], spoil: impl Fn(usize, &mut Vec<Vec<u8>>)) -> crate::report::Report {
        let work = work(Role::Pull, "20,20", 100, 2);
        let control = Control::new(&work);
        let mut incoming = Incoming::new(&work, control.clone(), 0);
        for (at, &(sender, number)) in messages.iter().enumerate() {
            let mut parts = Outgoing::new(&work.sizes(), sender).message(number).to_vec();
            spoil(at, &mut parts);
            incoming.message(parts.iter().map(Vec::as_slice));
        }
        assert_eq!(incoming.complete(), messages.len() >= 100);
        control.report()
    }

    fn all() -> Vec<(u16, u64)> {
        (0..50).flat_map(|number| [(1, number), (0, number)]).collect()
    }

    #[test]
    fn all_messages_once_and_in_order_are_complete() {
        let report = report(&all(), |_, _| {});
        assert_eq!((report.received, report.out_of_order, report.foreign, report.complete), (100, 0, 0, true));
    }

    #[test]
    fn every_fault_is_seen() {
        let mut swapped = all();
        swapped.swap(10, 12);
        assert_eq!(report(&swapped, |_, _| {}).out_of_order, 1);

        let mut doubled = all();
        doubled[20] = doubled[18];
        let report_of_doubled = report(&doubled, |_, _| {});
        assert_eq!((report_of_doubled.out_of_order, report_of_doubled.complete), (1, false));

        assert!(!report(&all()[..99], |_, _| {}).complete, "one lost");
        assert_eq!(report(&[(2, 0)], |_, _| {}).foreign, 1, "a sender that does not exist");
        let one = [(0, 17)];
        assert_eq!(report(&one, |_, parts| parts[1][19] ^= 1).foreign, 1, "changed");
        assert_eq!(report(&one, |_, parts| parts.truncate(1)).foreign, 1, "a part lost");
        assert_eq!(report(&one, |_, parts| parts.push(Vec::new())).foreign, 1, "a part too many");
        assert_eq!(report(&[(0, 1)], |_, parts| parts[1].truncate(19)).foreign, 1, "cut");
        assert_eq!(report(&[(0, 1)], |_, parts| parts[0].truncate(7)).foreign, 1, "no number");
        assert_eq!(report(&one, |_, parts| parts[1] = parts[0].clone()).foreign, 1, "a part twice");
    }

    #[test]
    fn warm_ups_do_not_count() {
        let work = work(Role::Pull, "8", 10, 1);
        let control = Control::new(&work);
        let mut incoming = Incoming::new(&work, control.clone(), 0);
        incoming.message([Outgoing::new(&work.sizes(), 0).warm_up()[0].as_slice()]);
        assert_eq!((control.report().received, control.report().foreign), (0, 0));
    }
}
