//! One interface to clients and services of both worlds: ours in this process, the original driver's in theirs.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use oslo_config::{Config, load};
use oslo_rpc::envelope::Style;
use oslo_rpc::json::Value;
use oslo_rpc::{
    CallError, Client, Context, Endpoint, Listener, Notifier, Priority, RemoteError, Server, Settings, Target,
    Transport,
};
use serde_json::json;
use tests::driver::{self, DriverError, Notifications, Topics};
use tests::oslo::{Host, Release};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This project.
    Rust,
    /// The original driver.
    Python(Release),
}

/// A client of either kind for one topic.
pub(crate) enum AnyClient<'r> {
    Rust { runtime: &'r Runtime, client: Client, topic: String, notifications: String },
    Python(Box<driver::Client>),
}

/// A service of either kind.
pub(crate) enum AnyService {
    Rust { seen: mpsc::UnboundedReceiver<serde_json::Value>, _server: Server, _listener: Listener },
    Python(Box<driver::Service>, Release),
}

/// What a service raised, as its caller sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Raised {
    pub(crate) class: String,
    pub(crate) text: String,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] =
        [Self::Rust, Self::Python(Release::Juno), Self::Python(Release::Kilo), Self::Python(Release::Liberty)];

    pub(crate) fn name(self) -> String {
        match self {
            Self::Rust => "Rust".to_owned(),
            Self::Python(release) => format!("Python {}", release.version()),
        }
    }

    /// A word for topics.
    pub(crate) fn word(self) -> String {
        self.name().to_lowercase().replace([' ', '.'], "-")
    }
}

/// The transport of a host's own configuration file: the one its Python services read.
pub(crate) async fn transport(host: &Host) -> anyhow::Result<Transport> {
    let mut config = Config::new(oslo_rpc::settings::DECLARED);
    config.push(load(&host.config_file())?);
    Ok(Transport::open(Settings::from_config(&config)?).await?)
}

impl<'r> AnyClient<'r> {
    pub(crate) fn start(
        runtime: &'r Runtime,
        kind: Kind,
        host: &Host,
        transport: &Transport,
        topics: Topics<'_>,
    ) -> anyhow::Result<Self> {
        match kind {
            Kind::Rust => {
                let client = Client::new(transport).with_context(Context::new(&driver::context())?);
                let (topic, notifications) = (topics.rpc.to_owned(), topics.notifications.to_owned());
                Ok(Self::Rust { runtime, client, topic, notifications })
            }
            Kind::Python(_) => Ok(Self::Python(Box::new(driver::Client::start(host, topics)?))),
        }
    }

    /// The result of a call, or what was raised.
    pub(crate) fn call(
        &mut self,
        method: &str,
        args: serde_json::Value,
    ) -> anyhow::Result<Result<serde_json::Value, Raised>> {
        match self {
            Self::Rust { runtime, client, topic, .. } => {
                let target = Target::topic(topic.as_str());
                match runtime.block_on(client.call::<Value>(&target, method, &args)) {
                    Ok(value) => Ok(Ok(serde_json::from_str(&value.to_string())?)),
                    Err(CallError::Remote(error)) => {
                        let traceback = error.traceback.concat();
                        Ok(Err(Raised {
                            class: error.class.to_string(),
                            text: format!("{}\n{traceback}", error.message),
                        }))
                    }
                    Err(error) => Err(error.into()),
                }
            }
            Self::Python(client) => match client.call(method, args) {
                Ok(value) => Ok(Ok(value)),
                Err(error) if error.is_rpc_timeout() => Err(error.into()),
                Err(DriverError::Raised { class, text, .. }) => Ok(Err(Raised { class, text })),
                Err(error) => Err(error.into()),
            },
        }
    }

    pub(crate) fn cast(&mut self, method: &str, args: serde_json::Value, fanout: bool) -> anyhow::Result<()> {
        match self {
            Self::Rust { runtime, client, topic, .. } => {
                let target = Target::topic(topic.as_str());
                let target = if fanout { target.fanout() } else { target };
                runtime.block_on(client.cast(&target, method, &args))?;
            }
            Self::Python(client) if fanout => client.fanout(method, args)?,
            Self::Python(client) => client.cast(method, args)?,
        }
        Ok(())
    }

    /// A notification of either version.
    pub(crate) fn notify(&mut self, style: Style, event_type: &str, payload: serde_json::Value) -> anyhow::Result<()> {
        match self {
            Self::Rust { runtime, client, notifications, .. } => {
                let notifier = Notifier::new(client.transport(), "client")
                    .with_topics([notifications.as_str()])
                    .with_style(style)
                    .with_context(client.context().clone());
                runtime.block_on(notifier.notify(Priority::Info, event_type, &payload))?;
            }
            Self::Python(client) => {
                let driver = if style == Style::Cast { "messaging" } else { "messagingv2" };
                client.notify(driver, event_type, payload)?;
            }
        }
        Ok(())
    }
}

