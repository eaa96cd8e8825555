//! Should a message be its wire bytes or a list of its frames?
//!
//! [`Message`] keeps what came as one slice of the read buffer and parses headers again when a frame is looked at. The
//! usual alternative is a list of [`Bytes`], here in a `Vec` and in a `SmallVec` with room for four: decoding makes an
//! object per frame, sending writes the headers anew. Three jobs, for 1 and 4 frames of 16 octets to 64 KiB each:
//!
//! - `forward`: octets in a read buffer become messages, and these become slices to write. `forward_runs` does it the
//!   way a forwarder of this crate does, without taking messages apart at all.
//! - `build`: bodies that the program has become messages, and these become slices to write.
//! - `read`: frame 1 of each message, or frame 0 of those of one frame.
//!
//! Both sides read into the same kind of buffer, with the same header parser, and never copy a large body again. A
//! list copies small bodies behind their headers into one buffer for many messages, which a `writev` of many pieces
//! would otherwise pay for; a message that was received is a slice as it is. The kernel's part is left out, and with
//! bodies of 64 KiB the time tells more of the allocator than of the form.
//!
//! `cargo bench -p zmtp --no-default-features --bench message`. A sample is 20 rounds, because the first few pay for an
//! allocator that is cold. On a busy machine instructions tell more than time: run the binary under `valgrind
//! --tool=callgrind --toggle-collect='*forward_batch*'` with `--sample-count 1` and two values of `--sample-size`, and
//! divide the difference by that of the sizes and by the messages of a batch.

use std::{fmt, hint::black_box, io::IoSlice, ops::Deref};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use divan::{Bencher, counter::ItemsCount};
use smallvec::SmallVec;
use zmtp::proto::{Decoder, Header, Item, Limits, Message, Run};

fn main() {
    divan::main();
}

#[divan::bench(args = CASES, sample_size = 20)]
fn forward_runs(bencher: Bencher<'_, '_>, case: &Case) {
    let wire = case.wire();
    let mut decoder = Decoder::new(Limits::default());
    let mut runs = Vec::new();
    bencher.counter(ItemsCount::new(case.batch())).bench_local(|| forward_batch_runs(&wire, &mut decoder, &mut runs));
}

#[divan::bench(types = [Message, List<Vec<Bytes>>, List<SmallVec<[Bytes; 4]>>], args = CASES, sample_size = 20)]
fn forward<F: Form>(bencher: Bencher<'_, '_>, case: &Case) {
    let wire = case.wire();
    let mut reader = F::Reader::default();
    let mut gather = Gather::default();
    let mut batch = Vec::new();
    bencher
        .counter(ItemsCount::new(case.batch()))
        .bench_local(|| forward_batch::<F>(&wire, &mut reader, &mut batch, &mut gather));
}

#[divan::bench(types = [Message, List<Vec<Bytes>>, List<SmallVec<[Bytes; 4]>>], args = CASES, sample_size = 20)]
fn build<F: Form>(bencher: Bencher<'_, '_>, case: &Case) {
    let bodies = case.bodies();
    let mut gather = Gather::default();
    let mut batch = Vec::new();
    bencher.counter(ItemsCount::new(case.batch())).bench_local(|| {
        batch.clear();
        batch.extend((0..case.batch()).map(|_| F::build(black_box(&bodies))));
        F::transmit(&batch, &mut gather)
    });
}

#[divan::bench(types = [Message, List<Vec<Bytes>>, List<SmallVec<[Bytes; 4]>>], args = CASES, sample_size = 20)]
fn read<F: Form>(bencher: Bencher<'_, '_>, case: &Case) {
    let mut batch: Vec<F> = Vec::new();
    F::receive(&case.wire(), &mut F::Reader::default(), &mut batch);
    assert_eq!(batch.len(), case.batch());
    let n = 1.min(case.frames - 1);
    bencher.counter(ItemsCount::new(case.batch())).bench_local(|| {
        for message in &batch {
            black_box(message.frame(n));
        }
    });
}

