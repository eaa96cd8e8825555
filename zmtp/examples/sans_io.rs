//! The protocol without tokio, on threads and blocking sockets: `cargo run -p zmtp --no-default-features --example sans_io`.
//!
//! A [`Connection`] is a value: octets in, events out, octets out, the time as an argument. What drives it is a loop of
//! thirty lines; this one is for a thread per connection.

use std::{
    error::Error,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use bytes::BufMut;
use zmtp::proto::{Connection, Event, Limits, Message, Setup, SocketType};

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let puller = thread::spawn(move || -> Result<(), Box<dyn Error + Send + Sync>> {
        let (stream, _) = listener.accept()?;
        drive(stream, SocketType::Pull, |_, event| {
            if let Event::Run(run) = event {
                for message in run {
                    let frames: Vec<_> = message.frames().map(|frame| frame.escape_ascii().to_string()).collect();
                    println!("{}", frames.join(" "));
                }
            }
            true
        })
    });
    let pushed = drive(TcpStream::connect(address)?, SocketType::Push, |connection, event| {
        if let Event::Ready(peer) = event {
            println!("a {} of ZMTP {}.{}", peer.socket_type, peer.version.0, peer.version.1);
            connection.send(Message::builder().more("topic").last("hello").into());
            connection.send(Message::from("bye").into());
        }
        // Nothing more to do than to write these.
        false
    });
    pushed.map_err(|error| error.to_string())?;
    puller.join().map_err(|_| "the puller panicked")?.map_err(|error| error.to_string())?;
    Ok(())
}

/// Runs one connection until the peer closes it, or until `handle` says that it is enough and all is written.
fn drive(
    mut stream: TcpStream,
    socket_type: SocketType,
    mut handle: impl FnMut(&mut Connection, Event) -> bool,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let setup = Setup { socket_type, limits: Limits::default(), handshake_timeout: Duration::from_secs(10) };
    let mut connection = Connection::new(setup, Instant::now());
    let mut goes_on = true;
    loop {
        // All events, then all octets to write, then more to read.
        while let Some(event) = connection.poll_event()? {
            goes_on &= handle(&mut connection, event);
        }
        while connection.wants_write() {
            let mut slices = [std::io::IoSlice::new(&[]); 16];
            let n = connection.poll_transmit(&mut slices);
            let written = stream.write_vectored(&slices[..n])?;
            connection.handle_written(written);
        }
        if !goes_on {
            return Ok(());
        }
        let timeout = connection.poll_timeout().map(|at| at.saturating_duration_since(Instant::now()));
        stream.set_read_timeout(timeout.map(|left| left.max(Duration::from_millis(1))))?;
        let mut octets = [0; 4096];
        let mut buffer = connection.read_buffer();
        let room = buffer.remaining_mut().min(octets.len());
        match stream.read(&mut octets[..room]) {
            Ok(0) => return Ok(connection.handle_eof()?),
            Ok(n) => {
                buffer.put_slice(&octets[..n]);
                connection.handle_read();
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                connection.handle_timeout(Instant::now())?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
