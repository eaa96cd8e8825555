//! From octets read to runs of messages and commands.
//!
//! The decoder owns the buffer that the kernel writes into:
//!
//! ```text
//!  page  [ whole messages | frames of an unfinished message | part of a frame |   room   ]
//!        0            boundary                           parsed            len      capacity
//! ```
//! `0 <= boundary <= parsed <= len`. Whole messages leave as one [`Run`], a slice of the page: no copy, no object per
//! frame. A frame too large for the page gets an allocation of its own into which the rest is read directly. What the
//! peer has not sent yet, or not sent before in a single frame, sizes no allocation: a header may announce anything.
//!
//! It loops and never recurses, and it never looks at a message's body.

use bytes::{Buf, BufMut, Bytes, BytesMut, buf::Limit};

use super::{chunks::Chunks, error::ProtocolError, frame::Header, limits::Limits, message::Message, page, run::Run};

/// What comes out of the decoder.
#[derive(Debug)]
pub enum Item {
    /// One or more whole messages.
    Run(Run),
    /// The body of a command frame.
    Command(Bytes),
}

/// Decodes the octets after the greeting.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    /// Why messages are refused, when they are.
    refuses: Option<&'static str>,
    /// Commands are taken as frames of messages: what they are is sealed within.
    sealed: bool,
    /// Nothing while there is nothing in it.
    page: BytesMut,
    /// `page` is one that is to be given back, not a copy of what is unfinished.
    is_page: bool,
    parsed: usize,
    boundary: usize,
    /// Messages in `page[..boundary]`.
    messages: usize,
    /// The message under way: frames and octets so far, and the pieces of it that left the page.
    frames: usize,
    octets: usize,
    pieces: Option<Chunks>,
    large: Option<Large>,
    /// The largest frame with an allocation of its own that came so far.
    largest: usize,
    /// The last message ended with such a frame.
    after_large: bool,
    /// What the buffer held before the read in progress.
    before: usize,
}

/// The body of a frame that is read into an allocation of its own.
#[derive(Debug)]
struct Large {
    body: BytesMut,
    size: usize,
    more: bool,
}