/// Frames of a message and octets of each.
#[derive(Debug, Clone, Copy)]
struct Case {
    frames: usize,
    size: usize,
}

impl Case {
    /// Messages that are handled together: about as many as one read brings, but a few of the largest.
    fn batch(&self) -> usize {
        (PAGE / (self.frames * self.size)).clamp(4, 1000)
    }

    fn bodies(&self) -> Vec<Bytes> {
        (0..self.frames).map(|n| Bytes::from(vec![n as u8; self.size])).collect()
    }

    fn wire(&self) -> Vec<u8> {
        let message: Message = Form::build(&self.bodies());
        let octets: Vec<u8> = message.chunks().flat_map(|chunk| chunk.to_vec()).collect();
        octets.repeat(self.batch())
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.frames, self.size)
    }
}

/// What a message can be.
trait Form: Sized {
    /// The read buffer, and the state of reading.
    type Reader: Default;

    fn build(bodies: &[Bytes]) -> Self;

    fn frame(&self, n: usize) -> Option<&[u8]>;

    /// Reads `wire` as if it came from a socket, in reads of a buffer's size.
    fn receive(wire: &[u8], reader: &mut Self::Reader, batch: &mut Vec<Self>);

    /// Shows all there is to write, and tells how many octets it was.
    fn transmit(batch: &[Self], gather: &mut Gather) -> usize;
}

/// A decoder to begin with.
struct WireReader(Decoder);

impl Default for WireReader {
    fn default() -> Self {
        Self(Decoder::new(Limits::default()))
    }
}

impl Form for Message {
    type Reader = WireReader;

    fn build(bodies: &[Bytes]) -> Self {
        let (last, others) = bodies.split_last().expect("a message has a frame");
        let builder = others.iter().fold(Self::builder(), |builder, body| builder.more(body.clone()));
        builder.last(last.clone())
    }

    fn frame(&self, n: usize) -> Option<&[u8]> {
        self.frame(n)
    }

    fn receive(wire: &[u8], reader: &mut WireReader, batch: &mut Vec<Self>) {
        read_runs(wire, &mut reader.0, |run| batch.extend(run));
    }

    fn transmit(batch: &[Self], _: &mut Gather) -> usize {
        show(batch.iter().flat_map(Self::chunks))
    }
}

/// A message as a list of its frames.
#[derive(Default)]
struct List<L>(L);

/// The read buffer of a decoder into lists, and the frames of the message under way.
struct ListReader<L> {
    page: BytesMut,
    frames: L,
}

impl<L: Default> Default for ListReader<L> {
    fn default() -> Self {
        Self { page: BytesMut::new(), frames: L::default() }
    }
}

impl<L: Default + Extend<Bytes> + Deref<Target = [Bytes]>> Form for List<L> {
    type Reader = ListReader<L>;

    fn build(bodies: &[Bytes]) -> Self {
        let mut list = L::default();
        list.extend(bodies.iter().cloned());
        Self(list)
    }

    fn frame(&self, n: usize) -> Option<&[u8]> {
        self.0.get(n).map(|body| &body[..])
    }

    fn receive(mut wire: &[u8], reader: &mut ListReader<L>, batch: &mut Vec<Self>) {
        let page = &mut reader.page;
        while !wire.is_empty() {
            if page.capacity() - page.len() < MIN_READ {
                page.reserve(PAGE);
            }
            let n = wire.len().min(page.capacity() - page.len());
            page.put_slice(&wire[..n]);
            wire.advance(n);
            while let Ok(Some((header, n))) = Header::decode(page) {
                let size = header.size as usize;
                let body = if page.len() >= n + size {
                    page.advance(n);
                    page.split_to(size)
                } else if n + size > OWN_ALLOCATION {
                    let mut body = BytesMut::with_capacity(size);
                    body.put_slice(&page[n..]);
                    page.clear();
                    let rest = wire.split_off(..size - body.len()).expect("a whole stream");
                    body.put_slice(rest);
                    body
                } else {
                    break;
                };
                reader.frames.extend([body.freeze()]);
                if !header.more() {
                    batch.push(Self(std::mem::take(&mut reader.frames)));
                }
            }
        }
    }

