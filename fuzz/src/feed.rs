//! Octets into a read buffer, with an eye on its size.

use bytes::{BufMut, BytesMut, buf::Limit};

/// Puts the next octets of `stream` where the kernel would, at most `most` of them.
///
/// # Panics
/// If there is no room, or more memory than the octets that came so far justify.
pub(crate) fn fill(mut room: Limit<&mut BytesMut>, stream: &mut &[u8], most: usize, came: usize) -> usize {
    let capacity = room.get_ref().capacity();
    assert!(capacity <= 2 * came + SPARE, "a buffer of {capacity} octets after {came}");
    assert!(room.remaining_mut() > 0, "no room to read into");
    let n = stream.len().min(most).min(room.remaining_mut());
    let (octets, rest) = stream.split_at(n);
    room.put_slice(octets);
    *stream = rest;
    n
}

/// What a buffer may have beyond twice the octets that came: a page, doubled by the allocator's growth, and the page
/// that is asked for when little of it is left.
const SPARE: usize = 3 * (64 << 10);
