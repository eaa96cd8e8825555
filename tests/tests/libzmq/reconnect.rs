//! Connections come back when the other side does, and messages go on.

use anyhow::Context;

use crate::deadline::until;
use crate::endpoints::Endpoints;
use crate::ours::{Kind, Ours};
use crate::peer::{Libzmq, Peer};

scenarios!(we_come_back_to_a_libzmq_that_was_killed, libzmq_comes_back_to_us);

async fn we_come_back_to_a_libzmq_that_was_killed(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let mut places = Endpoints::new()?;
    let mut connected = Vec::new();
    for kind in Kind::ALL {
        for endpoint in places.of_every_transport()? {
            let mut ours = Ours::new(kind);
            let theirs = peer.partner(kind)?;
            peer.bind(theirs, &endpoint)?;
            ours.connect(&endpoint)?;
            ours.exchange(&mut peer, theirs, "before").await?;
            connected.push((kind, endpoint, ours));
        }
    }
    peer.kill()?;
    until(|| connected.iter().all(|(_, _, ours)| ours.stats().peers == 0)).await?;
    let mut peer = Peer::start(libzmq)?;
    for (kind, endpoint, ours) in &mut connected {
        let theirs = peer.partner(*kind)?;
        peer.bind(theirs, endpoint)?;
        ours.exchange(&mut peer, theirs, "after").await.with_context(|| format!("{kind:?} at {endpoint}"))?;
    }
    Ok(())
}

async fn libzmq_comes_back_to_us(libzmq: Libzmq) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let mut places = Endpoints::new()?;
    for kind in Kind::ALL {
        for endpoint in places.of_every_transport()? {
            let mut ours = Ours::new(kind);
            let theirs = peer.partner(kind)?;
            ours.bind(&endpoint).await?;
            peer.connect(theirs, &endpoint)?;
            ours.exchange(&mut peer, theirs, "before").await?;
            ours.close().await;
            peer.events_until(theirs, "DISCONNECTED")?;

            let mut ours = Ours::new(kind);
            ours.bind(&endpoint).await?;
            ours.exchange(&mut peer, theirs, "after").await.with_context(|| format!("{kind:?} at {endpoint}"))?;
        }
    }
    Ok(())
}
