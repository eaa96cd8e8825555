//! A Debian host with nothing on it, in a directory: entered with chroot in namespaces of its own for mounts and processes.
//!
//! It takes root, who alone may own files of several users. The network is this machine's, so that peers outside can reach it.
//! There is no systemd at work inside: what it would do is done by the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::program::Program;

/// A host. What runs on it ends when it is dropped, and its files go.
#[derive(Debug)]
pub struct Host {
    // Dropped first, while its directory is there.
    shell: Program,
    root: TempDir,
    /// Commands given, so that each answer is known.
    commands: u32,
}

impl Host {
    /// A fresh one.
    pub fn new() -> anyhow::Result<Self> {
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
        let enter = "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" /bin/sh";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", enter]).arg(root.path());
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("DEBIAN_FRONTEND", "noninteractive");
        let shell = Program::start("host", &mut command)?;
        Ok(Self { shell, root, commands: 0 })
    }

    /// A path of the host, seen from here.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
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

/// dpkg unpacks within a second; a drain may take ten.
const PATIENCE: Duration = Duration::from_secs(60);
