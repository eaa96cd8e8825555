//! The talk between a peer and the driver, in lines.
//!
//! ```text
//! to the driver   listening   the socket that binds has bound
//!                 connected   each receiving socket has had a message of each sender
//!                 done        each message has been received
//!                 stalled     no message has been received for a while, and some are missing
//!                 failed      why, is on its standard error; it awaits the end
//!                 {…}         the report, as JSON
//! from it         go          warmed up: the clock starts
//!                 end         report and exit
//! ```
//!
//! A peer does not close its sockets: it keeps them until it is told to end, and ends at once. So nothing depends on
//! how a library flushes and lingers, and a stalled peer can report how far it came.

use std::io::{self, BufRead, Write};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{process, thread};

use crate::report::{self, Report};
use crate::work::{Role, Work};

/// This process's state, shared by all its threads.
#[derive(Debug, Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    go: AtomicBool,
    done: AtomicBool,
    connected: AtomicUsize,
    finished: AtomicUsize,
    tallies: Vec<Arc<Tally>>,
    receives: bool,
    /// It has something to work out when all has come, and says itself when that is done.
    ends_itself: bool,
    expected: u64,
    sum: u64,
    clocks: Mutex<Clocks>,
}

#[derive(Debug, Default)]
struct Clocks {
    began: u64,
    cpu_before: u64,
    /// When all was received, and the CPU time until then.
    ended: Option<(u64, u64)>,
    round_trip: Option<[u64; 2]>,
}

/// What one socket has received; aligned so that sockets on different threads don't share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tally {
    /// Messages, warm-ups and foreign ones not counted.
    pub received: AtomicU64,
    /// The numbers of all of them, added up without regard to overflow.
    pub sum: AtomicU64,
    /// See [`Report::out_of_order`].
    pub out_of_order: AtomicU64,
    /// See [`Report::foreign`].
    pub foreign: AtomicU64,
}

impl Control {
    /// For a process that does this.
    pub fn new(work: &Work) -> Self {
        let shared = Shared {
            go: AtomicBool::new(false),
            done: AtomicBool::new(false),
            connected: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            tallies: (0..work.sockets).map(|_| Arc::default()).collect(),
            receives: matches!(work.role, Role::Pull | Role::Sub | Role::Ping),
            ends_itself: work.role == Role::Ping,
            expected: work.expected(),
            sum: work.sum_of_numbers(),
            clocks: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Listens to the driver from now on, on a thread of its own, which ends the process.
    pub fn obey(&self) {
        let control = self.clone();
        thread::spawn(move || {
            for line in io::stdin().lock().lines() {
                match line.as_deref() {
                    Ok("go") => {
                        control.start();
                        if control.shared.receives {
                            let control = control.clone();
                            thread::spawn(move || control.watch());
                        }
                    }
                    Ok("end") => {
                        let report = serde_json::to_string(&control.report()).unwrap_or_default();
                        say(&report);
                        process::exit(0);
                    }
                    _ => break,
                }
            }
            // The driver is gone.
            process::exit(1);
        });
    }

    /// Tells the driver that the socket others connect to is there.
    pub fn listening(&self) {
        say("listening");
    }

    /// Tells the driver that nothing more will come, and awaits the end.
    pub fn fail(&self) -> ! {
        say("failed");
        loop {
            thread::park();
        }
    }

    /// Whether the clock runs.
    pub fn going(&self) -> bool {
        self.shared.go.load(Acquire)
    }

    /// Notes the moment in which the first socket begins to send.
    pub fn begin(&self) {
        let mut clocks = self.clocks();
        if clocks.began == 0 {
            clocks.began = report::now();
        }
    }

    /// Notes the round trips of a ping.
    pub fn note_round_trip(&self, median_and_99th: [u64; 2]) {
        self.clocks().round_trip = Some(median_and_99th);
    }

    /// One more socket has a connection that works.
    pub fn socket_connected(&self) {
        if self.shared.connected.fetch_add(1, Relaxed) + 1 == self.shared.tallies.len() {
            say("connected");
        }
    }

    /// One more socket has received all its messages.
    pub fn socket_done(&self) {
        if self.shared.finished.fetch_add(1, Relaxed) + 1 == self.shared.tallies.len() {
            self.finish();
        }
    }

    /// Whether all sockets together have received everything.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.shared.done.load(Relaxed)
    }

    /// The counters of a socket.
    pub(crate) fn tally(&self, socket: u16) -> Arc<Tally> {
        Arc::clone(&self.shared.tallies[usize::from(socket)])
    }

    /// The account as it stands.
    pub fn report(&self) -> Report {
        let tallies = &self.shared.tallies;
        let total = |count: fn(&Tally) -> &AtomicU64| {
            tallies.iter().fold(0, |sum: u64, tally| sum.wrapping_add(count(tally).load(Relaxed)))
        };
        let received = total(|tally| &tally.received);
        let clocks = self.clocks();
        let (ended, cpu) = clocks.ended.unwrap_or_else(|| (report::now(), report::cpu()));
        Report {
            began: clocks.began,
            ended,
            cpu: cpu.saturating_sub(clocks.cpu_before),
            peak_rss: report::peak_rss(),
            received,
            out_of_order: total(|tally| &tally.out_of_order),
            foreign: total(|tally| &tally.foreign),
            complete: received == self.shared.expected && total(|tally| &tally.sum) == self.shared.sum,
            round_trip: clocks.round_trip,
        }
    }

    /// Sees when several sockets have received everything together, which none of them knows, and when nothing comes any
    /// more. It looks after half the time that is left at the pace so far, so that it sees the end soon and costs nothing
    /// until then.
    fn watch(&self) {
        let start = Instant::now();
        let mut last = (0, start);
        while !self.is_done() {
            // What a socket has counted before it counted a message is visible, too.
            let received: u64 = self.shared.tallies.iter().map(|tally| tally.received.load(Acquire)).sum();
            let missing = self.shared.expected.saturating_sub(received);
            if missing == 0 {
                if !self.shared.ends_itself {
                    self.finish();
                }
                return;
            }
            if received > last.0 {
                last = (received, Instant::now());
            } else if last.1.elapsed() > SILENCE {
                return say("stalled");
            }
            let left = start.elapsed().as_secs_f64() * missing as f64 / received.max(1) as f64;
            thread::sleep(Duration::from_secs_f64(left / 2.0).clamp(LOOK_AFTER, LOOK_WITHIN));
        }
    }

    fn start(&self) {
        self.clocks().cpu_before = report::cpu();
        self.shared.go.store(true, Release);
    }

    #[cold]
    fn finish(&self) {
        let end = (report::now(), report::cpu());
        if !self.shared.done.swap(true, Relaxed) {
            self.clocks().ended = Some(end);
            say("done");
        }
    }

    fn clocks(&self) -> MutexGuard<'_, Clocks> {
        self.shared.clocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    // A driver that no longer listens has gone, and this process ends by the end of its input.
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// For how long nothing comes from a library that has lost messages. Longer than Linux waits between the second attempt and
/// the third at a connection for which there was no room (4 s, after 1 s and 2 s), which is no loss.
const SILENCE: Duration = Duration::from_secs(5);

/// Between looks at how much has been received, at least: a few thousandths of a short turn.
const LOOK_AFTER: Duration = Duration::from_micros(200);

/// And at most: the pace of the first messages tells little of that of the others, and a short turn is over in 50 ms.
const LOOK_WITHIN: Duration = Duration::from_millis(5);
