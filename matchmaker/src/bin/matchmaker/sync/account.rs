//! Users and groups by name, from this machine's own lists.

use std::fs;

use thiserror::Error;

/// A name in a list of accounts.
#[derive(Debug, Error)]
#[error("there is no {what} {name:?} in {list}: give its number")]
pub(crate) struct NoAccount {
    what: &'static str,
    name: String,
    list: &'static str,
}

/// The number of a user.
pub(crate) fn user(name: &str) -> Result<u32, NoAccount> {
    number(name, "/etc/passwd").ok_or_else(|| NoAccount { what: "user", name: name.to_owned(), list: "/etc/passwd" })
}

/// The number of a group.
pub(crate) fn group(name: &str) -> Result<u32, NoAccount> {
    number(name, "/etc/group").ok_or_else(|| NoAccount { what: "group", name: name.to_owned(), list: "/etc/group" })
}

/// Lines of both lists are `name:password:number:…`.
fn number(name: &str, list: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let list = fs::read_to_string(list).ok()?;
    let mut lines = list.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_have_numbers() {
        assert_eq!(user("root").unwrap(), 0);
        assert_eq!(group("root").unwrap(), 0);
        assert_eq!(user("4711").unwrap(), 4711);
        let error = group("no such group").unwrap_err().to_string();
        assert_eq!(error, "there is no group \"no such group\" in /etc/group: give its number");
    }
}
