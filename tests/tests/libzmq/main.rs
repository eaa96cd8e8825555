//! Crate `zmtp` against libzmq: whatever libzmq sends we understand, and the other way round.
//!
//! Each scenario runs with libzmq 4.3.4 and 4.3.5, in a process of its own ([`peer`]), and where PUSH, PULL, PUB and SUB
//! behave alike, for all four ([`ours`]). Reading order of the scenarios: [`messages`], [`flow`], [`subscriptions`],
//! [`handshake`], [`security`], [`refusals`], [`heartbeats`], [`reconnect`].
//!
//! What always holds: every wait has a deadline, and nothing leaves the loopback interface.

/// Declares scenarios, functions of a [`Libzmq`](peer::Libzmq), as tests: one for each version.
///
/// Talking to the peer blocks the test's thread, so the sockets' tasks have another.
macro_rules! scenarios {
    ($($scenario:ident),+ $(,)?) => {
        mod libzmq_4_3_4 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
            async fn $scenario() -> anyhow::Result<()> {
                super::$scenario(crate::peer::Libzmq::V4_3_4).await
            })+
        }
        mod libzmq_4_3_5 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
            async fn $scenario() -> anyhow::Result<()> {
                super::$scenario(crate::peer::Libzmq::V4_3_5).await
            })+
        }
    };
}

mod deadline;
mod peer;
mod ours;
mod endpoints;
mod messages;
mod flow;
mod subscriptions;
mod handshake;
mod security;
mod refusals;
mod heartbeats;
mod reconnect;
