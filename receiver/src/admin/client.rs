//! Asking a running receiver, for the commands of this program.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::sockets;
use crate::settings::AdminSocket;
use crate::view::Refusal;

/// A receiver did not answer, or not as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// There is nobody at the socket.
    #[error("no receiver answers at {}: {source}; {}", path.display(), next_step(source))]
    Away {
        /// The admin socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The configuration says that there is no admin socket.
    #[error("admin_socket is empty in the configuration: set it, or name the receiver's with --admin-socket")]
    NoSocket,
    /// It took too long.
    #[error("the receiver at {} did not answer within {ANSWER_TIME:?}: it hangs or is very busy; see top and its log", path.display())]
    Late {
        /// The admin socket.
        path: PathBuf,
    },
    /// What answers is no admin endpoint.
    #[error("what answers at {} is no receiver's admin endpoint: {reason}", path.display())]
    Strange {
        /// The admin socket.
        path: PathBuf,
        /// What is strange.
        reason: String,
    },
    /// The receiver will not.
    #[error("the receiver refused: {error}")]
    Refused {
        /// Of HTTP.
        status: u16,
        /// Why.
        error: String,
    },
}

/// The places at which the socket may be; see [`ask`].
#[must_use]
pub fn places(socket: &AdminSocket, xdg_runtime_dir: Option<&Path>) -> Vec<PathBuf> {
    sockets::places(socket, xdg_runtime_dir)
}

/// Asks the receiver at the first of these places where one answers. The body of the answer, which is 200 or 202.
///
/// Cancel-safe, but that an order may have been given.
///
/// # Errors
/// [`AskError`].
pub async fn ask(places: &[PathBuf], method: Method, path: &str, body: &str) -> Result<Bytes, AskError> {
    let (at, stream) = connect(places).await?;
    let late = |_| AskError::Late { path: at.clone() };
    let (status, body) = timeout(ANSWER_TIME, exchange(stream, method, path, body))
        .await
        .map_err(late)?
        .map_err(|reason| AskError::Strange { path: at.clone(), reason })?;
    if matches!(status, StatusCode::OK | StatusCode::ACCEPTED) {
        return Ok(body);
    }
    Err(refused(status, &body))
}

fn refused(status: StatusCode, body: &[u8]) -> AskError {
    let refusal: Result<Refusal, _> = serde_json::from_slice(body);
    let error = refusal.map_or_else(|_| String::from_utf8_lossy(body).trim().to_owned(), |refusal| refusal.error);
    AskError::Refused { status: status.as_u16(), error }
}

/// Asks as [`ask`] does, and hands on the answer line by line, until `line` has had enough or the receiver ends.
///
/// Cancel-safe.
///
/// # Errors
/// [`AskError`].
pub async fn follow(places: &[PathBuf], path: &str, mut line: impl FnMut(&[u8]) -> bool) -> Result<(), AskError> {
    let (at, stream) = connect(places).await?;
    let strange = |reason: String| AskError::Strange { path: at.clone(), reason };
    let told = |error: hyper::Error| strange(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
    let request = Request::builder().uri(path).header(HOST, "localhost");
    let request = request.body(Full::<Bytes>::default()).map_err(|error| strange(error.to_string()))?;
    let following = async {
        let (head, mut body) = sender.send_request(request).await.map_err(told)?.into_parts();
        if head.status != StatusCode::OK {
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| strange(error.to_string()))?;
            return Err(refused(head.status, &body.to_bytes()));
        }
        let mut rest = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            rest.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
            while let Some(end) = rest.iter().position(|octet| *octet == b'\n') {
                if !line(&rest[..end]) {
                    return Ok(());
                }
                rest.drain(..=end);
            }
        }
        Ok(())
    };
    tokio::pin!(following, connection);
    tokio::select! {
        outcome = &mut following => outcome,
        _ = &mut connection => following.await,
    }
}

async fn connect(places: &[PathBuf]) -> Result<(PathBuf, UnixStream), AskError> {
    let mut first = None;
    for path in places {
        match UnixStream::connect(path).await {
            Ok(stream) => return Ok((path.clone(), stream)),
            Err(source) => first = first.or_else(|| Some(AskError::Away { path: path.clone(), source })),
        }
    }
    Err(first.unwrap_or(AskError::NoSocket))
}

async fn exchange(stream: UnixStream, method: Method, path: &str, body: &str) -> Result<(StatusCode, Bytes), String> {
    let told = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
    let request = Request::builder().method(method).uri(path).header(HOST, "localhost");
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).map_err(|e| e.to_string())?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(told)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| error.to_string())?;
        Ok((head.status, body.to_bytes()))
    };
    tokio::pin!(answered, connection);
    tokio::select! {
        answer = &mut answered => answer,
        // The connection may end with the last octets of the answer.
        _ = &mut connection => answered.await,
    }
}

fn next_step(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => "ask as root, or as a member of the socket's group",
        _ => "start it, or name its admin socket with --admin-socket",
    }
}

/// A healthy receiver answers within milliseconds; one that hands on at its limit, within some tens.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Octets of an answer: four thousand topics are about two million.
const MAX_ANSWER: usize = 64 << 20;
