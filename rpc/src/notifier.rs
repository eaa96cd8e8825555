//! Telling what happened: notifications (oslo-zmq, sections 2.3, 3 and 6).

use jiff::Timestamp;
use serde::Serialize;

use crate::client::{CastError, send};
use crate::context::Context;
use crate::envelope::Style;
use crate::pending::random;
use crate::transport::Transport;
use crate::write::{Encoded, NotificationHead};

/// Sends notifications in the name of one publisher. Cheap to clone.
///
/// ```no_run
/// # async fn example(transport: oslo_rpc::Transport) -> Result<(), Box<dyn std::error::Error>> {
/// use oslo_rpc::{Notifier, Priority};
///
/// #[derive(serde::Serialize)]
/// struct Created { instance_id: String }
///
/// let notifier = Notifier::new(&transport, "compute.host1");
/// let created = Created { instance_id: "i-1".to_owned() };
/// notifier.notify(Priority::Info, "compute.instance.create.end", &created).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Notifier {
    transport: Transport,
    publisher: String,
    topics: Vec<String>,
    style: Style,
    context: Context,
}

/// How urgent a notification is. Listeners choose by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the originals'")]
pub enum Priority {
    Audit,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
    Sample,
}

impl Notifier {
    /// A notifier for the topic `notifications`, in version 2, with an empty context.
    pub fn new(transport: &Transport, publisher: impl Into<String>) -> Self {
        Self {
            transport: transport.clone(),
            publisher: publisher.into(),
            topics: vec!["notifications".to_owned()],
            style: Style::V2,
            context: Context::default(),
        }
    }

    /// The same, for other topics; each gets a copy (`notification_topics`).
    #[must_use]
    pub fn with_topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.topics = topics.into_iter().map(Into::into).collect();
        self
    }

    /// The same, in another version: `cast` is the driver `messaging` of the originals, `impl_zmq_v2` is
    /// `messagingv2`. All listeners understand both.
    #[must_use]
    pub fn with_style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }

    /// The same, on behalf of somebody.
    #[must_use]
    pub fn with_context(mut self, context: Context) -> Self {
        self.context = context;
        self
    }

    /// Tells that something happened. As [`Client::cast`](crate::Client::cast), which see.
    ///
    /// # Errors
    ///
    /// As [`Client::cast`](crate::Client::cast).
    pub async fn notify(
        &self,
        priority: Priority,
        event_type: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<(), CastError> {
        let upper = priority.as_str().to_ascii_uppercase();
        let head = NotificationHead {
            message_id: &uuid(),
            publisher_id: &self.publisher,
            event_type,
            priority: &upper,
            timestamp: &Timestamp::now().strftime("%Y-%m-%d %H:%M:%S%.6f").to_string(),
        };
        let body = Encoded::notification(self.style, &self.context, head, payload)?;
        for topic in &self.topics {
            let key = priority.topic(topic).parse()?;
            send(&self.transport.shared, &key, body.clone()).await?;
        }
        Ok(())
    }
}

impl Priority {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Audit, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Critical, Self::Sample];

    /// The name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Sample => "sample",
        }
    }

    /// The topic that carries notifications of this priority: no dot is left in it, on either side (oslo-bugs B31).
    pub(crate) fn topic(self, base: &str) -> String {
        format!("{}-{}", base.replace('.', "-"), self.as_str())
    }
}

/// A random UUID (RFC 9562, version 4).
fn uuid() -> String {
    let (high, low) = (random(), random());
    let version = high & !0xf000 | 0x4000;
    let variant = low & !(0b11 << 62) | 0b10 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        version >> 32,
        version >> 16 & 0xffff,
        version & 0xffff,
        variant >> 48,
        variant & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b31_no_dot_is_left_in_a_topic() {
        assert_eq!(Priority::Info.topic("my.notes"), "my-notes-info");
    }

    #[test]
    fn ids_have_the_form_of_a_uuid() {
        let id = uuid();
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]));
        assert_ne!(uuid(), id);
    }
}
