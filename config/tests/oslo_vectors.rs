//! Every captured case of `oslo.config` 2.4.0: the same texts give the same values.
//!
//! A case holds files in order and either the values of some options (`null` is unset,
//! `__error__` an error on reading that option) or the error that refused a file.

use std::path::Path;

use oslo_config::{Config, Declaration, MultiStr, Opt, OptType, ParseError, parse};
use serde_json::{Value, json};

const S: Opt<String> = Opt::new("s", "");
const S2: Opt<String> = Opt::new("s2", "");
const S3: Opt<String> = Opt::new("s3", "");
const S4: Opt<String> = Opt::new("s4", "");
const BASE: Opt<String> = Opt::new("base", "").or("B");
const I: Opt<i64> = Opt::new("i", "");
const B: Opt<bool> = Opt::new("b", "");
const L: Opt<Vec<String>> = Opt::new("l", "");
const M: Opt<MultiStr> = Opt::new("m", "");
const X: Opt<String> = Opt::new("x", "").in_group("matchmaker_ring");
const RINGFILE: Opt<String> =
    Opt::new("ringfile", "").in_group("matchmaker_ring").or("dflt").formerly(&[("DEFAULT", "matchmaker_ringfile")]);

const DECLARED: &[Declaration] = &[
    *S.declaration(),
    *S2.declaration(),
    *S3.declaration(),
    *S4.declaration(),
    *BASE.declaration(),
    *I.declaration(),
    *B.declaration(),
    *L.declaration(),
    *M.declaration(),
    *X.declaration(),
    *RINGFILE.declaration(),
];

#[test]
fn values_are_those_of_oslo_config() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/oslo/config.json");
    let text = std::fs::read_to_string(path).unwrap();
    let vectors: Value = serde_json::from_str(&text).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 40);

    for case in cases {
        let name = case["name"].as_str().unwrap();
        let files = case["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap());
        match (config(files), case.get("load_error")) {
            (Err(_), Some(_)) => {}
            (Err(error), None) => panic!("{name}: {error}"),
            (Ok(_), Some(_)) => panic!("{name}: the file should be refused"),
            (Ok(config), None) => {
                for (option, expected) in case["options"].as_object().unwrap() {
                    assert_eq!(value(&config, option), as_captured(expected), "{name}: {option}");
                }
            }
        }
    }
}

fn config<'a>(files: impl Iterator<Item = &'a str>) -> Result<Config, ParseError> {
    let mut config = Config::new(DECLARED);
    for text in files {
        config.push(parse(text.as_bytes(), Path::new("case.conf"))?);
    }
    Ok(config)
}

/// The value of an option as JSON; `None` if it cannot be read.
fn value(config: &Config, option: &str) -> Option<Value> {
    fn read<T: OptType>(config: &Config, option: &Opt<T>, show: fn(T) -> Value) -> Option<Value> {
        config.get(option).ok().map(|setting| setting.value.map_or(Value::Null, show))
    }
    let text: fn(String) -> Value = Value::from;
    match option {
        "s" => read(config, &S, text),
        "s2" => read(config, &S2, text),
        "s3" => read(config, &S3, text),
        "s4" => read(config, &S4, text),
        "i" => read(config, &I, Value::from),
        "b" => read(config, &B, Value::from),
        "l" => read(config, &L, |items| json!(items)),
        "m" => read(config, &M, |MultiStr(items)| json!(items)),
        "matchmaker_ring.ringfile" => read(config, &RINGFILE, text),
        _ => panic!("the cases speak of an option that is not declared here: {option}"),
    }
}

fn as_captured(expected: &Value) -> Option<Value> {
    expected.get("__error__").is_none().then(|| expected.clone())
}
