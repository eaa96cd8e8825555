//! Consul's HTTP API, as far as it is used: requests, and what its answers mean.
//!
//! What always holds: an answer is read up to [`MOST_OCTETS`], within a time; a name from it that is
//! no name is left out; no error shows the token.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::timeout;

use crate::consul::settings::ConsulSettings;
use crate::exchange::Member;
use crate::name::{Host, Topic};

/// A client of one agent. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub(super) struct Api {
    settings: ConsulSettings,
    client: Client<HttpConnector, Full<Bytes>>,
    token: Option<HeaderValue>,
}

/// The hosts of a service, and the version of that answer.
#[derive(Debug)]
pub(super) struct Health {
    pub(super) members: Vec<Member>,
    pub(super) index: u64,
}

impl Api {
    pub(super) fn new(settings: ConsulSettings) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(settings.patience));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        // A token that is no header is none of Consul's, which will say so.
        let token = settings.token.as_ref().and_then(|token| HeaderValue::from_str(token.reveal()).ok());
        let token = token.map(|mut token| {
            token.set_sensitive(true);
            token
        });
        Self { settings, client, token }
    }

    pub(super) fn settings(&self) -> &ConsulSettings {
        &self.settings
    }

    /// The services that are topics, each with what Consul calls it.
    pub(super) async fn topics(&self) -> Result<BTreeMap<Topic, String>, ConsulFault> {
        let (_, services): (_, BTreeMap<String, Vec<String>>) = self.get("/v1/catalog/services", &[], None).await?;
        let tagged = |tags: &[String]| self.settings.tag.as_ref().is_none_or(|tag| tags.contains(tag));
        let services = services.into_iter().filter(|(_, tags)| tagged(tags));
        Ok(services.filter_map(|(service, _)| Some((self.settings.names.topic(&service)?, service))).collect())
    }

    /// The hosts on which a service is healthy, sorted. With an index, not before that answer has
    /// changed or `wait` is over.
    pub(super) async fn health(&self, service: &str, index: u64, wait: Duration) -> Result<Health, ConsulFault> {
        let path = format!("/v1/health/service/{}", escaped(service));
        let mut query = vec![("passing", "1".to_owned())];
        if let Some(tag) = &self.settings.tag {
            query.push(("tag", tag.clone()));
        }
        if index > 0 {
            query.push(("index", index.to_string()));
            query.push(("wait", format!("{}ms", wait.as_millis())));
        }
        // Consul itself adds up to a sixteenth to a wait.
        let wait = (index > 0).then_some(wait + wait / 16);
        let (index, entries): (_, Vec<Entry>) = self.get(&path, &query, wait).await?;
        let hosts: BTreeSet<_> = entries.into_iter().filter_map(|entry| self.member(entry)).collect();
        let members = hosts.into_iter().map(|(name, address)| Member { name, address }).collect();
        Ok(Health { members, index })
    }

    /// Registers a service on this agent, healthy for the settings' TTL.
    pub(super) async fn register(&self, topic: &Topic, host: &Host) -> Result<(), ConsulFault> {
        let service = self.settings.names.service(topic);
        let service = service.ok_or_else(|| ConsulFault::Unmapped { topic: topic.clone() })?;
        let ttl = self.settings.heartbeat_ttl;
        let registration = Registration {
            id: id(topic, host),
            name: service,
            tags: self.settings.tag.iter().cloned().collect(),
            meta: BTreeMap::from([(HOST_KEY, host.to_string())]),
            check: Check {
                ttl: format!("{}s", ttl.as_secs().max(1)),
                status: "passing",
                deregister_after: format!("{}s", (ttl * LIVES_KEPT).as_secs().max(SHORTEST_KEPT)),
            },
        };
        let body = serde_json::to_vec(&registration).map_err(ConsulFault::Json)?;
        self.put("/v1/agent/service/register", body).await
    }

    /// Passes the check of a registration; false if the agent knows of none.
    pub(super) async fn pass(&self, topic: &Topic, host: &Host) -> Result<bool, ConsulFault> {
        let check = format!("service:{}", id(topic, host));
        match self.put(&format!("/v1/agent/check/pass/{}", escaped(&check)), Vec::new()).await {
            Ok(()) => Ok(true),
            // 404 is a newer agent's answer, the text an older one's, with 500.
            Err(ConsulFault::Status { code, said, .. }) if code == 404 || said.contains("CheckID") => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Takes a registration back. One that is not there is taken back already.
    pub(super) async fn deregister(&self, topic: &Topic, host: &Host) -> Result<(), ConsulFault> {
        let path = format!("/v1/agent/service/deregister/{}", escaped(&id(topic, host)));
        match self.put(&path, Vec::new()).await {
            Err(ConsulFault::Status { code, said, .. }) if code == 404 || said.starts_with("Unknown service") => Ok(()),
            other => other,
        }
    }

    /// The host that a healthy instance stands for: the one it was registered for, else its node.
    fn member(&self, entry: Entry) -> Option<(Host, Host)> {
        let Entry { node, service } = entry;
        let name = match service.meta.unwrap_or_default().remove(HOST_KEY) {
            Some(name) => name,
            None if self.settings.full_names => node.node.clone(),
            None => node.node.split('.').next().unwrap_or_default().to_owned(),
        };
        let name: Host = name.parse().ok()?;
        let known = [service.address, node.address].into_iter().find(|address| !address.is_empty());
        let address = known.filter(|_| self.settings.by_address).and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| name.machine());
        Some((name, address))
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        wait: Option<Duration>,
    ) -> Result<(u64, T), ConsulFault> {
        let (headers, body) = self.exchange(Method::GET, path, query, Vec::new(), wait.unwrap_or_default()).await?;
        let index = headers.get("x-consul-index").and_then(|index| index.to_str().ok()?.parse().ok());
        Ok((index.unwrap_or_default(), serde_json::from_slice(&body).map_err(ConsulFault::Json)?))
    }

    async fn put(&self, path: &str, body: Vec<u8>) -> Result<(), ConsulFault> {
        self.exchange(Method::PUT, path, &[], body, Duration::ZERO).await.map(drop)
    }

    /// One request; `wait` is how long it may take beside the settings' patience.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Vec<u8>,
        wait: Duration,
    ) -> Result<(HeaderMap, Bytes), ConsulFault> {
        let uri = self.uri(path, query)?;
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(token) = &self.token {
            request = request.header("x-consul-token", token);
        }
        let request = request.body(Full::from(body)).map_err(ConsulFault::Request)?;
        let answer = async {
            let response = self.client.request(request).await.map_err(ConsulFault::Unreachable)?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MOST_OCTETS).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() { ConsulFault::TooLarge } else { ConsulFault::Broken(error) }
            })?;
            Ok((head, body.to_bytes()))
        };
        let answer = timeout(self.settings.patience + wait, answer).await;
        let (head, body) = answer.map_err(|_| ConsulFault::Silent { patience: self.settings.patience })??;
        if head.status.is_success() {
            return Ok((head.headers, body));
        }
        let said = String::from_utf8_lossy(&body);
        let said = said.trim().chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
        Err(ConsulFault::Status { code: head.status.as_u16(), said, hint: hint(head.status) })
    }

    fn uri(&self, path: &str, query: &[(&str, String)]) -> Result<Uri, ConsulFault> {
        let mut server = self.settings.server.clone();
        server.port = server.port.or(Some(CONSUL_PORT));
        let mut text = format!("http://{server}{path}");
        let datacenter = self.settings.datacenter.iter().map(|datacenter| ("dc", datacenter));
        let query = query.iter().map(|(key, value)| (*key, value)).chain(datacenter);
        for (place, (key, value)) in query.enumerate() {
            let separator = if place == 0 { '?' } else { '&' };
            let _ = write!(text, "{separator}{key}={}", escaped(value));
        }
        text.parse().map_err(|_| ConsulFault::Address)
    }
}

