//! From a request to its answer.

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Body;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tracing::{info, warn};

use super::desk::{Desk, Order};
use super::metrics::metrics;
use super::page::{POLICY, SCRIPT, STYLE, page};
use super::watch::Lines;
use crate::view::Refusal;

/// An answer: at once, or line by line.
pub(super) type Answer = Response<Either<Full<Bytes>, Lines>>;

/// Whom a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// It may write to the Unix socket.
    Admitted,
    /// Anybody who reaches the TCP address.
    Anybody,
}

/// Answers a request. Cancel-safe, but that an order that was given is carried out.
pub(super) async fn answer<B>(desk: &Desk, caller: Caller, request: Request<B>) -> Answer
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    if caller == Caller::Anybody && !names_an_address(&request) {
        return refusal(StatusCode::FORBIDDEN, "call this endpoint by its IP address or as localhost");
    }
    let path = request.uri().path();
    let Some((_, methods)) = RESOURCES.iter().find(|(known, _)| *known == path) else {
        let known: Vec<_> = RESOURCES.iter().map(|(path, _)| *path).collect();
        return refusal(StatusCode::NOT_FOUND, format!("there is no {path}; there are {}", known.join(" ")));
    };
    if !methods.contains(&request.method().as_str()) {
        let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, format!("{path} takes {}", methods.join(", ")));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods[0]));
        return response;
    }
    if caller == Caller::Anybody && !matches!(*request.method(), Method::GET | Method::HEAD) {
        return refusal(StatusCode::FORBIDDEN, "over TCP this endpoint is for reading; use its Unix socket");
    }
    match path {
        "/" => status_page(desk).map_or_else(stopped, |page| {
            let mut answer = response(StatusCode::OK, "text/html; charset=utf-8", page);
            answer.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            answer
        }),
        "/page.js" => response(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT),
        "/page.css" => response(StatusCode::OK, "text/css; charset=utf-8", STYLE),
        "/livez" => response(StatusCode::OK, "text/plain; charset=utf-8", "ok\n"),
        "/readyz" => {
            let readiness = desk.readiness();
            let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            json(status, &readiness)
        }
        "/varz" => found(desk.overview()),
        "/topicz" => found(desk.observer.topics()),
        "/connz" => found(desk.observer.connections()),
        "/dropz" => found(desk.observer.drops()),
        "/metrics" => metrics(desk).map_or_else(stopped, |text| response(StatusCode::OK, METRICS, text)),
        "/tracez" => {
            let most = query(&request, "limit").and_then(|most| most.parse().ok()).unwrap_or(RECORDS);
            found(desk.observer.trace(query(&request, "id").as_deref(), most))
        }
        // It shows more than it counts, so it is not for anybody.
        "/watch" if caller == Caller::Anybody => refusal(StatusCode::FORBIDDEN, "use its Unix socket to watch"),
        "/watch" => match desk.observer.watch(query(&request, "topic").as_deref().unwrap_or("*")) {
            Some((sights, clock)) => {
                let bodies = query(&request, "body").is_some_and(|body| body == "1");
                let mut answer = response(StatusCode::OK, "application/x-ndjson", "");
                *answer.body_mut() = Either::Right(Lines::new(sights, clock, bodies, query(&request, "method")));
                answer
            }
            None => refusal(StatusCode::SERVICE_UNAVAILABLE, "as many watch already as may at a time"),
        },
        "/configz" => json(StatusCode::OK, &desk.effective()),
        "/loglevel" => set_level(desk, request).await,
        "/reload" => match desk.reload().await {
            Ok(reloaded) => json(StatusCode::OK, &reloaded),
            Err(error) => refusal(StatusCode::UNPROCESSABLE_ENTITY, error),
        },
        "/reopen" => match desk.log.reopen() {
            Ok(()) => {
                info!("log reopened");
                json(StatusCode::OK, &serde_json::json!({}))
            }
            Err(error) => {
                warn!("{error}");
                refusal(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            }
        },
        "/lame-duck" => ending(desk, Order::LameDuck),
        _ => ending(desk, Order::Drain),
    }
}

fn ending(desk: &Desk, order: Order) -> Answer {
    if desk.end(order) {
        json(StatusCode::ACCEPTED, &serde_json::json!({}))
    } else {
        refusal(StatusCode::CONFLICT, "the receiver is stopping already")
    }
}

async fn set_level<B>(desk: &Desk, request: Request<B>) -> Answer
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let Ok(body) = Limited::new(request.into_body(), MAX_BODY).collect().await else {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is a level, such as debug or zmtp=debug");
    };
    let body = body.to_bytes();
    let text = String::from_utf8_lossy(&body);
    let Some(levels) = desk.log.levels().changed_by(text.trim()) else {
        let how =
            "error, warning, info or debug, or modules with one of these, as in zmtp=debug,zmq_receiver.drops=error";
        return refusal(StatusCode::BAD_REQUEST, format!("a level is {how}"));
    };
    desk.log.set_levels(levels.clone());
    info!(%levels, "the log's levels were set by the admin endpoint; a reload sets those of the configuration");
    json(StatusCode::OK, &serde_json::json!({ "level": levels.to_string() }))
}

/// The first value of a field of the query.
fn query<B>(request: &Request<B>, name: &str) -> Option<String> {
    let query = request.uri().query()?.as_bytes();
    form_urlencoded::parse(query).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

fn status_page(desk: &Desk) -> Option<String> {
    let observer = &desk.observer;
    Some(page(&desk.overview()?, &observer.topics()?, &observer.connections()?, &observer.drops()?))
}

/// What of a receiver that may be no more.
fn found(view: Option<impl Serialize>) -> Answer {
    view.map_or_else(stopped, |view| json(StatusCode::OK, &view))
}

fn stopped() -> Answer {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "the receiver has stopped")
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(mut octets) => {
            octets.push(b'\n');
            response(status, "application/json", octets)
        }
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// An answer that is not what was asked for. Its text must be fit for JSON whatever the caller sent, so it is short.
pub(super) fn refusal(status: StatusCode, error: impl Into<String>) -> Answer {
    let error: String = error.into().chars().take(MAX_REFUSAL).collect();
    let body = serde_json::to_string(&Refusal { error }).unwrap_or_default();
    response(status, "application/json", body + "\n")
}

fn response(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Either::Left(Full::new(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether a caller names the endpoint by an address, as one who was told of it does, and not by a name that a stranger's
/// DNS could point here.
fn names_an_address<B>(request: &Request<B>) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok()
}

/// What there is: paths and their methods.
const RESOURCES: &[(&str, &[&str])] = &[
    ("/", GET),
    ("/page.js", GET),
    ("/page.css", GET),
    ("/livez", GET),
    ("/readyz", GET),
    ("/varz", GET),
    ("/topicz", GET),
    ("/connz", GET),
    ("/dropz", GET),
    ("/metrics", GET),
    ("/tracez", GET),
    ("/watch", GET),
    ("/configz", GET),
    ("/loglevel", &["PUT"]),
    ("/reload", &["POST"]),
    ("/reopen", &["POST"]),
    ("/lame-duck", &["POST"]),
    ("/drain", &["POST"]),
];

/// The text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

const GET: &[&str] = &["GET", "HEAD"];

/// Records that are shown unless more are asked for.
const RECORDS: usize = 100;

/// Octets of a body; the longest that means something is a word.
const MAX_BODY: usize = 4096;

/// Characters of a refusal, which may quote the caller.
const MAX_REFUSAL: usize = 1000;
