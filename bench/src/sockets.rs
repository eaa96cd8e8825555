//! The benchmark that runs when no other is named: the sockets of every library at every work.
//!
//! At each work the libraries take turns for some rounds; a turn is [`pair::take`]. How many messages a turn has is
//! counted out beforehand for each library, so that each takes about as long. The reference is libzmq in the same run.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use crate::contestants::{self, Contestant, LIMITS, MUST_NOT_FAIL, REFERENCE};
use crate::cpus::Cpus;
use crate::delivery::{self, DeliveryError};
use crate::figures::{self, CPU, Figures, MEMORY, Outcome, ROUND_TRIP};
use crate::idle;
use crate::matrix;
use crate::pair;
use crate::player::{Fault, PlayError};
use crate::plot::{self, PlotError};
use crate::progress;
use crate::report::{FailedRound, Machine, RATE, Report, Version};
use crate::rounds;
use crate::visit;
use crate::works::{self, Task, Work};

/// What to measure, and where to write it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Two short rounds: a look, not a result
    #[arg(long)]
    quick: bool,
    /// Also write the rows to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write the report to results/sockets.json and .md, and plots, beside this program's source
    #[arg(long)]
    save: bool,
    /// Turns of each library at each work [default: 5, or 2 if quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Seconds that a turn should take [default: 0.5, or 0.1 if quick]
    #[arg(long, value_parser = parse_seconds)]
    seconds: Option<f64>,
    /// Only works whose name contains one of these; see the report for the names
    #[arg(long, value_name = "TEXT")]
    work: Vec<String>,
    /// The libraries that take turns [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(contestants::names()))]
    peers: Vec<String>,
    /// Another program to measure beside the rest, such as an earlier build of peer-zmtp; may be repeated
    #[arg(long, value_name = "NAME=PATH", value_parser = parse_program)]
    program: Vec<(String, PathBuf)>,
    /// On all CPUs, or on one for both processes
    #[arg(long, default_value = "all")]
    cpus: Cpus,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SocketsError {
    /// Nothing to do.
    #[error("no work's name contains {0:?}; there are:\n{all}", all = works::all().iter().map(|work| format!("  {work}\n")).collect::<String>())]
    NoWork(Vec<String>),
    /// Two of one name.
    #[error("two programs are called {0:?}: give --program NAME=PATH another name")]
    SameName(String),
    /// A turn could not be taken.
    #[error(transparent)]
    Turn(#[from] PlayError),
    /// The report could not be written.
    #[error(transparent)]
    Deliver(#[from] DeliveryError),
    /// A plot could not be drawn.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// A signal asked for the end.
    #[error("interrupted; no report")]
    Interrupted,
}

/// Measures, prints the report, and writes it where asked. `true` if neither this workspace's library nor what it is
/// measured by failed; the failures of others are findings. `interrupted` is looked at between turns.
pub(crate) fn run(options: &Options, interrupted: &AtomicBool) -> Result<bool, SocketsError> {
    let plan = Plan::of(options, interrupted)?;
    let report = plan.carry_out()?;
    let text = matrix::markdown(&report, LIMITS);
    print!("{text}");
    delivery::deliver(&report, &text, options.json.as_deref(), options.save.then_some("sockets"))?;
    if options.save {
        for (measure, name) in PLOTS {
            if let Some(picture) = plot::svg(&report, measure, LIMITS)? {
                delivery::save(name, &picture)?;
            }
        }
    }
    Ok(!report.failed.iter().any(|failed| MUST_NOT_FAIL.contains(&failed.peer.as_str())))
}

/// A library at one work.
struct Entrant<'a> {
    contestant: &'a Contestant,
    /// Messages of a turn, or why it takes none.
    count: Result<u64, String>,
}

struct Plan<'a> {
    works: Vec<Work>,
    contestants: Vec<Contestant>,
    /// Names of those that do not build, with the reason.
    absent: Vec<(String, String)>,
    rounds: u32,
    seconds: f64,
    cpus: Cpus,
    interrupted: &'a AtomicBool,
}

