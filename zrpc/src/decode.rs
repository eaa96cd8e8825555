//! A captured message, for people to read.
//!
//! Taken are octets of ZMTP as `tcpdump` or `socat` have them, frames as lines, and JSON with the frames in hexadecimal
//! digits, as the vectors of this project are written.

use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::BufMut;
use oslo_rpc::json::Text;
use oslo_rpc::told::told;
use zmtp::Limits;
use zmtp::proto::{Decoder, Item};

use crate::failure::Failure;

/// Every message of a file, each as one JSON object.
pub(crate) fn decode(file: Option<&Path>) -> Result<Vec<serde_json::Value>, Failure> {
    let path = file.map_or_else(|| PathBuf::from("standard input"), Path::to_owned);
    let failed = |source| Failure::File { path: path.clone(), source };
    let mut octets = Vec::new();
    match file {
        Some(file) => std::fs::File::open(file).map_err(failed)?.take(MAX_INPUT).read_to_end(&mut octets),
        None => std::io::stdin().take(MAX_INPUT).read_to_end(&mut octets),
    }
    .map_err(failed)?;
    let multiparts = multiparts(&octets).map_err(|reason| Failure::NoMessage { path, reason })?;
    Ok(multiparts.iter().map(|frames| told(frames)).collect())
}

type Frames = Vec<Vec<u8>>;

fn multiparts(octets: &[u8]) -> Result<Vec<Frames>, String> {
    if let Ok(text) = Text::new(octets) {
        let mut found = Vec::new();
        collect(text, &mut found);
        if !found.is_empty() {
            return Ok(found);
        }
    }
    match std::str::from_utf8(octets) {
        // The flags of a frame's header are 0 to 2, and no line of text begins with these.
        Ok(text) if !octets.starts_with(&[0]) && !octets.starts_with(&[1]) => {
            Ok(vec![text.lines().map(|line| line.as_bytes().to_vec()).collect()])
        }
        _ => wire(octets),
    }
}

/// Frames in hexadecimal digits, wherever they are in a JSON text.
fn collect(text: Text<'_>, found: &mut Vec<Frames>) {
    if let Some(frames) = text.member("frames_hex") {
        found.extend(frames.elements().map(|frame| unhex(&frame.string()?)).collect::<Option<Frames>>());
        return;
    }
    text.members().for_each(|(_, value)| collect(value, found));
    text.elements().for_each(|value| collect(value, found));
}

/// Messages of one direction of a connection, with or without its greeting.
fn wire(octets: &[u8]) -> Result<Vec<Frames>, String> {
    let mut rest = match octets {
        [0xff, _, _, _, _, _, _, _, _, 0x7f, ..] => octets.get(GREETING..).unwrap_or_default(),
        _ => octets,
    };
    let mut decoder = Decoder::new(Limits::default());
    let mut found = Vec::new();
    loop {
        while let Some(item) = decoder.decode().map_err(|error| error.to_string())? {
            let Item::Run(mut run) = item else { continue };
            while let Some(message) = run.pop() {
                found.push(message.frames().map(<[u8]>::to_vec).collect());
            }
        }
        if rest.is_empty() {
            return if found.is_empty() { Err("no whole message in it".to_owned()) } else { Ok(found) };
        }
        let mut room = decoder.read_buffer();
        let n = rest.len().min(room.remaining_mut());
        room.put_slice(&rest[..n]);
        decoder.handle_read();
        rest = &rest[n..];
    }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.as_bytes().chunks(2).map(octet).collect()
}

/// Octets of a greeting (RFC 37).
const GREETING: usize = 64;

/// What is read of a file, at most.
const MAX_INPUT: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LINES: &str = "0\ncompute.host1\ncast\n[\"{\\\"auth_token\\\": \\\"s3cret\\\"}\", {\"method\": \"m\", \"args\": {\"a\": 1}}]\n";

    fn check(multiparts: &[Frames]) {
        assert_eq!(multiparts.len(), 1);
        let said = told(&multiparts[0]);
        assert_eq!((&said["kind"], &said["method"], &said["args"]["a"]), (&json!("cast"), &json!("m"), &json!(1)));
        assert_eq!(said["context"]["auth_token"], "***");
    }

    #[test]
    fn frames_as_lines_as_hexadecimal_digits_and_as_octets() {
        check(&multiparts(LINES.as_bytes()).unwrap());
        let frames: Vec<&[u8]> = LINES.lines().map(str::as_bytes).collect();
        let hex: Vec<String> =
            frames.iter().map(|frame| frame.iter().map(|octet| format!("{octet:02x}")).collect()).collect();
        check(&multiparts(json!({ "vectors": [{ "frames_hex": hex }] }).to_string().as_bytes()).unwrap());
        let message = zmtp::Message::from_frames(frames.iter().map(|frame| frame.to_vec())).unwrap();
        let octets: Vec<u8> = message.chunks().flat_map(|chunk| chunk.to_vec()).collect();
        check(&multiparts(&octets).unwrap());
    }

    #[test]
    fn what_is_no_message_is_said_to_be_none() {
        assert!(multiparts(b"\x01\xff").is_err());
        let said = told(&[b"0".to_vec()]);
        assert!(said["fault"].as_str().unwrap().starts_with("1 frames instead of"));
    }
}
