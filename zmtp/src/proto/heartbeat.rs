//! Whether a silent peer is still there: PING, PONG and the ttl (RFC 37, Connection Heartbeating).
//!
//! Pure in `Instant`, and no clock is asked when octets come: the connection counts its reads, and a watch that runs out
//! compares the count with the one that it began with. So a message costs nothing. Any octet is a sign of life, not only
//! a whole frame as in libzmq: a large message on a slow link is no silence.

use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};

use super::{command, error::ProtocolError};

/// When to ask a peer whether it is there, and when to give it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeats {
    /// From one PING to the next (libzmq: `ZMQ_HEARTBEAT_IVL`). Zero: none is sent.
    pub interval: Duration,
    /// A peer of which nothing has come for so long after a PING is gone (`ZMQ_HEARTBEAT_TIMEOUT`).
    pub timeout: Duration,
    /// After how long without an octet of ours the peer may take us for gone (`ZMQ_HEARTBEAT_TTL`). Zero: it is told no
    /// time. Travels in tenths of a second, rounded up, 65.5 s at most: libzmq misreads more and cuts the connection at
    /// once (libzmq #4226).
    pub ttl: Duration,
}

/// One connection's heartbeats, ours and what the peer's ask for.
#[derive(Debug, Default)]
pub(crate) struct Heartbeat {
    ours: Option<Heartbeats>,
    next_ping: Option<Instant>,
    pings: u32,
    /// For an answer to our PING.
    answer: Option<Watch>,
    /// Within this time the peer lets itself be heard, it says; zero: it has not said.
    promise: Duration,
    promised: Option<Watch>,
    /// Something begins as soon as the time is known.
    due: bool,
}

/// What a connection has read and written so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signs {
    pub(crate) reads: u32,
    pub(crate) writes: u32,
    /// A PING of ours is not written yet.
    pub(crate) ping_waits: bool,
}

/// Ends the connection unless there is a sign of life until then.
#[derive(Debug, Clone, Copy)]
struct Watch {
    until: Instant,
    since: Signs,
}

impl Heartbeat {
    pub(crate) fn new(ours: Heartbeats) -> Self {
        Self { ours: Some(ours).filter(|ours| !ours.interval.is_zero()), ..Self::default() }
    }

    /// The handshake is over.
    pub(crate) fn start(&mut self) {
        self.due = self.ours.is_some();
    }

