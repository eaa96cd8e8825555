//! Every client with every service.

use anyhow::{Context as _, bail, ensure};
use oslo_rpc::envelope::Style;
use oslo_rpc::{Client, Settings, Target, Transport};
use serde_json::{Value, json};
use tests::driver::{Topics, context};
use tests::oslo::{Host, Release};
use tests::program::Program;
use tests::{binary, loopback};
use tokio::runtime::Runtime;

use crate::peers::{AnyClient, AnyService, Kind, transport};
use crate::table::{self, Row};

#[test]
fn every_client_with_every_service_through_our_receiver() -> anyhow::Result<()> {
    let site = Site::start(Receiver::Ours)?;
    let rows = site.rows(|_, _| true)?;
    table::check("Through our receiver", &rows)
}

#[test]
fn rust_with_python_through_the_original_receiver() -> anyhow::Result<()> {
    let site = Site::start(Receiver::Original)?;
    let rows = site.rows(|client, service| {
        let kilo = Kind::Python(Release::Kilo);
        matches!((client, service), (Kind::Rust, Kind::Rust))
            || [(Kind::Rust, kilo), (kilo, Kind::Rust)].contains(&(client, service))
    })?;
    table::check("Through the receiver of 1.8.3", &rows)
}

enum Receiver {
    Ours,
    Original,
}

/// One machine, which has a release of the original for each of its services, and its receiver.
struct Site {
    runtime: Runtime,
    hosts: Vec<(Kind, Host)>,
    _receiver: Program,
    transport: Transport,
    /// Its requests are enveloped.
    enveloped: Transport,
    /// How often a call may be tried: the original receiver now and then loses a reply to a client that opens a socket for
    /// each (B39).
    attempts: u32,
}

impl Site {
    fn start(receiver: Receiver) -> anyhow::Result<Self> {
        let port = loopback::free_port()?;
        // The oldest names the matchmaker in a way that all of them understand.
        let first = Host::localhost(Release::Juno, port)?;
        let mut hosts = Vec::new();
        for kind in Kind::ALL {
            let release = if let Kind::Python(release) = kind { release } else { Release::Juno };
            let host = Host::localhost(release, port)?;
            std::fs::copy(first.config_file(), host.config_file())?;
            hosts.push((kind, host));
        }
        let (mut command, attempts) = match receiver {
            Receiver::Ours => (first.receiver(&binary::receiver()?), 1),
            Receiver::Original => (Host::original_receiver(host_of(&hosts, Kind::Python(Release::Kilo))?)?, 4),
        };
        let mut receiver = Program::start("receiver", &mut command)?;
        receiver.wait_until_listening(first.address(), LIMIT)?;
        let runtime = Runtime::new()?;
        let transport = runtime.block_on(transport(&first))?;
        let settings = Settings { style: Style::V2, ..transport.settings().clone() };
        let enveloped = runtime.block_on(Transport::open(settings))?;
        // Its sockets lie in the directory of the first.
        hosts.push((Kind::Rust, first));
        Ok(Self { runtime, hosts, _receiver: receiver, transport, enveloped, attempts })
    }

    fn rows(&self, wanted: impl Fn(Kind, Kind) -> bool) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        for service_kind in Kind::ALL {
            if !Kind::ALL.into_iter().any(|client| wanted(client, service_kind)) {
                continue;
            }
            let (topic, notes) = (service_kind.word(), format!("notes-{}", service_kind.word()));
            let topics = Topics { rpc: &topic, notifications: &notes };
            let host = host_of(&self.hosts, service_kind)?;
            let mut service = AnyService::start(&self.runtime, service_kind, host, &self.transport, topics)?;
            for client_kind in Kind::ALL.into_iter().filter(|client| wanted(*client, service_kind)) {
                let pair = format!("{} to {}", client_kind.name(), service_kind.name());
                let host = host_of(&self.hosts, client_kind)?;
                let client = AnyClient::start(&self.runtime, client_kind, host, &self.transport, topics)?;
                let mut pair_under_test = Pair { site: self, client, service: &mut service };
                let cells = pair_under_test.run().with_context(|| pair)?;
                rows.push(Row { client: client_kind.name(), service: service_kind.name(), cells });
            }
        }
        rows.sort_by(|a, b| (&a.client, &a.service).cmp(&(&b.client, &b.service)));
        Ok(rows)
    }
}

/// A client and the service it talks to.
struct Pair<'s> {
    site: &'s Site,
    client: AnyClient<'s>,
    service: &'s mut AnyService,
}

