//! The Rust version the workspace promises, held against what its dependencies declare.
//!
//! A declaration is not a proof; it is what cargo's resolver goes by too. A dependency that declares nothing passes.

use cargo_metadata::semver::Version;
use cargo_metadata::{Metadata, Package};

/// A promise that is missing, or that a dependency breaks.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MsrvError {
    #[error("{member} declares no rust-version; write `rust-version.workspace = true`")]
    Undeclared { member: String },
    #[error("the workspace promises Rust {promised}, and these dependencies want a newer one: {wanting}")]
    Newer { promised: Version, wanting: String },
}

/// Checks every package of the resolved graph against the lowest version a member declares.
pub(crate) fn check(metadata: &Metadata) -> Result<(), MsrvError> {
    let members = metadata.workspace_packages();
    if let Some(member) = members.iter().find(|member| member.rust_version.is_none()) {
        return Err(MsrvError::Undeclared { member: member.name.to_string() });
    }
    let Some(promised) = members.iter().filter_map(|member| member.rust_version.as_ref()).min() else { return Ok(()) };
    let wanting = metadata.packages.iter().filter(|package| wants_newer(package.rust_version.as_ref(), promised));
    let wanting: Vec<_> = wanting.map(describe).collect();
    if wanting.is_empty() {
        Ok(())
    } else {
        Err(MsrvError::Newer { promised: promised.clone(), wanting: wanting.join(", ") })
    }
}

fn wants_newer(declared: Option<&Version>, promised: &Version) -> bool {
    declared.is_some_and(|declared| declared > promised)
}

fn describe(package: &Package) -> String {
    format!("{} {}", package.name, package.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_newer_declaration_breaks_the_promise() {
        let promised = Version::new(1, 88, 0);
        assert!(!wants_newer(None, &promised));
        assert!(!wants_newer(Some(&Version::new(1, 85, 0)), &promised));
        assert!(!wants_newer(Some(&promised), &promised));
        assert!(wants_newer(Some(&Version::new(1, 88, 1)), &promised));
        assert!(wants_newer(Some(&Version::new(1, 100, 0)), &promised));
    }
}
