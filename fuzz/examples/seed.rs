//! Writes the seeds of the corpus: what was captured from libzmq and from the original driver, one file per item.
//!
//! `cargo run -p fuzz --example seed` after the vectors or the shape of an input have changed. Files that a search
//! added stay.

use std::{
    collections::HashSet,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let vectors = root.join("../tests/vectors");
    let mut corpus = Corpus { root: root.join("corpus"), written: HashSet::new() };
    zmtp(&read(&vectors.join("zmtp.json"))?, &mut corpus)?;
    scripts(&mut corpus)?;
    for driver in ["1.4.1", "1.8.3", "2.5.0"] {
        let wire = read(&vectors.join(format!("oslo/wire-{driver}.json")))?;
        let tolerance = read(&vectors.join(format!("oslo/tolerance-{driver}.json")))?;
        oslo(&wire["vectors"], &mut corpus)?;
        oslo(&tolerance["service_side_tolerance"], &mut corpus)?;
        for (name, vectors) in [("wire", &wire), ("tolerance", &tolerance)] {
            corpus.write("ring", name, vectors["ring"].to_string().as_bytes())?;
        }
    }
    for (target, texts) in [("endpoint", ENDPOINTS), ("key", KEYS)] {
        for (n, text) in texts.iter().enumerate() {
            corpus.write(target, &format!("seed-{n}"), text.as_bytes())?;
        }
    }
    corpus.write("ring", "lenient", LENIENT_RING.as_bytes())?;
    for case in array(&read(&vectors.join("oslo/config.json"))?["cases"]) {
        for (n, file) in array(&case["files"]).iter().enumerate() {
            let name = format!("{} {n}", case["name"].as_str().unwrap_or_default());
            corpus.write("ini", &name, file.as_str().unwrap_or_default().as_bytes())?;
        }
    }
    println!("{} seeds", corpus.written.len());
    Ok(())
}

