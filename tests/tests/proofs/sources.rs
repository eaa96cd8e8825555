//! The tests that the sources have, by the names that `cargo test -- --list` prints.
//!
//! Read from the sources and not from the programs, so that it takes no build: a function below `#[test]` or
//! `#[tokio::test]`, in the module of its file, and the scenarios of libzmq, which a macro makes two tests of.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

/// Tests by `target::path`, the target being a library's or a test program's name.
#[derive(Debug)]
pub(crate) struct Tests(BTreeMap<String, Found>);

/// What a name stands for.
#[derive(Debug)]
struct Found {
    /// As cargo chooses it: `-p zmtp --test sockets`.
    place: String,
    /// As they are listed.
    names: Vec<String>,
}

impl Tests {
    pub(crate) fn find(root: &Path) -> anyhow::Result<Self> {
        let mut tests = Self(BTreeMap::new());
        for entry in fs::read_dir(root)? {
            let package = entry?.path();
            if !package.join("Cargo.toml").is_file() {
                continue;
            }
            let name = package.file_name().context("a directory has a name")?.to_string_lossy().into_owned();
            tests.read_target(&package.join("src"), &name, &format!("-p {name} --lib"))?;
            let Ok(targets) = fs::read_dir(package.join("tests")) else { continue };
            for target in targets {
                let target = target?.path();
                let stem = target.file_stem().context("a file has a name")?.to_string_lossy().into_owned();
                if target.extension().is_some_and(|ending| ending == "rs") || target.join("main.rs").is_file() {
                    tests.read_target(&target, &stem, &format!("-p {name} --test {stem}"))?;
                }
            }
        }
        Ok(tests)
    }

    /// The tests of a name with their place.
    pub(crate) fn named(&self, name: &str) -> anyhow::Result<Vec<(&str, &str)>> {
        let found = self.0.get(name).with_context(|| format!("there is no test {name:?}"))?;
        Ok(found.names.iter().map(|name| (&*found.place, &**name)).collect())
    }

    fn read_target(&mut self, source: &Path, target: &str, place: &str) -> anyhow::Result<()> {
        for file in rust_files(source)? {
            let inside = file.strip_prefix(source).unwrap_or(&file).with_extension("");
            let modules: Vec<_> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            let modules = modules.into_iter().filter(|name| !["lib", "main"].contains(&&**name)).collect();
            for (key, names) in tests_of(&fs::read_to_string(&file)?, modules) {
                self.0.insert(format!("{target}::{key}"), Found { place: place.to_owned(), names });
            }
        }
        Ok(())
    }
}

/// The tests of one file, by the name that a row has for them. Its code is formatted, so a module that begins at a column
/// ends with a brace there.
fn tests_of(text: &str, mut modules: Vec<String>) -> Vec<(String, Vec<String>)> {
    let outer = modules.len();
    let mut columns = Vec::new();
    let mut found = Vec::new();
    let (mut is_test, mut in_scenarios) = (false, false);
    for line in text.lines() {
        let code = line.trim_start();
        let column = line.len() - code.len();
        let path = |name: &str| modules.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("::");
        if let Some(name) = code.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {")) {
            modules.push(name.to_owned());
            columns.push(column);
        } else if code == "}" && columns.last() == Some(&column) {
            columns.pop();
            modules.truncate(outer + columns.len());
        } else if code.starts_with("#[test]") || code.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(listed) = code.strip_prefix("scenarios!(").or_else(|| in_scenarios.then_some(code)) {
            let names = listed.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|name| !name.is_empty());
            for name in names {
                let versions = ["libzmq_4_3_4", "libzmq_4_3_5"];
                found.push((path(name), versions.map(|version| path(&format!("{version}::{name}"))).into()));
            }
            in_scenarios = !listed.ends_with(");");
        } else if is_test && let Some((_, rest)) = code.split_once("fn ") {
            is_test = false;
            let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if !name.is_empty() {
                found.push((path(&name), vec![path(&name)]));
            }
        }
    }
    found
}

/// A file, or all below a directory.
fn rust_files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).into_iter().flatten() {
        let below = entry?.path();
        if below.is_dir() || below.extension().is_some_and(|ending| ending == "rs") {
            files.extend(rust_files(&below)?);
        }
    }
    Ok(files)
}
