//! From one TCP connection to the routes: the whole of what is done to a message.
//!
//! The topic is looked at and nothing else. Neighbours of one topic travel as one slice of the read buffer; their octets
//! are written to the topic's socket as they came.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use oslo_rpc::Topic;
use zmtp::{Inbox, Run, SendError};

use crate::backends::{Backends, Way};
use crate::posting::Posting;
use crate::recent::RecentRoutes;
use crate::route::Route;
use crate::routes::{Routes, TOPIC_FRAME};
use crate::spool::Parcel;

/// The inbox of one connection.
///
/// It waits for nobody beyond a moment: what finds no room is dropped and counted, so a topic that nobody serves, or
/// slowly, holds up no other.
pub(crate) struct Router {
    routes: Arc<Routes>,
    backends: Arc<Backends>,
    peer: Arc<str>,
    recent: RecentRoutes,
    /// What goes through the spool, until all of a delivery is together.
    parcels: Vec<Box<dyn Parcel>>,
    /// Where that goes.
    bound_for: Vec<Arc<Route>>,
    /// Nothing more is read until this is over.
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Router {
    pub(crate) fn new(routes: Arc<Routes>, backends: Arc<Backends>, peer: &str) -> Self {
        Self {
            routes,
            backends,
            peer: peer.into(),
            recent: RecentRoutes::default(),
            parcels: Vec::new(),
            bound_for: Vec::new(),
            pause: None,
        }
    }

    /// Hands on messages of one topic.
    fn hand_on(&mut self, mut messages: Run) {
        loop {
            let Some(topic) = messages.first().nth(TOPIC_FRAME) else {
                let n = messages.messages();
                return self.routes.drops.note("no-topic", n, &self.peer, || "a message of one frame has no topic");
            };
            let route = match self.recent.find(topic) {
                Some(route) => route.clone(),
                None => match self.look_up(topic, messages.messages()) {
                    Some(route) => route,
                    None => return,
                },
            };
            if self.routes.spool.is_some() && route.is_queue() {
                return self.gather(route, messages);
            }
            let displaced = route.displaced();
            match route.push(messages) {
                Ok(()) => {}
                Err(SendError::Full(rest)) => self.routes.note_full(&route, &rest, &self.peer),
                Err(SendError::Closed(rest)) => {
                    // Given up as idle since it was used last.
                    self.recent.clear();
                    messages = rest;
                    continue;
                }
            }
            self.routes.note_displaced(&route, displaced, &self.peer);
            if route.blocks() {
                let (routes, peer) = (self.routes.clone(), self.peer.clone());
                self.pause = Some(Box::pin(async move { routes.wait_for_room(&route, &peer).await }));
            } else if route.is_behind() {
                self.pause = Some(Box::pin(async move { route.catch_up().await }));
            }
            return;
        }
    }

    /// Has the spool hand on what came together.
    fn keep(&mut self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        let (parcels, bound_for) = (std::mem::take(&mut self.parcels), std::mem::take(&mut self.bound_for));
        let kept = self.routes.spool.as_ref()?.put(parcels);
        let (routes, peer) = (self.routes.clone(), self.peer.clone());
        Some(Box::pin(async move {
            kept.await;
            for route in bound_for {
                routes.wait_for_room(&route, &peer).await;
                if route.is_behind() {
                    route.catch_up().await;
                }
            }
        }))
    }

    /// Puts messages aside for the spool.
    fn gather(&mut self, route: Arc<Route>, messages: Run) {
        if !self.bound_for.iter().any(|known| Arc::ptr_eq(known, &route)) {
            self.bound_for.push(route.clone());
        }
        self.parcels.push(Box::new(Posting::new(&self.routes, route, messages, &self.peer)));
    }

    /// The route of a topic that was not used lately; `None`: it has none, and `messages` messages are dropped.
    fn look_up(&mut self, frame: &[u8], messages: usize) -> Option<Arc<Route>> {
        let drops = &self.routes.drops;
        let topic = match Topic::parse(frame) {
            Ok(topic) => topic,
            Err(error) => {
                drops.note(error.reason(), messages, &self.peer, || error);
                return None;
            }
        };
        let route = match self.routes.find(&topic) {
            Some(route) => route,
            None => {
                // Making a socket takes as long as hundreds of messages; a flood of new topics is not to be felt by others.
                self.pause = Some(Box::pin(tokio::task::yield_now()));
                match self.routes.open(&topic) {
                    Ok(route) => route,
                    Err(error) => {
                        drops.note(error.reason(), messages, &self.peer, || format!("topic {topic}: {error}"));
                        return None;
                    }
                }
            }
        };
        match self.backends.way(&topic, &route) {
            Way::Own => self.recent.insert(frame, route.clone()),
            Way::Wait => {}
            Way::Machine(machine) => return Some(machine),
        }
        Some(route)
    }
}

impl Inbox for Router {
    fn poll_deliver(&mut self, cx: &mut Context<'_>, run: &mut Run) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if run.is_empty() {
                if self.parcels.is_empty() {
                    return Poll::Ready(());
                }
                self.pause = self.keep();
                continue;
            }
            let same = run.split_leading(|mut a, mut b| a.nth(TOPIC_FRAME) == b.nth(TOPIC_FRAME));
            self.hand_on(same);
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("peer", &self.peer).finish_non_exhaustive()
    }
}