/// A failure at Consul.
#[derive(Debug, Error)]
pub(super) enum ConsulFault {
    #[error("topic {topic:?} is no service here: add it to the map")]
    Unmapped { topic: Topic },
    #[error("its address is no host and port: check the URL")]
    Address,
    #[error("no request could be made")]
    Request(#[source] hyper::http::Error),
    #[error("cannot connect: check that an agent listens there")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    #[error("the connection was lost")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {patience:?}")]
    Silent { patience: Duration },
    #[error("it answers {code} ({said}): {hint}")]
    Status { code: u16, said: String, hint: &'static str },
    #[error("the answer has more than {MOST_OCTETS} octets: choose services by a tag or a map")]
    TooLarge,
    #[error("the answer is not what Consul would send: check the URL")]
    Json(#[source] serde_json::Error),
}

impl ConsulFault {
    /// Whether Consul is away, rather than unwilling: then its last answers go on to count.
    pub(super) fn is_absence(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Broken(_) | Self::Silent { .. } => true,
            Self::Status { code, .. } => *code >= 500 || *code == 429,
            Self::Unmapped { .. } | Self::Address | Self::Request(_) | Self::TooLarge | Self::Json(_) => false,
        }
    }
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "Node")]
    node: Node,
    #[serde(rename = "Service")]
    service: Instance,
}

