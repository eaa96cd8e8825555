//! One turn of the sockets benchmark: two processes of one library, one of which sends to the other.
//!
//! A warm-up message goes through every pair of sockets before the clock starts. It starts when the first message of the
//! turn is handed to the library, and stops when the last one has come out of it in the other process; both processes
//! read the same clock of the system, and each reads its own CPU time and memory.
//!
//! Always true: a turn in which a message was lost, moved or changed yields no figures; and whatever a turn started or
//! wrote is gone when it ends.

use std::time::Duration;

use crate::contestants::Contestant;
use crate::cpus::{Confined, Cpus};
use crate::figures::Figures;
use crate::player::{self, DONE_WITHIN, Fault, PlayError, Player, READY_WITHIN};
use crate::works::{Cast, Work};

/// Has two processes of `contestant` do `work` with `count` messages.
pub(crate) fn take(
    contestant: &Contestant,
    work: &Work,
    cast: &Cast,
    count: u64,
    cpus: Cpus,
) -> Result<Result<Figures, Fault>, PlayError> {
    let directory = tempfile::tempdir()?;
    let [addr, back] = player::addresses(work.transport, directory.path())?;
    let start = |which, nth, words: &[String]| -> Result<Player, PlayError> {
        let mut command = contestant.command();
        command.args(words).args(["--addr", &addr, "--back", &back]);
        // A round trip on CPUs of the system's choice is one of two very different things, by chance.
        let _confined = match (work.is_round_trip(), cpus) {
            (true, Cpus::All) => Confined::to_one(nth)?,
            _ => cpus.confine()?,
        };
        Ok(Player::start(which, &mut command, directory.path())?)
    };
    let mut binder = start("binds", 0, &cast.binds)?;
    if !binder.says("listening", READY_WITHIN) {
        return Ok(Err(binder.not_ready("listened")));
    }
    let mut connecter = start("connects", 1, &cast.connects)?;
    let (teller, other) = if cast.binder_tells { (&mut binder, &mut connecter) } else { (&mut connecter, &mut binder) };
    Ok(play(work, count, teller, other))
}

/// The part of a turn in which both processes are there.
fn play(work: &Work, count: u64, teller: &mut Player, other: &mut Player) -> Result<Figures, Fault> {
    if work.warms_up() && !teller.says("connected", READY_WITHIN) {
        return Err(other.end().unwrap_or_else(|| teller.not_ready("connected")));
    }
    teller.tell("go");
    other.tell("go");
    teller.says("done", DONE_WITHIN);
    // Before they are told to end: one that goes first may make the other one fail.
    let ended = other.end().or_else(|| teller.end());
    teller.tell("end");
    other.tell("end");
    let (receiver, sender) = (teller.report()?, other.report()?);
    player::verify(&receiver, work.received(count), ended)?;
    let took = Duration::from_nanos(receiver.ended.saturating_sub(sender.began.max(receiver.began)));
    Ok(Figures {
        rate: Some(count as f64 / took.as_secs_f64()),
        cpu: Some((receiver.cpu + sender.cpu) as f64 / 1e3 / count as f64),
        memory: Some((receiver.peak_rss + sender.peak_rss) as f64 / 1024.0),
        round_trip: receiver.round_trip.map(|times| times.map(|nanoseconds| nanoseconds as f64 / 1e3)),
        connection: None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use peer::report::Report;

    use super::*;
    use crate::works::{self, Task};

    /// A turn of 100 messages between a PULL and a PUSH that run these shell scripts.
    fn turn(pull: &str, push: &str) -> Result<Figures, Fault> {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("peer");
        let text = format!("#!/bin/sh\nif [ \"$1\" = pull ]; then {pull}; else {push}; fi\n");
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let contestant = Contestant::given("scripted".to_owned(), program);
        let work = works::all()[0];
        let Task::Pair(cast) = work.task(100) else { panic!("{work} is no pair's") };
        take(&contestant, &work, &cast, 100, Cpus::All).unwrap()
    }

    /// A PULL that does as it should and at its end gives this report.
    fn pull(report: &Report) -> String {
        let report = serde_json::to_string(report).unwrap();
        format!("echo listening; echo connected; read go; [ $go = go ] && echo done; read end; echo '{report}'")
    }

    /// A PUSH that began at second 2 and took two seconds of CPU time and a MiB.
    fn push() -> String {
        let report = Report { began: 2_000_000_000, cpu: 2_000_000_000, peak_rss: 1024, ..Report::default() };
        format!("read go; read end; echo '{}'", serde_json::to_string(&report).unwrap())
    }

    fn all_received() -> Report {
        Report {
            ended: 4_000_000_000,
            cpu: 1_000_000_000,
            peak_rss: 2048,
            received: 100,
            complete: true,
            ..Report::default()
        }
    }

    #[test]
    fn figures_are_of_both_processes() {
        let figures = turn(&pull(&all_received()), &push()).unwrap();
        let (rate, cpu, memory) = (Some(50.0), Some(30_000.0), Some(3.0));
        assert_eq!(figures, Figures { rate, cpu, memory, ..Figures::default() });
    }

    #[test]
    fn messages_lost_or_spoilt_leave_no_figures() {
        let lossy = Report { received: 99, complete: false, ..all_received() };
        assert!(matches!(turn(&pull(&lossy), &push()), Err(Fault::Missing { received: 99, expected: 100 })));
        // As many as there should be, but not those.
        let doubling = Report { complete: false, ..all_received() };
        assert!(matches!(turn(&pull(&doubling), &push()), Err(Fault::Missing { received: 100, .. })));
        let spoilt = Report { foreign: 1, ..all_received() };
        assert!(matches!(turn(&pull(&spoilt), &push()), Err(Fault::Disorder { out_of_order: 0, foreign: 1 })));
        let swapped = Report { out_of_order: 2, ..all_received() };
        assert!(matches!(turn(&pull(&swapped), &push()), Err(Fault::Disorder { out_of_order: 2, foreign: 0 })));
    }

    #[test]
    fn whoever_failed_is_told_with_its_last_words() {
        let fault = turn("echo cannot bind >&2; exit 3", "true").unwrap_err().to_string();
        assert!(fault.starts_with("nothing listened within 10 s; the process that binds ended with"), "{fault}");
        assert!(fault.ends_with("exit status: 3 and printed at last:\n    cannot bind"), "{fault}");

        let fault = turn("echo listening; sleep 0.5", "echo no handshake >&2; exit 4").unwrap_err().to_string();
        assert!(fault.starts_with("the process that connects ended with exit status: 4"), "{fault}");

        let unfinished = pull(&Report { received: 3, ..Report::default() });
        let fault = turn(&unfinished, "echo too many >&2; echo failed; read go; read end; echo '{}'").unwrap_err();
        assert!(matches!(&fault, Fault::Ended { which: "connects", state } if state.contains("too many")), "{fault}");
    }
}