impl<'a> Plan<'a> {
    fn of(options: &Options, interrupted: &'a AtomicBool) -> Result<Self, SocketsError> {
        let mut works = works::all();
        if !options.work.is_empty() {
            works.retain(|work| options.work.iter().any(|text| work.to_string().contains(text)));
        }
        if works.is_empty() {
            return Err(SocketsError::NoWork(options.work.clone()));
        }
        let mut plan = Self {
            works,
            contestants: Vec::new(),
            absent: Vec::new(),
            rounds: options.rounds.unwrap_or(if options.quick { 2 } else { 5 }),
            seconds: options.seconds.unwrap_or(if options.quick { 0.1 } else { 0.5 }),
            cpus: options.cpus,
            interrupted,
        };
        let wanted = |name: &&str| options.peers.is_empty() || options.peers.iter().any(|wanted| wanted == name);
        let names: Vec<_> = contestants::names().filter(wanted).collect();
        let bar = progress::bar(names.len() as u64);
        for name in names {
            plan.look_for_interruption()?;
            bar.set_message(format!("building {name}"));
            match contestants::build(name) {
                Some(Ok(contestant)) => plan.contestants.push(contestant),
                Some(Err(error)) => plan.absent.push((name.to_owned(), error.to_string())),
                None => {}
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let given = options.program.iter().map(|(name, path)| Contestant::given(name.clone(), path.clone()));
        plan.contestants.extend(given);
        let mut names: Vec<_> = plan.contestants.iter().map(|contestant| &contestant.name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(SocketsError::SameName(twice[0].clone()));
        }
        Ok(plan)
    }

    fn carry_out(&self) -> Result<Report, SocketsError> {
        let entries: usize = self.works.iter().map(|work| self.contestants_at(work).count()).sum();
        let turns = entries * (self.rounds as usize + 1);
        let bar = progress::bar(turns as u64);
        let mut results = Vec::new();
        for work in &self.works {
            let mut entrants = Vec::new();
            for contestant in self.contestants_at(work) {
                bar.set_message(format!("{work}: {} at first", contestant.name));
                entrants.push(Entrant { contestant, count: self.count_out(contestant, work)? });
                bar.inc(1);
            }
            let turns = rounds::interleave(self.rounds, &entrants, |entrant| {
                bar.set_message(format!("{work}: {}", entrant.contestant.name));
                let outcome = match &entrant.count {
                    Ok(count) => match self.take(entrant.contestant, work, *count)? {
                        Ok(figures) => Outcome::Delivered(figures),
                        Err(fault) => Outcome::Failed(format!("{fault} (of {count} messages)")),
                    },
                    Err(why) => Outcome::Failed(why.clone()),
                };
                bar.inc(1);
                Ok::<_, SocketsError>(outcome)
            })?;
            results.extend(entrants.iter().zip(turns).map(|(entrant, turns)| (work, entrant.contestant, turns)));
        }
        bar.finish_and_clear();
        Ok(self.report(&results))
    }

    fn contestants_at(&self, work: &Work) -> impl Iterator<Item = &Contestant> {
        let suits_all = work.suits_limits();
        self.contestants.iter().filter(move |contestant| suits_all || !LIMITS.contains(&contestant.name.as_str()))
    }

    /// Finds out how many messages the library needs for a turn; it has two attempts.
    fn count_out(&self, contestant: &Contestant, work: &Work) -> Result<Result<u64, String>, SocketsError> {
        let first = work.rounded(work.first_count());
        let mut figures = self.take(contestant, work, first)?;
        if figures.is_err() {
            figures = self.take(contestant, work, first)?;
        }
        Ok(match figures {
            Ok(figures) => Ok(figures.rate.map_or(first, |rate| work.rounded((rate * self.seconds) as u64).max(first))),
            Err(fault) => Err(format!("no turn taken, for with {first} messages: {fault}")),
        })
    }

    fn take(&self, contestant: &Contestant, work: &Work, count: u64) -> Result<Result<Figures, Fault>, SocketsError> {
        self.look_for_interruption()?;
        Ok(match work.task(count) {
            Task::Pair(cast) => pair::take(contestant, work, &cast, count, self.cpus)?,
            Task::Visit(words, at_a_time) => visit::take(contestant, work, &words, count, at_a_time, self.cpus)?,
            Task::Idle(connections) => idle::take(contestant, connections)?,
        })
    }

    fn look_for_interruption(&self) -> Result<(), SocketsError> {
        if self.interrupted.load(Ordering::Relaxed) { Err(SocketsError::Interrupted) } else { Ok(()) }
    }

    fn report(&self, results: &[(&Work, &Contestant, Vec<Outcome>)]) -> Report {
        let mut peers: Vec<_> = self.contestants.iter().map(Contestant::version).collect();
        let mut failed: Vec<_> =
            results.iter().flat_map(|(work, contestant, turns)| figures::failures(work, contestant, turns)).collect();
        for (name, why) in &self.absent {
            peers.push(Version { peer: name.clone(), version: "does not build".to_owned() });
            failed.push(FailedRound { work: "all".to_owned(), peer: name.clone(), what: why.clone() });
        }
        let mut report = Report {
            title: "Sockets".to_owned(),
            method: self.method(),
            machine: Machine::this(),
            peers,
            rows: figures::rows(figures::RESULTS, results),
            costs: figures::rows(figures::COSTS, results),
            failed,
        };
        report.compare_to(REFERENCE);
        report
    }

    fn method(&self) -> String {
        format!(
            "One process sends to the other, on {}, except that round trips are between two CPUs. Turns of about {} s; {} \
             rounds, in which the libraries take turns; the median over the rounds, with the extremes. Every message is \
             checked. Ratio: median to the median of {REFERENCE}.",
            self.cpus, self.seconds, self.rounds
        )
    }
}

fn parse_program(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.into())),
        _ => Err("give NAME=PATH".to_owned()),
    }
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=5.0).contains(&seconds) => Ok(seconds),
        _ => Err("give seconds from 0.01 to 5".to_owned()),
    }
}

/// What is drawn, and to which file in results/.
const PLOTS: [(&str, &str); 4] = [
    (RATE, "sockets-rate.svg"),
    (ROUND_TRIP, "sockets-round-trip.svg"),
    (CPU, "sockets-cpu.svg"),
    (MEMORY, "sockets-memory.svg"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_programs_are_read() {
        assert_eq!(parse_seconds("0.5"), Ok(0.5));
        assert!(["", "0", "60", "NaN"].iter().all(|text| parse_seconds(text).is_err()));
        assert_eq!(parse_program("old=/tmp/peer"), Ok(("old".to_owned(), PathBuf::from("/tmp/peer"))));
        assert!(["", "old", "=path", "old="].iter().all(|text| parse_program(text).is_err()));
    }
}
