//! A body for parsers of forms: they take in all that is ready before they look, and have no limit on what stands before a part's
//! content. So they are given one piece at a time, and only so many bytes until something was found.
//!
//! Belongs here: the pace, the limit. Does not: the parser, what parts mean.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;

/// What a parser may hold, in bytes, without having found a part in it.
pub const AHEAD: usize = 256 * 1024;

/// How much a parser may still take in. Clones share it.
#[derive(Clone, Debug)]
pub struct Room(Arc<AtomicUsize>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(AHEAD)))
    }
}

impl Room {
    /// Something was found: all of it is there again.
    pub fn refill(&self) {
        self.0.store(AHEAD, Ordering::Relaxed);
    }
}

/// See the module's description. Ends with an error when there is no room left.
pub struct Measured {
    pieces: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
    room: Room,
    resting: bool,
}

impl Measured {
    /// The body of `pieces`, taken out of `room`.
    #[must_use]
    pub fn new(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static, room: &Room) -> Self {
        Self { pieces: Box::pin(pieces), room: room.clone(), resting: false }
    }
}

impl Stream for Measured {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.resting) {
            // Whoever asks for all there is gets its turn to look at what it has.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.pieces.as_mut().poll_next(cx);
        if let Poll::Ready(Some(Ok(piece))) = &polled {
            self.resting = true;
            let room = self.room.0.load(Ordering::Relaxed);
            if piece.len() > room {
                return Poll::Ready(Some(Err(io::Error::other("the head of a part has no end"))));
            }
            self.room.0.store(room - piece.len(), Ordering::Relaxed);
        }
        polled
    }
}
