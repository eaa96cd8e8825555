//! Ports of the loopback interface for daemons that must be told theirs.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// No port was free.
#[derive(Debug, thiserror::Error)]
#[error("no port between {FIRST} and {LAST} is free on the loopback interface")]
pub struct NoFreePort {
    #[source]
    last: Option<io::Error>,
}

/// A port that nobody listens on, the same on all of 127.0.0.1 to 127.0.0.3, and given out once per process.
///
/// It lies below the range from which the kernel takes ports for outgoing connections, so no connection of another test
/// can take it before the daemon binds it. Another process may; the daemon's own error then says so.
pub fn free_port() -> Result<u16, NoFreePort> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time start at different places, mostly further apart than one of them takes ports.
    let start = u16::try_from(std::process::id().wrapping_mul(APART) % u32::from(COUNT)).unwrap_or_default();
    let mut last = None;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + step) % COUNT;
        match is_free(port) {
            Ok(()) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    Err(NoFreePort { last })
}

fn is_free(port: u16) -> io::Result<()> {
    for host in 1..=3 {
        TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), port))?;
    }
    Ok(())
}

/// Above the well-known services, below Linux's default range for outgoing connections (32768 and up).
const FIRST: u16 = 20_000;
const LAST: u16 = 31_999;
const COUNT: u16 = LAST - FIRST + 1;
/// How far apart two programs of neighbouring process ids start: no test program takes more ports.
const APART: u32 = 61;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_out_once() {
        let mut ports: Vec<_> = (0..50).map(|_| free_port().unwrap()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 50);
        assert!(ports.iter().all(|port| (FIRST..=LAST).contains(port)));
    }

    #[test]
    fn a_taken_port_is_passed_over() {
        let taken = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).unwrap();
        is_free(taken.local_addr().unwrap().port()).unwrap_err();
    }
}
