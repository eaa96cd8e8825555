//! The Python receiver is replaced by ours and put back, while its services and clients go on and know nothing of it.
//!
//! Service and clients are the original driver of 1.8.3 and are started once. Calls and casts, numbered, go on all the time. What
//! the original receiver has in memory is lost with it, as in any stop of it; every request that is sent once ours is there, and
//! on through the way back, reaches the service. Replies are the receiver's too: while ours is there none is lost; one that the
//! original should hand on after the way back may be lost by it, as ever (B39).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;
use tests::driver::{Client, DriverError, Notifications, Service, Topics};
use tests::oslo::{Host, Release};
use tests::program::Program;
use tests::{binary, loopback};

/// A part of the test, in order.
const ORIGINAL: u8 = 0;
const CHANGING: u8 = 1;
const OURS: u8 = 2;
const CHANGING_BACK: u8 = 3;
const BACK: u8 = 4;

/// One call or cast.
#[derive(Debug)]
struct Sent {
    number: u32,
    begun: u8,
    ended: u8,
    /// Whether the driver was content: for a call, whether there was a reply.
    answered: bool,
}

/// What all threads look at.
#[derive(Default)]
struct Stage {
    now: AtomicU8,
    /// Calls begun in each.
    calls: [AtomicU32; 5],
    over: AtomicBool,
}

#[test]
fn services_go_on_while_the_receiver_is_replaced_and_put_back() -> anyhow::Result<()> {
    let host = Host::localhost(Release::Kilo, loopback::free_port()?)?;
    let ours = binary::receiver()?;
    let start = |what: &str| {
        let mut command = if what == "ours" { host.receiver(&ours) } else { host.original_receiver()? };
        let mut program = Program::start(what, &mut command)?;
        program.wait_until_listening(host.address(), LIMIT)?;
        anyhow::Ok(program)
    };
    let mut original = start("original")?;
    let mut service = Service::start(&host, "service", TOPICS, Notifications::Leave)?;
    let mut caller = Client::start(&host, TOPICS)?;
    let mut caster = Client::start(&host, TOPICS)?;
    let stage = Stage::default();

    let (calls, casts, seen) = thread::scope(|scope| {
        let stage = &stage;
        let calling = scope.spawn(move || {
            send(stage, |number| {
                stage.calls[usize::from(stage.now.load(Ordering::SeqCst))].fetch_add(1, Ordering::SeqCst);
                match caller.call("record", json!({ "value": { "call": number } })) {
                    Ok(_) => Ok(true),
                    Err(error) if error.is_rpc_timeout() => Ok(false),
                    Err(error) => Err(error),
                }
            })
        });
        let casting = scope.spawn(move || {
            send(stage, |number| {
                caster.cast("record", json!({ "value": { "cast": number } }))?;
                Ok(true)
            })
        });
        let serving = scope.spawn(move || records(stage, &mut service));

        let mut change = || {
            // The original loses replies, and a call without one lasts for as long as a stage.
            let stay = |now: u8| {
                thread::sleep(Duration::from_secs(4));
                let end = Instant::now() + LIMIT;
                while stage.calls[usize::from(now)].load(Ordering::SeqCst) < ENOUGH && Instant::now() < end {
                    thread::sleep(BETWEEN);
                }
            };
            let to = |next: u8| stage.now.store(next, Ordering::SeqCst);
            stay(ORIGINAL);
            to(CHANGING);
            original.stop(LIMIT)?;
            let mut receiver = start("ours")?;
            to(OURS);
            stay(OURS);
            to(CHANGING_BACK);
            let status = receiver.stop(LIMIT)?;
            ensure!(status.success(), "ours ended with {status}");
            let back = start("original")?;
            to(BACK);
            stay(BACK);
            anyhow::Ok(back)
        };
        let changed = change();
        stage.over.store(true, Ordering::SeqCst);
        let calls = calling.join().map_err(|_| anyhow::anyhow!("calls"))?.context("calls")?;
        let casts = casting.join().map_err(|_| anyhow::anyhow!("casts"))?.context("casts")?;
        let seen = serving.join().map_err(|_| anyhow::anyhow!("records"))?.context("records")?;
        // The last receiver was needed until now.
        changed.map(|_back| (calls, casts, seen))
    })?;

    for (kind, sent) in [("call", &calls), ("cast", &casts)] {
        let lost: Vec<&Sent> = sent.iter().filter(|sent| !seen.contains(&(kind, sent.number))).collect();
        let by_stage = |stage: u8| sent.iter().filter(|sent| sent.begun == stage).count();
        println!(
            "{kind}s: {:?} sent by stage, lost {lost:?}",
            [ORIGINAL, CHANGING, OURS, CHANGING_BACK, BACK].map(by_stage)
        );
        for needed in [ORIGINAL, OURS, BACK] {
            ensure!(by_stage(needed) >= ENOUGH as usize, "only {} {kind}s in stage {needed}", by_stage(needed));
        }
        let ours: Vec<_> = lost.iter().filter(|sent| sent.begun >= OURS).collect();
        ensure!(ours.is_empty(), "{kind}s were lost once ours was there: {ours:?}");
    }
    let unanswered: Vec<_> = calls.iter().filter(|call| !call.answered).collect();
    println!("calls without a reply: {unanswered:?}");
    let by_ours: Vec<_> = unanswered.iter().filter(|call| call.begun == OURS && call.ended == OURS).collect();
    ensure!(by_ours.is_empty(), "replies were lost by ours: {by_ours:?}");
    Ok(())
}

/// Sends one after another until it is over.
fn send(stage: &Stage, mut one: impl FnMut(u32) -> Result<bool, DriverError>) -> Result<Vec<Sent>, DriverError> {
    let mut sent = Vec::new();
    for number in 0.. {
        if stage.over.load(Ordering::SeqCst) {
            break;
        }
        let begun = stage.now.load(Ordering::SeqCst);
        let answered = one(number)?;
        sent.push(Sent { number, begun, ended: stage.now.load(Ordering::SeqCst), answered });
        thread::sleep(BETWEEN);
    }
    Ok(sent)
}

/// The numbers of calls and of casts that the service was given, until it is over and nothing more comes.
fn records(stage: &Stage, service: &mut Service) -> Result<BTreeSet<(&'static str, u32)>, DriverError> {
    let mut seen = BTreeSet::new();
    let mut last = Instant::now();
    loop {
        match service.next(Duration::from_millis(200)) {
            Ok(line) => {
                let number = |kind: &str| line["record"][kind].as_u64().and_then(|number| u32::try_from(number).ok());
                seen.extend(["call", "cast"].into_iter().filter_map(|kind| Some((kind, number(kind)?))));
                last = Instant::now();
            }
            Err(error) if error.is_deadline() => {
                if stage.over.load(Ordering::SeqCst) && last.elapsed() > QUIET {
                    return Ok(seen);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

const TOPICS: Topics<'_> = Topics { rpc: "compute", notifications: "notifications" };

/// A Python program on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// Calls, and casts, in a stage that is to show something.
const ENOUGH: u32 = 5;

/// So that a queue is empty now and then.
const BETWEEN: Duration = Duration::from_millis(5);

/// Longer than libzmq takes to connect anew.
const QUIET: Duration = Duration::from_secs(3);