    fn transmit(batch: &[Self], gather: &mut Gather) -> usize {
        for message in batch {
            for (n, body) in message.0.iter().enumerate() {
                gather.push(body, n + 1 < message.0.len());
            }
        }
        gather.flush()
    }
}

/// Headers and bodies of lists on their way to the writer.
#[derive(Default)]
struct Gather {
    flat: BytesMut,
    pieces: Vec<Bytes>,
}

impl Gather {
    fn push(&mut self, body: &Bytes, more: bool) {
        let (header, n) = Header::message(body.len(), more).encode();
        self.flat.put_slice(&header[..n]);
        if body.len() < COPIED {
            self.flat.put_slice(body);
        } else {
            self.pieces.push(self.flat.split().freeze());
            self.pieces.push(body.clone());
        }
    }

    fn flush(&mut self) -> usize {
        self.pieces.push(self.flat.split().freeze());
        let octets = show(&self.pieces);
        self.pieces.clear();
        octets
    }
}

#[inline(never)]
fn forward_batch<F: Form>(wire: &[u8], reader: &mut F::Reader, batch: &mut Vec<F>, gather: &mut Gather) -> usize {
    F::receive(wire, reader, batch);
    let octets = F::transmit(batch, gather);
    batch.clear();
    octets
}

#[inline(never)]
fn forward_batch_runs(wire: &[u8], decoder: &mut Decoder, runs: &mut Vec<Run>) -> usize {
    read_runs(wire, decoder, |run| runs.push(run));
    let octets = show(runs.iter().flat_map(Run::chunks));
    runs.clear();
    octets
}

fn read_runs(mut wire: &[u8], decoder: &mut Decoder, mut sink: impl FnMut(Run)) {
    while !wire.is_empty() {
        let mut room = decoder.read_buffer();
        let n = wire.len().min(room.remaining_mut());
        room.put_slice(&wire[..n]);
        wire.advance(n);
        decoder.handle_read();
        while let Some(Item::Run(run)) = decoder.decode().expect("a well-formed stream") {
            sink(run);
        }
    }
}

/// Shows pieces to a writer, 64 at a time.
fn show<'a>(pieces: impl IntoIterator<Item = &'a (impl AsRef<[u8]> + ?Sized + 'a)>) -> usize {
    let mut pieces = pieces.into_iter();
    let mut octets = 0;
    loop {
        let mut slices = [IoSlice::new(&[]); 64];
        let mut n = 0;
        for (slice, piece) in slices.iter_mut().zip(&mut pieces) {
            *slice = IoSlice::new(piece.as_ref());
            octets += piece.as_ref().len();
            n += 1;
        }
        black_box(&slices[..n]);
        if n < slices.len() {
            return octets;
        }
    }
}

/// How `Decoder` sizes its read buffer, when it asks for more, and from where on a body has an allocation of its own.
const PAGE: usize = 64 << 10;
const MIN_READ: usize = 2 << 10;
const OWN_ALLOCATION: usize = 32 << 10;
/// A body of less is copied when a message is built; lists draw the line where `MessageBuilder` does.
const COPIED: usize = 4096;
const CASES: [Case; 8] = {
    const fn case(frames: usize, size: usize) -> Case {
        Case { frames, size }
    }
    [
        case(1, 16),
        case(1, 256),
        case(1, 4096),
        case(1, 65_536),
        case(4, 16),
        case(4, 256),
        case(4, 4096),
        case(4, 65_536),
    ]
};
