//! The texts of options, by source, and which of them count.
//!
//! Precedence, highest first: flag, environment, later file, earlier file, declared default.
//! Within one file the last assignment wins; an option of several values takes all assignments
//! of all files. An older name of an option counts like the new one, so that it wins from a
//! later file; in the same file the new name wins.
//!
//! Texts are as written here; what a `$reference` in them stands for is decided above.

use std::collections::HashMap;
use std::ffi::OsString;

use crate::ini::File;
use crate::option::Declaration;
use crate::origin::{Origin, Setting};

/// Everything that has been said, by anyone.
#[derive(Default)]
pub(crate) struct Sources {
    /// Earlier ones first.
    pub(crate) files: Vec<File>,
    /// By name of the variable.
    environment: HashMap<String, String>,
    /// Text and spelling, by option.
    flags: HashMap<Place, (String, &'static str)>,
}

/// Where an option may stand: group and name.
pub(crate) type Place = (&'static str, &'static str);

impl Sources {
    /// Keeps the variables that set declared options.
    pub(crate) fn set_environment(
        &mut self,
        declared: &[Declaration],
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) {
        let names: Vec<String> = declared.iter().map(variable).collect();
        self.environment = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| names.contains(name))
            .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
            .collect();
    }

    pub(crate) fn set_flag(&mut self, option: &Declaration, flag: &'static str, value: String) {
        self.flags.insert((option.group, option.name), (value, flag));
    }

    /// The texts that count for an option: one, several if it is multi-valued, none if it is
    /// unset and has no default.
    pub(crate) fn written(&self, option: &Declaration) -> Vec<Setting<String>> {
        if let Some((value, flag)) = self.flags.get(&(option.group, option.name)) {
            return vec![Setting { value: value.clone(), origin: Origin::Flag(flag) }];
        }
        let variable = variable(option);
        if let Some(value) = self.environment.get(&variable) {
            return vec![Setting { value: value.clone(), origin: Origin::Environment(variable) }];
        }
        let mut found = if option.multi { self.all(option) } else { self.last(option) };
        if found.is_empty() {
            found.extend(option.default.map(|default| Setting { value: default.to_owned(), origin: Origin::Default }));
        }
        found
    }

    fn last(&self, option: &Declaration) -> Vec<Setting<String>> {
        let latest_first = self.files.iter().rev();
        let places = latest_first.flat_map(|file| places(option).map(move |place| (file, place)));
        places.filter_map(|(file, place)| assignments(file, place).next_back()).take(1).collect()
    }

    /// Older names first, within each file: the order the original gathers in.
    fn all(&self, option: &Declaration) -> Vec<Setting<String>> {
        let old_first = |file| places(option).rev().map(move |place| (file, place));
        self.files.iter().flat_map(old_first).flat_map(|(file, place)| assignments(file, place)).collect()
    }
}

/// The environment variable of an option.
fn variable(option: &Declaration) -> String {
    format!("OS_{}__{}", option.group.to_uppercase(), option.name.to_uppercase())
}

/// Where an option may stand in a file: under its own name, then under older ones.
fn places(option: &Declaration) -> impl DoubleEndedIterator<Item = Place> {
    std::iter::once((option.group, option.name)).chain(option.deprecated.iter().copied())
}

fn assignments(file: &File, (group, name): Place) -> impl DoubleEndedIterator<Item = Setting<String>> {
    file.assignments(group, name).iter().map(|assignment| Setting {
        value: assignment.value.clone(),
        origin: Origin::File { file: file.path().clone(), line: assignment.line },
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{MultiStr, Opt, parse};

    const I: Opt<i64> = Opt::new("i", "").or("7");
    const NEW: Opt<String> = Opt::new("new", "").in_group("g").formerly(&[("DEFAULT", "old")]);
    const M: Opt<MultiStr> = Opt::new("m", "").formerly(&[("DEFAULT", "n")]).or("d");

    fn sources(texts: &[&str]) -> Sources {
        let mut sources = Sources::default();
        for (index, text) in texts.iter().enumerate() {
            let name = format!("{index}.conf");
            sources.files.push(parse(text.as_bytes(), Path::new(&name)).unwrap());
        }
        sources
    }

    fn shown(sources: &Sources, option: &Declaration) -> Vec<String> {
        sources.written(option).into_iter().map(|text| format!("{} ({})", text.value, text.origin)).collect()
    }

    #[test]
    fn each_source_overrides_the_next() {
        let mut sources = Sources::default();
        let i = I.declaration();
        assert_eq!(shown(&sources, i), ["7 (default)"]);
        sources.files.push(parse(b"[DEFAULT]\ni = 1\n", Path::new("a")).unwrap());
        assert_eq!(shown(&sources, i), ["1 (a:2)"]);
        sources.files.push(parse(b"[DEFAULT]\n\ni = 2\n", Path::new("b")).unwrap());
        assert_eq!(shown(&sources, i), ["2 (b:3)"]);
        sources.set_environment(&[*i], [("OS_DEFAULT__I".into(), "3".into())]);
        assert_eq!(shown(&sources, i), ["3 (environment OS_DEFAULT__I)"]);
        sources.set_flag(i, "--i", "4".to_owned());
        assert_eq!(shown(&sources, i), ["4 (--i)"]);
    }

    #[test]
    fn the_environment_knows_groups_and_nothing_undeclared_is_kept() {
        let mut sources = Sources::default();
        let variables = [("OS_G__NEW", "x"), ("OS_PASSWORD", "p"), ("OS_DEFAULT__OLD", "y"), ("PATH", "z")];
        sources.set_environment(&[*NEW.declaration()], variables.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(shown(&sources, NEW.declaration()), ["x (environment OS_G__NEW)"]);
        assert_eq!(sources.environment.len(), 1);
    }

    #[test]
    fn an_old_name_wins_from_a_later_file_only() {
        let new = NEW.declaration();
        let (old_text, new_text) = ("[DEFAULT]\nold = o\n", "[G]\nnew = n\n");
        assert_eq!(shown(&sources(&[old_text]), new), ["o (0.conf:2)"]);
        assert_eq!(shown(&sources(&[new_text, old_text]), new), ["o (1.conf:2)"]);
        assert_eq!(shown(&sources(&[&[new_text, old_text].concat()]), new), ["n (0.conf:2)"]);
    }

    #[test]
    fn several_values_gather_over_names_and_files() {
        let m = M.declaration();
        let sources = sources(&["[DEFAULT]\nm=1\nn=0\nm=2\n", "[DEFAULT]\nm = 3\n"]);
        assert_eq!(shown(&sources, m), ["0 (0.conf:3)", "1 (0.conf:2)", "2 (0.conf:4)", "3 (1.conf:2)"]);
        assert_eq!(shown(&Sources::default(), m), ["d (default)"]);
    }
}
