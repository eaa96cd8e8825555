//! `cargo xtask lint`: everything that can be said of the code without running it. The quick checks come first.

use crate::command::{self, CommandError};
use crate::msrv::{self, MsrvError};
use crate::tree::{self, TreeError};
use crate::workspace;

/// The first check that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LintError {
    #[error("the format differs. Run: cargo fmt --all")]
    Format(#[source] CommandError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Msrv(#[from] MsrvError),
    #[error(transparent)]
    Metadata(#[from] cargo_metadata::Error),
    #[error(transparent)]
    Cargo(#[from] CommandError),
}

/// Runs all checks up to the first that fails.
pub(crate) fn run() -> Result<(), LintError> {
    step("format");
    command::run(workspace::cargo().args(["fmt", "--all", "--check"])).map_err(LintError::Format)?;
    step("declared Rust versions");
    let metadata = workspace::metadata()?;
    msrv::check(&metadata)?;
    step("no C in the default build");
    tree::check_no_c()?;
    step("no runtime in the sans-IO core");
    tree::check_core_has_no_runtime()?;
    command::run(workspace::cargo().args(["check", "--package", "zmtp", "--no-default-features"]))?;
    step("few crates below zmtp");
    tree::check_zmtp_is_small()?;
    step("clippy");
    command::run(workspace::cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    step("clippy, for other sets of features");
    for build in workspace::other_builds() {
        command::run(workspace::cargo().arg("clippy").args(build).args(["--all-targets", "--", "-D", "warnings"]))?;
    }
    step("clippy, for what the benchmarks have of our own");
    for (manifest, packages) in OWN_BENCHMARKS {
        let packages = packages.iter().flat_map(|package| ["--package", package]);
        // In the directory of this workspace, where most of what they depend on has just been checked.
        let lint = ["clippy", "--manifest-path", manifest, "--all-targets", "--target-dir"];
        let mut clippy = workspace::cargo();
        clippy.args(lint).arg(&metadata.target_directory).args(packages).args(["--", "-D", "warnings"]);
        command::run(&mut clippy)?;
    }
    step("documentation");
    command::run(workspace::cargo().env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]))?;
    step("all checks passed");
    Ok(())
}

/// Manifests and packages outside this workspace that use its libraries, and so have to follow them. The other packages
/// there need C.
const OWN_BENCHMARKS: &[(&str, &[&str])] =
    &[("bench/Cargo.toml", &["bench", "peer", "peer-zmtp"]), ("bench/arena/Cargo.toml", &["zmtp-arena-target"])];

fn step(name: &str) {
    println!("lint: {name}");
}
