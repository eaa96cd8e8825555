//! Whom a message is for (oslo-zmq, section 6).

use matchmaker::{NameError, Topic};

/// A topic, and optionally which of its servers and which of their interfaces.
///
/// ```
/// use oslo_rpc::Target;
///
/// let any = Target::topic("compute");
/// let one = any.clone().server("host1").version("4.2");
/// let all = any.fanout();
/// assert_eq!(one.key()?.as_str(), "compute.host1");
/// assert_eq!(all.key()?.as_str(), "fanout~compute");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(crate) topic: String,
    pub(crate) server: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) version: String,
    pub(crate) fanout: bool,
}

impl Target {
    /// Any server of a topic.
    pub fn topic(topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), server: None, namespace: None, version: "1.0".to_owned(), fanout: false }
    }

    /// The server of this name only.
    #[must_use]
    pub fn server(mut self, server: impl Into<String>) -> Self {
        self.server = Some(server.into());
        self
    }

    /// Methods of this namespace; by default those without one.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The version of the interface that is needed, `major.minor`; by default `1.0`. It is always sent (oslo-bugs
    /// B21).
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Every server of the topic. Beats [`Target::server`].
    #[must_use]
    pub fn fanout(mut self) -> Self {
        self.fanout = true;
        self
    }

    /// The key to ask a matchmaker for.
    ///
    /// # Errors
    ///
    /// [`NameError`]: it is too long, or has characters that a topic must not have.
    pub fn key(&self) -> Result<Topic, NameError> {
        match &self.server {
            _ if self.fanout => format!("{}{}", Topic::FANOUT, self.topic).parse(),
            Some(server) => format!("{}.{server}", self.topic).parse(),
            None => self.topic.parse(),
        }
    }
}