impl AnyService {
    pub(crate) fn start(
        runtime: &Runtime,
        kind: Kind,
        host: &Host,
        transport: &Transport,
        topics: Topics<'_>,
    ) -> anyhow::Result<Self> {
        match kind {
            Kind::Rust => runtime.block_on(Self::start_ours(transport, topics)),
            Kind::Python(release) => {
                let service = driver::Service::start(host, topics.rpc, topics, Notifications::Read)?;
                Ok(Self::Python(Box::new(service), release))
            }
        }
    }

    async fn start_ours(transport: &Transport, topics: Topics<'_>) -> anyhow::Result<Self> {
        #[derive(serde::Deserialize)]
        struct Given {
            value: Value,
        }
        #[derive(serde::Deserialize)]
        struct Fail {
            text: String,
        }
        let (sender, seen) = mpsc::unbounded_channel();
        let heard_by = sender.clone();
        let endpoint = Endpoint::new()
            .method("echo", async |_: Context, given: Given| Ok::<_, RemoteError>(given.value))
            .method("fail", async |_: Context, fail: Fail| Err::<(), _>(RemoteError::builtin("ValueError", fail.text)))
            .method("context", async |context: Context, (): ()| {
                context.read::<Value>().map_err(|error| RemoteError::builtin("TypeError", error.to_string()))
            })
            .method("record", move |context: Context, given: Given| {
                let told = json!({ "record": plain(&given.value), "context": told_context(&context) });
                let _ = sender.send(told);
                async { Ok::<_, RemoteError>(()) }
            });
        let server = Server::builder(topics.rpc).endpoint(endpoint).start(transport).await?;
        let listener = Listener::builder([topics.notifications])
            .on(Priority::Info, move |heard| {
                let told = json!({
                    "event_type": heard.event_type,
                    "publisher_id": heard.publisher_id,
                    "payload": heard.payload::<Value>().map(|payload| plain(&payload)).unwrap_or_default(),
                    "context": told_context(&heard.context),
                });
                let _ = heard_by.send(told);
                async {}
            })
            .start(transport)
            .await?;
        Ok(Self::Rust { seen, _server: server, _listener: listener })
    }

    /// The next cast, fanout or notification that it received, in the shape of the script `driver_service.py`.
    pub(crate) fn next(&mut self, runtime: &Runtime, style: Style) -> anyhow::Result<serde_json::Value> {
        match self {
            Self::Rust { seen, .. } => {
                let next = runtime.block_on(async { tokio::time::timeout(LIMIT, seen.recv()).await });
                next.context("nothing arrived")?.context("the service is gone")
            }
            Self::Python(service, _) => {
                let line = service.next(LIMIT)?;
                if line.get("frames").is_some() { notification_in(&line, style) } else { Ok(line) }
            }
        }
    }

    /// Whether it makes of a notification what a listener does (B32).
    pub(crate) fn listens(&self) -> bool {
        match self {
            Self::Rust { .. } => true,
            Self::Python(_, release) => release.can_listen_to_notifications(),
        }
    }
}

/// What a listener would have made of the frames that a service printed.
fn notification_in(line: &serde_json::Value, style: Style) -> anyhow::Result<serde_json::Value> {
    use oslo_rpc::received::{Incoming, Received};
    let frames: Vec<&[u8]> =
        line["frames"].as_array().into_iter().flatten().filter_map(|frame| frame.as_str()).map(str::as_bytes).collect();
    let envelope = oslo_rpc::Envelope::decode(frames)?;
    ensure!(envelope.body.style() == style, "the style is {:?}", envelope.body.style());
    let received = Received::decode(envelope.body)?;
    let Incoming::Notification(told) = received.read()? else { bail!("no notification") };
    Ok(json!({
        "event_type": told.field("event_type"),
        "publisher_id": told.field("publisher_id"),
        "payload": plain(&told.payload().read()?),
        "context": plain(&received.context().read()?),
    }))
}

fn told_context(context: &Context) -> serde_json::Value {
    context.read::<Value>().map(|context| plain(&context)).unwrap_or_default()
}

/// A value of ours for comparisons; integers of more than 64 bits do not occur in those.
fn plain(value: &Value) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// Generous: two cores may be running other tests.
const LIMIT: Duration = Duration::from_secs(15);
