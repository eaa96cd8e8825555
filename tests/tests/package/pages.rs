//! Manual pages and completions, judged by the programs that read them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use tempfile::TempDir;
use tests::dist;

use crate::run;

/// The package, unpacked.
fn unpacked() -> anyhow::Result<TempDir> {
    let root = tempfile::tempdir()?;
    run(Command::new("dpkg-deb").arg("--extract").arg(dist::file(".deb")?).arg(root.path()), "dpkg")?;
    Ok(root)
}

#[test]
fn mandoc_finds_nothing_wrong_with_any_page() -> anyhow::Result<()> {
    let root = unpacked()?;
    let pages = files_below(&root.path().join("usr/share/man"))?;
    for page in [
        "man8/oslo-messaging-zmq-receiver.8.gz",
        "man1/matchmaker.1.gz",
        "man1/zrpc.1.gz",
        "man5/zmq_receiver.conf.5.gz",
    ] {
        ensure!(pages.contains(&root.path().join("usr/share/man").join(page)), "no {page}");
    }
    for page in pages {
        let told = run(Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(&page), "mandoc")?;
        ensure!(told.is_empty(), "{told}");
    }
    // A page that was truncated or empty would lint well.
    let page = root.path().join("usr/share/man/man5/zmq_receiver.conf.5.gz");
    let text = run(Command::new("mandoc").args(["-T", "utf8"]).arg(page), "mandoc")?;
    let plain: String = text.split('\u{8}').map(|part| part.strip_suffix(|_: char| true).unwrap_or(part)).collect();
    ensure!(text.len() > 3000 && !plain.is_empty(), "{text}");
    Ok(())
}

#[test]
fn each_shell_reads_its_completions_and_bash_completes() -> anyhow::Result<()> {
    let root = unpacked()?;
    for (shell, directory) in [
        ("bash", "usr/share/bash-completion/completions"),
        ("zsh", "usr/share/zsh/vendor-completions"),
        ("fish", "usr/share/fish/vendor_completions.d"),
    ] {
        let files = files_below(&root.path().join(directory))?;
        ensure!(files.len() == 3, "{files:?}");
        for file in files {
            run(Command::new(shell).arg("-n").arg(&file), shell)?;
        }
    }
    for (words, expected) in [
        ("oslo-messaging-zmq-receiver --conf", "--config-file"),
        ("matchmaker sy", "sync"),
        ("zrpc call --time", "--timeout"),
    ] {
        let program = words.split(' ').next().unwrap_or_default();
        let file = root.path().join("usr/share/bash-completion/completions").join(program);
        // As bash calls it: the function that the file registers, with the line's words.
        let script = format!(
            ". {}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             f=$(complete -p {program} | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
             $f {program} \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            file.display()
        );
        let told = run(Command::new("bash").args(["-c", &script]), "bash")?;
        ensure!(told.lines().any(|line| line == expected), "{words}: {told}");
    }
    Ok(())
}

fn files_below(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files_below(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}
