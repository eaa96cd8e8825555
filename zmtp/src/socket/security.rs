//! Which mechanism the connections of a socket have, and who is let in.
//!
//! One mechanism for all connections of a socket: a peer of any other is refused, and so is one too old to have any.
//! Which side is the server is independent of which side binds. There is no server without an [`Authenticator`], and
//! whatever goes wrong with it keeps the peer out.

use std::{error::Error, fmt, io, sync::Arc, time::Instant};

use tokio::{task::JoinSet, time::timeout_at};

#[cfg(feature = "curve")]
use crate::proto::{Fresh, KeyPair, PublicKey};
use crate::{
    proto::{Credentials, Mechanism, PlainLogin, ProtocolError},
    transport::{BoxFuture, Process},
};

/// The security mechanism of a socket.
///
/// ```
/// use std::sync::Arc;
/// use zmtp::{Applicant, Credentials, Options, PlainLogin, Pull, Push, Security, Verdict};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let login = PlainLogin::new("nova", "correct horse")?;
/// let known = login.clone();
/// let authenticator = move |applicant: &Applicant| match &applicant.credentials {
///     Credentials::Plain(login) if *login == known => Verdict::Admit,
///     _ => Verdict::Refuse,
/// };
/// let mut pull = Pull::new(Options::new().security(Security::PlainServer(Arc::new(authenticator))));
/// let endpoint = pull.bind("tcp://127.0.0.1:*").await?;
/// let push = Push::new(Options::new().security(Security::PlainClient(login)));
/// push.connect(endpoint.as_str())?;
/// push.send("hello").await?;
/// assert_eq!(pull.recv().await, "hello".into());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Security {
    /// None (libzmq: `ZMQ_NULL`).
    #[default]
    Null,
    /// No proof, but somebody decides by the address, or the process, that a peer comes from (`ZMQ_ZAP_DOMAIN`).
    NullServer(Arc<dyn Authenticator>),
    /// Logs in, in clear (`ZMQ_PLAIN_USERNAME`, `ZMQ_PLAIN_PASSWORD`).
    PlainClient(PlainLogin),
    /// Is logged in to (`ZMQ_PLAIN_SERVER`).
    PlainServer(Arc<dyn Authenticator>),
    /// Knows the key of the servers that it talks to, and seals all traffic (`ZMQ_CURVE_SERVERKEY`,
    /// `ZMQ_CURVE_PUBLICKEY`, `ZMQ_CURVE_SECRETKEY`).
    #[cfg(feature = "curve")]
    CurveClient {
        /// Our own.
        keys: KeyPair,
        /// The servers'.
        server: PublicKey,
    },
    /// Has a key that its clients know, and seals all traffic (`ZMQ_CURVE_SERVER`, `ZMQ_CURVE_SECRETKEY`).
    #[cfg(feature = "curve")]
    CurveServer {
        /// Our own.
        keys: KeyPair,
        /// Who may come in; a client has proven to have its key.
        authenticator: Arc<dyn Authenticator>,
    },
}

/// Who wants to come in.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Applicant {
    /// The other end of the stream, as in events: `10.0.0.7:51234`.
    pub peer: Arc<str>,
    /// The process at that end, of a Unix socket: the kernel's word, not the peer's.
    pub process: Option<Process>,
    /// What it offers.
    pub credentials: Credentials,
}

/// Whether a peer may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It may.
    Admit,
    /// It may, and is called so in [`PeerInfo::user_id`](crate::proto::PeerInfo::user_id) (RFC 27, user id).
    AdmitAs(Arc<str>),
    /// It may not, and is told so. A client of this crate then does not ask again, unless under CURVE.
    Refuse,
}

/// Decides who may come in: what libzmq asks a ZAP handler (RFC 27).
///
/// A function of an [`Applicant`] is one. A peer is kept out when this fails, panics or has not decided when the
/// [handshake's time](crate::Options::handshake_timeout) is over; it is then not told that it was refused, so that it
/// tries again.
pub trait Authenticator: Send + Sync + 'static {
    /// Decides about one peer. Runs as a task of its own, which ends when the connection does.
    fn authenticate<'a>(
        &'a self,
        applicant: &'a Applicant,
    ) -> BoxFuture<'a, Result<Verdict, Box<dyn Error + Send + Sync>>>;
}

impl<F: Fn(&Applicant) -> Verdict + Send + Sync + 'static> Authenticator for F {
    fn authenticate<'a>(
        &'a self,
        applicant: &'a Applicant,
    ) -> BoxFuture<'a, Result<Verdict, Box<dyn Error + Send + Sync>>> {
        Box::pin(async move { Ok(self(applicant)) })
    }
}

impl Security {
    /// The mechanism of one connection.
    pub(crate) fn mechanism(&self) -> io::Result<Mechanism> {
        Ok(match self {
            Self::Null => Mechanism::null(),
            Self::NullServer(_) => Mechanism::null_server(),
            Self::PlainClient(login) => Mechanism::plain_client(login.clone()),
            Self::PlainServer(_) => Mechanism::plain_server(),
            #[cfg(feature = "curve")]
            Self::CurveClient { keys, server } => {
                Mechanism::curve_client(keys.clone(), *server, Fresh::generate().map_err(io::Error::other)?)
            }
            #[cfg(feature = "curve")]
            Self::CurveServer { keys, .. } => {
                Mechanism::curve_server(keys.clone(), Fresh::generate().map_err(io::Error::other)?)
            }
        })
    }

    /// Whether a peer's ERROR ends the attempts to connect to it. CURVE does not seal it: anybody on the way may have
    /// written it, who should not be able to do more than cut this one connection.
    pub(crate) fn believes_refusals(&self) -> bool {
        match self {
            Self::Null | Self::NullServer(_) | Self::PlainClient(_) | Self::PlainServer(_) => true,
            #[cfg(feature = "curve")]
            Self::CurveClient { .. } | Self::CurveServer { .. } => false,
        }
    }

    /// Asks the authenticator, in a task that its panic ends and nothing else.
    pub(crate) async fn judge(&self, applicant: Applicant, deadline: Instant) -> Result<Verdict, ProtocolError> {
        let no_verdict = |reason| Err(ProtocolError::Unauthorized { reason });
        let Some(authenticator) = self.authenticator().cloned() else {
            return no_verdict("there is nobody to decide");
        };
        let mut task = JoinSet::new();
        task.spawn(async move { authenticator.authenticate(&applicant).await });
        match timeout_at(deadline.into(), task.join_next()).await {
            Ok(Some(Ok(Ok(verdict)))) => Ok(verdict),
            Ok(Some(Ok(Err(_)))) => no_verdict("the authenticator failed"),
            Ok(_) => no_verdict("the authenticator panicked"),
            Err(_) => no_verdict("the authenticator did not decide in time"),
        }
    }

    /// Whom a server asks.
    fn authenticator(&self) -> Option<&Arc<dyn Authenticator>> {
        match self {
            Self::NullServer(authenticator) | Self::PlainServer(authenticator) => Some(authenticator),
            #[cfg(feature = "curve")]
            Self::CurveServer { authenticator, .. } => Some(authenticator),
            _ => None,
        }
    }
}

impl fmt::Debug for Security {
    /// The mechanism and the role, nothing secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::NullServer(_) => "NullServer",
            Self::PlainClient(_) => "PlainClient",
            Self::PlainServer(_) => "PlainServer",
            #[cfg(feature = "curve")]
            Self::CurveClient { .. } => "CurveClient",
            #[cfg(feature = "curve")]
            Self::CurveServer { .. } => "CurveServer",
        })
    }
}
