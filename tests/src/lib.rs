//! The harness of the tests that need two parties: other programs, started, watched and ended.
//!
//! Nothing here is a test of the project; the tests are in `tests/tests`, one file per subject. Reading order:
//! [`loopback`] (free ports), [`program`] (a child with its output), [`process`] (one as the system sees it), [`binary`] (this workspace's programs),
//! [`python`] (the environments of `cargo xtask test`), and on top of these the original oslo.messaging: [`oslo`] (its
//! releases, a host and its configuration) and [`driver`] (its services and clients). For the tests of the receiver:
//! [`wire`] (a peer that sees octets), [`report`] (a receiver's counters), [`site`] (a receiver), [`nobody`] (an ordinary
//! user to run it) and [`traffic`] (libzmq around it). For the tests of the matchmaker: [`clock`] (one that can be
//! stepped), [`redis`] and [`consul`] (the servers) and [`lookup`] (what is asked). For the tests of packages: [`dist`] (what
//! is released) and [`minimal`] (a host with nothing on it).
//!
//! What always holds: every wait has a deadline, a child is ended by its own process id when its owner is dropped, a
//! missing peer is an error that says how to get it, and nothing leaves the loopback interface.

pub mod binary;
pub mod clock;
pub mod consul;
pub mod dist;
pub mod driver;
pub mod loopback;
pub mod lookup;
pub mod minimal;
pub mod nobody;
pub mod oslo;
pub mod process;
pub mod program;
pub mod python;
pub mod redis;
pub mod report;
pub mod site;
pub mod traffic;
pub mod wire;
