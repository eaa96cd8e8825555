//! From a request to the method that it names (oslo-zmq, section 3).
//!
//! What always holds: only what was registered can be called; names that begin with `_` or `-` cannot be
//! (oslo-bugs B44). A version is compatible if it has the same major number and no higher minor one; a
//! missing one is `1.0` (oslo-bugs B21).

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::envelope::Style;
use crate::json::{ReadError, Text};
use crate::payload::Payload;
use crate::received::Request;
use crate::remote_error::RemoteError;
use crate::write::{EncodeError, Encoded};

/// Methods of one interface: a namespace and a version.
///
/// A method takes the caller's [`Context`] and its keyword arguments as a type that serde can read; it
/// returns what serde can write, or a [`RemoteError`] for its caller.
///
/// ```
/// use oslo_rpc::{Context, Endpoint, RemoteError};
///
/// #[derive(serde::Deserialize)]
/// struct Divide { a: i64, b: i64 }
///
/// let endpoint = Endpoint::new().version(1, 3).method("divide", async |_: Context, Divide { a, b }: Divide| {
///     a.checked_div(b).ok_or_else(|| RemoteError::builtin("ZeroDivisionError", "division by zero"))
/// });
/// ```
pub struct Endpoint {
    namespace: Option<String>,
    version: Version,
    methods: HashMap<String, Method>,
}

/// A method with its types forgotten. Given an id it encodes its result for that call.
type Method = Box<dyn Fn(Context, Payload<'_>, Option<String>) -> Running + Send + Sync>;

/// A method that runs: a reply if one is wanted.
pub(crate) type Running = Pin<Box<dyn Future<Output = Result<Option<Encoded>, RemoteError>> + Send>>;

impl Endpoint {
    /// No methods, version 1.0, no namespace.
    pub fn new() -> Self {
        Self { namespace: None, version: Version { major: 1, minor: 0 }, methods: HashMap::new() }
    }

    /// Methods for callers that name this namespace.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The version of the interface: it serves callers that ask for `major.0` up to `major.minor`.
    #[must_use]
    pub fn version(mut self, major: u32, minor: u32) -> Self {
        self.version = Version { major, minor };
        self
    }

    /// Registers a method, in place of one of the same name. A name that begins with `_` or `-` is never called.
    #[must_use]
    pub fn method<A, R, F, Fut>(mut self, name: impl Into<String>, method: F) -> Self
    where
        A: DeserializeOwned + Send,
        R: Serialize,
        F: Fn(Context, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, RemoteError>> + Send + 'static,
    {
        let run = move |context: Context, args: Payload<'_>, id: Option<String>| -> Running {
            let style = if let Payload::MessagePack(_) = args { Style::MessagePack } else { Style::Cast };
            let running = match arguments(args) {
                Ok(args) => method(context, args),
                Err(error) => {
                    let error = RemoteError::builtin("TypeError", format!("wrong arguments: {error}"));
                    return Box::pin(std::future::ready(Err(error)));
                }
            };
            Box::pin(async move {
                let result = running.await?;
                id.map(|id| Encoded::reply(style, &id, &result)).transpose().map_err(|error| unencodable(&error))
            })
        };
        self.methods.insert(name.into(), Box::new(run));
        self
    }

    fn serves(&self, request: &Request<'_>) -> bool {
        let version = request.version.as_deref().map_or(Some(Version { major: 1, minor: 0 }), Version::parse);
        let compatible = |asked: Version| asked.major == self.version.major && asked.minor <= self.version.minor;
        self.namespace.as_deref() == request.namespace.as_deref() && version.is_some_and(compatible)
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("namespace", &self.namespace)
            .field("version", &format_args!("{}.{}", self.version.major, self.version.minor))
            .field("methods", &self.methods.keys())
            .finish()
    }
}

/// Starts the method that a request names, of the first endpoint that has it.
///
/// # Errors
///
/// `UnsupportedVersion` if no endpoint serves the namespace in that version, else `NoSuchMethod`.
pub(crate) fn dispatch(
    endpoints: &[Endpoint],
    context: Text<'_>,
    request: &Request<'_>,
) -> Result<Running, RemoteError> {
    let mut serving = endpoints.iter().filter(|endpoint| endpoint.serves(request)).peekable();
    if serving.peek().is_none() {
        let version = request.version.as_deref().unwrap_or("1.0");
        let namespace = request.namespace.as_deref().map_or_else(String::new, |name| format!(" of namespace {name}"));
        let message = format!("version {version}{namespace} is not supported, attempted method: {}", request.method);
        return Err(RemoteError::new("UnsupportedVersion", DISPATCHER, message));
    }
    let hidden = request.method.starts_with(['_', '-']);
    match serving.find_map(|endpoint| endpoint.methods.get(&*request.method)).filter(|_| !hidden) {
        Some(method) => {
            let id = request.reply_to.as_ref().map(|to| to.id.clone().into_owned());
            Ok(method(Context::received(context), request.args, id))
        }
        None => {
            let message = format!("there is no method {}", request.method);
            Err(RemoteError::new("NoSuchMethod", DISPATCHER, message))
        }
    }
}

#[derive(Clone, Copy)]
struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// Anything after the minor number is not looked at.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        Some(Self { major: numbers.next()??, minor: numbers.next()?? })
    }
}

