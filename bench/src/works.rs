//! What the libraries are compared at: sockets, transport and messages of a turn.

use std::fmt;

/// One work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Work {
    /// Who sends to whom.
    pub(crate) pattern: Pattern,
    /// By what.
    pub(crate) transport: Transport,
    /// Octets of each part of a message.
    pub(crate) parts: &'static [u64],
}

/// Sockets of a turn; one process has those that send, the other those that receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// So many PUSH, each connected to the one PULL.
    FanIn(u16),
    /// One PUSH, to which so many PULL connect.
    FanOut(u16),
    /// One PUB, to which so many SUB connect; each receives all.
    Publish(u16),
    /// PUSH there and PUSH back, one message at a time.
    RoundTrip,
    /// A PUSH for each message, so many at a time, to one PULL.
    Churn(u16),
    /// The same, but what connects are bare sockets of the driver, so that the PULL alone counts.
    Visit(u16),
    /// So many connections to one PULL, on which nothing happens.
    Idle(u16),
}

/// How processes are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// TCP on loopback.
    Tcp,
    /// A Unix socket.
    Ipc,
}

/// What the driver has to see to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// Two processes that send and receive.
    Pair(Cast),
    /// One process that does this, to which so many bare sockets connect at a time.
    Visit(Vec<String>, u16),
    /// One process with so many connections.
    Idle(u16),
}

/// The command lines of a work's two processes, but for addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cast {
    /// The one that must be there first.
    pub(crate) binds: Vec<String>,
    /// The other.
    pub(crate) connects: Vec<String>,
    /// Whether the one that binds receives, or times.
    pub(crate) binder_tells: bool,
}

impl Work {
    /// What there is to do with `count` messages.
    pub(crate) fn task(&self, count: u64) -> Task {
        let sizes: Vec<_> = self.parts.iter().map(u64::to_string).collect();
        let (sizes, count) = (sizes.join(","), count.to_string());
        let role = |words: &[&str]| {
            let all = words.iter().copied().chain(["--size", &sizes, "--count", &count]);
            all.map(str::to_owned).collect()
        };
        let (binds, connects, binder_tells) = match self.pattern {
            Pattern::FanIn(n) => {
                let n = n.to_string();
                (role(&["pull", "--peers", &n]), role(&["push", "--sockets", &n]), true)
            }
            Pattern::FanOut(n) => {
                let n = n.to_string();
                (role(&["push", "--reverse", "--peers", &n]), role(&["pull", "--reverse", "--sockets", &n]), false)
            }
            Pattern::Publish(n) => {
                let n = n.to_string();
                (role(&["pub", "--peers", &n]), role(&["sub", "--sockets", &n]), false)
            }
            Pattern::RoundTrip => (role(&["pong"]), role(&["ping"]), false),
            Pattern::Churn(n) => {
                (role(&["pull", "--peers", &count]), role(&["churn", "--sockets", &n.to_string()]), true)
            }
            Pattern::Visit(n) => return Task::Visit(role(&["pull", "--peers", &count]), n),
            Pattern::Idle(n) => return Task::Idle(n),
        };
        Task::Pair(Cast { binds, connects, binder_tells })
    }

    /// Whether there are connections before the clock starts.
    pub(crate) fn warms_up(&self) -> bool {
        !matches!(self.pattern, Pattern::Churn(_))
    }

    /// Whether plain sockets, which have no handshake, can do it.
    pub(crate) fn suits_limits(&self) -> bool {
        !matches!(self.pattern, Pattern::Churn(_) | Pattern::Visit(_) | Pattern::Idle(_))
    }

    /// Whether it is its time that counts, not its rate.
    pub(crate) fn is_round_trip(&self) -> bool {
        self.pattern == Pattern::RoundTrip
    }

