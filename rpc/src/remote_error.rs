//! An error that crossed the wire: what the other side raised (oslo-zmq, section 5; oslo-bugs B19).
//!
//! It is a JSON object, sent as a string: class, module, message, arguments and traceback, each as the
//! raiser had it. Nothing here imports or calls by name what a peer sent: a class is a string to
//! compare, so there is no list of modules to allow.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::json::{Text, Value};

/// An exception of a peer, or one to be sent to a peer.
///
/// A handler returns one to let its caller know. For a Python 2 caller to get a builtin, module must be
/// `exceptions`; [`RemoteError::builtin`] makes one of these.
///
/// ```
/// use oslo_rpc::RemoteError;
///
/// let error = RemoteError::new("Quota", "nova.exception", "over quota").kwarg("resource", "cores");
/// assert_eq!(error.to_string(), "nova.exception.Quota: over quota");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RemoteError {
    /// The name of the class, as `ValueError`.
    pub class: Box<str>,
    /// The module that defines it, `exceptions` for a builtin of Python 2. Empty if the peer named none.
    pub module: Box<str>,
    /// Its text.
    pub message: Box<str>,
    /// The lines of the traceback, most with a line end. Empty from services not in Python.
    #[serde(rename = "tb")]
    pub traceback: Vec<String>,
    /// What its constructor was given.
    pub args: Vec<Value>,
    /// Its own `kwargs` attribute, which some exceptions have.
    pub kwargs: Box<BTreeMap<String, Value>>,
    /// The error behind it. Only services of this crate send one; the originals pass over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<Self>>,
}

impl RemoteError {
    /// An error with its text as its only argument.
    pub fn new(class: impl Into<Box<str>>, module: impl Into<Box<str>>, message: impl Into<Box<str>>) -> Self {
        let message = message.into();
        Self {
            class: class.into(),
            module: module.into(),
            args: vec![Value::String(message.clone().into())],
            message,
            traceback: Vec::new(),
            kwargs: Box::default(),
            cause: None,
        }
    }

    /// A builtin exception of Python 2, such as `ValueError`, which callers there get as one.
    pub fn builtin(class: impl Into<Box<str>>, message: impl Into<Box<str>>) -> Self {
        Self::new(class, "exceptions", message)
    }

    /// Of any error, with the chain of its sources as causes. `class` should be the name of its type.
    pub fn of(class: &str, module: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let texts =
            std::iter::successors(Some(error), |error| error.source()).take(MAX_CAUSES).map(ToString::to_string);
        let chain: Vec<_> = texts.collect();
        let behind = chain.into_iter().rev().fold(None, |cause: Option<Box<Self>>, text| {
            let class = if cause.is_none() { "Error" } else { class };
            Some(Box::new(Self { cause, ..Self::new(class, module, text) }))
        });
        behind.map_or_else(|| Self::new(class, module, ""), |first| Self { class: class.into(), ..*first })
    }

    /// Adds to [`RemoteError::kwargs`].
    #[must_use]
    pub fn kwarg(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.kwargs.insert(name.into(), value.into());
        self
    }

    /// Adds the error behind it.
    #[must_use]
    pub fn caused_by(mut self, cause: Self) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    /// Whether it is of this class, also after a Python peer forwarded it, which adds `_Remote`.
    pub fn is(&self, class: &str) -> bool {
        self.class.strip_suffix(FORWARDED).unwrap_or(&self.class) == class
    }

    /// Reads the object a peer sent. Every key is optional, and one of a wrong type counts as missing.
    ///
    /// `None`: it is no object.
    pub fn decode(text: Text<'_>) -> Option<Self> {
        text.is_object().then(|| Self::of_object(text, MAX_CAUSES))
    }

    /// The JSON text to send, without the `_Remote` of one that is passed on.
    ///
    /// # Errors
    ///
    /// None that is known: its parts can all be written.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        let plain = |name: &str| Box::from(name.strip_suffix(FORWARDED).unwrap_or(name));
        let is_plain = |name: &str| !name.ends_with(FORWARDED);
        if is_plain(&self.class) && is_plain(&self.module) {
            return serde_json::to_string(self);
        }
        serde_json::to_string(&Self { class: plain(&self.class), module: plain(&self.module), ..self.clone() })
    }

    fn of_object(text: Text<'_>, causes: usize) -> Self {
        let member = |key: &str| text.member(key);
        let string = |key: &str| member(key).and_then(|text| text.string()).unwrap_or_default().into();
        let strings = |text: Text<'_>| text.elements().filter_map(|line| line.string().map(Into::into)).collect();
        let values = |text: Text<'_>| text.elements().filter_map(|value| value.read().ok()).collect();
        let cause = member("cause").filter(|cause| cause.is_object() && causes > 1);
        Self {
            class: string("class"),
            module: string("module"),
            message: string("message"),
            traceback: member("tb").map(strings).unwrap_or_default(),
            args: member("args").map(values).unwrap_or_default(),
            kwargs: member("kwargs").and_then(|text| text.read().ok()).unwrap_or_default(),
            cause: cause.map(|cause| Box::new(Self::of_object(cause, causes - 1))),
        }
    }
}

/// `module.class: message`. The traceback is not part of it.
impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.module.is_empty() {
            write!(f, "{}.", self.module)?;
        }
        f.write_str(if self.class.is_empty() { "error" } else { &self.class })?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

impl std::error::Error for RemoteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// What a Python peer appends to the names of an exception that it re-created.
const FORWARDED: &str = "_Remote";

/// Most errors in a chain of causes. Real chains have two or three.
const MAX_CAUSES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(error: &RemoteError) -> RemoteError {
        let text = error.encode().unwrap();
        RemoteError::decode(Text::new(text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn b19_everything_survives_between_peers() {
        let behind = RemoteError::builtin("KeyError", "ключ").kwarg("n", 7);
        let mut error = RemoteError::new("Quota", "nova.exception", "over\n\"quota\"").caused_by(behind);
        error.args = vec![Value::Int(1), Value::Null, Value::Array(vec!["x".into()])];
        error.traceback = vec!["Traceback\n".to_owned(), "  line\n".to_owned()];
        assert_eq!(round_trip(&error), error);
    }

    #[test]
    fn a_chain_of_sources_becomes_a_chain_of_causes() {
        let io = std::io::Error::other("deep");
        let outer = crate::context::ContextError::Encode(serde_json::Error::io(io));
        let error = RemoteError::of("ContextError", "ours", &outer);
        assert_eq!((&*error.class, &*error.message), ("ContextError", "the context cannot be written as JSON"));
        assert_eq!(&*error.cause.unwrap().message, "deep");
    }

    #[test]
    fn what_was_forwarded_gets_its_own_name_back() {
        let error = RemoteError::new("Quota_Remote", "nova.exception_Remote", "x");
        assert!(error.is("Quota"));
        let back = round_trip(&error);
        assert_eq!((&*back.class, &*back.module), ("Quota", "nova.exception"));
    }

    #[test]
    fn anything_that_is_an_object_is_an_error() {
        let decode = |text: &str| RemoteError::decode(Text::new(text.as_bytes()).unwrap());
        assert_eq!(decode("{}").unwrap().to_string(), "error");
        let odd = decode(r#"{"class": 7, "tb": "x", "args": null, "kwargs": [], "message": "m", "module": null}"#);
        assert_eq!(odd.unwrap().to_string(), "error: m");
        assert_eq!(decode("[]"), None);
    }
}