impl Pair<'_> {
    /// One cell per column of the table.
    fn run(&mut self) -> anyhow::Result<Vec<&'static str>> {
        Ok(vec![
            self.call().context("call")?,
            self.cast(false).context("cast")?,
            self.cast(true).context("fanout")?,
            self.notify().context("notify")?,
            self.remote_error().context("remote error")?,
            self.echoes(json!("Zürich, Ελλάδα, 日本語, 😀, \u{0}\u{7f}\u{2028}\"\\/")).context("unicode")?,
            self.big_integer().context("big integer")?,
            self.echoes(json!("é".repeat(1 << 19))).context("1 MB")?,
        ])
    }

    fn call(&mut self) -> anyhow::Result<&'static str> {
        for value in [json!(null), json!([]), json!({ "nested": [1, -2.5, true, null, { "exc": {} }], "zero": 0 })] {
            self.echoes(value)?;
        }
        let seen = self.called("context", json!({}))?;
        ensure!(seen == context(), "the service saw the context {seen}");
        if let AnyClient::Rust { runtime, topic, .. } = &self.client {
            // Enveloped requests, which no release sends and all understand (B6).
            let client = Client::new(&self.site.enveloped);
            let args = json!({ "value": "enveloped" });
            let echoed: String = runtime.block_on(client.call(&Target::topic(topic), "echo", &args))?;
            ensure!(echoed == "enveloped", "{echoed} came back");
        }
        Ok("ok")
    }

    fn cast(&mut self, fanout: bool) -> anyhow::Result<&'static str> {
        for number in 0..3 {
            let value = json!({ "fanout": fanout, "number": number, "text": "Grüße ☃" });
            self.client.cast("record", json!({ "value": value }), fanout)?;
            let seen = self.service.next(&self.site.runtime, Style::Cast)?;
            ensure!(seen == json!({ "record": value, "context": context() }), "the service saw {seen}");
        }
        Ok("ok")
    }

    fn notify(&mut self) -> anyhow::Result<&'static str> {
        for style in [Style::Cast, Style::V2] {
            let (event_type, payload) = (format!("it.{}", style.as_str()), json!({ "instance": "größe", "gb": 20 }));
            self.client.notify(style, &event_type, payload.clone())?;
            let seen = self.service.next(&self.site.runtime, style)?;
            let expected =
                json!({ "event_type": event_type, "publisher_id": "client", "payload": payload, "context": context() });
            ensure!(seen == expected, "{style:?}: the service saw {seen}");
        }
        Ok(if self.service.listens() { "ok" } else { "frames" })
    }

    fn remote_error(&mut self) -> anyhow::Result<&'static str> {
        let Err(raised) = self.tried("fail", json!({ "text": "kaboom ü" }))? else { bail!("nothing was raised") };
        let class = raised.class.trim_end_matches("_Remote");
        ensure!(class == "ValueError", "{raised:?}");
        match (raised.text.contains("kaboom ü"), &self.service) {
            (true, _) => Ok("ok"),
            (false, AnyService::Python(..)) => Ok("class only"),
            (false, AnyService::Rust { .. }) => bail!("the text is lost: {raised:?}"),
        }
    }

    /// Exact only if nobody on the way takes it for a float. The lines that Python clients are driven by end at 64 bits.
    fn big_integer(&mut self) -> anyhow::Result<&'static str> {
        self.echoes(json!([u64::MAX, i64::MIN, (1_u64 << 53) + 1]))?;
        if let AnyClient::Rust { runtime, client, topic, .. } = &self.client {
            let value = oslo_rpc::json::Value::BigInt(format!("1{}", "0".repeat(60)).into());
            let args = std::collections::BTreeMap::from([("value", value.clone())]);
            let echoed: oslo_rpc::json::Value = runtime.block_on(client.call(&Target::topic(topic), "echo", &args))?;
            ensure!(echoed == value, "{value} came back as {echoed}");
        }
        Ok("ok")
    }

    fn echoes(&mut self, value: Value) -> anyhow::Result<&'static str> {
        let echoed = self.called("echo", json!({ "value": value }))?;
        ensure!(echoed == value, "{:.60} came back as {:.60}", value.to_string(), echoed.to_string());
        Ok("ok")
    }

    fn called(&mut self, method: &str, args: Value) -> anyhow::Result<Value> {
        match self.tried(method, args)? {
            Ok(value) => Ok(value),
            Err(raised) => bail!("{method} raised {raised:?}"),
        }
    }

    fn tried(&mut self, method: &str, args: Value) -> anyhow::Result<Result<Value, crate::peers::Raised>> {
        let attempts = if matches!(self.client, AnyClient::Python(_)) { self.site.attempts } else { 1 };
        for _ in 1..attempts {
            if let Ok(outcome) = self.client.call(method, args.clone()) {
                return Ok(outcome);
            }
        }
        self.client.call(method, args)
    }
}

fn host_of(hosts: &[(Kind, Host)], kind: Kind) -> anyhow::Result<&Host> {
    hosts.iter().find(|(found, _)| *found == kind).map(|(_, host)| host).context("a host for each kind")
}

/// Generous: two cores may be running other tests. What works takes a tenth of it.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(15);
