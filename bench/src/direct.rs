//! One hop without a daemon: how long a message takes from one end of a connection to the other.
//!
//! This much of what a message takes through a daemon is not the daemon's doing. One thread writes, another on its own CPU
//! is woken and reads, and both read the same clock.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use crate::cpus::Confined;

/// Microseconds from write to read for each of so many messages of `wire`, one at a time by TCP. The calling thread writes;
/// the one that reads is confined to the `nth` CPU.
pub(crate) fn times(wire: &[u8], messages: u64, nth: usize) -> io::Result<Vec<f64>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (mut far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let _confined = Confined::to_one(nth)?;
            let mut buffer = vec![0; wire.len()];
            let mut arrivals = Vec::new();
            for _ in 0..messages {
                far.read_exact(&mut buffer)?;
                arrivals.push(Instant::now());
                far.write_all(&[0])?;
            }
            Ok::<_, io::Error>(arrivals)
        });
        let mut starts = Vec::new();
        for _ in 0..messages {
            starts.push(Instant::now());
            near.write_all(wire)?;
            near.read_exact(&mut [0])?;
        }
        let arrivals = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let hops = starts.into_iter().zip(arrivals);
        Ok(hops.map(|(start, end)| end.saturating_duration_since(start).as_nanos() as f64 / 1e3).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_a_time() {
        let times = times(&[7; 300], 20, 0).unwrap();
        assert_eq!(times.len(), 20);
        assert!(times.iter().all(|&time| time > 0.0), "{times:?}");
    }
}