    /// The peer sent a PING with this ttl, in tenths of a second.
    pub(crate) fn handle_ping(&mut self, ttl: u16) {
        self.promise = UNIT * u32::from(ttl);
        match ttl {
            0 => self.promised = None,
            _ => self.due |= self.promised.is_none(),
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); `past` stands for "at once".
    pub(crate) fn poll_timeout(&self, past: Instant) -> Option<Instant> {
        let watches = [self.answer, self.promised].map(|watch| watch.map(|watch| watch.until));
        self.due.then_some(past).or_else(|| watches.into_iter().chain([self.next_ping]).flatten().min())
    }

    /// Time has passed. The PING that is to be sent now, a whole frame.
    ///
    /// # Errors
    /// The peer is gone.
    pub(crate) fn handle_timeout(&mut self, now: Instant, signs: Signs) -> Result<Option<Bytes>, ProtocolError> {
        self.due = false;
        self.check_promise(now, signs)?;
        let Some(ours) = self.ours else { return Ok(None) };
        self.check_answer(now, signs, ours.timeout)?;
        if self.next_ping.is_some_and(|at| now < at) {
            return Ok(None);
        }
        let first = self.next_ping.replace(later(now, ours.interval)).is_none();
        // One that has not left stands for all: a peer that reads nothing gets no queue of them.
        if first || signs.ping_waits {
            return Ok(None);
        }
        if self.answer.is_none_or(|watch| watch.since.reads != signs.reads) {
            self.answer = Some(Watch::new(now, ours.timeout, signs));
        }
        self.pings = self.pings.wrapping_add(1);
        Ok(Some(ping(ours.ttl, &self.pings.to_be_bytes())))
    }

    /// What was heard within a time proves the peer alive for the next one: it is given up between one and two ttls after
    /// its last octet.
    fn check_promise(&mut self, now: Instant, signs: Signs) -> Result<(), ProtocolError> {
        if self.promise.is_zero() || self.promised.is_some_and(|watch| now < watch.until) {
            return Ok(());
        }
        if self.promised.is_some_and(|watch| watch.since.reads == signs.reads) {
            return Err(ProtocolError::Silent { millis: self.promise.as_millis(), since: "as its ttl allows" });
        }
        self.promised = Some(Watch::new(now, self.promise, signs));
        Ok(())
    }

    fn check_answer(&mut self, now: Instant, signs: Signs, timeout: Duration) -> Result<(), ProtocolError> {
        let Some(watch) = self.answer.filter(|watch| now >= watch.until) else { return Ok(()) };
        // A PING behind a large message that the peer is still taking has not been asked yet.
        let busy = signs.ping_waits && watch.since.writes != signs.writes;
        if watch.since.reads == signs.reads && !busy {
            return Err(ProtocolError::Silent { millis: timeout.as_millis(), since: "after a PING" });
        }
        self.answer = busy.then(|| Watch::new(now, timeout, signs));
        Ok(())
    }
}

impl Watch {
    fn new(now: Instant, time: Duration, since: Signs) -> Self {
        Self { until: later(now, time), since }
    }
}

/// PING, a whole frame.
fn ping(ttl: Duration, context: &[u8]) -> Bytes {
    let units = ttl.as_millis().div_ceil(UNIT.as_millis()).min(MAX_TTL);
    let mut data = BytesMut::with_capacity(2 + context.len());
    data.put_u16(units as u16);
    data.put_slice(context);
    command::frame("PING", &data)
}

fn later(now: Instant, time: Duration) -> Instant {
    now.checked_add(time).unwrap_or(now + FAR)
}

/// RFC 37, PING: of a ttl.
const UNIT: Duration = Duration::from_millis(100);
/// The largest that libzmq reads right: it multiplies by 100 in 16 bits.
const MAX_TTL: u128 = 655;
/// Stands for "never" where a time can't be added to the clock: 30 years.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn heartbeat(interval: u32, timeout: u32, ttl: u32) -> Heartbeat {
        let mut heartbeat =
            Heartbeat::new(Heartbeats { interval: MS * interval, timeout: MS * timeout, ttl: MS * ttl });
        heartbeat.start();
        heartbeat
    }

    fn read(reads: u32) -> Signs {
        Signs { reads, writes: 0, ping_waits: false }
    }

    #[test]
    fn a_silent_peer_is_asked_at_each_interval_and_given_up_after_the_timeout() {
        // As libzmq, captured: PING at 200 and 400 ms, closed at 500.
        let mut heartbeat = heartbeat(200, 300, 1500);
        let t0 = Instant::now();
        let mut at = Vec::new();
        let mut now = t0;
        let end = loop {
            now = heartbeat.poll_timeout(now).unwrap();
            match heartbeat.handle_timeout(now, read(7)) {
                Ok(Some(ping)) => at.push(((now - t0).as_millis(), ping)),
                Ok(None) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(at.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [200, 400]);
        assert_eq!(&at[0].1[..], b"\x04\x0b\x04PING\x00\x0f\x00\x00\x00\x01");
        assert_eq!((end.reason(), (now - t0).as_millis()), ("heartbeat-timeout", 500));
    }

    #[test]
    fn any_octet_is_a_sign_of_life() {
        let mut heartbeat = heartbeat(200, 300, 0);
        let mut now = Instant::now();
        for reads in 0..50 {
            now = heartbeat.poll_timeout(now).unwrap();
            assert!(heartbeat.handle_timeout(now, read(reads / 2)).is_ok());
        }
    }

    #[test]
    fn a_ping_that_waits_behind_what_the_peer_is_taking_is_not_held_against_it() {
        let mut heartbeat = heartbeat(200, 300, 0);
        let mut now = Instant::now();
        let mut pings = 0;
        for writes in 0..20 {
            now = heartbeat.poll_timeout(now).unwrap();
            let signs = Signs { reads: 0, writes, ping_waits: pings > 0 };
            pings += usize::from(heartbeat.handle_timeout(now, signs).unwrap().is_some());
        }
        assert_eq!(pings, 1);
        let stuck = Signs { reads: 0, writes: 19, ping_waits: true };
        assert!((0..3).any(|_| {
            now = heartbeat.poll_timeout(now).unwrap();
            heartbeat.handle_timeout(now, stuck).is_err()
        }));
    }

    #[test]
    fn a_peer_is_held_to_its_latest_ttl() {
        let mut heartbeat = Heartbeat::default();
        let t0 = Instant::now();
        assert_eq!(heartbeat.poll_timeout(t0), None);
        heartbeat.handle_ping(656);
        assert_eq!(heartbeat.poll_timeout(t0), Some(t0), "at once");
        heartbeat.handle_timeout(t0, read(1)).unwrap();
        assert_eq!(heartbeat.poll_timeout(t0), Some(t0 + MS * 65_600), "not the 64 ms of libzmq");
        heartbeat.handle_ping(2);
        heartbeat.handle_timeout(t0 + MS * 65_600, read(2)).unwrap();
        let until = t0 + MS * 65_800;
        assert_eq!(heartbeat.poll_timeout(t0), Some(until));
        assert!(heartbeat.handle_timeout(until, read(2)).is_err());
        heartbeat.handle_ping(0);
        assert_eq!(heartbeat.poll_timeout(t0), None, "it takes its promise back");
    }

    #[test]
    fn a_ttl_is_told_in_tenths_of_a_second_and_never_too_large() {
        for (millis, units) in [(0, 0), (1, 1), (100, 1), (101, 2), (65_500, 655), (65_600, 655), (u32::MAX, 655)] {
            let frame = ping(MS * millis, b"");
            assert_eq!(&frame[7..9], u16::to_be_bytes(units), "{millis} ms");
        }
        let never = later(Instant::now(), Duration::MAX);
        assert!(never > Instant::now());
    }
}
