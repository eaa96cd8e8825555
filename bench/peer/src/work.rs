//! The command line of a peer: the role it plays and the messages of the turn.

use std::fmt;
use std::str::FromStr;

use clap::{Args, ValueEnum};

/// What one process of a turn has to do.
#[derive(Debug, Clone, Args)]
pub struct Work {
    /// What to be
    pub role: Role,
    /// Where messages go: tcp://IPV4:PORT or ipc://PATH
    #[arg(long)]
    pub addr: String,
    /// Where they come back, for ping and pong
    #[arg(long, default_value = "")]
    pub back: String,
    /// Octets of each part: one figure for all, or one for each, as in 32,20,4
    #[arg(long, default_value = "64")]
    pub size: Sizes,
    /// Parts of a message, if there is one size for all
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub parts: u32,
    /// Messages of the turn, all senders together; round trips for ping
    #[arg(long, default_value_t = 100_000)]
    pub count: u64,
    /// Sockets of this process, each of which connects to the one socket of the other; for churn, so many at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub sockets: u16,
    /// Sockets of the other process that connect to the one of this
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub peers: u16,
    /// For push and pull: the push binds, and the pull connects
    #[arg(long)]
    pub reverse: bool,
}

/// Octets of parts; the first has room for the message's number, eight octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes(Vec<u64>);

/// One side of a pair of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// PUSH that sends; connects
    Push,
    /// PULL that receives and checks; binds
    Pull,
    /// PUB that sends; binds
    Pub,
    /// SUB to everything that receives and checks; connects
    Sub,
    /// Sends by a PUSH that connects, awaits the answer at a PULL that binds to the place of return, and times it
    Ping,
    /// Returns each message; its PULL binds, its PUSH connects to the place of return
    Pong,
    /// For each message a PUSH of its own that connects, sends it and closes; a pull is the other side
    Churn,
}

impl Work {
    /// Octets of each part of a message.
    pub fn sizes(&self) -> Vec<u64> {
        match self.size.0[..] {
            [size] => vec![size; self.parts as usize],
            _ => self.size.0.clone(),
        }
    }

    /// Sockets that send, in the whole turn.
    pub fn senders(&self) -> u64 {
        match self.role {
            Role::Push => self.sockets.into(),
            Role::Pull => self.peers.into(),
            Role::Churn => self.count,
            Role::Pub | Role::Sub | Role::Ping | Role::Pong => 1,
        }
    }

    /// Messages of each sender.
    pub fn share(&self) -> u64 {
        self.count.checked_div(self.senders()).unwrap_or(0)
    }

    /// Messages that this process's sockets receive together: each SUB receives all.
    pub fn expected(&self) -> u64 {
        let all = self.share() * self.senders();
        if self.role == Role::Sub { all * u64::from(self.sockets) } else { all }
    }

    /// What the numbers of all messages received add up to, without regard to overflow; each sender counts from 0.
    pub fn sum_of_numbers(&self) -> u64 {
        let share = u128::from(self.share());
        let series = u128::from(self.expected()) / share.max(1);
        let sum = series * (share * share.saturating_sub(1) / 2);
        (sum & u128::from(u64::MAX)) as u64
    }
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes: Option<Vec<u64>> = text.split(',').map(|size| size.parse().ok()).collect();
        let fits = |sizes: &Vec<u64>| sizes[0] >= 8 && sizes.len() <= 64 && sizes.iter().all(|&size| size <= 1 << 30);
        sizes.filter(fits).map(Self).ok_or_else(|| "give up to 64 sizes, of which the first is at least 8".to_owned())
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<_> = self.0.iter().map(u64::to_string).collect();
        f.write_str(&sizes.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(role: Role, sockets: u16, peers: u16) -> Work {
        let (addr, back) = (String::new(), String::new());
        Work { role, addr, back, size: Sizes(vec![64]), parts: 1, count: 1000, sockets, peers, reverse: false }
    }

    #[test]
    fn both_sides_agree_on_who_sends_how_much() {
        for (sender, receiver, share, expected) in [
            (work(Role::Push, 1, 1), work(Role::Pull, 1, 1), 1000, 1000),
            (work(Role::Push, 3, 1), work(Role::Pull, 1, 3), 333, 999),
            (work(Role::Push, 1, 4), work(Role::Pull, 4, 1), 1000, 1000),
            (work(Role::Pub, 1, 4), work(Role::Sub, 4, 1), 1000, 4000),
            (work(Role::Churn, 8, 1), work(Role::Pull, 1, 1000), 1, 1000),
        ] {
            assert_eq!((sender.share(), receiver.share()), (share, share));
            assert_eq!(receiver.expected(), expected);
            let numbers = (0..share).sum::<u64>() * (expected / share);
            assert_eq!(receiver.sum_of_numbers(), numbers);
        }
    }

    #[test]
    fn sizes_are_for_all_parts_or_for_each() {
        let of = |text: &str, parts| Work { size: text.parse().unwrap(), parts, ..work(Role::Push, 1, 1) }.sizes();
        assert_eq!(of("64", 3), [64, 64, 64]);
        assert_eq!(of("32,20,4,256", 1), [32, 20, 4, 256]);
        assert_eq!("32,20".parse::<Sizes>().unwrap().to_string(), "32,20");
        assert!(["", "7", "8,", "8,-1", "8,99999999999"].iter().all(|text| text.parse::<Sizes>().is_err()));
    }
}
