//! Several backends on one machine, and the original service that does not consume its own name (oslo-bugs, B1).

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::Result;
use crate::site::{Site, cast, expect_numbers, send_numbers, soon, until};

const MACHINE: &str = "cinder-volume.host1";
const A: &str = "cinder-volume.host1@a";
const B: &str = "cinder-volume.host1@b";

#[tokio::test]
async fn b01_what_nobody_consumes_by_the_backends_name_goes_to_the_machines_in_order() -> Result {
    let site = Site::start(|settings| settings.backend_fallback = SHORT).await?;
    let push = site.push()?;
    let mut original = site.pull(MACHINE)?;
    let begun = Instant::now();
    send_numbers(&push, A, 0..100).await?;
    expect_numbers(&mut original, 0..100).await?;
    assert!(begun.elapsed() >= SHORT, "the backend was given {:?}", begun.elapsed());
    // From here on at once, and other backends of that machine after a time of their own.
    let begun = Instant::now();
    send_numbers(&push, A, 100..200).await?;
    expect_numbers(&mut original, 100..200).await?;
    assert!(begun.elapsed() < SHORT, "it took {:?}", begun.elapsed());
    send_numbers(&push, B, 0..1).await?;
    expect_numbers(&mut original, 0..1).await?;
    assert_eq!((site.stats(A).queued, site.totals().dropped.len()), (0, 0));

    // The consumer of the machine's topic goes, and what comes meanwhile waits for it.
    drop(original);
    until(|| site.stats(MACHINE).peers == 0).await?;
    send_numbers(&push, A, 200..300).await?;
    let mut original = site.pull(MACHINE)?;
    expect_numbers(&mut original, 200..300).await
}

#[tokio::test]
async fn b01_a_backend_never_gets_what_is_anothers_that_is_away() -> Result {
    let site = Site::start(|settings| settings.backend_fallback = SHORT).await?;
    let push = site.push()?;
    // Both consume the machine's topic too, as servers of ours do.
    let mut machine = site.pull(MACHINE)?;
    let mut a = site.pull(A)?;
    let mut b = site.pull(B)?;
    send_numbers(&push, A, 0..10).await?;
    send_numbers(&push, B, 0..10).await?;
    expect_numbers(&mut a, 0..10).await?;
    expect_numbers(&mut b, 0..10).await?;

    // It was there before.
    drop(b);
    until(|| site.stats(B).peers == 0).await?;
    send_numbers(&push, B, 10..20).await?;
    // It never was, but another backend consumes its own name.
    send_numbers(&push, "cinder-volume.host1@c", 0..10).await?;
    until(|| site.stats(B).queued == 10 && site.stats("cinder-volume.host1@c").queued == 10).await?;
    sleep(SHORT + LOOKS).await;
    assert!(machine.try_recv().is_none());
    expect_numbers(&mut site.pull(B)?, 10..20).await?;
    expect_numbers(&mut site.pull("cinder-volume.host1@c")?, 0..10).await
}

#[tokio::test]
async fn b01_a_backend_that_comes_in_time_gets_what_waited() -> Result {
    let site = Site::start(|settings| settings.backend_fallback = Duration::from_secs(3)).await?;
    let push = site.push()?;
    let mut machine = site.pull(MACHINE)?;
    send_numbers(&push, B, 0..10).await?;
    // The machine's consumer is there, and the messages still wait.
    site.until_connected(MACHINE, 1).await?;
    sleep(LOOKS).await;
    expect_numbers(&mut site.pull(B)?, 0..10).await?;
    assert!(machine.try_recv().is_none());
    Ok(())
}

#[tokio::test]
async fn without_a_fallback_a_backends_messages_wait_for_it() -> Result {
    let site = Site::start(|settings| settings.backend_fallback = Duration::ZERO).await?;
    let push = site.push()?;
    send_numbers(&push, B, 0..10).await?;
    site.until_received(10).await?;
    push.send(cast(MACHINE, "own")).await?;
    let mut machine = site.pull(MACHINE)?;
    soon(machine.recv()).await?;
    sleep(LOOKS).await;
    assert!(machine.try_recv().is_none());
    expect_numbers(&mut site.pull(B)?, 0..10).await
}

/// Longer than a consumer needs to connect.
const SHORT: Duration = Duration::from_millis(700);

/// Longer than the receiver takes between two looks at what waits.
const LOOKS: Duration = Duration::from_millis(1200);