/// Keyword arguments as a type. None at all also reads as `()`.
fn arguments<A: DeserializeOwned>(args: Payload<'_>) -> Result<A, ReadError> {
    args.read().or_else(
        |error| {
            if args.is_empty() { Text::trusted("null").read().map_err(|_| error) } else { Err(error) }
        },
    )
}

fn unencodable(error: &EncodeError) -> RemoteError {
    RemoteError::builtin("TypeError", format!("the result cannot be sent: {error}"))
}

/// Where the originals define the two exceptions, by which callers know them.
const DISPATCHER: &str = "oslo_messaging.rpc.dispatcher";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Body;
    use crate::received::{Incoming, Received};

    async fn outcome(endpoints: &[Endpoint], message: &str) -> Result<String, String> {
        let json = format!("[\"{{}}\", {message}]");
        let received = Received::decode(Body::Cast { json: json.as_bytes() }).unwrap();
        let Incoming::Request(mut request) = received.read().unwrap() else { panic!("no request") };
        let (id, topic) = ("1".into(), "zmq_replies.h".into());
        request.reply_to = Some(crate::received::ReplyTo { id, topic });
        let running = dispatch(endpoints, received.context(), &request).map_err(|error| error.class.into_string())?;
        match running.await {
            Ok(Some(Encoded::Cast { json })) => {
                let reply = crate::reply::Reply::decode(Body::Cast { json: &json }).unwrap();
                match reply.outcome().unwrap() {
                    crate::reply::Outcome::Result(result) => {
                        Ok(result.read::<crate::json::Value>().unwrap().to_string())
                    }
                    crate::reply::Outcome::Error(error) => Err(error.class.into_string()),
                }
            }
            Ok(_) => panic!("no reply"),
            Err(error) => Err(error.class.into_string()),
        }
    }

    fn named(name: &'static str) -> Endpoint {
        Endpoint::new().method("which", move |_: Context, (): ()| async move { Ok::<_, RemoteError>(name) })
    }

    #[tokio::test]
    async fn namespace_and_version_choose_the_endpoint() {
        let endpoints =
            [named("plain").version(1, 2), named("new").version(2, 0), named("base").namespace("base").version(4, 5)];
        for (message, expected) in [
            (r#"{"method": "which"}"#, Ok("\"plain\"")),
            (r#"{"method": "which", "version": null, "namespace": null}"#, Ok("\"plain\"")),
            (r#"{"method": "which", "version": "1.2"}"#, Ok("\"plain\"")),
            (r#"{"method": "which", "version": "2.0"}"#, Ok("\"new\"")),
            (r#"{"method": "which", "version": "4.0", "namespace": "base"}"#, Ok("\"base\"")),
            (r#"{"method": "which", "version": "1.3"}"#, Err("UnsupportedVersion")),
            (r#"{"method": "which", "version": "x"}"#, Err("UnsupportedVersion")),
            (r#"{"method": "which", "namespace": "other"}"#, Err("UnsupportedVersion")),
            (r#"{"method": "whose"}"#, Err("NoSuchMethod")),
        ] {
            let found = outcome(&endpoints, &message.replace('}', r#", "args": null}"#)).await;
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{message}");
        }
    }

    #[tokio::test]
    async fn b44_only_registered_names_and_none_that_is_hidden() {
        let endpoints = [named("x").method("_secret", async |_: Context, (): ()| Ok::<_, RemoteError>(1))];
        for method in ["_secret", "__class__", "-process_reply", "-bogus", "", "namespace"] {
            let found = outcome(&endpoints, &format!(r#"{{"method": "{method}"}}"#)).await;
            assert_eq!(found, Err("NoSuchMethod".to_owned()), "{method}");
        }
    }

    #[tokio::test]
    async fn b22_any_argument_name_works() {
        let echo =
            Endpoint::new().method("echo", async |_: Context, args: crate::json::Value| Ok::<_, RemoteError>(args));
        let args = r#"{"ctxt":1,"method":2,"namespace":3,"self":4,"version":5}"#;
        let message = format!(r#"{{"method": "echo", "args": {args}, "odd": 1}}"#);
        assert_eq!(outcome(&[echo], &message).await.unwrap(), args);
    }

    #[tokio::test]
    async fn wrong_arguments_are_a_type_error_without_their_content() {
        #[derive(serde::Deserialize)]
        struct One {
            #[expect(dead_code, reason = "only its type matters")]
            number: u8,
        }
        let endpoint = Endpoint::new().method("one", async |_: Context, _: One| Ok::<_, RemoteError>(()));
        let found = outcome(&[endpoint], r#"{"method": "one", "args": {"number": "s3cret"}}"#).await;
        assert_eq!(found, Err("TypeError".to_owned()));
    }
}
