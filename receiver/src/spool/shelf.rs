//! The files of a spool together, and what is in which.
//!
//! Messages are appended to the newest file, and so is the word that they are settled. The oldest file is removed when all
//! its messages are: files between may tell of older ones that are settled. When a few messages that nobody fetches keep
//! old files alive, they are copied to the newest.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::item::{Item, Kept, encode_settled};
use super::segment::{self, Segment};
use crate::settings::Fsync;

/// Files, and the index of what is not settled.
#[derive(Debug)]
pub(super) struct Shelf {
    dir: PathBuf,
    fsync: Fsync,
    newest: Option<Segment>,
    /// Whether the newest file has messages that are to be on the disk [in a while](Fsync::Within).
    is_ahead: bool,
    /// All files, the oldest first; the newest is among them.
    files: VecDeque<Volume>,
    /// Settled, while that could not be written down.
    untold: Vec<Range<u64>>,
    /// By the first number.
    live: BTreeMap<u64, Live>,
    /// Octets of `live`.
    live_octets: u64,
    next_file: u64,
}

#[derive(Debug)]
struct Volume {
    id: u64,
    octets: u64,
    /// How many of the live are in it.
    live: usize,
}

#[derive(Debug)]
struct Live {
    file: u64,
    octets: u64,
    end: u64,
    /// Parts that are settled, while others are not. Apart from each other, in order.
    settled: Vec<Range<u64>>,
}

/// What was found on opening.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What is not settled, in order of numbers.
    pub(super) kept: Vec<Kept>,
    /// The number for the next message.
    pub(super) next: u64,
    /// Octets that cannot be read, and the files whose copies have them.
    pub(super) damaged: u64,
    pub(super) damaged_files: Vec<PathBuf>,
}

impl Shelf {
    /// Opens a directory, which is there, and reads what is in it.
    pub(super) fn open(dir: &Path, fsync: Fsync) -> io::Result<(Self, Found)> {
        let mut shelf = Self {
            dir: dir.to_owned(),
            fsync,
            newest: None,
            is_ahead: false,
            files: VecDeque::new(),
            untold: Vec::new(),
            live: BTreeMap::new(),
            live_octets: 0,
            next_file: 0,
        };
        let mut found = Found::default();
        let mut kept = BTreeMap::new();
        let mut settled = Vec::new();
        for id in segment::list(dir)? {
            let contents = segment::read(dir, id)?;
            shelf.next_file = id.saturating_add(1);
            shelf.files.push_back(Volume { id, octets: contents.octets, live: 0 });
            if contents.damaged > 0 {
                found.damaged += contents.damaged;
                found.damaged_files.push(segment::path(dir, id).with_extension("damaged"));
            }
            for item in contents.items {
                match item {
                    Item::Messages(messages) => {
                        found.next = found.next.max(messages.numbers().end);
                        // A copy in a later file takes the place of the first.
                        kept.insert(messages.first, (id, messages));
                    }
                    Item::Settled(numbers) => {
                        found.next = found.next.max(numbers.end);
                        settled.push(numbers);
                    }
                }
            }
        }
        for (file, messages) in kept.values() {
            shelf.note_live(*file, messages);
        }
        settled.iter().for_each(|numbers| shelf.settle(numbers));
        found.kept = kept.into_values().flat_map(|(_, messages)| shelf.rest_of(messages)).collect();
        shelf.remove_files()?;
        Ok((shelf, found))
    }

    /// Octets of messages that are not settled.
    pub(super) fn live_octets(&self) -> u64 {
        self.live_octets
    }

    /// Runs of messages that are not settled.
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// Writes down new messages, and that others are settled. When it fails the new ones are not kept.
    pub(super) fn write(&mut self, new: &[Kept], settled: &[Range<u64>], record: &mut Vec<u8>) -> io::Result<()> {
        record.clear();
        new.iter().for_each(|messages| messages.encode(record));
        let known = settled.iter().filter(|numbers| self.concerns(numbers));
        self.untold.iter().chain(known).for_each(|numbers| encode_settled(numbers, record));
        if record.is_empty() {
            return Ok(());
        }
        let file = match self.append(record, self.fsync == Fsync::Always && !new.is_empty()) {
            Ok(file) => file,
            Err(error) => {
                self.settle_untold(settled);
                return Err(error);
            }
        };
        self.untold.clear();
        self.is_ahead |= matches!(self.fsync, Fsync::Within(_)) && !new.is_empty();
        new.iter().for_each(|messages| self.note_live(file, messages));
        settled.iter().for_each(|numbers| self.settle(numbers));
        self.tidy(record)
    }

