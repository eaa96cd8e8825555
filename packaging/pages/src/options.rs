//! The manual page of the configuration file, from the table of options.

use oslo_config::Declaration;
use roff::{Inline, Roff, bold, italic, roman};

/// zmq_receiver.conf(5).
pub(crate) fn page(declared: &[Declaration], date: &str) -> String {
    let mut page = Roff::new();
    let version = format!("oslo-messaging-zmq-receiver {}", env!("CARGO_PKG_VERSION"));
    page.control("TH", ["ZMQ_RECEIVER.CONF", "5", date, version.as_str(), "Messaging over ZeroMQ"]);
    page.control("SH", ["NAME"]);
    page.text([roman("zmq_receiver.conf - options of oslo-messaging-zmq-receiver")]);
    page.control("SH", ["DESCRIPTION"]);
    for (number, paragraph) in INTRODUCTION.iter().enumerate() {
        if number > 0 {
            page.control("PP", []);
        }
        page.text([roman(*paragraph)]);
    }
    let mut group = "";
    for option in declared {
        if option.group != group {
            group = option.group;
            page.control("SH", [format!("GROUP {group}").as_str()]);
        }
        page.control("TP", []);
        let value = option.default.map_or_else(Vec::new, |default| vec![roman(" = "), italic(default)]);
        page.text([vec![bold(option.name)], value].concat());
        page.text(told(option));
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("oslo-messaging-zmq-receiver"), roman("(8)")]);
    page.to_roff()
}

fn told(option: &Declaration) -> Vec<Inline> {
    let mut text = vec![roman(format!("{} Expected: {}.", option.help, option.expected))];
    if option.default.is_none() {
        text.push(roman(" There is no default."));
    }
    for (group, name) in option.deprecated {
        text.push(roman(format!(" Older name: [{group}] {name}.")));
    }
    if option.secret {
        text.push(roman(" It is secret: never shown or logged."));
    }
    text
}

/// What holds for all options.
const INTRODUCTION: &[&str] = &[
    "The file is INI as oslo.config reads it: [group], name = value. A line that begins with # or ; is a comment; there are no \
     comments behind a value. A line that begins with a blank goes on with the value before it. Of an option given twice the \
     last counts, and a later file overrides an earlier one. The file may be shared with other programs: options that are not \
     listed here are passed over, with a warning of check-config in the group zmq_receiver.",
    "The environment variable OS_GROUP__NAME (OS_DEFAULT__RPC_ZMQ_PORT) overrides the files, and a flag overrides both.",
    "Values are listed with their defaults. config-show of oslo-messaging-zmq-receiver(8) tells every value and who set it, and \
     check-config what is wrong.",
];

#[cfg(test)]
mod tests {
    use oslo_messaging_zmq_receiver::settings::DECLARED;

    use super::*;

    #[test]
    fn every_option_is_on_the_page() {
        let page = page(DECLARED, "2026-01-02");
        for option in DECLARED {
            assert!(page.contains(&format!("\\fB{}\\fR", option.name.replace('-', "\\-"))), "{}", option.name);
        }
        assert!(page.contains("GROUP zmq_receiver"), "{page}");
    }
}