    /// Whether it is what a connection costs that counts.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.pattern, Pattern::Idle(_))
    }

    /// The next larger number of messages that every sender can have the same share of, or as many as there may be.
    pub(crate) fn rounded(&self, count: u64) -> u64 {
        match self.pattern {
            Pattern::FanIn(n) => count.next_multiple_of(u64::from(n)),
            Pattern::Churn(_) | Pattern::Visit(_) => count.min(MOST_CONNECTIONS),
            _ => count,
        }
    }

    /// Messages received if `count` are sent.
    pub(crate) fn received(&self, count: u64) -> u64 {
        match self.pattern {
            Pattern::Publish(n) => count * u64::from(n),
            _ => count,
        }
    }

    /// Messages to begin with: a twentieth of what libzmq does in a second, or less.
    pub(crate) fn first_count(&self) -> u64 {
        let octets: u64 = self.parts.iter().sum();
        let copies = match self.pattern {
            Pattern::FanIn(_) | Pattern::FanOut(_) => 1,
            Pattern::Publish(n) => u64::from(n),
            Pattern::RoundTrip => return 2_000,
            Pattern::Churn(_) | Pattern::Visit(_) => return 500,
            Pattern::Idle(_) => return 1,
        };
        (60_000_000 / (octets + 600) / copies).max(40)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pattern {
            Pattern::FanIn(1) => f.write_str("PUSH to PULL")?,
            Pattern::FanIn(n) => write!(f, "{n} PUSH to 1 PULL")?,
            Pattern::FanOut(n) => write!(f, "1 PUSH to {n} PULL")?,
            Pattern::Publish(n) => write!(f, "PUB to {n} SUB")?,
            Pattern::RoundTrip => f.write_str("round trip")?,
            Pattern::Churn(n) => write!(f, "{n} one-message PUSH at a time")?,
            Pattern::Visit(n) => write!(f, "{n} one-message bare sockets at a time")?,
            Pattern::Idle(n) => write!(f, "{n} idle connections to 1 PULL")?,
        }
        f.write_str(match self.transport {
            Transport::Tcp => ", tcp",
            Transport::Ipc => ", ipc",
        })?;
        if self.is_idle() {
            return Ok(());
        }
        match self.parts {
            [size] => write!(f, ", {}", Size(*size)),
            parts => {
                let sizes: Vec<_> = parts.iter().map(u64::to_string).collect();
                write!(f, ", {} parts ({} B)", parts.len(), sizes.join(", "))
            }
        }
    }
}

/// Octets as one says them.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            size if size.is_multiple_of(1 << 20) => write!(f, "{} MiB", size >> 20),
            size if size.is_multiple_of(1 << 10) => write!(f, "{} KiB", size >> 10),
            size => write!(f, "{size} B"),
        }
    }
}

/// All works, in the order of the report.
pub(crate) fn all() -> Vec<Work> {
    use Pattern::{Churn, FanIn, FanOut, Idle, Publish, RoundTrip, Visit};
    use Transport::{Ipc, Tcp};
    let mut works = Vec::new();
    let mut add = |pattern, transport, parts| works.push(Work { pattern, transport, parts });
    for transport in [Tcp, Ipc] {
        for size in SIZES {
            add(FanIn(1), transport, size);
        }
        add(FanIn(1), transport, PARTS);
    }
    add(FanIn(4), Tcp, &[256]);
    add(FanIn(64), Tcp, &[256]);
    add(FanOut(4), Tcp, &[256]);
    add(Publish(1), Tcp, &[256]);
    add(Publish(4), Tcp, &[256]);
    add(Publish(32), Tcp, &[256]);
    add(RoundTrip, Tcp, &[64]);
    add(RoundTrip, Ipc, &[64]);
    add(Visit(8), Tcp, &[64]);
    add(Visit(256), Tcp, &[64]);
    add(Churn(8), Tcp, &[64]);
    add(Churn(256), Tcp, &[64]);
    add(Idle(500), Tcp, &[64]);
    works
}

/// Octets of messages of one part.
const SIZES: [&[u64]; 8] = [&[16], &[64], &[256], &[1 << 10], &[4 << 10], &[16 << 10], &[64 << 10], &[1 << 20]];

/// A message of several parts, such as an oslo driver's: its id, a topic, a style, a small body.
const PARTS: &[u64] = &[32, 20, 4, 256];

/// Connections of a turn: a port of the client stays taken for a minute after each (tcp(7), TIME_WAIT), and of the 28,000
/// that Linux gives away, none may be in use twice.
const MOST_CONNECTIONS: u64 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_are_told_apart_by_their_names() {
        let mut names: Vec<_> = all().iter().map(Work::to_string).collect();
        assert_eq!(names[0], "PUSH to PULL, tcp, 16 B");
        assert!(
            names.contains(&"PUSH to PULL, tcp, 4 parts (32, 20, 4, 256 B)".to_owned())
                && names.contains(&"PUB to 4 SUB, tcp, 256 B".to_owned())
        );
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn every_cast_is_understood_by_the_peers() {
        use clap::Parser;

        #[derive(Debug, Parser)]
        struct Cli {
            #[command(flatten)]
            work: peer::Work,
        }
        for work in all() {
            let (binds, connects) = match work.task(work.first_count()) {
                Task::Pair(Cast { binds, connects, .. }) => (binds, connects),
                Task::Visit(binds, _) => (binds.clone(), binds),
                Task::Idle(_) => continue,
            };
            let parsed = [binds, connects].map(|words| {
                let words = ["peer".to_owned(), "--addr=tcp://127.0.0.1:1".to_owned()].into_iter().chain(words);
                Cli::try_parse_from(words).unwrap().work
            });
            let [bound, connected] = &parsed;
            assert_eq!((&bound.sizes()[..], bound.sockets), (work.parts, 1), "{work}");
            assert_eq!((bound.senders(), bound.share()), (connected.senders(), connected.share()), "{work}");
        }
    }
}