/// The directory that seeds are written to; the same octets are written once.
struct Corpus {
    root: PathBuf,
    written: HashSet<(&'static str, Vec<u8>)>,
}

impl Corpus {
    fn write(&mut self, target: &'static str, name: &str, octets: &[u8]) -> Result<(), Box<dyn Error>> {
        let dir = self.root.join(target);
        let file = name.replace(|c: char| !c.is_ascii_alphanumeric() && !"._-+".contains(c), "-");
        if self.written.insert((target, octets.to_vec())) {
            fs::create_dir_all(&dir)?;
            fs::write(dir.join(file), octets)?;
        }
        Ok(())
    }
}

/// Each side of each captured conversation, whole and in its elements.
fn zmtp(vectors: &Value, corpus: &mut Corpus) -> Result<(), Box<dyn Error>> {
    let captured = vectors["captured"].as_object().ok_or("no object \"captured\"")?;
    for (name, scenario) in captured {
        for side in ["libzmq", "peer"] {
            let steps = array(&scenario["steps"]).iter().filter(|step| step["from"] == side);
            let stream: Vec<u8> = steps.flat_map(hex).collect();
            if !stream.is_empty() {
                let name = format!("{name}.{side}");
                stream_seeds(&name, &stream, corpus)?;
            }
        }
    }
    for vector in array(&vectors["negative"]) {
        let name = vector["name"].as_str().unwrap_or("negative");
        for (target, octets) in split(&hex(vector)) {
            corpus.write(target, name, &octets)?;
        }
    }
    Ok(())
}

fn stream_seeds(name: &str, stream: &[u8], corpus: &mut Corpus) -> Result<(), Box<dyn Error>> {
    // The type that reads on after READY: opposite to the one that it names, else PULL.
    let names = |socket_type: &[u8]| stream.windows(socket_type.len()).any(|octets| octets == socket_type);
    // ZMTP 2.0, where types have numbers (RFC 15).
    let code = stream.get(9..12).and_then(|octets| octets.strip_prefix(&[0x7f, 1])).map(|rest| rest[0]);
    let role = if let Some(code) = code {
        match code {
            7 => 1,
            2 | 10 => 2,
            1 | 9 => 3,
            _ => 0,
        }
    } else if names(b"\x04PULL") {
        1
    } else if names(b"SUB") {
        2
    } else if names(b"PUB") {
        3
    } else {
        0
    };
    corpus.write("connection", name, &[&CUTS[..], &[role], stream].concat())?;
    if code.is_some() {
        corpus.write("connection", &format!("{name}.admitted"), &[&CUTS[..], &[role | 8], stream].concat())?;
    }
    let (greeting, rest) = stream.split_at(stream.len().min(64));
    corpus.write("greeting", name, greeting)?;
    if !rest.is_empty() {
        corpus.write("frames", name, &[&CUTS[..], rest].concat())?;
        for (target, octets) in split(rest) {
            corpus.write(target, name, &octets)?;
        }
    }
    Ok(())
}

/// Commands, and the property list of READY, of a stream that is all frames of the short form up to there.
fn split(frames: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut elements = Vec::new();
    let mut rest = frames;
    while let [flags, size, after @ ..] = rest {
        let Some((body, next)) = after.split_at_checked((*size).into()) else { break };
        if flags & 6 == 4 {
            elements.push(("command", body.to_vec()));
            elements.extend(body.strip_prefix(b"\x05READY").map(|list| ("metadata", list.to_vec())));
        }
        rest = next;
    }
    elements
}

/// Things to do in no order at all; the search finds better ones.
fn scripts(corpus: &mut Corpus) -> Result<(), Box<dyn Error>> {
    let mut state = 1u32;
    for n in 1..=8 {
        let octets: Vec<u8> = (0..n * 100)
            .map(|_| {
                // Numerical Recipes' generator: the same seeds on every machine.
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        for target in ["operations", "pair", "subscriptions"] {
            corpus.write(target, &format!("script-{n}"), &octets)?;
        }
    }
    Ok(())
}

fn oslo(vectors: &Value, corpus: &mut Corpus) -> Result<(), Box<dyn Error>> {
    for vector in array(vectors) {
        let Some(topic) = vector["frames_hex"].get(1).and_then(Value::as_str) else { continue };
        let topic = digits(topic);
        corpus.write("topic", &topic.escape_ascii().to_string(), &topic)?;
        let frames: Vec<Vec<u8>> = array(&vector["frames_hex"]).iter().filter_map(Value::as_str).map(digits).collect();
        corpus.write("received", vector["name"].as_str().unwrap_or("message"), &frames.join(&BETWEEN))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Value, Box<dyn Error>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn hex(step: &Value) -> Vec<u8> {
    digits(step["hex"].as_str().unwrap_or_default())
}

fn digits(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).filter_map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Small, odd, and large enough for the longest capture in a few turns.
const CUTS: [u8; 4] = [0, 6, 1, 99];

/// Between the frames of a message: in no UTF-8.
const BETWEEN: u8 = 0xff;

const LENIENT_RING: &str = "# by hand\n{\n  'scheduler': ['host1', \"host2\",], // two\n  'cert': 'host1',\n}\n";

/// Of each transport, right and wrong.
const ENDPOINTS: &[&str] = &[
    "tcp://127.0.0.1:9501",
    "tcp://[::1]:9501",
    "tcp://[fe80::1%eth0]:9501",
    "tcp://host.example:9501",
    "tcp://*:*",
    "tcp://eth0:0",
    "tcp://10.0.0.1:0;10.0.0.2:9501",
    "tcp://127.0.0.1:65536",
    "tcp://::1:80",
    "ipc:///run/zmq/topic",
    "ipc://@abstract",
    "ipc://@",
    "ipc://*",
    "memory://name",
    "udp://239.0.0.1:5555",
    "tcp:/host:1",
    "://",
];

/// Two that are keys, one too large for its 32 bits, one of another length.
const KEYS: &[&str] = &[
    "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
    "0000000000000000000000000000000000000000",
    "########################################",
    "HelloWorld",
];
