//! Texts that operators write, and the one word that a peer chooses: ring file, configuration file, endpoint, key, topic.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
    str,
};

use matchmaker::{Fault, Ring, lint};
use oslo_config::{Config, Declaration, MultiStr, Opt, parse};
use oslo_rpc::topic::{Kind, Topic};
use zmtp::{ConnectError, Endpoint, Options, PublicKey, Push, SecretKey};

/// Strict JSON of the right shape is read as a JSON reader reads it, unless a name is bad; what is accepted without a
/// remark is strict JSON.
pub fn ring(octets: &[u8]) {
    let Ok(text) = str::from_utf8(octets) else { return };
    lint(text);
    let json: Option<BTreeMap<String, Vec<String>>> = serde_json::from_str(text).ok();
    match (Ring::parse(text), json) {
        (Ok(ring), Some(json)) => {
            let topics = ring.topics().map(|topic| {
                let hosts = ring.members(topic).iter().map(|member| member.name.to_string()).collect();
                (topic.to_string(), hosts)
            });
            assert_eq!(topics.collect::<BTreeMap<String, Vec<String>>>(), json);
            assert_eq!(ring.findings(), []);
        }
        (Ok(ring), None) => assert_ne!(ring.findings(), [], "not JSON, and no remark"),
        (Err(error), Some(_)) => assert!(matches!(error.fault, Fault::Name(_)), "JSON, but {error}"),
        (Err(_), None) => {}
    }
}

/// Each assignment stands on a line of its own that contains its name; references end; a fault names a line that is
/// there.
pub fn ini(octets: &[u8]) {
    let lines: Vec<&[u8]> = octets.split(|octet| *octet == b'\n').collect();
    let file = match parse(octets, Path::new("fuzz.conf")) {
        Ok(file) => file,
        Err(error) => return assert!((1..=lines.len()).contains(&error.line), "{error}"),
    };
    for option in OPTIONS {
        let assignments = file.assignments(option.group, option.name);
        assert!(assignments.is_sorted_by(|a, b| a.line < b.line));
        for assignment in assignments {
            assert!(lines[assignment.line - 1].trim_ascii_start().starts_with(option.name.as_bytes()));
            assert!(assignment.value.len() <= octets.len());
        }
    }
    let mut config = Config::new(OPTIONS);
    config.push(file);
    for option in OPTIONS {
        let Ok(texts) = config.texts(option) else { continue };
        let (expanded, written) = (texts.value.iter().map(String::len).sum::<usize>(), octets.len());
        assert!(expanded <= written + MAX_EXPANDED, "{expanded} octets of {written}");
    }
    // Whatever they are, reading them as their types ends too.
    let _ = (config.get(&INT), config.get(&BOOL), config.get(&LIST), config.get(&MULTI), config.get(&GROUPED));
}

/// What is accepted is its two parts again; what can be connected to can also be given up; what is said of the rest is one
/// line that names it.
pub fn endpoint(octets: &[u8]) {
    let Ok(text) = str::from_utf8(octets) else { return };
    let parsed = text.parse::<Endpoint>();
    if let Ok(endpoint) = &parsed {
        assert_eq!(endpoint.as_str(), text);
        assert_eq!(Endpoint::new(endpoint.scheme(), endpoint.address()).as_ref(), Ok(endpoint));
        assert!(!endpoint.address().contains(char::is_control));
    }
    // Its task never runs: nothing is looked up and nothing opened.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return };
    let _entered = runtime.enter();
    let push = Push::new(Options::new());
    match push.connect(text) {
        Ok(endpoint) => assert!(parsed.as_ref() == Ok(&endpoint) && push.forget(&endpoint)),
        Err(error) => {
            assert!(parsed.is_err() == matches!(error, ConnectError::Endpoint(_)), "{error}");
            assert!(!error.to_string().contains(char::is_control), "{error:?}");
        }
    }
}

/// What is accepted as a key is written as the same text, and a secret key is not printed.
pub fn key(octets: &[u8]) {
    let Ok(text) = str::from_utf8(octets) else { return };
    match (text.parse::<PublicKey>(), text.parse::<SecretKey>()) {
        (Ok(public), Ok(secret)) => {
            assert_eq!(public.to_string(), text);
            assert_eq!(*secret.to_z85(), text);
            assert_eq!(PublicKey::from_octets(*public.as_octets()), public);
            assert!(!format!("{secret:?}").contains(text));
        }
        (Err(_), Err(_)) => {}
        (public, _) => panic!("a key of one kind only: {public:?}"),
    }
}

/// What is accepted is printable and names one file, in the directory and nowhere else.
pub fn topic(octets: &[u8]) {
    let topic = match Topic::parse(octets) {
        Ok(topic) => topic,
        Err(error) => return assert!(!error.to_string().contains(char::is_control), "{error:?}"),
    };
    assert_eq!(topic.as_str().as_bytes(), octets);
    assert!(topic.as_str().starts_with(topic.key()));
    assert!(!topic.to_string().contains(char::is_control));
    assert_eq!(topic.kind() == Kind::Fanout, octets.starts_with(b"fanout~"));
    let dir = Path::new("/run/zmq");
    let path = topic.socket_path(dir);
    let name = path.as_ref().ok().and_then(|path| path.strip_prefix(dir).ok());
    let components: Vec<Component<'_>> = name.into_iter().flat_map(Path::components).collect();
    assert!(matches!(components[..], [Component::Normal(_)]), "{path:?}");
    assert_eq!(Topic::parse(topic.key().as_bytes()).map(|key| key.socket_path(dir)), Ok(path));
}

const STRING: Opt<String> = Opt::new("s", "").or("$base/x");
const BASE: Opt<String> = Opt::new("base", "").or("B");
const INT: Opt<i64> = Opt::new("i", "");
const BOOL: Opt<bool> = Opt::new("b", "");
const LIST: Opt<Vec<String>> = Opt::new("l", "");
const MULTI: Opt<MultiStr> = Opt::new("m", "");
const GROUPED: Opt<String> = Opt::new("ringfile", "").in_group("ring").formerly(&[("DEFAULT", "oldfile")]);
const OPTIONS: &[Declaration] = &[
    *STRING.declaration(),
    *BASE.declaration(),
    *INT.declaration(),
    *BOOL.declaration(),
    *LIST.declaration(),
    *MULTI.declaration(),
    *GROUPED.declaration(),
];
/// What references may add to a value (1 MiB, by `ValueFault::TooLong`), and the defaults above.
const MAX_EXPANDED: usize = (1 << 20) + 64;
