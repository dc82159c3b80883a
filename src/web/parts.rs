//! Forms with files, part by part as they come.
//!
//! The parser takes in all that is ready before it looks, and has no limit on what stands before a part's content. So it is given one piece at a
//! time, and only so many bytes until it has found something.
//!
//! Belongs here: limits on parts. Does not: what they mean (`upload`).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::RequestExt;
use axum::body::{Body, Bytes};
use axum::extract::multipart::{Field, Multipart};
use axum::extract::{DefaultBodyLimit, Request};
use futures_util::{Stream, StreamExt};

use super::sorry::Sorry;

/// What the parser may hold without having found a part in it.
const AHEAD: usize = 256 * 1024;
/// A part that is a word.
const SMALL: usize = 16 * 1024;
/// Parts of a form.
const MOST: usize = 16;

/// See the module's description.
pub(super) struct Parts {
    form: Multipart,
    room: Arc<AtomicUsize>,
    left: usize,
}

impl Parts {
    pub(super) async fn of(request: Request) -> Result<Self, Sorry> {
        let room = Arc::new(AtomicUsize::new(AHEAD));
        let measure = Arc::clone(&room);
        let mut request = request.map(|body| {
            let pieces = Box::pin(body.into_data_stream());
            Body::from_stream(Measured { pieces, room: measure, resting: false })
        });
        // Files are as long as the gate takes packages.
        DefaultBodyLimit::disable().apply(&mut request);
        let form = request.extract::<Multipart, _>().await;
        let form = form.map_err(|_| Sorry::invalid("this takes a form with a file in it"))?;
        Ok(Self { form, room, left: MOST })
    }

    /// The next part, whose content has not been read.
    pub(super) async fn next(&mut self) -> Result<Option<Field<'_>>, Sorry> {
        self.room.store(AHEAD, Ordering::Relaxed);
        self.left = self.left.checked_sub(1).ok_or_else(|| Sorry::invalid("the form has too many parts"))?;
        self.form.next_field().await.map_err(|_| broken())
    }

    pub(super) fn room(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.room)
    }
}

/// The content of a part that is a word.
pub(super) async fn text(field: Field<'_>) -> Result<String, Sorry> {
    let mut content = Vec::new();
    let mut field = std::pin::pin!(field);
    while let Some(piece) = field.next().await {
        content.extend_from_slice(&piece.map_err(|_| broken())?);
        if content.len() > SMALL {
            return Err(Sorry::invalid("a part of the form is too long"));
        }
    }
    String::from_utf8(content).map_err(|_| Sorry::invalid("a part of the form is no text in UTF-8"))
}

/// The content of a file as it comes.
pub(super) fn pieces(
    field: Field<'_>,
    room: Arc<AtomicUsize>,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    field.map(move |piece| {
        room.store(AHEAD, Ordering::Relaxed);
        piece.map_err(io::Error::other)
    })
}

fn broken() -> Sorry {
    Sorry::invalid("the form broke off; nothing was published")
}

/// A body that comes one piece at a time.
struct Measured {
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes, axum::Error>> + Send>>,
    room: Arc<AtomicUsize>,
    resting: bool,
}

impl Stream for Measured {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.resting) {
            // Whoever asks for all there is gets its turn to look at what it has.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self
            .pieces
            .as_mut()
            .poll_next(cx)
            .map(|piece| piece.map(|piece| piece.map_err(io::Error::other)));
        if let Poll::Ready(Some(Ok(piece))) = &polled {
            self.resting = true;
            let room = self.room.load(Ordering::Relaxed);
            if piece.len() > room {
                return Poll::Ready(Some(Err(io::Error::other("the head of a part has no end"))));
            }
            self.room.store(room - piece.len(), Ordering::Relaxed);
        }
        polled
    }
}
