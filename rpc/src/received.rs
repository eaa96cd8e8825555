//! From an envelope's JSON to what a service acts on (oslo-zmq, sections 2.1 to 2.4, 3 and 4).
//!
//! ```text
//! {"method": M, "args": {…}, "version": V, "namespace": N}                    a cast or a fanout
//! {"method": "-reply", "args": {"msg_id": ID, "topic": T, "msg": [.., MSG]}}  a call of MSG
//! {"event_type": …, "payload": …}                                             a notification
//! ```
//!
//! A [`Received`] is the context and the message of one envelope, checked; [`Received::read`] tells
//! which of these it is. As tolerant as the originals where they go on, and a [`MessageError`] to drop
//! and count by where their consumer dies (oslo-bugs B23).
//!
//! Not done here: replies to callers (`reply`), and looking up a method (`dispatch`).

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use crate::envelope::Body;
use crate::excerpt::Excerpt;
use crate::json::{JsonError, Text};
use crate::payload::Payload;
use crate::topic::REPLY_PREFIX;

/// The two JSON objects of a message, borrowed where they need no unescaping. `Debug` shows lengths.
#[derive(Debug, Clone)]
pub struct Received<'a> {
    context: Object<'a>,
    message: Object<'a>,
    /// Arguments that are in no JSON.
    packed: Option<&'a [u8]>,
}

/// What a message is for.
#[derive(Debug, Clone)]
pub enum Incoming<'a> {
    /// A method is to be run.
    Request(Request<'a>),
    /// Something happened.
    Notification(Notification<'a>),
}

/// A method to be run: a call, a cast or a fanout.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Its name, of any shape.
    pub method: Cow<'a, str>,
    /// Its keyword arguments, an object.
    pub args: Payload<'a>,
    /// `None` if missing or null.
    pub namespace: Option<Cow<'a, str>>,
    /// `None` if missing or null, which stands for `1.0` (oslo-bugs B21).
    pub version: Option<Cow<'a, str>>,
    /// Who waits for a reply; `None` for a cast or a fanout.
    pub reply_to: Option<ReplyTo<'a>>,
    /// The whole message with the keys that this crate does not know (oslo-bugs B22).
    pub message: Text<'a>,
}

/// Who waits for a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyTo<'a> {
    /// The message id its caller chose: frame 0 of the reply.
    pub id: Cow<'a, str>,
    /// Frame 1 of the reply: `zmq_replies.` and the caller's host.
    pub topic: Cow<'a, str>,
}

/// Something that happened, as its publisher tells it.
#[derive(Debug, Clone)]
pub struct Notification<'a> {
    /// The whole message.
    pub message: Text<'a>,
}

impl<'a> Received<'a> {
    /// Checks the JSON of an envelope.
    ///
    /// An envelope inside the message of a `cast`, as an object of `oslo.version` and `oslo.message`,
    /// is opened.
    ///
    /// # Errors
    ///
    /// [`MessageError`]; the message is to be dropped and counted.
    pub fn decode(body: Body<'a>) -> Result<Self, MessageError> {
        match body {
            Body::V2 { context, message } => Self::plain(context, message, None),
            Body::MessagePack { context, message, payload } => Self::plain(context, message, Some(payload)),
            Body::Cast { json } => {
                let Some((context, message)) = Text::pair(json) else {
                    return Err(Text::new(json).map_or_else(MessageError::from, |_| MessageError::Pair));
                };
                let context = Object::of_string(context, MessageError::Context)?;
                Ok(Self { context, message: opened(message)?, packed: None })
            }
        }
    }

    fn plain(context: &'a [u8], message: &'a [u8], packed: Option<&'a [u8]>) -> Result<Self, MessageError> {
        let context = Object::plain(context, MessageError::Context)?;
        Ok(Self { context, message: Object::plain(message, MessageError::Message)?, packed })
    }

    /// The context, an object.
    pub fn context(&self) -> Text<'_> {
        self.context.text()
    }

    /// The message, an object.
    pub fn message(&self) -> Text<'_> {
        self.message.text()
    }

    /// Tells what the message is for.
    ///
    /// # Errors
    ///
    /// [`MessageError`]; the message is to be dropped and counted.
    pub fn read(&self) -> Result<Incoming<'_>, MessageError> {
        let message = self.message();
        let Some((request, args)) = Request::of(message)? else {
            return Ok(Incoming::Notification(Notification { message }));
        };
        let packed = |request| match self.packed {
            Some(octets) => Request { args: Payload::MessagePack(octets), ..request },
            None => request,
        };
        if request.method != CALL {
            return Ok(Incoming::Request(packed(request)));
        }
        let (mut id, mut topic, mut inner) = (None, None, None);
        for (key, value) in args.members() {
            match key.string().as_deref() {
                Some("msg_id") => id = value.string(),
                Some("topic") => topic = value.string(),
                Some("msg") => inner = Some(value),
                Some("context") => {}
                // The originals fail such a request in its worker.
                _ => return Err(MessageError::CallArgument),
            }
        }
        let inner = inner.map(|inner| inner.elements().last().unwrap_or(inner));
        let inner = inner.filter(Text::is_object).ok_or(MessageError::CallMessage)?;
        let (request, _) = Request::of(inner)?.ok_or(MessageError::CallMessage)?;
        // Anyone's topic would have this side connect to any host (oslo-bugs B42).
        let topic = topic.filter(|topic| topic.strip_prefix(REPLY_PREFIX).is_some_and(|rest| rest.starts_with('.')));
        let reply_to = id.zip(topic).map(|(id, topic)| ReplyTo { id, topic });
        Ok(Incoming::Request(packed(Request { reply_to, ..request })))
    }
}