impl Decoder {
    /// A decoder that holds a peer to `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            refuses: None,
            sealed: false,
            page: BytesMut::new(),
            is_page: false,
            parsed: 0,
            boundary: 0,
            messages: 0,
            frames: 0,
            octets: 0,
            pieces: None,
            large: None,
            largest: 0,
            after_large: false,
            before: 0,
        }
    }

    /// Room to read into, never empty. After the read call [`handle_read`](Self::handle_read).
    pub fn read_buffer(&mut self) -> Limit<&mut BytesMut> {
        if self.large.is_none() && self.page.capacity() - self.page.len() < page::WORTHWHILE {
            self.turn_page();
        }
        if let Some(large) = &mut self.large {
            let rest = large.size - large.body.len();
            // Doubling keeps the copies of growing linear while memory stays within twice what has arrived.
            large.body.reserve(rest.min(large.body.len().max(page::SIZE)));
            self.before = large.body.len();
            let room = rest.min(large.body.capacity() - large.body.len());
            return (&mut large.body).limit(room);
        }
        self.before = self.page.len();
        let room = self.page.capacity() - self.page.len();
        // Behind a large frame mostly comes another, of which the less the better has to be copied out of the page.
        let room = if std::mem::take(&mut self.after_large) { room.min(LEAD) } else { room };
        (&mut self.page).limit(room)
    }

    /// Takes note that octets were read; returns how many.
    pub fn handle_read(&mut self) -> usize {
        let len = self.large.as_ref().map_or(self.page.len(), |large| large.body.len());
        len - std::mem::replace(&mut self.before, len)
    }

    /// Takes note that nothing more has come, perhaps for long: holds no memory but for what is unfinished.
    pub fn handle_idle(&mut self) {
        if !self.is_page || self.page.len() > PARKED || self.boundary > 0 {
            return;
        }
        let unfinished = BytesMut::from(&self.page[..]);
        self.is_page = false;
        page::give_back(std::mem::replace(&mut self.page, unfinished));
    }

    /// Goes on with another page; what is unfinished moves there.
    fn turn_page(&mut self) {
        if self.page.len() > page::SIZE / 2 && self.boundary == 0 {
            // Whole frames stay where they are. The one under way is small enough for another page.
            self.set_aside(self.parsed);
        }
        let mut next = page::take(self.page.len() + page::WORTHWHILE);
        next.extend_from_slice(&self.page);
        let last = std::mem::replace(&mut self.page, next);
        if std::mem::replace(&mut self.is_page, true) {
            page::give_back(last);
        }
    }

    /// The octets that are not parsed yet, for the greeting, which is no frame.
    pub fn unparsed(&self) -> &[u8] {
        &self.page[self.parsed..]
    }

    /// Drops `n` of the unparsed octets.
    pub fn skip(&mut self, n: usize) {
        debug_assert!(self.parsed == 0 && self.pieces.is_none());
        self.page.advance(n.min(self.page.len()));
    }

    /// Octets of an unfinished message that are held outside the page: what a peer makes this side keep without having
    /// sent a whole message.
    pub fn unfinished(&self) -> usize {
        let large = self.large.as_ref().map_or(0, |large| large.body.len());
        self.pieces.as_ref().map_or(0, Chunks::octets) + large
    }

    /// Whether the stream may end here: not within a message or a frame.
    pub fn is_between_messages(&self) -> bool {
        self.page.is_empty() && self.pieces.is_none() && self.large.is_none()
    }

    /// From now on a message is an error at its first header; `state` says why, or `None` to allow them again.
    pub fn refuse_messages(&mut self, state: Option<&'static str>) {
        self.refuses = state;
    }

    /// From now on every frame is sealed, a message whatever its flags say, and held to these limits.
    pub(crate) fn expect_sealed(&mut self, limits: Limits) {
        self.limits = limits;
        self.refuses = None;
        self.sealed = true;
    }

    /// The next run or command, `None` when more octets are needed.
    ///
    /// # Errors
    /// As soon as a header breaks a rule or a limit, after the whole messages before it; nothing is allocated for what
    /// it announces.
    pub fn decode(&mut self) -> Result<Option<Item>, ProtocolError> {
        match self.step() {
            Err(_) if self.boundary > 0 => Ok(self.take_run()),
            item => item,
        }
    }

    fn step(&mut self) -> Result<Option<Item>, ProtocolError> {
        loop {
            if let Some(large) = &self.large {
                if large.body.len() < large.size {
                    return Ok(None);
                }
                if let Some(run) = self.finish_large() {
                    return Ok(Some(Item::Run(run)));
                }
            }
            self.pass_short();
            if self.messages == MAX_RUN {
                return Ok(self.take_run());
            }
            let Some((header, n)) = Header::decode(&self.page[self.parsed..])? else {
                return Ok(self.take_run());
            };
            if header.is_command() && !self.sealed {
                if self.boundary > 0 {
                    return Ok(self.take_run());
                }
                return Ok(self.decode_command(header, n)?.map(Item::Command));
            }
            let size = self.admit(header)?;
            let end = self.parsed + n + size;
            if end > self.page.len() {
                // The header is looked at again when more has come.
                self.forget(size);
                if n + size <= OWN_ALLOCATION {
                    return Ok(self.take_run());
                }
                if self.boundary > 0 {
                    return Ok(self.take_run());
                }
                self.frames += 1;
                self.octets += size;
                self.start_large(n, size, header.more());
                continue;
            }
            self.parsed = end;
            if header.more() {
                continue;
            }
            (self.frames, self.octets) = (0, 0);
            if let Some(mut pieces) = self.pieces.take() {
                pieces.push(self.page.split_to(end).freeze());
                self.parsed = 0;
                return Ok(Some(Item::Run(Message::from_chunks(pieces).into())));
            }
            self.boundary = end;
            self.messages += 1;
        }
    }

    /// Goes past short frames of messages that are all in the page, up to [`MAX_RUN`] messages: nearly all that ever comes.
    /// It stops before a frame that asks for anything else, be it an error.
    fn pass_short(&mut self) {
        let Limits { max_frame, max_message, max_frames, .. } = self.limits;
        if self.refuses.is_some() || self.pieces.is_some() || max_frame < Header::MAX_SHORT {
            return;
        }
        let page = &self.page[..];
        let (mut parsed, mut frames, mut octets) = (self.parsed, self.frames, self.octets);
        while self.messages < MAX_RUN
            && let Some(header) = page.get(parsed..).and_then(Header::decode_short)
        {
            // At most 255, so that nothing overflows.
            let size = header.size as usize;
            let end = parsed + Header::SHORT + size;
            if end > page.len() || octets + size > max_message || frames >= max_frames {
                break;
            }
            parsed = end;
            (frames, octets) = (frames + 1, octets + size);
            if !header.more() {
                (frames, octets) = (0, 0);
                self.boundary = end;
                self.messages += 1;
            }
        }
        (self.parsed, self.frames, self.octets) = (parsed, frames, octets);
    }

    /// Checks a frame of a message against the limits and counts it.
    #[inline]
    fn admit(&mut self, header: Header) -> Result<usize, ProtocolError> {
        if let Some(state) = self.refuses {
            return Err(ProtocolError::UnexpectedMessage { state });
        }
        let limits = &self.limits;
        let size = usize::try_from(header.size).ok().filter(|size| *size <= limits.max_frame);
        let Some(size) = size else {
            return Err(ProtocolError::FrameTooLarge { size: header.size, limit: limits.max_frame as u64 });
        };
        if size > limits.max_message.saturating_sub(self.octets) {
            return Err(ProtocolError::MessageTooLarge { limit: limits.max_message as u64 });
        }
        if self.frames >= limits.max_frames {
            return Err(ProtocolError::TooManyFrames { limit: limits.max_frames });
        }
        self.frames += 1;
        self.octets += size;
        Ok(size)
    }

    fn forget(&mut self, size: usize) {
        self.frames -= 1;
        self.octets -= size;
    }

    fn decode_command(&mut self, header: Header, n: usize) -> Result<Option<Bytes>, ProtocolError> {
        let limit = self.limits.max_command;
        let size = usize::try_from(header.size).ok().filter(|size| *size <= limit);
        let Some(size) = size else {
            return Err(ProtocolError::FrameTooLarge { size: header.size, limit: limit as u64 });
        };
        if self.page.len() - self.parsed < n + size {
            return Ok(None);
        }
        // A command may come between two frames of a message: what is there of the message moves aside.
        self.set_aside(self.parsed);
        self.page.advance(n);
        Ok(Some(self.page.split_to(size).freeze()))
    }

    fn start_large(&mut self, n: usize, size: usize, more: bool) {
        self.set_aside(self.parsed + n);
        let proven = size.min(self.largest.max(page::SIZE));
        let mut body = page::take_large(size).unwrap_or_else(|| BytesMut::with_capacity(proven));
        body.put_slice(&self.page);
        self.page.clear();
        self.large = Some(Large { body, size, more });
    }

    fn finish_large(&mut self) -> Option<Run> {
        let large = self.large.take()?;
        self.largest = self.largest.max(large.size);
        self.after_large = !large.more;
        let pieces = self.pieces.get_or_insert_default();
        pieces.push(page::freeze_large(large.body));
        if large.more {
            return None;
        }
        (self.frames, self.octets) = (0, 0);
        self.pieces.take().map(|pieces| Message::from_chunks(pieces).into())
    }

    /// Moves the start of the page to the pieces of the message under way.
    fn set_aside(&mut self, octets: usize) {
        if octets > 0 {
            let piece = self.page.split_to(octets).freeze();
            // A peer that puts a PING behind each small frame must not make each piece keep a page alive.
            let piece = if octets < COPIED { Bytes::copy_from_slice(&piece) } else { piece };
            self.pieces.get_or_insert_default().push(piece);
        }
        self.parsed = 0;
    }

    fn take_run(&mut self) -> Option<Item> {
        let boundary = std::mem::take(&mut self.boundary);
        if boundary == 0 {
            return None;
        }
        self.parsed -= boundary;
        let octets = self.page.split_to(boundary).freeze();
        Some(Item::Run(Run::contiguous(octets, std::mem::take(&mut self.messages))))
    }
}