#[derive(Deserialize)]
struct Node {
    #[serde(rename = "Node")]
    node: String,
    #[serde(rename = "Address", default)]
    address: String,
}

#[derive(Deserialize)]
struct Instance {
    #[serde(rename = "Address", default)]
    address: String,
    #[serde(rename = "Meta")]
    meta: Option<BTreeMap<String, String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Registration {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    tags: Vec<String>,
    meta: BTreeMap<&'static str, String>,
    check: Check,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    #[serde(rename = "TTL")]
    ttl: String,
    status: &'static str,
    #[serde(rename = "DeregisterCriticalServiceAfter")]
    deregister_after: String,
}

/// What a registration is called on its agent, where names of others are too.
fn id(topic: &Topic, host: &Host) -> String {
    format!("zmq~{topic}~{host}")
}

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => "give a token that may do this: consul://:TOKEN@HOST",
        StatusCode::TOO_MANY_REQUESTS => "it limits requests",
        status if status.is_server_error() => {
            "see Consul's own log; `consul operator raft list-peers` shows its servers"
        }
        _ => "check the URL and Consul's version",
    }
}

/// Octets that are not plain in a path or a query, as %XX.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' => escaped.push(octet.into()),
            octet => drop(write!(escaped, "%{octet:02X}")),
        }
    }
    escaped
}

/// The key of a registration's metadata that holds the `rpc_zmq_host` it is for.
const HOST_KEY: &str = "rpc_zmq_host";

const CONSUL_PORT: u16 = 8500;

/// A thousand hosts with a kilobyte of metadata each, and as much again.
const MOST_OCTETS: usize = 8 << 20;

/// Characters of a refusal that are shown; Consul's are one line.
const SHOWN: usize = 200;

/// A registration that nobody keeps alive is removed after as many lives.
const LIVES_KEPT: u32 = 10;

/// Consul's own minimum, in seconds.
const SHORTEST_KEPT: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn api(url: &str) -> Api {
        Api::new(ConsulSettings::from_url(url.parse().unwrap()).unwrap())
    }

    #[test]
    fn requests_are_addressed_and_escaped() {
        let uri = api("consul://[::1]?dc=e%26").uri(&format!("/x/{}", escaped("a b/c:é")), &[("k", "v=".to_owned())]);
        assert_eq!(uri.unwrap().to_string(), "http://[::1]:8500/x/a%20b%2Fc:%C3%A9?k=v%3D&dc=e%26");
    }

    #[test]
    fn an_instance_stands_for_the_host_it_says_or_its_node() {
        let entry = |meta: &str, address: &str| {
            let text = format!(
                r#"{{"Node": {{"Node": "h1.example.com", "Address": "10.0.0.1"}},
                    "Service": {{"Address": "{address}", "Meta": {meta}, "Port": 1}}, "Checks": []}}"#
            );
            serde_json::from_str::<Entry>(&text).unwrap()
        };
        let shown = |url: &str, entry: Entry| {
            let (name, address) = api(url).member(entry).unwrap();
            format!("{name} {address}")
        };
        assert_eq!(shown("consul://c", entry("null", "")), "h1 h1");
        assert_eq!(shown("consul://c?names=full", entry("{}", "")), "h1.example.com h1.example.com");
        assert_eq!(shown("consul://c?address=ip", entry("{}", "")), "h1 10.0.0.1");
        assert_eq!(shown("consul://c?address=ip", entry("{}", "::1")), "h1 ::1");
        assert_eq!(shown("consul://c", entry(r#"{"rpc_zmq_host": "c1@lvm"}"#, "")), "c1@lvm c1");
    }
}
