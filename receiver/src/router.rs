//! From one TCP connection to the routes: the whole of what is done to a message.
//!
//! The topic is looked at and nothing else. What one read brought is sorted by topic, so that each queue gets its messages
//! at once; neighbours of one topic travel as one slice of the read buffer. Octets are written to the topic's socket as they
//! came.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use oslo_rpc::Topic;
use oslo_rpc::envelope::Style;
use zmtp::{Inbox, Run, SendError, Sorted};

use crate::backends::{Backends, Way};
use crate::passing::{Copy, Fate, Id, Outcome};
use crate::posting::Posting;
use crate::recent::RecentRoutes;
use crate::recorder::Record;
use crate::route::Route;
use crate::routes::{Routes, TOPIC_FRAME};
use crate::senders::Entry;
use crate::spool::Parcel;
use crate::taps::Sight;

/// The inbox of one connection.
///
/// It waits for nobody beyond a moment: what finds no room is dropped and counted, so a topic that nobody serves, or
/// slowly, holds up no other.
pub(crate) struct Router {
    routes: Arc<Routes>,
    backends: Arc<Backends>,
    sender: Entry,
    recent: RecentRoutes,
    /// Messages that came together, by the places of their routes; `None` when there are none.
    sorted: Option<Sorted>,
    /// Those of one route that could not be handed on at once.
    apart: std::vec::IntoIter<Run>,
    /// What goes through the spool, until all of a delivery is together.
    parcels: Vec<Box<dyn Parcel>>,
    /// Where that goes.
    bound_for: Vec<Arc<Route>>,
    notes: Notes,
    /// When the messages came that are handed on.
    read: u64,
    /// Nothing more is read until this is over.
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// What is to be told of the messages of one read.
#[derive(Debug, Default)]
struct Notes {
    /// How many more runs the recorder takes down.
    left: usize,
    /// Message by message.
    each: bool,
    /// Messages that the recorder has, with their ids.
    taken_down: usize,
    /// Whether anybody watches.
    watched: bool,
}

impl Notes {
    #[inline]
    fn any(&self) -> bool {
        self.left > 0 || self.watched
    }
}

impl Router {
    pub(crate) fn new(routes: Arc<Routes>, backends: Arc<Backends>, sender: Entry) -> Self {
        Self {
            routes,
            backends,
            sender,
            recent: RecentRoutes::default(),
            sorted: None,
            apart: Vec::new().into_iter(),
            parcels: Vec::new(),
            bound_for: Vec::new(),
            notes: Notes::default(),
            read: 0,
            pause: None,
        }
    }

    /// Hands on messages of one topic that came at `now`.
    fn hand_on(&mut self, mut messages: Run, now: u64) {
        let seen = self.notes.any().then(|| messages.clone());
        loop {
            let Some(topic) = messages.first().nth(TOPIC_FRAME) else {
                let n = messages.messages();
                self.routes.drops.note(
                    "no-topic",
                    n,
                    self.sender.peer(),
                    None,
                    || "a message of one frame has no topic",
                );
                return self.tell(seen, None, Fate::of(Outcome::Dropped("no-topic")), now);
            };
            let route = match self.recent.find(topic).and_then(|place| self.recent.at(place)) {
                Some(route) => route.clone(),
                None => match self.look_up(topic, messages.messages()) {
                    Ok(route) => route,
                    Err(reason) => return self.tell(seen, None, Fate::of(Outcome::Dropped(reason)), now),
                },
            };
            if self.routes.spool.is_some() && route.is_queue() {
                self.tell(seen, Some(&route), Fate::of(Outcome::Spooled), now);
                return self.gather(route, messages, now);
            }
            let before = seen.as_ref().map(|_| route.stats().tally);
            let displaced = route.displaced();
            let mut refused = None;
            match route.push(messages, now) {
                Ok(()) => {}
                Err(SendError::Full(rest)) => {
                    let reason = self.routes.note_full(&route, &rest, self.sender.peer());
                    refused = Some((rest.messages(), reason));
                }
                Err(SendError::Closed(rest)) => {
                    // Given up as idle since it was used last.
                    self.recent.clear();
                    messages = rest;
                    continue;
                }
            }
            if let Some(before) = before {
                self.tell(seen, Some(&route), Fate { taken: route.outcome_since(&before), refused }, now);
            }
            self.routes.note_displaced(&route, displaced, self.sender.peer());
            if route.blocks() {
                let (routes, sender) = (self.routes.clone(), self.sender.sender().clone());
                self.pause = Some(Box::pin(async move { routes.wait_for_room(&route, &sender.peer).await }));
            } else if route.is_behind() {
                self.pause = Some(Box::pin(async move { route.catch_up().await }));
            }
            return;
        }
    }

    /// Hands on what goes to the next of the sorted routes, if there is one. What does not find room at once is left for
    /// [`hand_on`](Self::hand_on), run by run.
    fn hand_on_sorted(&mut self, now: u64) -> bool {
        let Some((place, messages)) = self.sorted.as_mut().and_then(Sorted::next_way) else {
            if let Some(sorted) = self.sorted.take() {
                SPARE.set(sorted);
            }
            return false;
        };
        match self.recent.at(place) {
            Some(route) if route.push_picked(messages, now) => {
                if route.is_behind() {
                    let route = route.clone();
                    self.pause = Some(Box::pin(async move { route.catch_up().await }));
                }
            }
            _ => self.apart = messages.runs().collect::<Vec<_>>().into_iter(),
        }
        true
    }