impl<'a> Request<'a> {
    /// The request with the text of its arguments. `None`: it names no method.
    fn of(message: Text<'a>) -> Result<Option<(Self, Text<'a>)>, MessageError> {
        let (mut method, mut args, mut namespace, mut version) = (None, None, None, None);
        for (key, value) in message.members() {
            match key.string().as_deref() {
                Some("method") => method = Some(value),
                Some("args") => args = Some(value),
                Some("namespace") => namespace = Some(value),
                Some("version") => version = Some(value),
                _ => {}
            }
        }
        let Some(method) = method else { return Ok(None) };
        let named = |text: Text<'a>, field| text.string().ok_or(MessageError::Field { field });
        let optional = |text: Option<Text<'a>>, field| {
            text.filter(|text| !text.is_null()).map(|text| named(text, field)).transpose()
        };
        let args = args.filter(|args| !args.is_null()).unwrap_or_else(|| Text::trusted("{}"));
        if !args.is_object() {
            return Err(MessageError::Field { field: "args" });
        }
        let request = Self {
            method: named(method, "method")?,
            args: Payload::Json(args),
            namespace: optional(namespace, "namespace")?,
            version: optional(version, "version")?,
            reply_to: None,
            message,
        };
        Ok(Some((request, args)))
    }
}

impl<'a> Notification<'a> {
    /// A field that is a string, such as `event_type`, `publisher_id`, `priority`, `timestamp` or
    /// `message_id`.
    pub fn field(&self, name: &str) -> Option<Cow<'a, str>> {
        self.message.member(name)?.string()
    }

    /// What it is about: null if missing.
    pub fn payload(&self) -> Text<'a> {
        self.message.member("payload").unwrap_or_else(|| Text::trusted("null"))
    }
}

/// Why an envelope's JSON is no message. The peer is at fault; nothing of its content is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MessageError {
    /// No JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The body of a `cast` is no array of two.
    #[error("the body is no array of a context and a message: the sender must send one")]
    Pair,
    /// The context is no object, or in a `cast` no string with one.
    #[error("the context is no object: the sender must send one, if need be an empty one")]
    Context,
    /// The message is no object.
    #[error("the message is no object: the sender must send one")]
    Message,
    /// An envelope inside a `cast` has another version than 2.0.
    #[error("unsupported envelope version \"{version}\": the sender must use 2.0")]
    Version {
        /// The beginning of it.
        version: Excerpt,
    },
    /// A field of a request has a wrong type.
    #[error("`{field}` has a wrong type: the sender must send a string, and an object of arguments")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// A call without a request in it.
    #[error("a call without a method to run: the sender must put a request into `msg`")]
    CallMessage,
    /// A call with an argument other than `msg_id`, `topic`, `msg` and `context`.
    #[error("a call with an unknown argument: the sender must leave it out")]
    CallArgument,
}

impl MessageError {
    /// A stable label for a counter, none of it from the peer.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Json(_) => "message-not-json",
            Self::Pair => "message-no-pair",
            Self::Context => "message-context",
            Self::Message => "message-no-object",
            Self::Version { .. } => "message-envelope-version",
            Self::Field { .. } => "message-field",
            Self::CallMessage => "message-call-without-method",
            Self::CallArgument => "message-call-argument",
        }
    }
}

/// The text of a JSON object.
#[derive(Clone)]
struct Object<'a>(Cow<'a, str>);

impl<'a> Object<'a> {
    fn plain(octets: &'a [u8], otherwise: MessageError) -> Result<Self, MessageError> {
        let text = Text::new(octets)?;
        if text.is_object() { Ok(Self(Cow::Borrowed(text.as_str()))) } else { Err(otherwise) }
    }

    /// Of a string that holds the text.
    fn of_string(string: Text<'a>, otherwise: MessageError) -> Result<Self, MessageError> {
        let content = string.string().ok_or(otherwise)?;
        let text = Text::new(content.as_bytes())?;
        let whole = text.as_str().len() == content.len();
        match content {
            _ if !text.is_object() => Err(otherwise),
            content if whole => Ok(Self(content)),
            content => Ok(Self(Cow::Owned(content.trim().to_owned()))),
        }
    }

    fn text(&self) -> Text<'_> {
        Text::trusted(&self.0)
    }
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} octets)", self.0.len())
    }
}

/// The message of a `cast`, taken out of an envelope that is an object.
fn opened(message: Text<'_>) -> Result<Object<'_>, MessageError> {
    if !message.is_object() {
        return Err(MessageError::Message);
    }
    let (mut version, mut inner) = (None, None);
    for (key, value) in message.members() {
        match key.string().as_deref() {
            Some("oslo.version") => version = Some(value),
            Some("oslo.message") => inner = Some(value),
            _ => {}
        }
    }
    let (Some(version), Some(inner)) = (version, inner) else {
        return Ok(Object(Cow::Borrowed(message.as_str())));
    };
    let version = version.string().unwrap_or_default();
    if version != "2.0" {
        return Err(MessageError::Version { version: Excerpt::of(version.as_bytes()) });
    }
    Object::of_string(inner, MessageError::Message)
}

/// The method of a request that wants a reply to the one inside it.
pub(crate) const CALL: &str = "-reply";
