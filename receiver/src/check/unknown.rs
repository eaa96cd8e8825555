//! Names that nobody reads, and that look as if somebody were to.
//!
//! Most of what stands in the files is the services' business. What is told here is ours by its group, by a group that looks
//! like ours, or by the beginning of its name.

use std::sync::Arc;

use oslo_config::{Config, File, Origin};

use super::{Finding, Level};
use crate::settings::OURS;

/// All such names in the files of a configuration.
pub(super) fn unknown(config: &Config) -> Vec<(Origin, Finding)> {
    let names = Names { config };
    config
        .files()
        .iter()
        .flat_map(|file| names.in_our_group(file).chain(names.in_default(file)).chain(groups(file)))
        .collect()
}

struct Names<'a> {
    config: &'a Config,
}

impl Names<'_> {
    /// Names in our own group.
    fn in_our_group<'f>(&'f self, file: &'f File) -> impl Iterator<Item = (Origin, Finding)> + 'f {
        let strange = file.names(OURS).filter(|(name, _)| !self.has(OURS, name));
        strange.map(move |(name, line)| {
            let hint = if self.has(DEFAULT, name) {
                format!("it is read in [{DEFAULT}]: move it there")
            } else {
                self.nearest(OURS, name)
            };
            finding(file, line, format!("[{OURS}] has no option {:?}", shown(name)), hint)
        })
    }

    /// Names that begin like the original receiver's.
    fn in_default<'f>(&'f self, file: &'f File) -> impl Iterator<Item = (Origin, Finding)> + 'f {
        let strange = file.names(DEFAULT).filter(|(name, _)| name.starts_with(LEGACY) && !self.has(DEFAULT, name));
        strange.map(move |(name, line)| {
            let text = format!("{:?} is no option of this receiver", shown(name));
            finding(file, line, text, self.nearest(DEFAULT, name))
        })
    }

    fn has(&self, group: &str, name: &str) -> bool {
        self.of(group).any(|known| known == name)
    }

    fn of(&self, group: &str) -> impl Iterator<Item = &'static str> {
        self.config.declared().iter().filter(move |option| option.group == group).map(|option| option.name)
    }

    fn nearest(&self, group: &str, name: &str) -> String {
        let near = self.of(group).map(|known| (strsim::jaro_winkler(known, name), known));
        match near.max_by(|(a, _), (b, _)| a.total_cmp(b)).filter(|(likeness, _)| *likeness > LIKE) {
            Some((_, known)) => format!("perhaps {known} is meant"),
            None => "config-sample prints those there are".to_owned(),
        }
    }
}

/// Groups whose name is nearly ours.
fn groups(file: &File) -> impl Iterator<Item = (Origin, Finding)> + '_ {
    // What is left of zmq-receiver, zmqreceiver or Zmq_Receivers.
    let letters = |name: &str| name.chars().filter(char::is_ascii_alphabetic).collect::<String>();
    let strange = file.groups().filter(move |(group, _)| {
        *group != OURS && strsim::damerau_levenshtein(&letters(group), &letters(OURS)) <= SLIPS
    });
    strange.map(|(group, line)| {
        finding(
            file,
            line,
            format!("nothing in the group [{}] is read", shown(group)),
            format!("perhaps [{OURS}] is meant"),
        )
    })
}

fn finding(file: &File, line: usize, text: String, hint: String) -> (Origin, Finding) {
    let (origin, finding) = Finding::at(&Origin::File { file: Arc::clone(file.path()), line }, Level::Warning, text);
    (origin, Finding { hint: Some(hint), ..finding })
}

fn shown(name: &str) -> String {
    name.chars().take(MAX_SHOWN).collect()
}

/// The group of the original's options.
const DEFAULT: &str = "DEFAULT";

/// How the names of the original's options begin. No service has others that do.
const LEGACY: &str = "rpc_zmq_";

/// From here on two names are taken for one that was mistyped: a letter or two in a name of usual length.
const LIKE: f64 = 0.85;

/// Letters that are wrong, missing or too many in the name of a group that is mistyped.
const SLIPS: usize = 2;

/// Characters of an unknown name that are shown.
const MAX_SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use oslo_config::parse;

    use super::*;
    use crate::settings::DECLARED;

    fn told(text: &str) -> Vec<String> {
        let mut config = Config::new(DECLARED);
        config.push(parse(text.as_bytes(), "x.conf".as_ref()).unwrap());
        unknown(&config).into_iter().map(|(_, finding)| finding.to_string()).collect()
    }

    #[test]
    fn a_name_that_is_ours_and_unknown_is_told_with_what_may_be_meant() {
        let cases = [
            (
                "[zmq_receiver]\nmax_topic = 1",
                ":2: warning: [zmq_receiver] has no option \"max_topic\"; perhaps max_topics is meant",
            ),
            ("[zmq_receiver]\nxyz = 1", "; config-sample prints those there are"),
            ("[zmq_receiver]\nrpc_zmq_port = 1", "; it is read in [DEFAULT]: move it there"),
            (
                "[DEFAULT]\nrpc_zmq_prot = 1",
                ":2: warning: \"rpc_zmq_prot\" is no option of this receiver; perhaps rpc_zmq_port is meant",
            ),
            (
                "[zmq-receiver]\n\nmax_topics = 1",
                ":3: warning: nothing in the group [zmq-receiver] is read; perhaps [zmq_receiver] is meant",
            ),
            ("[zmq_reciever]\nmax_topics = 1", "; perhaps [zmq_receiver] is meant"),
        ];
        for (text, expected) in cases {
            let told = told(text);
            assert!(told.len() == 1 && told[0].contains(expected), "{text}: {told:?}");
        }
    }

    #[test]
    fn what_is_a_services_own_is_not() {
        let nova = "[DEFAULT]\nmy_ip = 10.0.0.1\nrpc_backend = zmq\nrpc_zmq_port = 9501\nmax_topics = 1\n\
                    [zmq_rpc]\nenvelope = true\n[matchmaker_ring]\nringfile = /r\n[ZMQ_Receiver]\nmax_topics = 1\n";
        assert_eq!(told(nova), Vec::<String>::new());
    }
}
