//! Frames as in ZMTP (RFC 37, Framing), without greeting, handshake or commands: both ends are this program.
//!
//! What a socket needs at the least: messages gathered for one write, and messages found in what one read brought.

use peer::Incoming;

/// Messages on their way out.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    octets: Vec<u8>,
}

/// Octets on their way in.
#[derive(Debug)]
pub(crate) struct Splitter {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Gather {
    /// Appends the header of a part, and the part itself if it is small. Otherwise what has been gathered is to be
    /// written, and then the part from where it is.
    pub(crate) fn put(&mut self, part: &[u8], more: bool) -> Put {
        let more = u8::from(more);
        match u8::try_from(part.len()) {
            Ok(length) => self.octets.extend_from_slice(&[more, length]),
            Err(_) => {
                self.octets.push(more | LONG);
                self.octets.extend_from_slice(&(part.len() as u64).to_be_bytes());
            }
        }
        if part.len() >= LARGE {
            return Put::WriteThenPart;
        }
        self.octets.extend_from_slice(part);
        if self.octets.len() >= GATHERED { Put::Write } else { Put::Gathered }
    }

    /// What is to be written.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// It has been written.
    pub(crate) fn clear(&mut self) {
        self.octets.clear();
    }
}

/// What to do after a part has been gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// Nothing yet.
    Gathered,
    /// Write what has been gathered.
    Write,
    /// Write what has been gathered, then the part.
    WriteThenPart,
}

impl Splitter {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; READ], start: 0, end: 0 }
    }

    /// Room for one read: to the end of a large frame under way, and no further, so that the next one starts afresh.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        let missing = match header(&self.buffer[self.start..self.end]) {
            Some(header) if header.body >= LARGE => {
                Some((header.length + header.body).saturating_sub(self.end - self.start))
            }
            _ => None,
        };
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        match missing {
            Some(missing) => {
                let end = self.end + missing;
                if self.buffer.len() < end {
                    self.buffer.resize(end, 0);
                }
                &mut self.buffer[self.end..end]
            }
            None => &mut self.buffer[self.end..],
        }
    }

    /// A read brought so many octets. Shows every whole frame to `incoming`; true if a message ended.
    pub(crate) fn read(&mut self, octets: usize, incoming: &mut Incoming) -> bool {
        self.end += octets;
        let mut ended = false;
        while let Some(header) = header(&self.buffer[self.start..self.end]) {
            let body = self.start + header.length;
            let Some(part) = self.buffer[..self.end].get(body..body + header.body) else {
                break;
            };
            incoming.part(part);
            self.start = body + header.body;
            if !header.more {
                incoming.end();
                ended = true;
            }
        }
        ended
    }
}

struct Header {
    length: usize,
    body: usize,
    more: bool,
}

/// The header at the front of `octets`, if all of it is there.
#[inline]
fn header(octets: &[u8]) -> Option<Header> {
    let (&flags, rest) = octets.split_first()?;
    let more = flags & MORE != 0;
    if flags & LONG == 0 {
        return rest.first().map(|&body| Header { length: 2, body: usize::from(body), more });
    }
    let body = u64::from_be_bytes(*rest.first_chunk()?);
    Some(Header { length: 9, body: body as usize, more })
}

// Flag bits of a frame (RFC 37, Framing).
const MORE: u8 = 0x01;
const LONG: u8 = 0x02;

/// Octets gathered for one write.
const GATHERED: usize = 64 * 1024;

/// Octets of one read.
const READ: usize = 128 * 1024;

/// A part of so many octets is written and read where it is, not copied.
const LARGE: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use peer::control::Control;
    use peer::messages::Outgoing;
    use peer::work::Role;
    use peer::{Incoming, Work};

    use super::*;

    fn work(size: u64, parts: u32) -> Work {
        let (addr, back) = (String::new(), String::new());
        let size = size.to_string().parse().unwrap();
        Work { role: Role::Pull, addr, back, size, parts, count: 40, sockets: 1, peers: 1, reverse: false }
    }

    fn encode(work: &Work) -> Vec<u8> {
        let (mut gather, mut stream) = (Gather::default(), Vec::new());
        let mut outgoing = Outgoing::new(&work.sizes(), 0);
        for number in 0..work.count {
            let parts = outgoing.message(number);
            for (left, part) in (0..parts.len()).rev().zip(parts) {
                let put = gather.put(part, left > 0);
                if put != Put::Gathered {
                    stream.extend_from_slice(gather.octets());
                    gather.clear();
                }
                if put == Put::WriteThenPart {
                    stream.extend_from_slice(part);
                }
            }
        }
        stream.extend_from_slice(gather.octets());
        stream
    }

    #[test]
    fn messages_are_found_wherever_reads_are_cut() {
        for (size, parts) in [(8, 1), (255, 2), (300, 3), (5_000, 1), (LARGE as u64, 2), (200_000, 1)] {
            let work = work(size, parts);
            let stream = encode(&work);
            for cut in [1, 7, 1_000, READ] {
                if stream.len() / cut > 1_000_000 {
                    continue;
                }
                let control = Control::new(&work);
                let mut incoming = Incoming::new(&work, control.clone(), 0);
                let (mut splitter, mut rest) = (Splitter::new(), &stream[..]);
                while !rest.is_empty() {
                    let room = splitter.room();
                    let read = room.len().min(cut).min(rest.len());
                    assert!(read > 0, "no room");
                    room[..read].copy_from_slice(&rest[..read]);
                    splitter.read(read, &mut incoming);
                    rest = &rest[read..];
                }
                let report = control.report();
                assert!(
                    report.complete && report.foreign + report.out_of_order == 0,
                    "{size} x {parts}, {cut}: {report:?}"
                );
            }
        }
    }
}
