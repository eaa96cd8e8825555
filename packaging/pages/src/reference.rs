//! `docs/configure.md`: every option of every program, from their tables.

use std::fmt::Write;

use oslo_config::Declaration;

/// The whole document.
pub(crate) fn text() -> String {
    let mut text = INTRODUCTION.to_owned();
    text += "\n## The receiver\n";
    tables(&mut text, oslo_messaging_zmq_receiver::settings::DECLARED);
    text += "\n## Programs that call and serve (`zrpc`, and Rust services)\n\n\
             They read these from the same files, or from a service's own.\n";
    let shared = matchmaker::Settings::OPTIONS;
    let own: Vec<Declaration> =
        oslo_rpc::settings::DECLARED.iter().filter(|option| !shared.contains(option)).copied().collect();
    tables(&mut text, &own);
    text += "\n## Who serves what (`matchmaker`, `zrpc`, and Rust services)\n";
    tables(&mut text, shared);
    text
}

/// A table for each group, in the order in which they come.
fn tables(text: &mut String, declared: &[Declaration]) {
    let mut groups: Vec<&str> = declared.iter().map(|option| option.group).collect();
    groups.sort_by_key(|group| declared.iter().position(|option| option.group == *group));
    groups.dedup();
    for group in groups {
        let _ = write!(text, "\n### `[{group}]`\n\n| option | default | value | meaning |\n|---|---|---|---|\n");
        for option in declared.iter().filter(|option| option.group == group) {
            let default = option.default.map(|default| format!("`{default}`")).unwrap_or_default();
            let name = option.name;
            let _ = write!(text, "| `{name}` | {default} | {} | {}", cell(option.expected), cell(option.help));
            for (group, name) in option.deprecated {
                let _ = write!(text, " Older name: `[{group}] {name}`.");
            }
            if option.secret {
                text.push_str(" Never shown or logged.");
            }
            text.push_str(" |\n");
        }
    }
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

const INTRODUCTION: &str = "\
# Every option

This page is written from the tables that the programs read their options by (`packaging/pages`), so it has all of them; a test
fails when it is out of date.

Files are INI as `oslo.config` reads it: `[group]`, `name = value`, comments only in lines of their own. Of an option given twice
the last counts; a later file overrides an earlier one. The environment overrides files (`OS_<GROUP>__<OPTION>`, as in
`OS_DEFAULT__RPC_ZMQ_PORT=9501`), and flags override both. Options of the original keep their names, groups and defaults; those of
ours are in groups that Python does not know and passes over, so that one file can serve both.

`oslo-messaging-zmq-receiver config-sample` prints the receiver's as a file to begin with, `config-show` what each is and who set
it, `check-config` what is wrong, by file and line.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_in_docs_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configure.md");
        let found = std::fs::read_to_string(path).unwrap_or_default();
        let hint = "docs/configure.md is out of date: cargo run -p pages -- target/pages 2026-01-01 && \
                    cp target/pages/configure.md docs/";
        assert!(found == text(), "{hint}");
    }
}