/// Messages of one run: a quarter of the usual mark, so that a queue seldom has to take a run apart.
const MAX_RUN: usize = 250;
/// What is unfinished when a connection falls silent is copied out of its page up to this size: otherwise each silent
/// peer could hold a page with one octet. Beyond it a page is held for at most 16 times what is in it.
const PARKED: usize = 4 << 10;
/// A first read behind a large frame: a header, and messages of the usual size.
const LEAD: usize = 8 << 10;
/// A piece below this is copied out of its page: at most 16 times its size stays pinned otherwise.
const COPIED: usize = 4 << 10;
/// A frame that needs more than this leaves the page for an allocation of its own. Half a page, so that a page always
/// has room for the frame under way.
const OWN_ALLOCATION: usize = page::SIZE / 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(decoder: &mut Decoder, mut octets: &[u8], step: usize) -> Result<Vec<Item>, ProtocolError> {
        let mut items = Vec::new();
        while !octets.is_empty() {
            let mut buffer = decoder.read_buffer();
            let n = octets.len().min(step).min(buffer.remaining_mut());
            assert!(n > 0, "no room");
            buffer.put_slice(&octets[..n]);
            octets = &octets[n..];
            assert_eq!(decoder.handle_read(), n);
            while let Some(item) = decoder.decode()? {
                items.push(item);
            }
        }
        Ok(items)
    }

    fn text(items: Vec<Item>) -> Vec<String> {
        let mut out = Vec::new();
        for item in items {
            match item {
                Item::Run(run) => {
                    out.extend(run.map(|m| String::from_utf8(m.frames().collect::<Vec<_>>().join(&b'|')).unwrap()))
                }
                Item::Command(body) => out.push(format!("!{}", body.escape_ascii())),
            }
        }
        out
    }

    #[test]
    fn any_cut_gives_the_same_items() {
        let mut wire = Vec::new();
        wire.extend_from_slice(b"\x00\x05hello\x01\x01a\x01\x00\x00\x01c");
        // A PING between two frames of one message.
        wire.extend_from_slice(b"\x01\x02p1\x04\x0a\x04PING\x00\x00ctx\x00\x02p2");
        let mut large = vec![3];
        let size = if cfg!(miri) { OWN_ALLOCATION + 1 } else { 100_000 };
        large.extend_from_slice(&(size as u64).to_be_bytes());
        large.extend_from_slice(&vec![b'L'; size]);
        wire.extend_from_slice(&large);
        wire.extend_from_slice(b"\x00\x01z\x00\x00");
        // Just what the stream needs: a frame that is looked at again is not counted again.
        let limits = Limits { max_frame: size, max_message: size + 1, max_frames: 3, max_command: 10 };
        let whole = text(feed(&mut Decoder::new(limits), &wire, usize::MAX).unwrap());
        assert_eq!(whole.len(), 6);
        assert_eq!(whole[..4], ["hello", "a||c", r"!\x04PING\x00\x00ctx", "p1|p2"]);
        assert!(whole[4].ends_with("L|z"));
        let steps: &[usize] = if cfg!(miri) { &[999, 32_768] } else { &[1, 2, 3, 7, 1000, 32_768, 65_536] };
        for &step in steps {
            assert_eq!(text(feed(&mut Decoder::new(limits), &wire, step).unwrap()), whole, "step {step}");
        }
    }

    #[test]
    fn one_read_gives_one_run() {
        let wire = b"\x00\x01x".repeat(200);
        let mut decoder = Decoder::new(Limits::default());
        let items = feed(&mut decoder, &wire, usize::MAX).unwrap();
        let [Item::Run(run)] = &items[..] else { panic!("{items:?}") };
        assert_eq!((run.messages(), run.octets()), (200, 600));
        assert!(decoder.is_between_messages());
    }

    #[test]
    fn limits_close_at_the_header() {
        let limits = Limits { max_frame: 100, max_message: 150, max_frames: 3, ..Limits::default() };
        let over = |wire: &[u8]| feed(&mut Decoder::new(limits), wire, usize::MAX).unwrap_err();
        assert_eq!(over(&[0, 101]), ProtocolError::FrameTooLarge { size: 101, limit: 100 });
        assert_eq!(over(b"\x02\x00\x00\x01\x00\x00\x00\x00\x00").reason(), "frame-too-large");
        assert_eq!(over(&[&[1, 100][..], &[0; 100], &[0, 51]].concat()), ProtocolError::MessageTooLarge { limit: 150 });
        assert_eq!(over(b"\x01\x00\x01\x00\x01\x00\x00\x00"), ProtocolError::TooManyFrames { limit: 3 });
        assert_eq!(over(b"\x06\x00\x00\x00\x00\x00\x01\x00\x00").reason(), "frame-too-large");
    }

    #[test]
    fn limits_are_inclusive() {
        let limits = Limits { max_frame: 100, max_message: 150, max_frames: 2, max_command: 200 };
        let wire = [&[1, 100][..], &[0; 100], &[0, 50], &[0; 50]].concat();
        assert_eq!(feed(&mut Decoder::new(limits), &wire, 1).unwrap().len(), 1);
    }

    #[test]
    fn a_header_alone_allocates_little() {
        let mut decoder = Decoder::new(Limits::default());
        let mut wire = vec![2];
        wire.extend_from_slice(&(64u64 << 20).to_be_bytes());
        assert!(feed(&mut decoder, &wire, usize::MAX).unwrap().is_empty());
        assert!(decoder.read_buffer().remaining_mut() <= 2 * page::SIZE);
    }
}
