//! Memory for octets in transit: pages of one size, used again and again.
//!
//! Connections read into pages, and queues gather messages in them. A page is held only while there is something in it,
//! so thousands of silent connections cost no buffer; and under load the same few pages, which the CPU has in its cache,
//! go round without the allocator.
//!
//! Each thread keeps pages of its own. A page that messages still refer to is kept too, and used again once they are
//! gone. The same goes for the last few large bodies: the allocator would give memory of their size back to the system
//! and get it anew, page fault by page fault, for each of them.

use std::{cell::RefCell, thread::LocalKey};

use bytes::{Bytes, BytesMut};

thread_local! {
    static KEPT: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
    static LARGE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// Empty memory with room for at least `room` octets: a page, or the rest of one.
pub(crate) fn take(room: usize) -> BytesMut {
    let kept = find(&KEPT, |page| page.try_reclaim(SIZE) || page.capacity() >= room);
    kept.unwrap_or_else(|| BytesMut::with_capacity(SIZE.max(room)))
}

/// Gives back what [`take`] gave. What messages refer to stays as it is.
pub(crate) fn give_back(mut page: BytesMut) {
    page.clear();
    keep(&KEPT, page, MOST);
}

/// Empty memory for a body of `size` octets, if there is some at hand.
pub(crate) fn take_large(size: usize) -> Option<BytesMut> {
    find(&LARGE, |body| body.try_reclaim(size))
}

/// The octets as a slice; their memory is kept for the next large body.
pub(crate) fn freeze_large(mut octets: BytesMut) -> Bytes {
    let slice = octets.split().freeze();
    if (SIZE..=MAX_LARGE).contains(&slice.len()) {
        keep(&LARGE, octets, MOST_LARGE);
    }
    slice
}

/// The one kept last that will do: it is the most likely to be in the CPU's cache.
fn find(
    kept: &'static LocalKey<RefCell<Vec<BytesMut>>>,
    will_do: impl FnMut(&mut BytesMut) -> bool,
) -> Option<BytesMut> {
    // No thread-local is left while a thread ends.
    let found = kept.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        let at = kept.iter_mut().rev().position(will_do)?;
        let at = kept.len() - 1 - at;
        Some(kept.remove(at))
    });
    found.ok().flatten()
}

fn keep(kept: &'static LocalKey<RefCell<Vec<BytesMut>>>, octets: BytesMut, most: usize) {
    let _ = kept.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() >= most {
            kept.remove(0);
        }
        kept.push(octets);
    });
}

/// Octets of a page.
pub(crate) const SIZE: usize = 64 << 10;
/// Less room than this is not worth a read.
pub(crate) const WORTHWHILE: usize = 2 << 10;
/// Pages that a thread keeps: 1 MiB. Chosen together with the reads of a session's turn, not by itself: 8 pages and one
/// read, and 32 pages and four reads, were measured beside it and none of them was best at everything.
const MOST: usize = 16;
/// Large bodies that a thread keeps: one that is being used and one that comes.
const MOST_LARGE: usize = 2;
/// The largest that it keeps: a message of 1 MiB and its header, with as much again to spare.
const MAX_LARGE: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_page_is_used_and_then_the_page_again() {
        let mut page = take(1);
        page.extend_from_slice(b"message");
        let start = page.as_ptr();
        let message = page.split().freeze();
        give_back(page);
        let rest = take(WORTHWHILE);
        assert_eq!(rest.as_ptr(), start.wrapping_add(message.len()));
        give_back(rest);
        drop(message);
        let whole = take(SIZE);
        assert_eq!((whole.as_ptr(), whole.capacity()), (start, SIZE));
    }

    #[test]
    fn a_large_body_is_used_again_when_its_message_is_gone() {
        let mut body = BytesMut::with_capacity(1 << 20);
        body.resize(1 << 20, 1);
        let start = body.as_ptr();
        let message = freeze_large(body);
        assert!(take_large(1 << 20).is_none());
        drop(message);
        assert!(take_large(2 << 20).is_none(), "too small");
        assert_eq!(take_large(1 << 19).map(|body| body.as_ptr()), Some(start));
        assert!(take_large(1).is_none());
    }

    #[test]
    fn what_is_referred_to_is_not_written_again() {
        let messages: Vec<_> = (0..2 * MOST as u8)
            .map(|n| {
                let mut page = take(SIZE);
                page.resize(SIZE, n);
                let message = page.split().freeze();
                give_back(page);
                message
            })
            .collect();
        assert!(messages.iter().zip(0..).all(|(message, n)| message[..] == [n; SIZE]));
        assert!(KEPT.with_borrow(Vec::len) <= MOST);
    }
}
