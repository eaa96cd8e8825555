//! A peer's place in its socket, as the connection's task sees it.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use bytes::Bytes;

use crate::proto::{Connection, PeerInfo, ProtocolError, Run};

pub(crate) trait Port: Send + 'static {
    fn attach(&mut self, peer: &PeerInfo);

    fn poll_deliver(&mut self, cx: &mut Context<'_>, run: &mut Run) -> Poll<()>;

    fn handle_subscription(&mut self, prefix: Bytes, subscribe: bool) -> Result<(), ProtocolError>;

    fn poll_feed(&mut self, cx: &mut Context<'_>, connection: &mut Connection) -> Poll<Feed>;

    fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    fn detach(&mut self, unsent: VecDeque<Run>, written: u64);
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Feed {
    Fed,
    Closed,
    Over,
}
