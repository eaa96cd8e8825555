//! A Debian host with nothing on it, in a directory: entered with chroot in namespaces of its own for mounts and processes.
//!
//! It takes root, who alone may own files of several users. The network is this machine's, so that peers outside can reach it.
//! Either there is no systemd at work inside, and what it would do is done by the test, or it is [booted](Host::booted) by it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::program::Program;

/// A host. What runs on it ends when it is dropped, and its files go.
#[derive(Debug)]
pub struct Host {
    // Dropped in this order, while its directory is there.
    shell: Program,
    _init: Option<Init>,
    _root: TempDir,
    /// Where its files are, as it sees them.
    seen: PathBuf,
    /// Commands given, so that each answer is known.
    commands: u32,
}

impl Host {
    /// A fresh one.
    pub fn new() -> anyhow::Result<Self> {
        let root = Self::root()?;
        let enter = "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" /bin/sh";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", enter]).arg(root.path());
        let shell = Program::start("host", as_root(&mut command))?;
        let seen = root.path().to_owned();
        Ok(Self { shell, _init: None, _root: root, seen, commands: 0 })
    }

    /// A fresh one whose first process is systemd.
    pub fn booted() -> anyhow::Result<Self> {
        let root = Self::root()?;
        let init = Init::start(root.path())?;
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--pid", "--uts", "--ipc", "--cgroup"]).arg(format!("--target={}", init.process));
        let shell = Program::start("host", as_root(command.arg("/bin/sh")))?;
        let seen = PathBuf::from(format!("/proc/{}/root", init.process));
        let mut host = Self { shell, _init: Some(init), _root: root, seen, commands: 0 };
        let end = Instant::now() + PATIENCE;
        loop {
            let (_, state) = host.try_run("systemctl is-system-running")?;
            if state == "running" {
                return Ok(host);
            }
            ensure!(Instant::now() < end, "systemd is {state}: {}", host.try_run("systemctl --failed --no-pager")?.1);
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn root() -> anyhow::Result<TempDir> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "a host of its own takes root: run this test as root, or with sudo -E cargo test"
        );
        let root = tempfile::tempdir()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/minimal.sh");
        let output = Command::new("sh").arg(script).arg(root.path()).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "this machine is no Debian 12 whose packages could be copied: {said}");
        fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(root)
    }

    /// A path of the host, seen from here.
    pub fn path(&self, path: &str) -> PathBuf {
        self.seen.join(path.trim_start_matches('/'))
    }

    /// Runs a line of shell on the host. What it printed, if it succeeded.
    pub fn run(&mut self, line: &str) -> anyhow::Result<String> {
        let (code, said) = self.try_run(line)?;
        ensure!(code == 0, "{line}: exit code {code}\n{said}");
        Ok(said)
    }

    /// Runs a line of shell on the host. Its exit code, and what it printed.
    pub fn try_run(&mut self, line: &str) -> anyhow::Result<(i32, String)> {
        self.commands += 1;
        let mark = format!("done {}", self.commands);
        self.shell.send_line(&format!("{{ {line}\n}} </dev/null 2>&1; code=$?; echo; echo \"{mark} $code\""))?;
        let mut said = String::new();
        loop {
            let next = self.shell.next_line(PATIENCE).with_context(|| format!("{line}:\n{said}"))?;
            match next.strip_prefix(&mark) {
                Some(code) => return Ok((code.trim().parse()?, said.trim_end().to_owned())),
                None => said = said + &next + "\n",
            }
        }
    }

    /// Copies a file from here onto the host.
    pub fn bring(&self, file: &Path, path: &str) -> anyhow::Result<()> {
        fs::copy(file, self.path(path)).with_context(|| format!("{} to {path}", file.display()))?;
        Ok(())
    }

    /// Every path on the host with its kind, size and target, but what is in /proc.
    pub fn files(&mut self) -> anyhow::Result<Vec<String>> {
        let listing = self.run("find / -xdev -path /proc -prune -o -printf '%p %y %m %u %g %l\\n' | sort")?;
        if listing.is_empty() {
            bail!("the host has no files");
        }
        Ok(listing.lines().map(str::to_owned).collect())
    }
}

/// systemd as the first process of a host.
#[derive(Debug)]
struct Init {
    program: Program,
    /// As it is numbered outside.
    process: u32,
    cgroup: PathBuf,
}

impl Init {
    fn start(root: &Path) -> anyhow::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let is_second = |line: &&str| line.split(' ').nth(2) == Some("cgroup2");
        let mount = mounts.lines().find(is_second).and_then(|line| line.split(' ').nth(1));
        let mount = mount.context("no control groups of the second version: mount -t cgroup2 none DIRECTORY")?;
        let name = root.file_name().context("a directory without a name")?;
        let cgroup = Path::new(mount).join(format!("host{}", name.to_string_lossy()));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/boot.sh");
        let mut program = Program::start("systemd", Command::new("sh").arg(script).arg(root).arg(&cgroup))?;
        let children = format!("/proc/{0}/task/{0}/children", program.id());
        let process = program.wait("without systemd", PATIENCE, |_| {
            let child: u32 = fs::read_to_string(&children).ok()?.split_whitespace().next()?.parse().ok()?;
            // Before that it is the shell which prepares its directories.
            (fs::read_to_string(format!("/proc/{child}/comm")).ok()?.trim() == "systemd").then_some(child)
        })?;
        Ok(Self { program, process, cgroup })
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        // With it goes the first process, and with that all others. What is left of the groups is empty directories.
        let _ = self.program.kill();
        let end = Instant::now() + Duration::from_secs(5);
        let remove =
            |cgroup: &Path| Command::new("find").arg(cgroup).args(["-depth", "-type", "d", "-delete"]).output();
        while self.cgroup.exists() && Instant::now() < end {
            let _ = remove(&self.cgroup);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn as_root(command: &mut Command) -> &mut Command {
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("DEBIAN_FRONTEND", "noninteractive")
}

/// dpkg unpacks within a second; a drain may take ten.
const PATIENCE: Duration = Duration::from_secs(60);