    /// Notes that messages are settled while nothing can be written. It is written down with the next record; until then a
    /// crash brings them again. Files that nobody needs make room on a full disk.
    pub(super) fn settle_untold(&mut self, settled: &[Range<u64>]) {
        for numbers in settled {
            if self.concerns(numbers) {
                add(&mut self.untold, numbers.clone());
                self.settle(numbers);
            }
        }
        // It is the disk that fails; they are removed later.
        let _ = self.remove_files();
        if self.files.is_empty() {
            self.untold.clear();
        }
    }

    /// Whether there are messages that [`sync`](Self::sync) is to have on the disk.
    pub(super) fn is_ahead(&self) -> bool {
        self.is_ahead
    }

    /// Has all that was written down on the disk. When it fails, what follows goes to another file.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let was_ahead = std::mem::take(&mut self.is_ahead);
        let synced = self.newest.as_ref().filter(|_| was_ahead).map_or(Ok(()), Segment::sync);
        if synced.is_err() {
            self.newest = None;
        }
        synced
    }

    /// Removes all files if nothing is left in them.
    pub(super) fn close(mut self) -> io::Result<()> {
        if self.live.is_empty() {
            self.newest = None;
        } else {
            self.sync()?;
        }
        self.remove_files()
    }

    fn append(&mut self, record: &[u8], sync: bool) -> io::Result<u64> {
        if self.newest.as_ref().is_none_or(|newest| newest.octets() >= SEGMENT) {
            self.begin_file()?;
        }
        let (Some(newest), Some(volume)) = (&self.newest, self.files.back_mut()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let (id, was_empty) = (volume.id, volume.octets == 0);
        let appended = newest.append(record, sync);
        volume.octets = newest.octets();
        if appended.is_err() {
            // What follows a record that was not written would not be found again. What is before it is to be on the disk,
            // as far as that works: the first failure is the one that is told.
            let _ = self.sync();
            self.newest = None;
            if was_empty {
                self.files.pop_back();
                fs::remove_file(segment::path(&self.dir, id))?;
            }
        }
        appended.map(|()| id)
    }

    fn begin_file(&mut self) -> io::Result<()> {
        self.sync()?;
        let id = self.next_file;
        self.next_file += 1;
        self.newest = Some(Segment::create(&self.dir, id)?);
        self.files.push_back(Volume { id, octets: 0, live: 0 });
        Ok(())
    }

    /// Whether any of these numbers is of a message that is kept.
    fn concerns(&self, numbers: &Range<u64>) -> bool {
        self.live.range(..numbers.end).next_back().is_some_and(|(_, live)| live.end > numbers.start)
    }

    fn note_live(&mut self, file: u64, messages: &Kept) {
        let Range { start, end } = messages.numbers();
        let octets = messages.octets() as u64;
        let replaced = self.live.insert(start, Live { file, octets, end, settled: Vec::new() });
        self.live_octets += octets;
        self.count_in_file(file, 1);
        if let Some(replaced) = replaced {
            self.live_octets -= replaced.octets;
            self.count_in_file(replaced.file, -1);
        }
    }

    fn count_in_file(&mut self, id: u64, change: isize) {
        if let Ok(at) = self.files.binary_search_by_key(&id, |volume| volume.id) {
            self.files[at].live = self.files[at].live.saturating_add_signed(change);
        }
    }

    fn settle(&mut self, numbers: &Range<u64>) {
        let before = self.live.range(..=numbers.start).next_back().map_or(numbers.start, |(first, _)| *first);
        let touched: Vec<u64> = self.live.range(before..numbers.end.max(before)).map(|(first, _)| *first).collect();
        for first in touched {
            let Some(live) = self.live.get_mut(&first) else { continue };
            let part = numbers.start.max(first)..numbers.end.min(live.end);
            if part.is_empty() {
                continue;
            }
            add(&mut live.settled, part);
            if live.settled.first() == Some(&(first..live.end)) {
                let (file, octets) = (live.file, live.octets);
                self.live.remove(&first);
                self.live_octets -= octets;
                self.count_in_file(file, -1);
            }
        }
    }

    /// What of a run is not settled, in parts that stay together.
    fn rest_of(&self, mut messages: Kept) -> Vec<Kept> {
        let Some(live) = self.live.get(&messages.first) else { return Vec::new() };
        let mut rest = Vec::new();
        let mut at = messages.first;
        for gap in &live.settled {
            let part = split(&mut messages.run, gap.start - at);
            rest.push(Kept { first: at, run: part, ..messages });
            split(&mut messages.run, gap.end - gap.start);
            at = gap.end;
        }
        rest.push(Kept { first: at, ..messages });
        rest.retain(|part| !part.run.is_empty());
        rest
    }

    /// Removes what nobody needs, and keeps the files within twice what is live.
    fn tidy(&mut self, record: &mut Vec<u8>) -> io::Result<()> {
        if self.live.is_empty() && self.files.iter().map(|file| file.octets).sum::<u64>() > SEGMENT {
            self.newest = None;
        }
        self.remove_files()?;
        let octets: u64 = self.files.iter().map(|file| file.octets).sum();
        if self.files.len() > 1 && octets > 2 * self.live_octets + 2 * SEGMENT {
            self.copy_oldest(record)?;
            self.remove_files()?;
        }
        Ok(())
    }

    /// Copies what is live in the oldest file to the newest.
    fn copy_oldest(&mut self, record: &mut Vec<u8>) -> io::Result<()> {
        let Some(oldest) = self.files.front().map(|file| file.id) else { return Ok(()) };
        for item in segment::read(&self.dir, oldest)?.items {
            let Item::Messages(messages) = item else { continue };
            let Some(live) = self.live.get(&messages.first).filter(|live| live.file == oldest) else { continue };
            let settled = live.settled.clone();
            record.clear();
            messages.encode(record);
            settled.iter().for_each(|numbers| encode_settled(numbers, record));
            // The original, which goes, may have been on the disk for long.
            let file = self.append(record, self.fsync != Fsync::Never)?;
            self.note_live(file, &messages);
            settled.iter().for_each(|numbers| self.settle(numbers));
        }
        Ok(())
    }

    fn remove_files(&mut self) -> io::Result<()> {
        while let Some(oldest) = self.files.front()
            && oldest.live == 0
            && (self.files.len() > 1 || self.newest.is_none())
        {
            fs::remove_file(segment::path(&self.dir, oldest.id))?;
            self.files.pop_front();
        }
        Ok(())
    }
}

