//! Messages of one topic that the spool hands on once it has written them down.

use std::sync::Arc;

use oslo_rpc::Topic;
use zmtp::{Run, SendError};

use crate::route::Route;
use crate::routes::{Routes, TOPIC_FRAME};
use crate::senders::Sender;
use crate::spool::Parcel;

/// From whom to where.
pub(crate) struct Posting {
    routes: Arc<Routes>,
    route: Arc<Route>,
    run: Run,
    sender: Arc<Sender>,
    /// When they came, by the receiver's clock.
    at: u64,
}

impl Posting {
    pub(crate) fn new(routes: &Arc<Routes>, route: Arc<Route>, run: Run, sender: &Arc<Sender>, at: u64) -> Self {
        Self { routes: routes.clone(), route, run, sender: sender.clone(), at }
    }
}

impl Parcel for Posting {
    fn run(&self) -> &Run {
        &self.run
    }

    fn hand_on(self: Box<Self>, first: u64) -> usize {
        let Self { routes, mut route, mut run, sender, at } = *self;
        let peer = &sender.peer;
        loop {
            let displaced = route.displaced();
            let pushed = route.push_numbered(run, first, at);
            routes.note_displaced(&route, displaced, peer);
            match pushed {
                Ok(()) => return 0,
                Err(SendError::Full(rest)) => {
                    routes.note_full(&route, &rest, peer);
                    return rest.messages();
                }
                // Given up as idle since it was looked up: none of it was taken.
                Err(SendError::Closed(rest)) => run = rest,
            }
            let frame = run.first().nth(TOPIC_FRAME).unwrap_or_default();
            let opened = match Topic::parse(frame) {
                Ok(topic) => routes.open(&topic).map_err(|error| (error.reason(), error.to_string())),
                Err(error) => Err((error.reason(), error.to_string())),
            };
            match opened {
                Ok(opened) => route = opened,
                Err((reason, text)) => {
                    routes.drops.note(reason, run.messages(), peer, Some(route.key()), || text);
                    return run.messages();
                }
            }
        }
    }
}
