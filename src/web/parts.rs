//! Forms with files, part by part as they come.
//!
//! What the parser may take in is limited by [`crate::http::measured`].
//!
//! Belongs here: limits on parts. Does not: what they mean (`upload`).

use std::io;

use axum::RequestExt;
use axum::body::{Body, Bytes};
use axum::extract::multipart::{Field, Multipart};
use axum::extract::{DefaultBodyLimit, Request};
use futures_util::{Stream, StreamExt, TryStreamExt};

use super::sorry::Sorry;
use crate::http::measured::{Measured, Room};

/// A part that is a word.
const SMALL: usize = 16 * 1024;
/// Parts of a form.
const MOST: usize = 16;

/// See the module's description.
pub(super) struct Parts {
    form: Multipart,
    room: Room,
    left: usize,
}

impl Parts {
    pub(super) async fn of(request: Request) -> Result<Self, Sorry> {
        let room = Room::default();
        let mut request = request.map(|body| {
            Body::from_stream(Measured::new(body.into_data_stream().map_err(io::Error::other), &room))
        });
        // Files are as long as the gate takes packages.
        DefaultBodyLimit::disable().apply(&mut request);
        let form = request.extract::<Multipart, _>().await;
        let form = form.map_err(|_| Sorry::invalid("this takes a form with a file in it"))?;
        Ok(Self { form, room, left: MOST })
    }

    /// The next part, whose content has not been read.
    pub(super) async fn next(&mut self) -> Result<Option<Field<'_>>, Sorry> {
        self.room.refill();
        self.left = self.left.checked_sub(1).ok_or_else(|| Sorry::invalid("the form has too many parts"))?;
        self.form.next_field().await.map_err(|_| broken())
    }

    pub(super) fn room(&self) -> Room {
        self.room.clone()
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
pub(super) fn pieces(field: Field<'_>, room: Room) -> impl Stream<Item = io::Result<Bytes>> + Send {
    field.map(move |piece| {
        room.refill();
        piece.map_err(io::Error::other)
    })
}

fn broken() -> Sorry {
    Sorry::invalid("the form broke off; nothing was published")
}