    /// Has the spool hand on what came together.
    fn keep(&mut self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        let (parcels, bound_for) = (std::mem::take(&mut self.parcels), std::mem::take(&mut self.bound_for));
        let kept = self.routes.spool.as_ref()?.put(parcels);
        let (routes, sender) = (self.routes.clone(), self.sender.sender().clone());
        Some(Box::pin(async move {
            kept.await;
            for route in bound_for {
                routes.wait_for_room(&route, &sender.peer).await;
                if route.is_behind() {
                    route.catch_up().await;
                }
            }
        }))
    }

    /// Puts messages aside for the spool.
    fn gather(&mut self, route: Arc<Route>, messages: Run, now: u64) {
        if !self.bound_for.iter().any(|known| Arc::ptr_eq(known, &route)) {
            self.bound_for.push(route.clone());
        }
        self.parcels.push(Box::new(Posting::new(&self.routes, route, messages, self.sender.sender(), now)));
    }

    /// Tells of messages that passed: the recorder, and whoever watches.
    fn tell(&mut self, seen: Option<Run>, route: Option<&Route>, fate: Fate, now: u64) {
        let Some(seen) = seen else { return };
        let topic = route.map_or_else(|| Arc::from(""), Route::shared_key);
        if self.notes.watched {
            for (message, outcome) in seen.clone().zip(fate.each(seen.messages())) {
                self.routes.taps.show(&topic, || Sight {
                    at: now,
                    peer: self.sender.peer().to_owned(),
                    copy: Arc::new(Copy::of(&message)),
                    outcome,
                    lost: 0,
                });
            }
        }
        if self.notes.left == 0 {
            return;
        }
        self.notes.left -= 1;
        let record = |run: &Run, outcome| Record {
            at: now,
            sender: self.sender.sender().clone(),
            topic: topic.clone(),
            style: run.first().nth(STYLE_FRAME).and_then(Style::parse),
            id: Id::of_first(run),
            messages: run.messages(),
            octets: run.octets(),
            outcome,
        };
        if self.notes.each {
            self.notes.taken_down += seen.messages();
            let fates = fate.each(seen.messages());
            seen.zip(fates).for_each(|(message, outcome)| self.routes.recorder.add(record(&message.into(), outcome)));
        } else if let Some(first) = fate.each(seen.messages()).next() {
            self.notes.taken_down += 1;
            self.routes.recorder.add(record(&seen, first));
        }
    }

    /// The route of a topic that was not used lately.
    ///
    /// # Errors
    /// It has none, for this reason, and `messages` messages are dropped.
    fn look_up(&mut self, frame: &[u8], messages: usize) -> Result<Arc<Route>, &'static str> {
        let drops = &self.routes.drops;
        let topic = match Topic::parse(frame) {
            Ok(topic) => topic,
            Err(error) => {
                drops.note(error.reason(), messages, self.sender.peer(), None, || error);
                return Err(error.reason());
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
                        let (peer, key) = (self.sender.peer(), Some(topic.key()));
                        drops.note(error.reason(), messages, peer, key, || format!("topic {topic}: {error}"));
                        return Err(error.reason());
                    }
                }
            }
        };
        match self.backends.way(&topic, &route) {
            Way::Own => self.recent.insert(frame, route.clone()),
            Way::Wait => {}
            Way::Machine(machine) => return Ok(machine),
        }
        Ok(route)
    }

    fn poll_hand_on(&mut self, cx: &mut Context<'_>, run: &mut Run, now: u64) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if let Some(run) = self.apart.next() {
                self.hand_on(run, now);
                continue;
            }
            if self.hand_on_sorted(now) {
                continue;
            }
            if run.is_empty() {
                if self.parcels.is_empty() {
                    return Poll::Ready(());
                }
                self.pause = self.keep();
                continue;
            }
            if !self.notes.each && !self.notes.any() && self.routes.spool.is_none() {
                let sorted = self.sorted.insert(SPARE.take());
                sorted.sort(run, TOPIC_FRAME, |topic| self.recent.find(topic));
                if self.hand_on_sorted(now) {
                    continue;
                }
            }
            // The first run goes by itself where it is told of, or where its topic is one that was not used lately.
            let same = run.split_leading(TOPIC_FRAME, |first, next| next == first);
            self.hand_on(same, now);
        }
    }
}

impl Inbox for Router {
    fn poll_deliver(&mut self, cx: &mut Context<'_>, run: &mut Run) -> Poll<()> {
        // Once for all that one read brought: neither the clock nor the counters are for each message.
        // After a pause it goes on with what came before it.
        if self.pause.is_none() {
            let each = run.messages() <= FEW;
            self.notes = Notes {
                left: if self.routes.recorder.is_on() { if each { FEW } else { 1 } } else { 0 },
                each,
                watched: self.routes.taps.any(),
                ..Notes::default()
            };
            self.read = self.sender.clock().now();
        }
        self.notes.taken_down = 0;
        let (now, messages, octets) = (self.read, run.messages(), run.octets());
        let result = self.poll_hand_on(cx, run, now);
        let unrecorded = messages - run.messages() - self.notes.taken_down;
        if unrecorded > 0 {
            self.routes.recorder.skip(unrecorded);
        }
        self.sender.note(messages - run.messages(), octets - run.octets(), now);
        result
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("sender", &self.sender).finish_non_exhaustive()
    }
}

thread_local! {
    /// Memory to sort in, for whichever connection of the thread has messages to hand on: only one that has to wait keeps it.
    static SPARE: Cell<Sorted> = Cell::default();
}

/// The frame that names the style, counted from 0.
const STYLE_FRAME: usize = 2;

/// Messages of a read that the recorder takes down one by one; of a read that brings more, it takes down the first run. So
/// each of the hundreds in a full read costs a few instructions more, and RPC at its usual pace is taken down whole.
const FEW: usize = 8;
