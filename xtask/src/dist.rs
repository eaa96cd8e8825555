//! `cargo xtask dist`: what is released, in `target/dist`.
//!
//! Every program of the workspace as one static, stripped Linux executable; the same programs with units, manual pages,
//! completions, documents and examples as a Debian package and a tarball; the programs alone as an image; what they are made
//! of (`sbom.cdx.json`); and `SHA256SUMS`, in the form `sha256sum -c` reads.
//!
//! A program is proved static by its own headers, the receiver is held to its size, and no dependency may compile C: what is
//! in `target/dist` has passed all three. Packing the same commit again gives the same octets.
//!
//! Reading order: `stamp` (the one time), `files` (the one list), `archive` (tar), `image`, `sbom`.

mod archive;
mod files;
mod image;
mod sbom;
mod stamp;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::Metadata;
use rustix::fs::{FlockOperation, flock};

use self::files::{Files, PACKAGE, Sources, Unreadable};
use self::sbom::Materials;
use self::stamp::{Stamp, StampError};
use crate::command::{self, CommandError};
use crate::elf::{self, ElfError};
use crate::tree::{self, TreeError};
use crate::workspace::{self, STATIC_TARGET};

/// A distribution that is not fit to ship.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DistError {
    #[error("the standard library for {STATIC_TARGET} is missing, and rustup cannot add it")]
    Target(#[source] CommandError),
    #[error("{program} is not static")]
    Dynamic { program: String, source: ElfError },
    #[error("{program} takes {size} bytes, over its limit of {limit} (LIMITS in xtask/src/dist.rs)")]
    TooLarge { program: String, size: usize, limit: usize },
    #[error("cannot use {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the Debian package is made by dpkg-deb (Debian package dpkg)")]
    Deb(#[source] CommandError),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Stamp(#[from] StampError),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Metadata(#[from] cargo_metadata::Error),
    #[error(transparent)]
    Cargo(#[from] CommandError),
}

/// Builds, checks and packs the programs.
pub(crate) fn run() -> Result<(), DistError> {
    let home = workspace::root().join("target");
    fs::create_dir_all(&home).map_err(at(&home))?;
    // Two runs at once would pack into one another's directories.
    let path = home.join("dist.lock");
    let lock = File::create(&path).map_err(at(&path))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|errno| at(&path)(errno.into()))?;

    tree::check_no_c()?;
    let metadata = workspace::metadata()?;
    have_target()?;
    let programs = build(&metadata)?;
    let stamp = Stamp::now()?;

    // What is there is whole: it is made elsewhere and takes the place of the last.
    let (dist, new, work) = (home.join("dist"), home.join("dist.new"), home.join("dist.work"));
    for directory in [&new, &work] {
        remove(directory)?;
        fs::create_dir_all(directory).map_err(at(directory))?;
    }
    pack(&metadata, &programs, stamp, &new, &work)?;
    let sums = sums(&new)?;
    let path = new.join("SHA256SUMS");
    fs::write(&path, &sums).map_err(at(&path))?;
    remove(&dist)?;
    fs::rename(&new, &dist).map_err(at(&dist))?;
    remove(&work)?;
    for line in sums.lines() {
        let name = line.split_once("  ").map_or(line, |(_, name)| name);
        let size = fs::metadata(dist.join(name)).map_err(at(&dist))?.len();
        println!("{size:>9} bytes  target/dist/{name}");
    }
    Ok(())
}

/// Builds the programs and checks each.
///
/// Each package on its own: built together they would share the features that any of them asks for, and the receiver would get
/// a matchmaker.
fn build(metadata: &Metadata) -> Result<Vec<(String, Vec<u8>)>, DistError> {
    let built = metadata.target_directory.as_std_path().join(STATIC_TARGET).join("release");
    let mut programs = Vec::new();
    for (package, names) in workspace::programs(metadata) {
        let mut build = workspace::cargo();
        build.args(["build", "--release", "--locked", "--bins", "--target", STATIC_TARGET]);
        build.args(["--package", package.name.as_str()]);
        // Names and lines are for profiles; nobody profiles what is shipped.
        build.env("CARGO_PROFILE_RELEASE_STRIP", "symbols").env("CARGO_PROFILE_RELEASE_DEBUG", "none");
        command::run(&mut build)?;
        for name in names {
            let path = built.join(name);
            let data = fs::read(&path).map_err(at(&path))?;
            check(name, &data)?;
            programs.push((name.to_owned(), data));
        }
    }
    Ok(programs)
}

fn check(name: &str, data: &[u8]) -> Result<(), DistError> {
    elf::check_static(data).map_err(|source| DistError::Dynamic { program: name.to_owned(), source })?;
    match LIMITS.iter().find(|(limited, _)| *limited == name) {
        Some(&(_, limit)) if data.len() > limit => {
            Err(DistError::TooLarge { program: name.to_owned(), size: data.len(), limit })
        }
        _ => Ok(()),
    }
}

/// Everything but the sums, into `new`. `work` is for what is needed on the way.
fn pack(
    metadata: &Metadata,
    programs: &[(String, Vec<u8>)],
    stamp: Stamp,
    new: &Path,
    work: &Path,
) -> Result<(), DistError> {
    let packages = workspace::programs(metadata);
    let materials = Materials::of(metadata, packages.iter().map(|(package, _)| package.name.as_str()))?;
    let version = packages.iter().map(|(package, _)| package.version.to_string()).next().unwrap_or_default();
    let pages = work.join("pages");
    let mut run = workspace::cargo();
    run.args(["run", "--quiet", "--locked", "--package", workspace::PAGES, "--"]).arg(&pages).arg(stamp.date());
    command::run(&mut run)?;

    let changelog = changelog(&version, stamp);
    let files = Files::gather(&Sources { programs, pages: &pages, changelog, copyright: materials.copyright(stamp) })?;
    let put = |name: &str, octets: &[u8], mode: u32| {
        let path = new.join(name);
        let written = fs::write(&path, octets);
        written.and_then(|()| fs::set_permissions(&path, PermissionsExt::from_mode(mode))).map_err(at(&path))
    };
    for (name, octets) in programs {
        put(name, octets, 0o755)?;
    }
    let top = format!("{PACKAGE}-{version}/");
    let tar = archive::tar(&files.all(), &top, stamp).map_err(at(new))?;
    put(&format!("{PACKAGE}-{version}-x86_64-linux-musl.tar.gz"), &files::gzip(&tar), 0o644)?;
    let image = image::archive(&files.in_image(), &version, stamp).map_err(at(new))?;
    put(&format!("{PACKAGE}-{version}-oci.tar"), &image, 0o644)?;
    put("sbom.cdx.json", materials.bill(&version, stamp).as_bytes(), 0o644)?;

    let root = work.join("root");
    stage(&files, &root)?;
    let mut deb = Command::new(workspace::root().join("packaging/deb"));
    deb.arg(&root).arg(&version).arg(new).env("SOURCE_DATE_EPOCH", stamp.seconds().to_string());
    command::capture(&mut deb).map(drop).map_err(DistError::Deb)
}

/// Writes the list below `root`, as it is to be on a host.
fn stage(files: &Files, root: &Path) -> Result<(), DistError> {
    fs::create_dir_all(root).map_err(at(root))?;
    for (path, file) in files.all() {
        let path = root.join(path);
        let made = match &file.content {
            Some(octets) => fs::write(&path, octets),
            None => fs::create_dir(&path),
        };
        made.and_then(|()| fs::set_permissions(&path, PermissionsExt::from_mode(file.mode))).map_err(at(&path))?;
    }
    Ok(())
}

/// Debian's form; what changed is told by the log of the repository.
fn changelog(version: &str, stamp: Stamp) -> String {
    format!(
        "{PACKAGE} (1:{version}) unstable; urgency=medium\n\n  * Release {version}.\n\n -- {MAINTAINER}  {}\n",
        stamp.mail()
    )
}

/// Of every file in `directory`, sorted by name.
fn sums(directory: &Path) -> Result<String, DistError> {
    let entries = fs::read_dir(directory).map_err(at(directory))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let mut sums = String::new();
    for path in paths {
        let octets = fs::read(&path).map_err(at(&path))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        sums.push_str(&format!("{}  {name}\n", image::hex(&octets)));
    }
    Ok(sums)
}

/// Adds the target to the toolchain that runs us, unless it is there.
fn have_target() -> Result<(), DistError> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let sysroot = command::capture(Command::new(rustc).current_dir(workspace::root()).args(["--print", "sysroot"]))?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(STATIC_TARGET).exists() {
        return Ok(());
    }
    println!("installing: rustup target add {STATIC_TARGET}");
    let mut rustup = Command::new("rustup");
    command::capture(rustup.current_dir(workspace::root()).args(["target", "add", STATIC_TARGET]))
        .map_err(DistError::Target)?;
    Ok(())
}

fn remove(directory: &Path) -> Result<(), DistError> {
    if directory.exists() { fs::remove_dir_all(directory).map_err(at(directory)) } else { Ok(()) }
}

fn at(path: &Path) -> impl Fn(io::Error) -> DistError {
    move |source| DistError::File { path: path.to_owned(), source }
}

/// Who answers for the Debian package; packaging/debian/control says the same.
const MAINTAINER: &str = "The oslo-zmq developers <root@localhost>";

/// Programs with a size in bytes they may not pass. The receiver is to fit where a Python is too large.
const LIMITS: &[(&str, usize)] = &[("oslo-messaging-zmq-receiver", 5_000_000)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_not_shipped() {
        let data = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(matches!(check("any", &data), Err(DistError::Dynamic { .. })));
    }

    #[test]
    fn the_maintainer_is_the_one_of_the_package() {
        let control = fs::read_to_string(workspace::root().join("packaging/debian/control")).unwrap();
        assert!(control.contains(&format!("\nMaintainer: {MAINTAINER}\n")), "{control}");
    }
}
