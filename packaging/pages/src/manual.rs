//! Manual pages of the programs: man(7).
//!
//! Name, synopsis, description and options are clap's. What stands after the options in `--help` becomes sections of its own,
//! for that is where exit codes, signals and examples are.

use clap_mangen::Man;
use roff::{Roff, bold, roman};

use crate::programs::Program;

/// A page, and its name without the section.
pub(crate) struct Page {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The program's page, and one for each of its commands.
pub(crate) fn pages(program: &Program, date: &str) -> Vec<Page> {
    let mut command = program.command.clone();
    command.build();
    let name = program.name();
    let own = page(&command, program, name, date, program.see_also);
    let parent = format!("{name}({})", program.section);
    let of_commands = command.get_subcommands().filter(|command| command.get_name() != "help").map(|command| {
        // Flags of every command are on the page of the program.
        let command = command.clone().mut_args(|argument| {
            let global = argument.is_global_set();
            argument.hide(global)
        });
        page(&command, program, &format!("{name}-{}", command.get_name()), date, &[&parent])
    });
    std::iter::once(own).chain(of_commands).collect()
}

fn page(command: &clap::Command, program: &Program, name: &str, date: &str, see_also: &[&str]) -> Page {
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let command = command.clone().display_name(name).after_help(None).after_long_help(None);
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .section(program.section.to_string())
        .date(date)
        .source(format!("{} {}", program.name(), env!("CARGO_PKG_VERSION")))
        .manual("Messaging over ZeroMQ");
    let mut text = Vec::new();
    let parts = [
        Man::render_title,
        Man::render_name_section,
        Man::render_synopsis_section,
        Man::render_description_section,
        Man::render_options_section,
    ];
    for part in parts {
        // Writing to memory does not fail.
        let _ = part(&man, &mut text);
    }
    if command.has_subcommands() {
        let _ = man.render_subcommands_section(&mut text);
    }
    let mut rest = Roff::new();
    for section in sections(&after) {
        rest.control("SH", [section.heading.to_uppercase().as_str()]);
        if section.is_running {
            rest.text([roman(section.lines.join(" "))]);
        } else {
            rest.control("nf", []);
            for line in section.lines {
                rest.text([roman(line)]);
            }
            rest.control("fi", []);
        }
    }
    rest.control("SH", ["SEE ALSO"]);
    for (number, other) in see_also.iter().enumerate() {
        let (name, section) = other.split_once('(').unwrap_or((other, ""));
        let comma = if number + 1 < see_also.len() { "," } else { "" };
        rest.text([bold(name), roman(format!("({section}{comma}"))]);
    }
    let text = String::from_utf8_lossy(&text).into_owned() + &rest.to_roff();
    Page { name: name.to_owned(), text: tidy(&text) }
}

/// Without what mandoc warns of in clap's text: a break beside a space, and blanks at the end of a line.
fn tidy(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let is_space = |line: Option<&&str>| line.is_some_and(|line| line.is_empty() || line.starts_with(".sp"));
    let kept = lines.iter().enumerate().filter(|(at, line)| {
        let beside_space = is_space(lines.get(at + 1)) || at.checked_sub(1).is_some_and(|at| is_space(lines.get(at)));
        **line != ".br" || !beside_space
    });
    kept.map(|(_, line)| format!("{line}\n")).collect()
}

/// A part of what stands after the options.
#[derive(Debug, PartialEq, Eq)]
struct Section<'a> {
    heading: &'a str,
    lines: Vec<&'a str>,
    /// Whether it is running text, rather than a table or examples.
    is_running: bool,
}

/// Parts are separated by blank lines. One that begins with `Heading:` has that heading; its lines are indented if they are a
/// table.
fn sections(after: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for part in after.split("\n\n").filter(|part| !part.trim().is_empty()) {
        let (first, rest) = part.split_once('\n').unwrap_or((part, ""));
        let heading = first.split_once(':').filter(|(heading, _)| heading.split(' ').count() <= 3);
        match heading {
            Some((heading, "")) => {
                let lines: Vec<_> = rest.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
                let is_running = heading == "Configuration";
                sections.push(Section { heading, lines, is_running });
            }
            Some((heading, text)) => {
                let lines = std::iter::once(text.trim()).chain(rest.lines()).collect();
                sections.push(Section { heading, lines, is_running: true });
            }
            None => sections.push(Section { heading: "Notes", lines: part.lines().collect(), is_running: true }),
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs;

    #[test]
    fn what_stands_after_the_options_becomes_sections() {
        let after = "Exit codes: 0 done,\n1 not.\n\nSignals:\n  TERM  the end\n\nWithout a file nothing is read.";
        let expected = [
            Section { heading: "Exit codes", lines: vec!["0 done,", "1 not."], is_running: true },
            Section { heading: "Signals", lines: vec!["TERM  the end"], is_running: false },
            Section { heading: "Notes", lines: vec!["Without a file nothing is read."], is_running: true },
        ];
        assert_eq!(sections(after), expected);
    }

    #[test]
    fn the_receivers_page_has_its_flags_its_signals_and_its_exit_codes() {
        let receiver = &programs::all()[0];
        let page = &pages(receiver, "2026-01-02")[0];
        assert_eq!(page.name, "oslo-messaging-zmq-receiver");
        for text in [".SH SIGNALS", ".SH \"EXIT CODES\"", "config\\-file", "zmq_receiver.conf", "2026"] {
            assert!(page.text.contains(text), "{text} in:\n{}", page.text);
        }
    }

    #[test]
    fn breaks_beside_a_space_go() {
        assert_eq!(tidy("a \n.br\n\n.br\nb\n.br\nc\n"), "a\n\nb\n.br\nc\n");
    }

    #[test]
    fn flags_of_every_command_are_told_once() {
        let zrpc = &programs::all()[2];
        let pages = pages(zrpc, "2026-01-02");
        let call = pages.iter().find(|page| page.name == "zrpc-call").unwrap();
        assert!(call.text.contains("timeout") && !call.text.contains("embedded"), "{}", call.text);
    }
}
