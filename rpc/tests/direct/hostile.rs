//! What no peer of ours sends: dropped and counted, and the next message is served (oslo-bugs B23, B42).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oslo_rpc::received::{Incoming, Received};
use oslo_rpc::topic::Kind;
use oslo_rpc::{Context, Endpoint, Envelope, RemoteError, Server, Topic, Transport};
use tokio::time::sleep;
use zmtp::{Message, Options, Push};

use crate::site::{Site, methods};

/// A server, and a peer that sends it what it likes.
struct Victim {
    transport: Transport,
    _server: Server,
    peer: Push,
    /// The topic of the server.
    topic: String,
    noted: Arc<AtomicUsize>,
    /// Drops that were expected so far, by reason.
    expected: BTreeMap<&'static str, u64>,
    marks: usize,
}

impl Victim {
    async fn start() -> Self {
        // A reply to nowhere holds up the server no longer than this.
        let short = |settings: &mut oslo_rpc::Settings| settings.cast_timeout = Duration::from_millis(20);
        let transport = Site::default().transport_with(short).await;
        let noted = Arc::new(AtomicUsize::new(0));
        let counted = noted.clone();
        let note = Endpoint::new().method("note", move |_: Context, (): ()| {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, RemoteError>(()) }
        });
        let server = Server::builder("compute").endpoint(methods()).endpoint(note).start(&transport).await.unwrap();
        let peer = Push::new(Options::new());
        peer.connect(&format!("tcp://{}", transport.settings().host)).unwrap();
        let topic = format!("compute.{}", transport.settings().host);
        Self { transport, _server: server, peer, topic, noted, expected: BTreeMap::new(), marks: 0 }
    }

    async fn send(&mut self, frames: Vec<Vec<u8>>) {
        if let Some(reason) = self.fault(&frames) {
            *self.expected.entry(reason).or_default() += 1;
        }
        self.peer.send(Message::from_frames(frames).unwrap()).await.unwrap();
    }

    /// A sound message is served, and what was sent before it was dropped and counted as it should be.
    async fn check(&mut self) {
        self.marks += 1;
        let body = r#"["{}", {"method": "note"}]"#;
        let sound = ["0", &self.topic, "cast", body].map(|frame| frame.as_bytes().to_vec());
        self.send(sound.into()).await;
        let end = Instant::now() + Duration::from_secs(20);
        while self.noted.load(Ordering::Relaxed) < self.marks && Instant::now() < end {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(self.noted.load(Ordering::Relaxed), self.marks, "the next message is not served");
        let mut dropped = self.transport.dropped();
        // What became of replies to topics that were damaged on the way.
        dropped.retain(|reason, _| !["expired", "reply-topic", "reply-unsent", "link-full"].contains(reason));
        assert_eq!(dropped, self.expected);
    }

    /// Why a message is to be dropped, if it is.
    fn fault(&self, frames: &[Vec<u8>]) -> Option<&'static str> {
        let topic = match Topic::parse(frames.get(1).map_or(&[], Vec::as_slice)) {
            Ok(topic) if topic.kind() == Kind::Reply => return Some("reply-late"),
            Ok(topic) => topic,
            Err(error) => return Some(error.reason()),
        };
        if topic.key() != self.topic && topic.key() != "fanout~compute" {
            return Some("topic-unknown");
        }
        let read = Envelope::decode(frames.iter().map(Vec::as_slice)).map_err(|error| error.reason());
        let received = read.and_then(|envelope| Received::decode(envelope.body).map_err(|error| error.reason()));
        match received {
            Ok(received) => match received.read() {
                Ok(Incoming::Request(_)) => None,
                Ok(Incoming::Notification(_)) => Some("message-without-method"),
                Err(error) => Some(error.reason()),
            },
            Err(reason) => Some(reason),
        }
    }
}

#[tokio::test]
async fn b23_what_is_no_message_is_dropped_and_counted_and_the_next_is_served() {
    let mut victim = Victim::start().await;
    for frames in [
        &["0"][..],
        &["0", "../x", "cast", "[]"],
        &["0", "T"],
        &["0", "T", "cast", "{"],
        &["0", "T", "impl_zmq_v9", "{}"],
        &["0", "T", "cast", "[\"null\", {}]"],
        &["0", "T", "impl_zmq_v2", "{}", "oslo.version", "3.0", "oslo.message", "{}"],
    ] {
        let topic = victim.topic.clone();
        victim.send(frames.iter().map(|frame| frame.replace('T', &topic).into_bytes()).collect()).await;
        victim.check().await;
    }
    assert_eq!(victim.expected.values().sum::<u64>(), 7);
}

