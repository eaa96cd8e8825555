//! What a socket is to its tasks.

use std::sync::Arc;

use super::stats::Stats;
use crate::{proto::SocketType, session::Port};

pub(crate) trait Socket: Send + Sync + 'static {
    const TYPE: SocketType;
    type Port: Port;

    fn port(self: &Arc<Self>, peer: &str, lasting: bool) -> Self::Port;

    fn close(&self);

    fn add_to(&self, stats: &mut Stats);
}
