//! The elements of ZMTP, one at a time: greeting, frames, metadata, commands.

use bytes::Bytes;
use zmtp::proto::{Command, Decoder, Greeting, Item, Limits, Metadata, ProtocolError, Run, Sorted};

use crate::{
    cuts::Cuts,
    feed::fill,
    model::{self, Decoded},
};

/// What is decided at some octet stays decided, and 64 octets decide all.
pub fn greeting(octets: &[u8]) {
    let mut decided = None;
    for end in 0..=octets.len() {
        let now = Greeting::decode(&octets[..end]);
        match &decided {
            Some(before) => assert_eq!(&now, before, "changed at octet {end}"),
            None if now == Ok(None) => assert!(end < Greeting::LEN, "undecided after {end} octets"),
            None => decided = Some(now),
        }
    }
    if let Some(Ok(Some(greeting))) = decided {
        assert!(greeting.major >= 3);
        if greeting.require("NULL").is_ok() {
            assert_eq!(octets[12..32], Greeting::encode("NULL", false)[12..32]);
        }
    }
}

/// One read and any cut give the messages, commands and fault that the model finds, and buffers follow what came.
pub fn frames(input: &[u8]) {
    let Some((cuts, stream)) = Cuts::split_off(input) else { return };
    for limits in [Limits::default(), TIGHT] {
        let expected = model::decode(limits, stream);
        assert_eq!(decode(limits, stream, Cuts::whole()), expected, "whole");
        assert_eq!(decode(limits, stream, cuts.clone()), expected, "cut");
    }
}

/// What is accepted encodes to the same octets, and each property is found in any spelling of its name.
pub fn metadata(octets: &[u8]) {
    let Ok(metadata) = Metadata::decode(Bytes::copy_from_slice(octets)) else { return };
    let mut encoded = Vec::new();
    for (name, value) in metadata.iter() {
        assert!((1..=255).contains(&name.len()));
        encoded.push(name.len() as u8);
        encoded.extend_from_slice(name);
        encoded.extend_from_slice(&(value.len() as u32).to_be_bytes());
        encoded.extend_from_slice(value);
        assert_eq!(metadata.find(&name.to_ascii_uppercase()), Some(value));
    }
    assert_eq!(encoded, octets);
}

/// What is decoded is what was there, and the name prints as harmless text.
pub fn command(octets: &[u8]) {
    let command = match Command::decode(Bytes::copy_from_slice(octets)) {
        Ok(command) => command,
        Err(error) => return assert!(matches!(error, ProtocolError::MalformedCommand { .. }), "{error}"),
    };
    let (name, data) = octets[1..].split_at(usize::from(octets[0]));
    assert!(name.starts_with(command.name().as_bytes()));
    assert!(command.name().to_string().chars().all(|c| (' '..='~').contains(&c)));
    match command {
        Command::Subscribe(prefix) | Command::Cancel(prefix) => assert_eq!(prefix, data),
        Command::Ping { ttl, context } => {
            assert!(context.len() <= 16);
            assert!(data.starts_with(&[&ttl.to_be_bytes(), &context[..]].concat()));
        }
        Command::Error(reason) => assert!(data[1..].starts_with(reason.as_bytes())),
        Command::Ready(_) => metadata(data),
        _ => {}
    }
}

fn decode(limits: Limits, mut stream: &[u8], mut cuts: Cuts) -> Vec<Decoded> {
    let mut decoder = Decoder::new(limits);
    let mut decoded = Vec::new();
    let mut came = 0;
    while !stream.is_empty() {
        let n = fill(decoder.read_buffer(), &mut stream, cuts.next(), came);
        assert_eq!(decoder.handle_read(), n);
        came += n;
        loop {
            match decoder.decode() {
                Ok(None) => break,
                Ok(Some(Item::Run(run))) => take_apart(run, &mut cuts, &mut decoded),
                Ok(Some(Item::Command(body))) => decoded.push(Decoded::Command(body)),
                Err(error) => {
                    decoded.push(Decoded::Fault(error));
                    return decoded;
                }
            }
        }
    }
    decoded
}

/// Takes a run apart as a router and a queue do: by equal first frames, then by numbers of messages.
fn take_apart(mut run: Run, cuts: &mut Cuts, decoded: &mut Vec<Decoded>) {
    assert!(!run.is_empty());
    for n in 0..2 {
        sort(&run, n);
    }
    let (mut messages, mut octets) = (run.messages(), run.octets());
    while !run.is_empty() {
        let mut leading = run.split_leading(0, |a, b| a == b);
        let first = leading.first().next().map(Bytes::copy_from_slice);
        while !leading.is_empty() {
            let part = leading.split_fitting(cuts.next(), usize::MAX);
            messages -= part.messages();
            octets -= part.octets();
            for message in part {
                assert_eq!(message.frame(0), first.as_deref());
                decoded.push(Decoded::Message(message.into_frames().collect()));
            }
        }
        assert_ne!(run.first().next(), first.as_deref(), "a longer start was the same");
    }
    assert_eq!((messages, octets), (0, 0));
}

/// Sorts a copy of a run by frame `n`: each way has its messages in their order.
fn sort(run: &Run, n: usize) {
    let way = |frame: &[u8]| frame.first().map(|octet| usize::from(octet % 4));
    let (mut rest, mut sorted) = (run.clone(), Sorted::default());
    sorted.sort(&mut rest, n, way);
    let mut meant = vec![Vec::new(); 4];
    for message in run.clone().take(run.messages() - rest.messages()) {
        meant[message.frame(n).and_then(way).expect("it goes nowhere")].push(message);
    }
    while let Some((way, picked)) = sorted.next_way() {
        let found: Vec<_> = picked.runs().flatten().collect();
        let octets: usize = picked.runs().map(|run| run.octets()).sum();
        assert_eq!((found.len(), octets), (picked.messages(), picked.octets()));
        assert_eq!(found, std::mem::take(&mut meant[way]));
    }
    assert!(meant.iter().all(Vec::is_empty));
}

/// Limits that small inputs reach.
pub(crate) const TIGHT: Limits = Limits { max_frame: 300, max_message: 500, max_frames: 4, max_command: 64 };
