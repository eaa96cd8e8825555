//! Socket types: their names on the wire and which goes with which (RFC 37, The Socket Type Property).

use std::fmt;

/// A socket type of ZMTP. The sockets of this crate are the first four; the others are recognised in a peer's READY
/// so that the refusal can name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketType {
    /// RFC 30: deals messages out, round robin.
    Push,
    /// RFC 30: collects messages, fair-queued.
    Pull,
    /// RFC 29: copies messages to those who subscribed.
    Pub,
    /// RFC 29: subscribes and receives.
    Sub,
    /// PUB that sees subscriptions; goes with SUB.
    XPub,
    /// SUB that sends subscriptions as messages; goes with PUB.
    XSub,
    /// RFC 31.
    Pair,
    /// RFC 28.
    Req,
    /// RFC 28.
    Rep,
    /// RFC 28.
    Dealer,
    /// RFC 28.
    Router,
}

impl SocketType {
    /// The value of Socket-Type in READY.
    pub fn name(self) -> &'static str {
        match self {
            Self::Push => "PUSH",
            Self::Pull => "PULL",
            Self::Pub => "PUB",
            Self::Sub => "SUB",
            Self::XPub => "XPUB",
            Self::XSub => "XSUB",
            Self::Pair => "PAIR",
            Self::Req => "REQ",
            Self::Rep => "REP",
            Self::Dealer => "DEALER",
            Self::Router => "ROUTER",
        }
    }

    /// Reads a Socket-Type value; `None` for a type of no RFC.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name().as_bytes() == name)
    }

    /// Its number in a ZMTP 2.0 greeting (RFC 15). XPUB and XSUB are libzmq's: the RFC has them show PUB and SUB.
    pub fn code(self) -> u8 {
        match self {
            Self::Pair => 0,
            Self::Pub => 1,
            Self::Sub => 2,
            Self::Req => 3,
            Self::Rep => 4,
            Self::Dealer => 5,
            Self::Router => 6,
            Self::Pull => 7,
            Self::Push => 8,
            Self::XPub => 9,
            Self::XSub => 10,
        }
    }

    /// The type of a number in a ZMTP 2.0 greeting.
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.code() == code)
    }

    /// Whether a peer of type `peer` may talk to this one.
    pub fn goes_with(self, peer: Self) -> bool {
        matches!(
            (self, peer),
            (Self::Push, Self::Pull)
                | (Self::Pull, Self::Push)
                | (Self::Pub | Self::XPub, Self::Sub | Self::XSub)
                | (Self::Sub | Self::XSub, Self::Pub | Self::XPub)
                | (Self::Pair, Self::Pair)
                | (Self::Req, Self::Rep | Self::Router)
                | (Self::Rep, Self::Req | Self::Dealer)
                | (Self::Dealer, Self::Rep | Self::Dealer | Self::Router)
                | (Self::Router, Self::Req | Self::Dealer | Self::Router)
        )
    }

    const ALL: [Self; 11] = [
        Self::Push,
        Self::Pull,
        Self::Pub,
        Self::Sub,
        Self::XPub,
        Self::XSub,
        Self::Pair,
        Self::Req,
        Self::Rep,
        Self::Dealer,
        Self::Router,
    ];
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_symmetric() {
        for a in SocketType::ALL {
            for b in SocketType::ALL {
                assert_eq!(a.goes_with(b), b.goes_with(a), "{a} {b}");
            }
            assert_eq!(SocketType::parse(a.name().as_bytes()), Some(a));
        }
    }

    #[test]
    fn push_goes_with_pull_alone() {
        let partners: Vec<_> = SocketType::ALL.into_iter().filter(|t| SocketType::Push.goes_with(*t)).collect();
        assert_eq!(partners, [SocketType::Pull]);
        assert_eq!(SocketType::parse(b"pull"), None);
    }
}
