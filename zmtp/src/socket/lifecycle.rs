//! What all sockets do alike: endpoints, streams, what is told about them. Written once, as a part of each socket's `impl`.

/// The methods of a socket with a field `core`; with `connects`, of one that connects too.
macro_rules! lifecycle {
    (connects) => {
        lifecycle!();

        /// Connects, now and again whenever the connection is lost. Messages may be sent at once.
        ///
        /// # Errors
        /// [`ConnectError`] only when the endpoint can never work. That nobody answers is no such error: it tries again.
        pub fn connect(&self, endpoint: &str) -> Result<Endpoint, ConnectError> {
            self.core.connect(endpoint)
        }
    };
    () => {
        /// Listens; returns the endpoint with the port that the system chose. Needs a tokio runtime, as all of these do.
        ///
        /// # Errors
        /// [`BindError`]: the text is no endpoint, or the transport refused.
        pub async fn bind(&self, endpoint: &str) -> Result<Endpoint, BindError> {
            self.core.bind(endpoint).await
        }

        /// Listens at a socket that is open already, such as one inherited from systemd (libzmq: `ZMQ_USE_FD`).
        ///
        /// # Errors
        /// [`BindError::Io`]: it is not what it is said to be, or its scheme has a [transport](Options::transport) of the
        /// program's own that has no use for it.
        pub fn bind_open(&self, listener: impl Into<OpenListener>) -> Result<Endpoint, BindError> {
            self.core.bind_open(listener.into())
        }

        /// Talks to a peer over a stream that the program has opened, of any kind: TLS, a pipe, a serial line. `peer` says in
        /// events who is at the other end. The handshake begins at once; it is no peer before that is over, and no more
        /// when the stream ends. Does not count towards [`Options::max_connections`].
        pub fn attach(&self, stream: impl Stream, peer: impl Into<String>) {
            self.core.attach(Link::new(stream, peer));
        }

        /// Ends listening at, or connecting to, an endpoint, with its connections. False when there is none such.
        pub fn forget(&self, endpoint: &Endpoint) -> bool {
            self.core.forget(endpoint)
        }

        /// What happens to this socket's connections from now on.
        pub fn monitor(&self) -> Monitor {
            self.core.monitor()
        }

        /// Counters and queues.
        pub fn stats(&self) -> Stats {
            self.core.stats()
        }
    };
}

pub(crate) use lifecycle;
