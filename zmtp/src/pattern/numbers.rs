//! The numbers of messages, in the order of the messages: what a caller who must know what became of each counts by.

use std::{collections::VecDeque, ops::Range};

/// Numbers in any order, neighbours kept as one range: as long as messages stay together, a queue of thousands is one
/// range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers(VecDeque<Range<u64>>);

impl Numbers {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first.
    pub fn first(&self) -> Option<u64> {
        self.0.front().map(|range| range.start)
    }

    /// How many there are in the first range.
    pub(super) fn first_range(&self) -> usize {
        self.0.front().map_or(0, |range| usize::try_from(range.end - range.start).unwrap_or(usize::MAX))
    }

    /// Puts a range behind the others.
    pub fn push(&mut self, range: Range<u64>) {
        match self.0.back_mut() {
            _ if range.is_empty() => {}
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.0.push_back(range),
        }
    }

    /// Puts others behind these.
    pub fn append(&mut self, others: Self) {
        others.0.into_iter().for_each(|range| self.push(range));
    }

    /// Takes the first `n`, or all if there are fewer.
    #[must_use]
    pub fn take(&mut self, mut n: u64) -> Self {
        let mut taken = Self::default();
        while n > 0
            && let Some(first) = self.0.front_mut()
        {
            let end = first.end.min(first.start.saturating_add(n));
            n -= end - first.start;
            taken.push(first.start..end);
            if end == first.end {
                self.0.pop_front();
            } else {
                first.start = end;
            }
        }
        taken
    }
}

impl IntoIterator for Numbers {
    type Item = Range<u64>;
    type IntoIter = std::collections::vec_deque::IntoIter<Range<u64>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl From<Range<u64>> for Numbers {
    fn from(range: Range<u64>) -> Self {
        let mut numbers = Self::default();
        numbers.push(range);
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(numbers: &Numbers) -> Vec<(u64, u64)> {
        numbers.clone().into_iter().map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn neighbours_are_one_range_and_order_is_kept() {
        let mut numbers = Numbers::from(3..5);
        numbers.push(5..9);
        numbers.push(9..9);
        numbers.push(0..2);
        assert_eq!(ranges(&numbers), [(3, 9), (0, 2)]);
        let first = numbers.take(7);
        assert_eq!((ranges(&first), ranges(&numbers)), (vec![(3, 9), (0, 1)], vec![(1, 2)]));
        assert_eq!(numbers.first(), Some(1));
        let mut front = first;
        front.append(numbers);
        assert_eq!(ranges(&front), [(3, 9), (0, 2)]);
        assert_eq!(ranges(&front.take(u64::MAX)), [(3, 9), (0, 2)]);
        assert!(front.is_empty() && front.take(1).is_empty());
    }
}