/// Splits off the first `n` messages.
fn split(run: &mut zmtp::Run, n: u64) -> zmtp::Run {
    run.split_fitting(usize::try_from(n).unwrap_or(usize::MAX), usize::MAX)
}

/// Adds a range to others that are apart and in order.
fn add(ranges: &mut Vec<Range<u64>>, new: Range<u64>) {
    let begin = ranges.partition_point(|range| range.end < new.start);
    let end = ranges.partition_point(|range| range.start <= new.end);
    let joined = ranges[begin..end].iter().fold(new, |all, range| all.start.min(range.start)..all.end.max(range.end));
    ranges.splice(begin..end, [joined]);
}

/// A file is not written to beyond this: small enough that one with few live messages is copied in a moment.
const SEGMENT: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(first: u64, messages: usize, body: usize) -> Kept {
        let mut message = vec![0x03];
        message.extend((body as u64).to_be_bytes());
        message.extend(vec![b'x'; body]);
        message.extend([0, 1, b'y']);
        let run = zmtp::Run::parse(message.repeat(messages).into(), 2).unwrap();
        Kept { first, arrived: 5, run }
    }

    fn open(dir: &Path) -> (Shelf, Vec<(u64, u64)>) {
        let (shelf, found) = Shelf::open(dir, Fsync::Never).unwrap();
        assert_eq!(found.damaged, 0);
        (shelf, found.kept.iter().map(|kept| (kept.numbers().start, kept.numbers().end)).collect())
    }

    fn write(shelf: &mut Shelf, new: &[Kept], settled: &[(u64, u64)]) {
        let settled: Vec<_> = settled.iter().map(|(start, end)| *start..*end).collect();
        shelf.write(new, &settled, &mut Vec::new()).unwrap();
    }

    #[test]
    fn what_is_not_settled_comes_back_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let (mut shelf, found) = open(dir.path());
        assert_eq!(found, []);
        write(&mut shelf, &[kept(0, 5, 10), kept(5, 3, 10)], &[]);
        write(&mut shelf, &[kept(8, 4, 10)], &[(1, 2), (3, 6), (90, 99)]);
        write(&mut shelf, &[], &[(11, 12)]);
        drop(shelf);
        let (mut shelf, found) = open(dir.path());
        assert_eq!(found, [(0, 1), (2, 3), (6, 8), (8, 11)]);
        write(&mut shelf, &[], &[(0, 11)]);
        assert_eq!((shelf.len(), shelf.live_octets()), (0, 0));
        shelf.close().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn numbers_go_on_behind_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let (mut shelf, _) = open(dir.path());
        write(&mut shelf, &[kept(0, 2, 1), kept(2, 7, 1)], &[]);
        write(&mut shelf, &[], &[(2, 9)]);
        drop(shelf);
        assert_eq!(Shelf::open(dir.path(), Fsync::Always).unwrap().1.next, 9);
    }

    #[test]
    fn files_stay_within_twice_what_is_live_although_one_message_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (mut shelf, _) = open(dir.path());
        write(&mut shelf, &[kept(0, 2, 100)], &[]);
        write(&mut shelf, &[], &[(0, 1)]);
        let mut next = 2;
        for _ in 0..200 {
            write(&mut shelf, &[kept(next, 2, 100_000)], &[]);
            next += 2;
            write(&mut shelf, &[], &[(next - 1, next), (2, next.saturating_sub(6).max(2))]);
            let octets: u64 =
                fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
            assert!(octets < 2 * shelf.live_octets() + 3 * SEGMENT + 300_000, "{octets}");
        }
        drop(shelf);
        let (_, found) = open(dir.path());
        assert_eq!(found[0], (1, 2));
        assert_eq!(found.last(), Some(&(next - 2, next - 1)));
    }

    #[test]
    fn a_crash_in_the_midst_of_a_record_costs_that_record() {
        let dir = tempfile::tempdir().unwrap();
        let (mut shelf, _) = open(dir.path());
        write(&mut shelf, &[kept(0, 2, 10)], &[]);
        write(&mut shelf, &[kept(2, 2, 10)], &[]);
        drop(shelf);
        let path = segment::path(dir.path(), 0);
        let octets = fs::read(&path).unwrap();
        for end in octets.len() / 2..octets.len() {
            fs::write(&path, &octets[..end]).unwrap();
            assert_eq!(open(dir.path()).1, [(0, 2)], "{end}");
        }
    }

    #[test]
    fn any_damage_is_told_and_what_is_whole_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let (mut shelf, _) = open(dir.path());
        for first in 0..5 {
            write(&mut shelf, &[kept(first, 1, 10)], &[]);
        }
        drop(shelf);
        let path = segment::path(dir.path(), 0);
        let octets = fs::read(&path).unwrap();
        for at in 0..octets.len() {
            let mut damaged = octets.clone();
            damaged[at] ^= 0x81;
            fs::write(&path, &damaged).unwrap();
            let (_, found) = Shelf::open(dir.path(), Fsync::Never).unwrap();
            let record = at / (octets.len() / 5);
            assert_eq!(found.kept.len(), record, "octet {at}");
            assert!(found.damaged > 0 || record == 4, "octet {at}");
            assert_eq!(found.damaged_files.iter().filter(|file| file.exists()).count(), found.damaged_files.len());
        }
    }

    #[test]
    fn ranges_join() {
        let mut ranges = vec![0..2, 5..6, 9..12];
        add(&mut ranges, 3..4);
        assert_eq!(ranges, [0..2, 3..4, 5..6, 9..12]);
        add(&mut ranges, 4..5);
        assert_eq!(ranges, [0..2, 3..6, 9..12]);
        add(&mut ranges, 1..10);
        assert_eq!((ranges.len(), &ranges[0]), (1, &(0..12)));
    }
}
