//! What is inside: a software bill of materials (CycloneDX 1.5, JSON), and the copyright file of the packages.
//!
//! `cargo tree` says which crates are compiled into each program, since it knows features; `cargo metadata` says what they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use cargo_metadata::{Metadata, Package};
use serde_json::{Value, json};

use super::files::PACKAGE;
use super::stamp::Stamp;
use crate::command::CommandError;
use crate::tree;

/// The crates of the shipped programs, by name and version.
pub(crate) struct Materials<'a> {
    metadata: &'a Metadata,
    packages: BTreeMap<(String, String), &'a Package>,
}

impl<'a> Materials<'a> {
    /// What `programs`, names of packages, are made of.
    pub(crate) fn of<'b>(
        metadata: &'a Metadata,
        programs: impl Iterator<Item = &'b str>,
    ) -> Result<Self, CommandError> {
        let mut used = BTreeSet::new();
        for program in programs {
            used.extend(tree::compiled_into(program)?);
        }
        let key = |package: &Package| (package.name.to_string(), package.version.to_string());
        let packages = metadata.packages.iter().map(|package| (key(package), package));
        Ok(Self { metadata, packages: packages.filter(|(key, _)| used.contains(key)).collect() })
    }

    /// The bill.
    pub(crate) fn bill(&self, version: &str, stamp: Stamp) -> String {
        let reference = |name: &str, version: &str| format!("pkg:cargo/{name}@{version}");
        let components: Vec<Value> = self
            .packages
            .values()
            .map(|package| {
                let (name, version) = (package.name.as_str(), package.version.to_string());
                json!({
                    "type": "library",
                    "bom-ref": reference(name, &version),
                    "purl": reference(name, &version),
                    "name": name,
                    "version": version,
                    "description": package.description,
                    "licenses": [{ "expression": licence(package) }],
                })
            })
            .collect();
        let depend: Vec<Value> = self
            .packages
            .values()
            .map(|package| {
                let on: Vec<String> = self
                    .dependencies(package)
                    .into_iter()
                    .map(|other| reference(other.name.as_str(), &other.version.to_string()))
                    .collect();
                json!({ "ref": reference(package.name.as_str(), &package.version.to_string()), "dependsOn": on })
            })
            .collect();
        let bill = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {
                "timestamp": stamp.instant(),
                "component": {
                    "type": "application",
                    "bom-ref": PACKAGE,
                    "name": PACKAGE,
                    "version": version,
                    "licenses": [{ "expression": "Apache-2.0" }],
                },
            },
            "components": components,
            "dependencies": depend,
        });
        format!("{bill:#}\n")
    }

    /// Those of our crates that `package` names.
    fn dependencies(&self, package: &Package) -> Vec<&'a Package> {
        let mut resolve = self.metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
        let named = resolve.find(|node| node.id == package.id).map_or(&[][..], |node| &node.dependencies);
        self.packages.values().filter(|other| named.contains(&other.id)).copied().collect()
    }

    /// Debian's copyright file (machine-readable, version 1.0): the programs, and whose work is linked into them.
    pub(crate) fn copyright(&self, stamp: Stamp) -> String {
        let mut text = COPYRIGHT.replace("@YEAR@", &stamp.date()[..4]);
        for package in self.packages.values().filter(|package| package.source.is_some()) {
            let authors = match package.authors.as_slice() {
                [] => format!("the authors of {}", package.name),
                authors => authors.iter().map(|author| without_address(author)).collect::<Vec<_>>().join(", "),
            };
            let _ = writeln!(text, "  {} {}: {}; {authors}", package.name, package.version, licence(package));
        }
        text
    }
}

/// Mail addresses are of no use in a licence.
fn without_address(author: &str) -> &str {
    author.split('<').next().unwrap_or(author).trim()
}

/// As SPDX writes it: old manifests have a slash for OR.
fn licence(package: &Package) -> String {
    package.license.as_deref().unwrap_or("NOASSERTION").replace('/', " OR ").replace("  ", " ")
}

const COPYRIGHT: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: oslo-messaging-zmq-receiver

Files: *
Copyright: @YEAR@ the oslo-zmq developers
License: Apache-2.0
 On Debian systems the text of the Apache License, Version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
Comment:
 The programs are static. These crates are linked into them, each under the
 licence that is named:
";
