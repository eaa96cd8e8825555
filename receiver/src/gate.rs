//! Who may connect, and how much may come from one address: a transport around another.
//!
//! Streams are wrapped only if something is bounded. A peer that may not connect is closed before anything is read; one that
//! sends faster than it may waits, and loses nothing.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tracing::warn;
use zmtp::transport::{BoxFuture, Link, Listener, OpenListener, Stream, Transport};

use crate::logging::OncePer;
use crate::settings::Access;

/// Lets peers in through another transport. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    transport: Arc<dyn Transport>,
    access: RwLock<Access>,
    places: Mutex<Places>,
    /// From now on nobody waits.
    hurries: AtomicBool,
    log: OncePer<(IpAddr, &'static str)>,
}

#[derive(Debug, Default)]
struct Places {
    by_address: HashMap<IpAddr, Peer>,
    refused: BTreeMap<&'static str, u64>,
}

/// What is known of an address while it has connections.
#[derive(Debug)]
struct Peer {
    connections: usize,
    /// Octets that may be read now; negative after a read that was more.
    allowance: i64,
    at: Instant,
}

impl Gate {
    pub(crate) fn new(transport: Arc<dyn Transport>, access: Access) -> Self {
        Self(Arc::new(Inner {
            transport,
            access: RwLock::new(access),
            places: Mutex::default(),
            hurries: AtomicBool::new(false),
            log: OncePer::default(),
        }))
    }

    /// Connections that were refused, by reason.
    pub(crate) fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.lock().refused.clone()
    }

    /// What holds from now on: for connections that come, and as far as they are counted for those that are.
    pub(crate) fn set_access(&self, access: &Access) {
        self.0.access.write().unwrap_or_else(PoisonError::into_inner).clone_from(access);
    }

    /// Nobody waits any more: what has been sent is to be read before the end.
    pub(crate) fn hurry(&self) {
        self.0.hurries.store(true, Relaxed);
    }

    /// A stream of an address that may connect; `None`: it may not.
    fn admit(&self, link: Link) -> Option<Link> {
        // All peers of TCP have an address.
        let address = link.peer.parse::<SocketAddr>().ok()?.ip().to_canonical();
        let access = self.access();
        if !access.admits(address) {
            drop(access);
            self.refuse(address, "address-not-allowed", "allow_from");
            return None;
        }
        if access.per_address.is_none() && access.octets_per_second.is_none() {
            return Some(link);
        }
        let most = access.per_address;
        let mut places = self.lock();
        let allowance = access.octets_per_second.map_or(0, signed);
        let fresh = || Peer { connections: 0, allowance, at: Instant::now() };
        let peer = places.by_address.entry(address).or_insert_with(fresh);
        if most.is_some_and(|most| peer.connections >= most) {
            drop((places, access));
            self.refuse(address, "address-limit", "max_connections_per_address");
            return None;
        }
        peer.connections += 1;
        drop((places, access));
        let admitted = Admitted { stream: link.stream, gate: self.clone(), address, wait: None };
        Some(Link::new(admitted, link.peer))
    }

    fn refuse(&self, address: IpAddr, reason: &'static str, option: &str) {
        *self.lock().refused.entry(reason).or_default() += 1;
        if let Some(suppressed) = self.0.log.permit((address, reason), Instant::now()) {
            warn!(peer = %address, reason, suppressed, "refused a connection ({option})");
        }
    }

    /// How long an address has to wait before more is read from it, if at all.
    fn wait(&self, address: IpAddr) -> Option<Duration> {
        let rate = self.access().octets_per_second?;
        if self.0.hurries.load(Relaxed) {
            return None;
        }
        let mut places = self.lock();
        let peer = places.by_address.get_mut(&address)?;
        let now = Instant::now();
        let earned = now.saturating_duration_since(peer.at).as_secs_f64() * rate as f64;
        if earned >= 1.0 {
            peer.allowance = peer.allowance.saturating_add(earned as i64).min(signed(rate));
            peer.at = now;
        }
        // Not until all is earned: the bound may be lifted meanwhile.
        (peer.allowance <= 0).then(|| {
            Duration::from_secs_f64((1 - peer.allowance) as f64 / rate as f64).clamp(SHORTEST_WAIT, LONGEST_WAIT)
        })
    }

    fn note_read(&self, address: IpAddr, octets: usize) {
        if self.access().octets_per_second.is_some()
            && let Some(peer) = self.lock().by_address.get_mut(&address)
        {
            peer.allowance = peer.allowance.saturating_sub(signed(octets));
        }
    }

    fn access(&self) -> RwLockReadGuard<'_, Access> {
        self.0.access.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Gate {
    fn bind<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = self.0.transport.bind(address).await?;
            let listener: Box<dyn Listener> = Box::new(Door { listener, gate: self.clone() });
            Ok(listener)
        })
    }

    fn adopt(&self, listener: OpenListener) -> io::Result<Box<dyn Listener>> {
        let listener = self.0.transport.adopt(listener)?;
        Ok(Box::new(Door { listener, gate: self.clone() }))
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Link>> {
        self.0.transport.connect(address)
    }
}

struct Door {
    listener: Box<dyn Listener>,
    gate: Gate,
}

impl Listener for Door {
    fn address(&self) -> String {
        self.listener.address()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Link>> {
        loop {
            if let Some(link) = self.gate.admit(ready!(self.listener.poll_accept(cx))?) {
                return Poll::Ready(Ok(link));
            }
        }
    }
}

/// A stream of an address whose connections or octets are counted.
struct Admitted {
    stream: Box<dyn Stream>,
    gate: Gate,
    address: IpAddr,
    wait: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Admitted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            match self.gate.wait(self.address) {
                Some(time) => self.wait = Some(Box::pin(sleep(time))),
                None => break,
            }
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.gate.note_read(self.address, buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        // Who connects anew is to have no more than who stays.
        let is_known = self.gate.access().octets_per_second.is_some();
        let mut places = self.gate.lock();
        if let Some(peer) = places.by_address.get_mut(&self.address) {
            peer.connections -= 1;
            if peer.connections == 0 && !is_known {
                places.by_address.remove(&self.address);
            } else if places.by_address.len() > MEMORY {
                places.by_address.retain(|_, peer| peer.connections > 0);
            }
        }
    }
}

impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").field("address", &self.address).finish_non_exhaustive()
    }
}

fn signed(octets: usize) -> i64 {
    i64::try_from(octets).unwrap_or(i64::MAX)
}

/// Short enough not to be noticed, long enough that a slow rate is no busy loop.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// So that a bound which is lifted at the end is lifted in time.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// Addresses that are remembered beyond their last connection.
const MEMORY: usize = 10_000;
