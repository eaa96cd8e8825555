//! Where the workspace is, and what cargo knows of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{Metadata, MetadataCommand, Package};

/// The directory of the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().unwrap_or(member).to_owned()
}

/// The cargo that runs us, at the root of the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Members and dependencies, these limited to what the static target uses.
pub(crate) fn metadata() -> Result<Metadata, cargo_metadata::Error> {
    MetadataCommand::new()
        .current_dir(root())
        .other_options(vec!["--filter-platform".to_owned(), STATIC_TARGET.to_owned()])
        .exec()
}

/// The members that ship programs, each with the names of its programs. xtask stays at home, and so do fuzz targets, what
/// writes manual pages, and the example that is a package.
pub(crate) fn programs(metadata: &Metadata) -> Vec<(&Package, Vec<&str>)> {
    let members = metadata.workspace_packages().into_iter();
    let at_home = [env!("CARGO_PKG_NAME"), PAGES, TLS_EXAMPLE];
    let shipping = members.filter(|package| !at_home.contains(&package.name.as_str()) && !is_fuzz_crate(package));
    shipping
        .map(|package| {
            let programs = package.targets.iter().filter(|target| target.is_bin());
            (package, programs.map(|target| target.name.as_str()).collect::<Vec<_>>())
        })
        .filter(|(_, programs)| !programs.is_empty())
        .collect()
}

/// By the mark cargo-fuzz itself goes by.
fn is_fuzz_crate(package: &Package) -> bool {
    package.metadata["cargo-fuzz"] == true
}

/// The member that writes manual pages and completions (packaging/pages).
pub(crate) const PAGES: &str = "pages";

/// The member that shows a transport of one's own (zmtp/examples/tls).
const TLS_EXAMPLE: &str = "zmtp-example-tls";

/// Arguments of cargo for the sets of features, other than the usual, that are built and tested too: each that `oslo-rpc` may
/// have, and all of `zmtp`.
pub(crate) fn other_builds() -> impl Iterator<Item = [&'static str; 5]> {
    let rpc = ["", "message", "driver", "consul", "redis"].map(|features| ("oslo-rpc", features));
    let sets = rpc.into_iter().chain([("zmtp", "curve,tracing")]);
    sets.map(|(package, features)| ["--package", package, "--no-default-features", "--features", features])
}

/// What the shipped programs are built for: the one target whose executables need nothing of the host.
pub(crate) const STATIC_TARGET: &str = "x86_64-unknown-linux-musl";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_is_shipped_and_what_serves_developers_is_not() {
        let metadata = metadata().unwrap();
        let programs: Vec<_> = programs(&metadata).into_iter().flat_map(|(_, names)| names).collect();
        assert!(programs.contains(&"oslo-messaging-zmq-receiver"), "{programs:?}");
        assert!(!programs.contains(&"xtask"), "{programs:?}");
        assert!(!programs.contains(&TLS_EXAMPLE), "{programs:?}");
        let fuzz = metadata.packages.iter().find(|package| package.name == "fuzz").unwrap();
        assert!(is_fuzz_crate(fuzz));
        assert!(fuzz.targets.iter().all(|target| !programs.contains(&target.name.as_str())), "{programs:?}");
    }
}
