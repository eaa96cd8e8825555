//! Subscriptions that travel as messages: how peers before ZMTP 3.1 tell a PUB what they want (RFC 23, RFC 29).

use bytes::{Buf, Bytes};

use super::{chunks::IntoFrames, error::ProtocolError, run::Run};

/// Messages to a PUB that wait to be read as subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Upstream {
    run: Run,
    frames: Option<IntoFrames>,
}

impl Upstream {
    /// Messages came. All before were read.
    pub(crate) fn arrive(&mut self, run: Run) {
        self.run = run;
    }

    /// The next prefix, and whether it is wanted from now on: each frame that starts with 1 or 0 is a subscription or its
    /// end; anything else is dropped, as libzmq does.
    #[inline]
    pub(crate) fn next(&mut self, max_prefix: usize) -> Result<Option<(Bytes, bool)>, ProtocolError> {
        loop {
            for mut frame in self.frames.iter_mut().flatten() {
                let Some(kind @ (0 | 1)) = frame.first().copied() else { continue };
                frame.advance(1);
                if frame.len() > max_prefix {
                    return Err(ProtocolError::FrameTooLarge { size: frame.len() as u64, limit: max_prefix as u64 });
                }
                return Ok(Some((frame, kind == 1)));
            }
            self.frames = self.run.pop().map(|message| message.into_frames());
            if self.frames.is_none() {
                return Ok(None);
            }
        }
    }
}
