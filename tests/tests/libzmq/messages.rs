//! Messages of every shape, in both directions, over every transport, whichever side binds: each arrives whole, once and
//! in order.

use std::sync::LazyLock;

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};
use zmtp::Message;

use crate::endpoints::{Binder, Endpoints};
use crate::ours::{Kind, Ours};
use crate::peer::{Libzmq, Peer, Theirs};

scenarios!(our_push_to_a_pull, our_pull_from_a_push, our_pub_to_a_sub, our_sub_from_a_pub);

async fn our_push_to_a_pull(libzmq: Libzmq) -> anyhow::Result<()> {
    every_way(libzmq, Kind::Push).await
}

async fn our_pull_from_a_push(libzmq: Libzmq) -> anyhow::Result<()> {
    every_way(libzmq, Kind::Pull).await
}

async fn our_pub_to_a_sub(libzmq: Libzmq) -> anyhow::Result<()> {
    every_way(libzmq, Kind::Pub).await
}

async fn our_sub_from_a_pub(libzmq: Libzmq) -> anyhow::Result<()> {
    every_way(libzmq, Kind::Sub).await
}

async fn every_way(libzmq: Libzmq, kind: Kind) -> anyhow::Result<()> {
    let mut peer = Peer::start(libzmq)?;
    let mut endpoints = Endpoints::new()?;
    for binder in Binder::EITHER {
        for endpoint in endpoints.of_every_transport()? {
            let mut ours = Ours::new(kind);
            let theirs = peer.partner(kind)?;
            binder.join(&endpoint, &ours, &mut peer, theirs).await?;
            let passed = pass_every_shape(&mut ours, &mut peer, theirs).await;
            passed.with_context(|| format!("{endpoint}, bound by {binder:?}"))?;
            peer.close(theirs)?;
            ours.close().await;
        }
    }
    Ok(())
}

async fn pass_every_shape(ours: &mut Ours, peer: &mut Peer, theirs: Theirs) -> anyhow::Result<()> {
    // What a PUB publishes before it knows of its subscriber is lost.
    ours.exchange(peer, theirs, "first").await?;
    let (sent, received) = match ours {
        Ours::Push(_) | Ours::Pub(_) => {
            for (message, _) in MESSAGES.iter() {
                ours.send(message.clone()).await?;
            }
            let sent = MESSAGES.iter().map(|(_, digest)| digest.clone()).collect();
            (sent, peer.receive_digests(theirs, MESSAGES.len())?)
        }
        Ours::Pull(_) | Ours::Sub(_) => {
            let sent = peer.send_random(theirs, &shapes())?;
            let mut received = Vec::new();
            for _ in &sent {
                received.push(digest(&ours.recv().await?));
            }
            (sent, received)
        }
    };
    for (shape, (sent, received)) in shapes().iter().zip(sent.iter().zip(&received)) {
        ensure!(sent == received, "another message came in place of the one with frames of {shape:?}");
    }
    ensure!(peer.handshakes(theirs)? == 1, "it connected more than once");
    Ok(())
}

/// Our messages, with their digests.
static MESSAGES: LazyLock<Vec<(Message, String)>> = LazyLock::new(|| {
    let mut seed = 0;
    let mut body = |size: usize| {
        seed += 1;
        let mut random = seed;
        let mut octets = Vec::with_capacity(size + 8);
        while octets.len() < size {
            // Marsaglia's xorshift: no two frames are alike, and no two places of a frame.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            octets.extend_from_slice(&u64::to_le_bytes(random));
        }
        octets.truncate(size);
        octets
    };
    let messages = shapes().into_iter().filter_map(|sizes| Message::from_frames(sizes.into_iter().map(&mut body)));
    messages.map(|message| (message.clone(), digest(&message))).collect()
});

/// The sizes of the frames of each message: around the limits of a short header (255) and of libzmq's read and write
/// buffers (8192), and far above; one frame, those of each of oslo's forms (4 and 8), and many.
fn shapes() -> Vec<Vec<usize>> {
    let small = [0, 1, 254, 255, 256, 8191, 8192, 8193];
    let mut shapes: Vec<_> = small.iter().map(|size| vec![*size]).collect();
    for parts in [2, 3, 4, 8, 100] {
        shapes.extend(small.iter().map(|size| vec![*size; parts]));
        shapes.push(small.iter().copied().cycle().take(parts).collect());
    }
    shapes.push(vec![1 << 20]);
    shapes.push(vec![10, 1 << 20, 0, 1 << 20]);
    shapes.push(vec![16 << 20]);
    shapes.push(vec![1]);
    shapes
}

/// SHA-256 of all frames, each after its length.
pub(crate) fn digest(message: &Message) -> String {
    let mut hash = Sha256::new();
    for frame in message.frames() {
        hash.update((frame.len() as u64).to_be_bytes());
        hash.update(frame);
    }
    hash.finalize().iter().map(|octet| format!("{octet:02x}")).collect()
}
