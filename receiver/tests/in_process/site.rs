//! A receiver in this process, on a port of the system's choice and in a directory of its own, and its peers.

use std::future::Future;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use oslo_messaging_zmq_receiver::cli::Cli;
use oslo_messaging_zmq_receiver::settings::{Bind, Settings, gather};
use oslo_messaging_zmq_receiver::{Receiver, Stopped, Totals};
use oslo_rpc::Topic;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use zmtp::{Message, Options, Pull, Push, Stats, Sub};

use crate::Result;

/// A receiver and where to find it.
pub(crate) struct Site {
    receiver: Receiver,
    directory: PathBuf,
    _root: TempDir,
}

impl Site {
    /// A receiver with the default settings, but a short `drain_timeout` for peers that keep their connections, and but for what `change` does to them.
    pub(crate) async fn start(change: impl FnOnce(&mut Settings)) -> Result<Self> {
        let root = tempfile::tempdir()?;
        let directory = root.path().to_owned();
        Self::start_in(root, directory, change).await
    }

    /// A receiver whose directory has a path of `octets` octets.
    pub(crate) async fn start_in_long_directory(octets: usize) -> Result<Self> {
        let root = tempfile::tempdir()?;
        let missing = octets.checked_sub(root.path().as_os_str().len() + 1).ok_or("the temporary directory is long")?;
        let directory = root.path().join("d".repeat(missing));
        std::fs::create_dir(&directory)?;
        Self::start_in(root, directory, |_| {}).await
    }

    async fn start_in(root: TempDir, directory: PathBuf, change: impl FnOnce(&mut Settings)) -> Result<Self> {
        // A file with nothing in it, so that the machine's own configuration stays out.
        let cli = Cli::parse_from(["receiver", "--config-file", "/dev/null"])?;
        let mut settings = Settings::from_config(&gather(&cli, [])?)?;
        settings.bind = Bind { address: "127.0.0.1".to_owned(), port: 0 };
        settings.host = HOST.to_owned();
        settings.drain_timeout = Duration::from_secs(2);
        change(&mut settings);
        let receiver = Receiver::start(&settings, &directory).await?;
        Ok(Self { receiver, directory, _root: root })
    }

    /// `ADDRESS:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.receiver.endpoint().address()
    }

    /// A client, connected.
    pub(crate) fn push(&self) -> Result<Push> {
        let push = Push::new(Options::new());
        push.connect(self.receiver.endpoint().as_str())?;
        Ok(push)
    }

    /// A service of a topic, connecting.
    pub(crate) fn pull(&self, topic: &str) -> Result<Pull> {
        let pull = Pull::new(Options::new());
        pull.connect(&self.local(topic)?)?;
        Ok(pull)
    }

    /// A subscriber of a fanout or reply topic, connecting.
    pub(crate) fn sub(&self, topic: &str, prefix: &'static str) -> Result<Sub> {
        let sub = Sub::new(Options::new());
        sub.subscribe(prefix);
        sub.connect(&self.local(topic)?)?;
        Ok(sub)
    }

    /// The path of a topic's socket.
    pub(crate) fn path(&self, topic: &str) -> Result<PathBuf> {
        Ok(Topic::parse(topic.as_bytes())?.socket_path(&self.directory)?)
    }

    fn local(&self, topic: &str) -> Result<String> {
        Ok(format!("ipc://{}", self.path(topic)?.display()))
    }

    pub(crate) fn totals(&self) -> Totals {
        self.receiver.totals()
    }

    /// Messages dropped for `reason`.
    pub(crate) fn dropped(&self, reason: &str) -> u64 {
        self.totals().dropped.get(reason).copied().unwrap_or_default()
    }

    /// The counters of a key; zeros while nobody has asked for it.
    pub(crate) fn stats(&self, key: &str) -> Stats {
        let topics = self.totals().topics;
        topics.into_iter().find(|(name, _)| name == key).map(|(_, stats)| stats).unwrap_or_default()
    }

    /// Waits until so many messages came in, and were handed on or dropped.
    pub(crate) async fn until_received(&self, messages: u64) -> Result {
        until(|| self.totals().received == messages).await
    }

    /// Waits until so many consumers of a key are connected.
    pub(crate) async fn until_connected(&self, key: &str, peers: usize) -> Result {
        until(|| self.stats(key).peers == peers).await
    }

    pub(crate) async fn stop(self) -> Result<Stopped> {
        soon(self.receiver.stop()).await
    }
}

/// Frames `0`, `topic`, `cast`, `body`.
pub(crate) fn cast(topic: &str, body: impl ToString) -> Message {
    Message::builder().more("0").more(topic.to_owned()).more("cast").last(body.to_string())
}

/// Sends casts whose bodies are numbers.
pub(crate) async fn send_numbers(push: &Push, topic: &str, numbers: Range<u32>) -> Result {
    for number in numbers {
        soon(push.send(cast(topic, number))).await??;
    }
    Ok(())
}

/// Receives casts whose bodies are these numbers, in order.
pub(crate) async fn expect_numbers(pull: &mut Pull, numbers: Range<u32>) -> Result {
    for number in numbers {
        let message = soon(pull.recv()).await?;
        if body(&message) != number.to_string() {
            return Err(format!("{} in place of {number}", body(&message)).into());
        }
    }
    Ok(())
}

/// The last frame.
pub(crate) fn body(message: &Message) -> String {
    message.frames().last().unwrap_or_default().escape_ascii().to_string()
}

/// What `future` yields, if it does so in time.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> Result<T> {
    Ok(timeout(LIMIT, future).await.map_err(|_| format!("waited {LIMIT:?} in vain"))?)
}

/// Waits until `check` holds.
pub(crate) async fn until(mut check: impl FnMut() -> bool) -> Result {
    soon(async {
        while !check() {
            sleep(POLL).await;
        }
    })
    .await
}

/// The name of this machine in every test.
const HOST: &str = "host1";

/// Generous: two cores may be running other tests. What works takes a tenth of it.
const LIMIT: Duration = Duration::from_secs(20);

/// How often a state is looked at that sends no notice.
const POLL: Duration = Duration::from_millis(2);
