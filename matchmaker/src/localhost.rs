//! The registry of a machine that serves everything itself (oslo-zmq, section 7).
//!
//! The originals connect to `localhost` and end frame 1 in `.localhost`, where no service listens
//! unless `rpc_zmq_host` says so: with their defaults nothing is ever delivered. Here frame 1 ends in
//! the name the services of this machine listen under (oslo-bugs B30).

use std::fmt;
use std::future::ready;
use std::sync::Arc;

use crate::backend::{Answer, Backend};
use crate::exchange::Member;
use crate::name::{Host, Topic};

/// Every bare topic has one member, this machine.
#[derive(Debug)]
pub struct Localhost {
    members: Arc<[Member]>,
}

impl Localhost {
    /// For a machine whose services listen under `node`, their `rpc_zmq_host`.
    pub fn new(node: Host) -> Self {
        let member = Member { name: node, address: Host::localhost() };
        Self { members: [member].into() }
    }
}

impl Backend for Localhost {
    fn members<'a>(&'a self, topic: &'a Topic) -> Answer<'a, Arc<[Member]>> {
        let members = if topic.is_directed() { Arc::default() } else { self.members.clone() };
        Box::pin(ready(Ok(members)))
    }

    /// None: any name will do.
    fn topics(&self) -> Answer<'_, Vec<Topic>> {
        Box::pin(ready(Ok(Vec::new())))
    }
}

impl fmt::Display for Localhost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("localhost")
    }
}
