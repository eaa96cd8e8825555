//! A process as `/proc` shows it (proc(5)), where there is more to see than its program's harness tells.

use std::fs;

use anyhow::Context;

/// What a process has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// How often one of its threads went to sleep, which it does once for each time that it woke.
    pub sleeps: u64,
    /// How often one was made to let another run.
    pub preempted: u64,
    /// Nanoseconds on a processor.
    pub running: u64,
}

/// What the threads of a process have done so far.
pub fn activity(process: u32) -> anyhow::Result<Activity> {
    let mut activity = Activity { sleeps: 0, preempted: 0, running: 0 };
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let task = task?.path();
        let status = fs::read_to_string(task.join("status"))?;
        activity.sleeps += field(&status, "\nvoluntary_ctxt_switches:")?;
        activity.preempted += field(&status, "\nnonvoluntary_ctxt_switches:")?;
        activity.running += field(&fs::read_to_string(task.join("schedstat"))?, "")?;
    }
    Ok(activity)
}

/// KiB in memory now.
pub fn memory(process: u32) -> anyhow::Result<u64> {
    field(&fs::read_to_string(format!("/proc/{process}/status"))?, "\nVmRSS:")
}

/// What is in memory now.
#[derive(Debug, Clone, Copy)]
pub struct Resident {
    /// KiB of its own: heap, stacks, what it has written to.
    pub own: u64,
    /// KiB of files: the pages of its executable that it has touched, which the system takes back when it wants.
    pub files: u64,
}

/// What a process has in memory now, by kind.
pub fn resident(process: u32) -> anyhow::Result<Resident> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    Ok(Resident { own: field(&status, "\nRssAnon:")?, files: field(&status, "\nRssFile:")? })
}

fn field(text: &str, name: &str) -> anyhow::Result<u64> {
    let found = text.split_once(name).and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
    found.with_context(|| format!("no number after {name:?} in:\n{text}"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::program::Program;

    #[test]
    fn a_process_that_wakes_is_told_from_one_that_sleeps() -> anyhow::Result<()> {
        let changes = |script: &str| {
            let program = Program::start("shell", Command::new("sh").args(["-c", script]))?;
            thread::sleep(WATCHED);
            let before = activity(program.id())?;
            thread::sleep(WATCHED);
            anyhow::Ok(activity(program.id())? != before)
        };
        assert!(changes("while :; do sleep 0.02; done")?);
        assert!(!changes("exec sleep 60")?);
        Ok(())
    }

    /// Some turns of what wakes each 20 ms.
    const WATCHED: Duration = Duration::from_millis(300);
}
