//! The layering of ARCHITECTURE.md, checked: a module imports only modules that are declared before it.
//!
//! Each module file declares its children in reading order (`mod a; mod b;`), and that order is the rule. Between two
//! files it holds where their paths part: `session.rs` may import `proto/run.rs` because `lib.rs` declares `proto`
//! before `session`. A child may use what its parent itself defines, such as a trait, and nothing that the parent only
//! re-exports.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const CRATES: [&str; 5] = ["zmtp", "config", "matchmaker", "rpc", "receiver"];

/// The modules of one crate: path in the tree of modules, such as `["proto", "run"]`, to source without comments and
/// tests. The root is the empty path.
struct Crate {
    modules: BTreeMap<Vec<String>, String>,
}

impl Crate {
    fn read(name: &str) -> Self {
        let src = root().join(name).join("src");
        let mut modules = BTreeMap::new();
        for file in rust_files(&src) {
            let inside = file.strip_prefix(&src).expect("found below it").with_extension("");
            let mut path: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            // Programs stand on top of the library and may use all of it.
            if path[0] == "main" || path[0] == "bin" {
                continue;
            }
            if path == ["lib"] {
                path.clear();
            }
            let text = fs::read_to_string(&file).expect("readable source");
            modules.insert(path, code_of(&text));
        }
        Self { modules }
    }

    /// Breaches of the rule, one line each.
    fn breaches(&self) -> Vec<String> {
        let mut breaches = Vec::new();
        for (module, code) in &self.modules {
            for path in paths(code, module) {
                if let Some(why) = self.breach(module, &path) {
                    breaches.push(format!("{} uses {}: {why}", module.join("::"), path.join("::")));
                }
            }
        }
        breaches
    }

    fn breach(&self, module: &[String], path: &[String]) -> Option<&'static str> {
        let depth = (0..=path.len()).rev().find(|n| self.modules.contains_key(&path[..*n])).unwrap_or(0);
        let (target, item) = path.split_at(depth);
        let shared = module.iter().zip(target).take_while(|(a, b)| a == b).count();
        if shared == target.len() {
            let defined = item.first().is_none_or(|item| defines(&self.modules[target], item));
            return (target.len() < module.len() && !defined).then_some("a re-export of its parent");
        }
        if shared == module.len() {
            return None;
        }
        let declared = declarations(&self.modules[&module[..shared]]);
        let rank = |name: &String| declared.iter().position(|d| d == name);
        (rank(&target[shared]) >= rank(&module[shared])).then_some("declared after it")
    }
}

#[test]
fn modules_import_only_what_is_declared_before_them() {
    let breaches: Vec<String> = CRATES
        .iter()
        .flat_map(|name| Crate::read(name).breaches().into_iter().map(move |breach| format!("{name}: {breach}")))
        .collect();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn the_map_names_every_file() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut missing = Vec::new();
    for name in CRATES {
        let section = map.split(&format!("### {name}/")).nth(1).unwrap_or_default();
        let section = section.split("\n### ").next().unwrap_or_default();
        let src = root().join(name).join("src");
        for file in rust_files(&src) {
            let file = file.strip_prefix(&src).expect("found below it").display().to_string();
            if !section.contains(&format!("`{file}`")) {
                missing.push(format!("{name}/src/{file}"));
            }
        }
    }
    assert!(missing.is_empty(), "not in ARCHITECTURE.md:\n{}", missing.join("\n"));
}

#[test]
fn the_rule_can_be_broken() {
    let modules = [
        (vec![], "mod low; mod high; pub use low::Low;"),
        (vec!["low"], "use crate::high::High; use crate::Low; use super::high;"),
        (vec!["high"], "use crate::low::{Low, deep::{A, B}};"),
    ];
    let modules = modules.map(|(path, code)| (path.into_iter().map(str::to_owned).collect(), code.to_owned()));
    let breaches = Crate { modules: modules.into() }.breaches();
    assert_eq!(breaches.len(), 3, "{breaches:?}");
}

/// Every path in `code` that starts at `crate` or `super`, from the root of the crate, groups in braces expanded.
fn paths(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        expand(&code[at + "crate::".len()..], Vec::new(), &mut all);
    }
    let parent = module.split_last().map_or(&[][..], |(_, parent)| parent);
    for (at, _) in code.match_indices("super::") {
        expand(&code[at + "super::".len()..], parent.to_vec(), &mut all);
    }
    all
}

/// Reads one path or group at the start of `code`; returns the octets read.
fn expand(code: &str, mut base: Vec<String>, all: &mut Vec<Vec<String>>) -> usize {
    let mut at = 0;
    loop {
        let rest = &code[at..];
        if rest.starts_with('{') {
            at += 1;
            loop {
                at += code[at..].len() - code[at..].trim_start_matches([',', ' ', '\n']).len();
                if code[at..].is_empty() || code[at..].starts_with('}') {
                    return at + 1;
                }
                at += expand(&code[at..], base.clone(), all).max(1);
            }
        }
        let name = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if name > 0 && &rest[..name] != "self" {
            base.push(rest[..name].to_owned());
        }
        at += name;
        if name == 0 || !code[at..].starts_with("::") {
            all.push(base);
            // A renaming is part of the entry.
            let end = code[at..].find([',', '}', ';', '\n']).unwrap_or(0);
            return if code[at..].starts_with(" as ") { at + end } else { at };
        }
        at += 2;
    }
}

/// Names of the child modules, in order of their declarations.
fn declarations(code: &str) -> Vec<String> {
    let words: Vec<&str> = code.split_whitespace().collect();
    let pairs = words.windows(2).filter(|pair| pair[0] == "mod" || pair[0].ends_with(")mod"));
    pairs.filter_map(|pair| pair[1].strip_suffix(';')).map(str::to_owned).collect()
}

fn defines(code: &str, item: &str) -> bool {
    let kinds = ["struct", "enum", "trait", "type", "fn", "const", "static", "macro_rules!"];
    let words: Vec<&str> = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '!')).collect();
    words.windows(2).any(|pair| kinds.contains(&pair[0]) && pair[1] == item)
}

/// A source without comments and without its tests, which stand last.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a source directory") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
