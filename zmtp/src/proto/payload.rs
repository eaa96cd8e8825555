//! One message on its way into a queue: what a socket's `send` takes.
//!
//! A sender seldom has a [`Message`]; it has a text, a buffer, or a few slices. A [`Payload`] writes itself into the
//! octets that a queue gathers, so a small message is copied once and allocates nothing. A large body that the sender
//! owns is not copied at all.

use bytes::{Bytes, BytesMut};

use super::{frame::Header, message::Message, page};

/// What can be sent as one message: a [`Message`], a [`Multipart`], or one frame that is a `&[u8]`, `&[u8; N]`, `&str`,
/// `&Vec<u8>`, `&String`, `Vec<u8>`, `String`, [`Bytes`] or [`BytesMut`].
///
/// Sealed: a queue relies on the octets being whole frames.
#[expect(private_bounds, reason = "sealed")]
pub trait Payload: Encode {}

impl<P: Encode> Payload for P {}

/// What a queue needs of a [`Payload`].
pub(crate) trait Encode: Sized {
    /// Whether the octets belong to somebody else, so that even a large body has to be copied.
    const BORROWED: bool;

    /// Octets on the wire, headers included.
    fn octets(&self) -> usize;

    /// The body of the first frame: what a PUB looks at.
    fn topic(&self) -> &[u8];

    /// Appends the frames, exactly [`octets`](Self::octets) of them.
    fn encode(&self, to: &mut BytesMut);

    /// The message; a large body that is owned is not copied.
    fn into_message(self) -> Message;
}

/// A message of several frames, borrowed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zmtp::{Multipart, Options, Push};
///
/// let push = Push::new(Options::new());
/// push.connect("memory://multipart-example")?;
/// push.send(Multipart(&["topic", "body"])).await?;
/// # Ok(())
/// # }
/// ```
///
/// A message has at least one frame: one without frames is sent as a frame without octets.
#[derive(Debug, Clone, Copy)]
pub struct Multipart<'a, F>(pub &'a [F]);

impl<F: AsRef<[u8]>> Encode for Multipart<'_, F> {
    const BORROWED: bool = true;

    #[inline]
    fn octets(&self) -> usize {
        self.0.iter().map(|frame| frame_octets(frame.as_ref())).sum::<usize>().max(Header::SHORT)
    }

    #[inline]
    fn topic(&self) -> &[u8] {
        self.0.first().map(AsRef::as_ref).unwrap_or_default()
    }

    #[inline]
    fn encode(&self, to: &mut BytesMut) {
        let Some((last, others)) = self.0.split_last() else { return put_frame(to, &[], false) };
        others.iter().for_each(|frame| put_frame(to, frame.as_ref(), true));
        put_frame(to, last.as_ref(), false);
    }

    fn into_message(self) -> Message {
        copy(&self)
    }
}

impl<F: AsRef<[u8]>> From<Multipart<'_, F>> for Message {
    /// A copy, in memory of its own.
    fn from(frames: Multipart<'_, F>) -> Self {
        copy(&frames)
    }
}

impl Encode for Message {
    const BORROWED: bool = false;

    #[inline]
    fn octets(&self) -> usize {
        self.octets()
    }

    #[inline]
    fn topic(&self) -> &[u8] {
        self.frame(0).unwrap_or_default()
    }

    #[inline]
    fn encode(&self, to: &mut BytesMut) {
        self.chunks().for_each(|chunk| to.extend_from_slice(chunk));
    }

    fn into_message(self) -> Message {
        self
    }
}

macro_rules! one_frame {
    ($(($type:ty, borrowed: $borrowed:literal, $into_message:expr)),* $(,)?) => {$(
        impl Encode for $type {
            const BORROWED: bool = $borrowed;

            #[inline]
            fn octets(&self) -> usize {
                frame_octets(self.as_ref())
            }

            #[inline]
            fn topic(&self) -> &[u8] {
                self.as_ref()
            }

            #[inline]
            fn encode(&self, to: &mut BytesMut) {
                put_frame(to, self.as_ref(), false);
            }

            fn into_message(self) -> Message {
                $into_message(self)
            }
        }
    )*};
}

one_frame!(
    (&[u8], borrowed: true, |octets| copy(&octets)),
    (&str, borrowed: true, |text: &str| copy(&text.as_bytes())),
    (&Vec<u8>, borrowed: true, |octets: &Vec<u8>| copy(&octets.as_slice())),
    (&String, borrowed: true, |text: &String| copy(&text.as_bytes())),
    (Vec<u8>, borrowed: false, Message::from),
    (String, borrowed: false, Message::from),
    (Bytes, borrowed: false, Message::from),
    (BytesMut, borrowed: false, Message::from),
);

impl<const N: usize> Encode for &[u8; N] {
    const BORROWED: bool = true;

    #[inline]
    fn octets(&self) -> usize {
        frame_octets(*self)
    }

    #[inline]
    fn topic(&self) -> &[u8] {
        *self
    }

    #[inline]
    fn encode(&self, to: &mut BytesMut) {
        put_frame(to, *self, false);
    }

    fn into_message(self) -> Message {
        copy(&self.as_slice())
    }
}

/// A message in memory of its own.
fn copy(payload: &impl Encode) -> Message {
    let size = payload.octets();
    let mut octets = page::take_large(size).unwrap_or_else(|| BytesMut::with_capacity(size));
    payload.encode(&mut octets);
    Message::from_chunks(page::freeze_large(octets).into())
}

#[inline]
fn frame_octets(body: &[u8]) -> usize {
    body.len() + if body.len() <= Header::MAX_SHORT { Header::SHORT } else { Header::LONG }
}

#[inline]
fn put_frame(to: &mut BytesMut, body: &[u8], more: bool) {
    let (header, n) = Header::message(body.len(), more).encode();
    // Of a length that the compiler knows, it takes one instruction to store.
    match header.first_chunk::<{ Header::SHORT }>().filter(|_| n == Header::SHORT) {
        Some(short) => to.extend_from_slice(short),
        None => to.extend_from_slice(&header),
    }
    to.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(payload: impl Encode, frames: &[&[u8]]) {
        let mut octets = BytesMut::new();
        payload.encode(&mut octets);
        assert_eq!(octets.len(), payload.octets());
        assert_eq!(payload.topic(), frames[0]);
        let message = payload.into_message();
        assert_eq!(message.frames().collect::<Vec<_>>(), frames);
        assert_eq!(message.chunks().flat_map(|c| c.to_vec()).collect::<Vec<_>>(), octets);
    }

    #[test]
    fn each_kind_is_the_same_octets() {
        let lens: &[usize] = if cfg!(miri) { &[0, 255, 256, 5000] } else { &[0, 1, 255, 256, 5000, 100_000] };
        for &len in lens {
            let body = vec![b'x'; len];
            let text = String::from_utf8(body.clone()).unwrap();
            let frames: &[&[u8]] = &[&body];
            check(body.as_slice(), frames);
            check(text.as_str(), frames);
            check(&body, frames);
            check(&text, frames);
            check(body.clone(), frames);
            check(text.clone(), frames);
            check(Bytes::from(body.clone()), frames);
            check(BytesMut::from(body.as_slice()), frames);
            check(Message::from(body.clone()), frames);
            check(Multipart(&[&body[..], b"", b"end"]), &[&body, b"", b"end"]);
        }
        check(b"octets", &[b"octets"]);
        check(Multipart::<&str>(&[]), &[b""]);
    }
}