/// What ended the consumer of a release, or did not.
#[tokio::test]
async fn b23_every_vector_of_tolerance_leaves_a_server_that_serves() {
    for release in ["1.4.1", "1.8.3", "2.5.0"] {
        let mut victim = Victim::start().await;
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/vectors/oslo/tolerance-{release}.json"));
        let vectors: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let vectors = vectors["service_side_tolerance"].as_array().unwrap();
        for vector in vectors {
            let mut frames: Vec<Vec<u8>> =
                vector["frames_hex"].as_array().unwrap().iter().map(|frame| octets(frame.as_str().unwrap())).collect();
            frames[1] = victim.topic.clone().into_bytes();
            let refused = victim.fault(&frames).is_some();
            let ended_the_original = vector["dispatched"].as_array().unwrap().is_empty();
            assert!(refused || !ended_the_original, "{}", vector["name"]);
            victim.send(frames).await;
            victim.check().await;
        }
        assert!(vectors.len() > 30 && victim.expected.values().sum::<u64>() > 15, "{:?}", victim.expected);
    }
}

/// Captured messages with octets changed, cut and repeated, and frames swapped and left out. A million in a release
/// build, which takes as long as a hundredth of that in a debug build.
#[tokio::test]
async fn b23_a_million_damaged_messages_end_nothing() {
    let mut victim = Victim::start().await;
    let topic = victim.topic.clone();
    let call = concat!(
        r#"["{\"a\": 1}", {"method": "-reply", "args": {"msg_id": "1", "topic": "zmq_replies.127.0.0.1:1", "msg": ["{}", "#,
        r#"{"method": "echo", "args": {"value": [1, NaN, "\ud83d\ude00"]}, "version": "1.0"}]}}]"#
    );
    let sound = [
        vec!["0", &topic, "cast", r#"["{}", {"method": "echo", "args": {"value": {"a": 1e5}}}]"#],
        vec!["0", &topic, "cast", call],
        vec!["0", &topic, "impl_zmq_v2", "{}", "oslo.message", r#"{"method": "echo"}"#, "oslo.version", "2.0"],
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let messages = if cfg!(debug_assertions) { 10_000 } else { 1_000_000 };
    for n in 0..messages {
        let mut frames: Vec<Vec<u8>> = sound[n % sound.len()].iter().map(|frame| frame.as_bytes().to_vec()).collect();
        for _ in 0..=random.below(3) {
            let at = random.below(frames.len());
            match random.below(5) {
                0 => frames.swap(at, 0),
                1 if frames.len() > 1 => drop(frames.remove(at)),
                2 => frames[at].truncate(random.below(40)),
                3 => frames.push(vec![b'x'; random.below(4)]),
                _ => {
                    let frame = &mut frames[at];
                    for _ in 0..=random.below(4) {
                        let place = random.below(frame.len() + 1);
                        frame.insert(place, NOISE[random.below(NOISE.len())]);
                    }
                }
            }
        }
        victim.send(frames).await;
        // As many as the server's queue holds.
        if n % 500 == 0 {
            victim.check().await;
        }
    }
    victim.check().await;
    let expected = &victim.expected;
    assert!(expected.len() > 8 && expected.values().sum::<u64>() > messages as u64 / 4, "{expected:?}");
}

/// A stranger's reply topic does not have the service connect to where it says.
#[tokio::test]
async fn b42_a_reply_goes_to_no_other_topic() {
    let mut victim = Victim::start().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let place = listener.local_addr().unwrap();
    for reply_topic in [format!("compute.{place}"), format!("zmq_repliesx.{place}"), format!("fanout~a.{place}")] {
        let body = format!(
            r#"["{{}}", {{"method": "-reply", "args": {{"msg_id": "1", "topic": "{reply_topic}", "msg": ["{{}}", {{"method": "note"}}]}}}}]"#
        );
        let frames = ["0", &victim.topic, "cast", &body].map(|frame| frame.as_bytes().to_vec());
        // It is run all the same.
        victim.marks += 1;
        victim.send(frames.into()).await;
    }
    victim.check().await;
    sleep(Duration::from_millis(50)).await;
    assert!(listener.accept().is_err(), "the service connected to where a stranger told it to");
}

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The same numbers each time (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// What matters to a reader of JSON, and an octet that is no UTF-8.
const NOISE: &[u8] = b"{}[]\",:\\u01eE.-\xffN";
