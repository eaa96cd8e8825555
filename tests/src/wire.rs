//! A peer that sees and sends the octets on the wire: ZMTP 3.1 with the mechanism NULL, over any blocking stream.
//!
//! It does what it is told, be it against the protocol.

use std::io::{self, Read, Write};

/// Makes a fresh stream the connection of a socket of a type such as `PUSH`. Everything after it is traffic.
pub fn handshake(stream: &mut (impl Read + Write), socket_type: &str) -> io::Result<()> {
    stream.write_all(&[&greeting()[..], &command("READY", &property("Socket-Type", socket_type))].concat())?;
    let mut greeting = [0; GREETING];
    stream.read_exact(&mut greeting)?;
    let mut header = [0; 2];
    stream.read_exact(&mut header)?;
    let [COMMAND, len] = header else { return Err(unexpected(format!("{header:?} in place of READY"))) };
    stream.read_exact(&mut vec![0; len.into()])
}

/// The first octets of a connection.
pub fn greeting() -> [u8; GREETING] {
    let mut greeting = [0; GREETING];
    (greeting[0], greeting[9], greeting[10], greeting[11]) = (0xff, 0x7f, 3, 1);
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

/// A subscription as ZMTP 3.1 has it.
pub fn subscription(prefix: &[u8]) -> Vec<u8> {
    command("SUBSCRIBE", prefix)
}

/// A cast of oslo.messaging: the frames `0`, `topic`, `cast`, `body`.
pub fn cast(topic: &[u8], body: &[u8]) -> Vec<u8> {
    message(&[b"0", topic, b"cast", body])
}

/// A message of these frames, each with the shortest header.
pub fn message(frames: &[&[u8]]) -> Vec<u8> {
    let mut octets = Vec::new();
    for (index, body) in frames.iter().enumerate() {
        let more = u8::from(index + 1 < frames.len());
        match u8::try_from(body.len()) {
            Ok(len) => octets.extend([more, len]),
            Err(_) => octets.extend([&[more | LONG], &(body.len() as u64).to_be_bytes()[..]].concat()),
        }
        octets.extend_from_slice(body);
    }
    octets
}

/// The frames of the next message.
pub fn read_message(stream: &mut impl Read) -> io::Result<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    loop {
        let mut flags = [0];
        stream.read_exact(&mut flags)?;
        let size = if flags[0] & LONG == 0 {
            let mut size = [0];
            stream.read_exact(&mut size)?;
            size[0].into()
        } else {
            let mut size = [0; 8];
            stream.read_exact(&mut size)?;
            u64::from_be_bytes(size)
        };
        let mut body = Vec::new();
        if stream.take(size).read_to_end(&mut body)? as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        frames.push(body);
        if flags[0] & MORE == 0 {
            return Ok(frames);
        }
    }
}

fn command(name: &str, data: &[u8]) -> Vec<u8> {
    let body = [&[short(name.len())], name.as_bytes(), data].concat();
    [&[COMMAND, short(body.len())], &body[..]].concat()
}

fn property(name: &str, value: &str) -> Vec<u8> {
    [&[short(name.len())], name.as_bytes(), &[0, 0, 0, short(value.len())], value.as_bytes()].concat()
}

/// The length of something short.
fn short(len: usize) -> u8 {
    u8::try_from(len).unwrap_or(u8::MAX)
}

fn unexpected(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Octets of a greeting (RFC 37).
pub const GREETING: usize = 64;

/// Flags of a frame (RFC 37, Framing): another follows; the size has eight octets; a short command.
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let bodies = [&b""[..], b"x", &[7; 255], &[8; 256], &[9; 70_000]];
        let wire = message(&bodies);
        assert_eq!(wire.len(), bodies.concat().len() + 3 * 2 + 2 * 9);
        assert_eq!(read_message(&mut &wire[..]).unwrap(), bodies);
        assert_eq!(read_message(&mut &wire[..wire.len() - 1]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_subscription_is_a_command() {
        assert_eq!(subscription(b"id"), b"\x04\x0c\x09SUBSCRIBEid");
    }
}
