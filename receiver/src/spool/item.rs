//! What a record of the spool holds: items, back to back. Numbers are in network order.
//!
//! ```text
//!  1, first number (8), arrival (8), messages (4), octets (4), the messages as on the wire
//!  2, first number (8), number behind the last (8)                these are settled
//! ```
//!
//! Arrival is in milliseconds since 1970, as the system's clock had it.

use std::ops::Range;

use bytes::{Buf, BufMut, Bytes};
use zmtp::Run;

/// A part of a record.
#[derive(Debug)]
pub(super) enum Item {
    /// Messages of one topic, to be kept.
    Messages(Kept),
    /// Messages that need not be kept any longer.
    Settled(Range<u64>),
}

/// Messages of one topic that came together.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// The number of the first.
    pub(super) first: u64,
    /// When they came.
    pub(super) arrived: u64,
    /// The messages.
    pub(super) run: Run,
}

impl Kept {
    /// The numbers of the messages.
    pub(super) fn numbers(&self) -> Range<u64> {
        self.first..self.first + self.run.messages() as u64
    }

    pub(super) fn encode(&self, record: &mut Vec<u8>) {
        record.put_u8(MESSAGES);
        record.put_u64(self.first);
        record.put_u64(self.arrived);
        // Both fit: a message has at most 4 GiB (`Count` and `Octets` of the settings), a run is one message or one read.
        record.put_u32(u32::try_from(self.run.messages()).unwrap_or(u32::MAX));
        record.put_u32(u32::try_from(self.run.octets()).unwrap_or(u32::MAX));
        self.run.chunks().for_each(|chunk| record.put_slice(chunk));
    }

    /// Octets of a record that these messages take.
    pub(super) fn octets(&self) -> usize {
        HEADER + self.run.octets()
    }
}

pub(super) fn encode_settled(numbers: &Range<u64>, record: &mut Vec<u8>) {
    record.put_u8(SETTLED);
    record.put_u64(numbers.start);
    record.put_u64(numbers.end);
}

/// The items of a record; `None` if they are not such.
pub(super) fn decode(record: Vec<u8>) -> Option<Vec<Item>> {
    let mut rest = Bytes::from(record);
    let mut items = Vec::new();
    while !rest.is_empty() {
        items.push(match rest.get_u8() {
            MESSAGES if rest.len() >= HEADER - 1 => {
                let (first, arrived) = (rest.get_u64(), rest.get_u64());
                let (messages, octets) = (rest.get_u32(), rest.get_u32());
                let octets = usize::try_from(octets).ok().filter(|octets| *octets <= rest.len())?;
                let run = Run::parse(rest.split_to(octets), usize::MAX)?;
                let is_whole = !run.is_empty() && u32::try_from(run.messages()) == Ok(messages);
                first.checked_add(messages.into()).filter(|_| is_whole)?;
                Item::Messages(Kept { first, arrived, run })
            }
            SETTLED if rest.len() >= 16 => {
                let numbers = rest.get_u64()..rest.get_u64();
                Item::Settled(numbers).checked()?
            }
            _ => return None,
        });
    }
    Some(items)
}

impl Item {
    fn checked(self) -> Option<Self> {
        match &self {
            Self::Settled(numbers) if numbers.start > numbers.end => None,
            _ => Some(self),
        }
    }
}

const MESSAGES: u8 = 1;
const SETTLED: u8 = 2;
/// Of messages, before the octets.
const HEADER: usize = 1 + 8 + 8 + 4 + 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> Vec<u8> {
        let mut record = Vec::new();
        let run = Run::parse(b"\x01\x01t\0\x01a\x01\x01t\0\x01b".to_vec().into(), 2).unwrap();
        Kept { first: 7, arrived: 1, run }.encode(&mut record);
        encode_settled(&(3..5), &mut record);
        record
    }

    #[test]
    fn items_come_back() {
        let items = decode(record()).unwrap();
        let [Item::Messages(kept), Item::Settled(settled)] = &items[..] else { panic!("{items:?}") };
        assert_eq!((kept.numbers(), kept.arrived, kept.run.octets()), (7..9, 1, 12));
        assert_eq!(*settled, 3..5);
        assert_eq!(kept.octets() + 17, record().len());
    }

    proptest! {
        #[test]
        fn damage_is_no_panic(at in 0..record().len(), octet: u8, end in 0..=record().len()) {
            let mut damaged = record();
            damaged[at] = octet;
            damaged.truncate(end);
            let _ = decode(damaged);
        }

        #[test]
        fn neither_are_any_octets(octets in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(octets);
        }
    }
}
