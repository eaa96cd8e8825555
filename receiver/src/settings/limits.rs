//! What bounds the daemon's memory and descriptors.

use oslo_config::ValueError;

use super::options;
use super::reader::Reader;

/// Bounds on what peers can make the daemon hold. None is zero, and
/// `max_message_size <= topic_max_octets <= memory_limit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Topics served at once.
    pub max_topics: usize,
    /// TCP peers at once.
    pub max_connections: usize,
    /// Octets of one message.
    pub max_message_size: usize,
    /// Frames of one message.
    pub max_frames: usize,
    /// Octets queued for one topic.
    pub topic_max_octets: usize,
    /// Octets queued for all topics together.
    pub memory_limit: usize,
}

impl Limits {
    /// Reads the options.
    ///
    /// # Errors
    /// A default that cannot be meant.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ValueError> {
        let memory_limit = reader.require(&options::MEMORY_LIMIT)?.value.0;
        let topic_max_octets = reader.at_most(&options::TOPIC_MAX_OCTETS, memory_limit, "memory_limit")?;
        let max_message_size = reader.at_most(&options::MAX_MESSAGE_SIZE, topic_max_octets, "topic_max_octets")?;
        Ok(Self {
            max_topics: reader.require(&options::MAX_TOPICS)?.value.0,
            max_connections: reader.require(&options::MAX_CONNECTIONS)?.value.0,
            max_message_size,
            max_frames: reader.require(&options::MAX_FRAMES)?.value.0,
            topic_max_octets,
            memory_limit,
        })
    }
}
