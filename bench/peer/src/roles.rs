//! The loops of every role, around a plain `send` and a plain `recv`.
//!
//! A sender repeats a warm-up message until it is told to go, so that a connection in each pair of sockets is known to
//! work before the clock starts, whatever a library does while it connects.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::control::Control;
use crate::executor::{Executor, Pause};
use crate::library::{Failure, Library, Listening, Receiver, Sender};
use crate::messages::{Incoming, Outgoing};
use crate::work::{Role, Work};

/// Plays the role of `work` until the driver ends the process.
pub(crate) fn play<L: Library>(library: L, executor: Executor, work: Work) -> ! {
    let control = Control::new(&work);
    control.obey();
    let sockets = work.sockets;
    let stage = Arc::new(Stage { library, work, control: control.clone(), pause: executor.pause() });
    eprintln!("{}", executor.run(sockets, move |socket| Arc::clone(&stage).play(socket)));
    control.fail()
}

/// What the loops of one process share.
struct Stage<L> {
    library: L,
    work: Work,
    control: Control,
    pause: Pause,
}

impl<L: Library> Stage<L> {
    async fn play(self: Arc<Self>, socket: u16) -> Result<Infallible, Failure> {
        let Self { library, work, .. } = &*self;
        let (addr, peers) = (work.addr.as_str(), work.peers);
        match (work.role, work.reverse) {
            (Role::Push, false) => self.send_all(self.retried(async || library.push(addr).await).await?, socket).await,
            (Role::Push, true) => self.send_all(library.push_for(addr, peers, self.listening()).await?, socket).await,
            (Role::Pull, false) => {
                self.receive_all(library.pull_for(addr, peers, self.listening()).await?, socket).await
            }
            (Role::Pull, true) => {
                self.receive_all(self.retried(async || library.pull(addr).await).await?, socket).await
            }
            (Role::Pub, _) => self.send_all(library.publish_for(addr, peers, self.listening()).await?, socket).await,
            (Role::Sub, _) => {
                self.receive_all(self.retried(async || library.subscribe(addr).await).await?, socket).await
            }
            (Role::Ping, _) => self.ping().await,
            (Role::Pong, _) => self.pong().await,
            (Role::Churn, _) => self.churn(socket).await,
        }
    }

    async fn send_all(&self, mut to: impl Sender, socket: u16) -> Result<Infallible, Failure> {
        let mut outgoing = Outgoing::new(&self.work.sizes(), socket);
        while !self.control.going() {
            to.send(outgoing.warm_up()).await?;
            to.flush().await?;
            self.pause.wait(WARM_UP_EVERY).await;
        }
        self.control.begin();
        for number in 0..self.work.share() {
            to.send(outgoing.message(number)).await?;
        }
        to.flush().await?;
        self.rest().await
    }

    async fn receive_all(&self, mut from: impl Receiver, socket: u16) -> Result<Infallible, Failure> {
        let mut incoming = Incoming::new(&self.work, self.control.clone(), socket);
        while !incoming.complete() {
            from.recv(&mut incoming).await?;
        }
        self.rest().await
    }

    async fn ping(&self) -> Result<Infallible, Failure> {
        let mut there = self.retried(async || self.library.push(&self.work.addr).await).await?;
        let mut back = self.library.pull_for(&self.work.back, 1, Listening::unheard()).await?;
        let mut outgoing = Outgoing::new(&self.work.sizes(), 0);
        let mut incoming = Incoming::new(&self.work, self.control.clone(), 0);
        while !self.control.going() {
            there.send(outgoing.warm_up()).await?;
            there.flush().await?;
            back.recv(&mut incoming).await?;
            self.pause.wait(WARM_UP_EVERY).await;
        }
        self.control.begin();
        let mut times = Vec::new();
        for number in 0..self.work.count {
            let start = Instant::now();
            there.send(outgoing.message(number)).await?;
            there.flush().await?;
            back.recv(&mut incoming).await?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0, |time| time.as_nanos() as u64);
        self.control.note_round_trip([at(0.5), at(0.99)]);
        self.control.socket_done();
        self.rest().await
    }

    async fn pong(&self) -> Result<Infallible, Failure> {
        let mut from = self.library.pull_for(&self.work.addr, 1, self.listening()).await?;
        let mut to = self.retried(async || self.library.push(&self.work.back).await).await?;
        let mut outgoing = Outgoing::new(&self.work.sizes(), 0);
        let mut incoming = Incoming::new(&self.work, self.control.clone(), 0);
        loop {
            from.recv(&mut incoming).await?;
            to.send(outgoing.message(incoming.number())).await?;
            to.flush().await?;
        }
    }

    async fn churn(&self, socket: u16) -> Result<Infallible, Failure> {
        let mut outgoing = Outgoing::new(&self.work.sizes(), 0);
        while !self.control.going() {
            self.pause.wait(WARM_UP_EVERY).await;
        }
        self.control.begin();
        let senders = u16::try_from(self.work.count).unwrap_or(u16::MAX);
        for sender in (socket..senders).step_by(self.work.sockets.into()) {
            outgoing.become_sender(sender);
            self.library.send_once(&self.work.addr, outgoing.message(0)).await?;
        }
        self.rest().await
    }

    /// A connected socket; for libraries that try only once, more than once.
    async fn retried<S>(&self, connect: impl AsyncFn() -> Result<S, Failure>) -> Result<S, Failure> {
        let deadline = Instant::now() + CONNECT_WITHIN;
        loop {
            match connect().await {
                Err(_) if Instant::now() < deadline => self.pause.wait(WARM_UP_EVERY).await,
                end => return end,
            }
        }
    }

    /// Lets the library's own tasks and threads go on until the driver ends the process; the sockets stay open.
    async fn rest(&self) -> Result<Infallible, Failure> {
        loop {
            self.pause.wait(Duration::from_secs(3600)).await;
        }
    }

    fn listening(&self) -> Listening<'_> {
        Listening::new(&self.control)
    }
}

/// Between two warm-up messages: short beside a turn, long enough to cost nothing.
const WARM_UP_EVERY: Duration = Duration::from_millis(5);

/// How long a process tries to connect to one that is just starting.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
