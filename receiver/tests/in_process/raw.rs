//! A peer that sees and sends the octets on the wire (RFC 37, mechanism NULL).

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zmtp::Message;
use zmtp::proto::Greeting;

use crate::Result;
use crate::site::soon;

/// Makes a fresh stream the connection of a socket of this type. Everything after it is traffic.
pub(crate) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, socket_type: &str) -> Result {
    stream.write_all(&Greeting::encode("NULL", false)).await?;
    let name = [b"\x05READY\x0bSocket-Type\0\0\0", &[octet(socket_type.len())][..], socket_type.as_bytes()].concat();
    stream.write_all(&[&[COMMAND, octet(name.len())], &name[..]].concat()).await?;

    let mut greeting = [0; Greeting::LEN];
    soon(stream.read_exact(&mut greeting)).await??;
    let mut header = [0; 2];
    soon(stream.read_exact(&mut header)).await??;
    let [COMMAND, len] = header else { return Err(format!("{header:?} in place of READY").into()) };
    let mut ready = vec![0; len.into()];
    soon(stream.read_exact(&mut ready)).await??;
    Ok(())
}

/// A message with the shortest header for each frame.
pub(crate) fn message<F: AsRef<[u8]>>(frames: &[F]) -> Vec<u8> {
    let last = frames.len() - 1;
    let frames = frames.iter().enumerate();
    frames.flat_map(|(index, body)| frame(body.as_ref(), index < last, body.as_ref().len() > 255)).collect()
}

/// What a message is on the wire.
pub(crate) fn wire(message: &Message) -> Vec<u8> {
    message.chunks().flat_map(|chunk| chunk.to_vec()).collect()
}

/// A subscription as ZMTP 3.1 has it.
pub(crate) fn subscription(prefix: &str) -> Vec<u8> {
    let command = [b"\x09SUBSCRIBE", prefix.as_bytes()].concat();
    [&[COMMAND, octet(command.len())], &command[..]].concat()
}

/// A frame with a header of the long form or the short one.
pub(crate) fn frame(body: &[u8], more: bool, long: bool) -> Vec<u8> {
    let size = body.len() as u64;
    let flags = u8::from(more) | if long { LONG } else { 0 };
    let size = if long { size.to_be_bytes().to_vec() } else { vec![octet(body.len())] };
    [&[flags], &size[..], body].concat()
}

fn octet(n: usize) -> u8 {
    u8::try_from(n).expect("a short frame")
}

/// Flags of a short command frame, and the flag of a long frame.
const COMMAND: u8 = 4;
const LONG: u8 = 2;
