//! Hosts of one process, each on a port of its own.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use matchmaker::{MatchMaker, Memory};
use oslo_rpc::json::Value;
use oslo_rpc::{Context, Endpoint, RemoteError, Settings, Target, Transport};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tracing::Level;
use tracing_subscriber::fmt::writer::MakeWriterExt;

#[derive(Serialize, Deserialize)]
pub(crate) struct Echo {
    pub(crate) value: Value,
}

/// Hosts that know one another.
#[derive(Clone, Default)]
pub(crate) struct Site(pub(crate) Arc<Memory>);

impl Site {
    pub(crate) async fn transport(&self) -> Transport {
        self.transport_with(|_| {}).await
    }

    pub(crate) async fn transport_with(&self, change: impl FnOnce(&mut Settings)) -> Transport {
        let mut settings = Settings::new("localhost".parse().unwrap());
        settings.listen = Some("127.0.0.1:0".to_owned());
        settings.response_timeout = Duration::from_secs(10);
        change(&mut settings);
        Transport::with_matchmaker(settings, MatchMaker::new(self.0.clone())).await.unwrap()
    }
}

pub(crate) fn methods() -> Endpoint {
    Endpoint::new()
        .method("echo", async |_: Context, echo: Echo| Ok::<_, RemoteError>(echo.value))
        .method("context", async |context: Context, (): ()| {
            context.read::<Value>().map_err(|error| RemoteError::builtin("TypeError", error.to_string()))
        })
        .method("fail", async |_: Context, (): ()| {
            let cause = RemoteError::builtin("KeyError", "deep");
            Err::<(), _>(RemoteError::new("Quota", "nova.exception", "über").kwarg("used", 9).caused_by(cause))
        })
        .method("panic", async |_: Context, (): ()| {
            assert!(std::hint::black_box(false), "a method that panics");
            Ok::<_, RemoteError>(())
        })
        .method("slow", async |_: Context, (): ()| {
            sleep(Duration::from_millis(300)).await;
            Ok::<_, RemoteError>("done")
        })
}

pub(crate) fn echo(value: impl Into<Value>) -> Echo {
    Echo { value: value.into() }
}

pub(crate) fn topic() -> Target {
    Target::topic("compute")
}

/// What links warn of, in every test of this program.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// The one log of this program: a subscriber of one thread misses events whose call site another thread, which has
    /// none, is first to reach.
    pub(crate) fn of_links() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        let log = LOG.get_or_init(|| {
            let log = Self::default();
            let writer = log.clone();
            let of_links = (move || writer.clone()).with_filter(|of| of.target().ends_with("::link"));
            let subscriber =
                tracing_subscriber::fmt().with_max_level(Level::WARN).with_ansi(false).with_writer(of_links);
            tracing::subscriber::set_global_default(subscriber.finish()).expect("nothing else sets one");
            log
        });
        log.clone()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
