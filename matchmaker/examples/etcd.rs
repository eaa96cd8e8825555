//! A backend of one's own, in a page: topics in etcd, `/zmq/TOPIC/HOST`, read through its JSON gateway.
//!
//! ```text
//! etcdctl put /zmq/compute/host1 ''
//! cargo run -p matchmaker --example etcd -- 127.0.0.1:2379 compute
//! ```
//!
//! It asks etcd at each lookup. One for daily use would keep its last answers, and say so in `status`.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use matchmaker::{Answer, Backend, BackendError, Host, MatchMaker, Member, Topic};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An etcd, by its client address.
#[derive(Debug)]
struct Etcd {
    address: String,
}

impl Backend for Etcd {
    fn members<'a>(&'a self, topic: &'a Topic) -> Answer<'a, Arc<[Member]>> {
        Box::pin(async move {
            let prefix = format!("{ROOT}{topic}/");
            let keys = self.keys(&prefix).await.map_err(BackendError::new)?;
            let hosts = keys.iter().filter_map(|key| key.strip_prefix(&prefix)?.parse::<Host>().ok());
            Ok(hosts.map(Member::from).collect())
        })
    }

    fn topics(&self) -> Answer<'_, Vec<Topic>> {
        Box::pin(async {
            let keys = self.keys(ROOT).await.map_err(BackendError::new)?;
            let topic = |key: &String| key.strip_prefix(ROOT)?.split_once('/')?.0.parse().ok();
            let mut topics: Vec<Topic> = keys.iter().filter_map(topic).collect();
            topics.dedup();
            Ok(topics)
        })
    }
}

impl Etcd {
    /// The keys that begin with `prefix`, sorted, as etcd keeps them.
    async fn keys(&self, prefix: &str) -> std::io::Result<Vec<String>> {
        // Up to the first key that does not: the last octet of all prefixes here is a slash.
        let end = format!("{}0", prefix.trim_end_matches('/'));
        let body = json!({ "key": base64(prefix), "range_end": base64(&end), "keys_only": true }).to_string();
        let mut stream = TcpStream::connect(&self.address).await?;
        let head = format!("POST /v3/kv/range HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await?;
        let mut answer = String::new();
        stream.take(MOST_OCTETS).read_to_string(&mut answer).await?;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let answer: Value = serde_json::from_str(body)?;
        let keys = answer["kvs"].as_array().into_iter().flatten();
        Ok(keys.filter_map(|pair| from_base64(pair["key"].as_str()?)).collect())
    }
}

impl fmt::Display for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "etcd {}", self.address)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("etcd: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(address), Some(key)) = (words.next(), words.next()) else {
        return Err("usage: etcd ADDRESS:PORT TOPIC|TOPIC.HOST|fanout~TOPIC".into());
    };
    let matchmaker = MatchMaker::new(Arc::new(Etcd { address }));
    for to in matchmaker.resolve(&key.parse()?).await? {
        println!("{} {}", to.topic, to.host.with_port(9501));
    }
    Ok(())
}

/// etcd's JSON carries keys in base 64.
fn base64(text: &str) -> String {
    let mut encoded = String::new();
    for three in text.as_bytes().chunks(3) {
        let octet = |at: usize| u32::from(three.get(at).copied().unwrap_or_default());
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            encoded.push(if place <= three.len() { digit.into() } else { '=' });
        }
    }
    encoded
}

fn from_base64(text: &str) -> Option<String> {
    let mut octets = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let mut bits = 0;
        for place in 0..4 {
            let digit = four.get(place).map_or(Some(0), |octet| DIGITS.iter().position(|digit| digit == octet))?;
            bits = bits << 6 | u32::try_from(digit).ok()?;
        }
        octets.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    String::from_utf8(octets).ok()
}

const ROOT: &str = "/zmq/";
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// More than ten thousand keys.
const MOST_OCTETS: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_goes_there_and_back() {
        for (text, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("/zmq/", "L3ptcS8=")] {
            assert_eq!(base64(text), encoded);
            assert_eq!(from_base64(encoded).as_deref(), Some(text));
        }
        assert_eq!(from_base64("=!"), None);
    }
}
