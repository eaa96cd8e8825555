//! Tells the program which version of the library it measures: the one in the lock file.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=Cargo.lock");
    let directory = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let lock = fs::read_to_string(Path::new(&directory).join("Cargo.lock"))?;
    let package = lock.split("[[package]]").find(|package| package.contains("\nname = \"zmtp\"\n"));
    let version = package.and_then(|package| package.split('"').nth(3)).unwrap_or("unknown");
    println!("cargo::rustc-env=ZMTP_VERSION={version}");
    Ok(())
}
