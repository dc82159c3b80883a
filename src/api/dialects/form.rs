//! Forms with files (`multipart/form-data`), part by part as they come.
//!
//! What the parser may take in is limited by [`crate::http::measured`].
//!
//! Belongs here: the order of parts, limits. Does not: what the parts mean.

use std::io;

use axum::RequestExt;
use axum::body::{Body, Bytes};
use axum::extract::multipart::{Field, Multipart};
use axum::extract::{DefaultBodyLimit, Request};
use futures_util::{Stream, StreamExt};

use super::talk::{self, No};
use crate::http::measured::{Measured, Room};

/// Parts of a form.
const MOST: usize = 64;
/// A part that is a word or a number.
pub(super) const SMALL: usize = 64 * 1024;

/// See the module's description.
pub(super) struct Form {
    parts: Multipart,
    room: Room,
    left: usize,
}

/// One part.
pub(super) struct Part<'a> {
    field: Field<'a>,
    room: Room,
}

impl Form {
    /// The form of a request.
    pub(super) async fn of(request: Request) -> Result<Self, No> {
        let room = Room::default();
        let mut request = request.map(|body| Body::from_stream(Measured::new(talk::pieces(body), &room)));
        // The files in it are as long as they may be; who takes them has the limit.
        DefaultBodyLimit::disable().apply(&mut request);
        let parts = request.extract::<Multipart, _>().await.map_err(|_| {
            No::invalid(
                "this takes a form with a file in it: `Content-Type: multipart/form-data; boundary=…`",
            )
        })?;
        Ok(Self { parts, room, left: MOST })
    }

    /// The next part, whose content has not been read.
    pub(super) async fn next(&mut self) -> Result<Option<Part<'_>>, No> {
        self.room.refill();
        self.left = self.left.checked_sub(1).ok_or_else(|| No::invalid("the form has too many parts"))?;
        let field = self.parts.next_field().await.map_err(|_| broken())?;
        Ok(field.map(|field| Part { field, room: self.room.clone() }))
    }
}

impl Part<'_> {
    pub(super) fn name(&self) -> &str {
        self.field.name().unwrap_or_default()
    }

    pub(super) fn file_name(&self) -> Option<&str> {
        self.field.file_name()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        talk::header_text(self.field.headers(), name)
    }

    /// How long it says it is.
    pub(super) fn announced(&self) -> Option<u64> {
        talk::announced(self.field.headers())
    }

    /// Its content, up to `longest` bytes.
    pub(super) async fn bytes(self, longest: usize) -> Result<Bytes, No> {
        let name = self.name().chars().filter(|c| !c.is_control()).take(40).collect::<String>();
        let mut content = Vec::new();
        let mut pieces = std::pin::pin!(self.pieces());
        while let Some(piece) = pieces.next().await {
            content.extend_from_slice(&piece.map_err(|_| broken())?);
            if content.len() > longest {
                return Err(No::invalid(format!(
                    "the part `{name}` of the form is longer than {longest} bytes"
                )));
            }
        }
        Ok(content.into())
    }

    /// Its content as a word.
    pub(super) async fn text(self) -> Result<String, No> {
        String::from_utf8(self.bytes(SMALL).await?.into())
            .map_err(|_| No::invalid("a part of the form is no text in UTF-8"))
    }

    /// Its content as it comes.
    pub(super) fn pieces(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        let Self { field, room } = self;
        field.map(move |piece| {
            room.refill();
            piece.map_err(io::Error::other)
        })
    }
}

fn broken() -> No {
    No::invalid(
        "the form broke off, or is none: its parts can't be told from each other; nothing was published",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::measured::AHEAD;

    fn form(pieces: Vec<Bytes>) -> Request {
        let body = Body::from_stream(futures_util::stream::iter(pieces.into_iter().map(io::Result::Ok)));
        let kind = "multipart/form-data; boundary=xx";
        Request::builder().header("content-type", kind).body(body).unwrap()
    }

    #[tokio::test]
    async fn long_parts_pass_in_pieces_and_endless_heads_do_not() {
        let piece = Bytes::from(vec![b'x'; 60_000]);
        let mut pieces = vec![Bytes::from_static(
            b"--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nword\r\n--xx\r\n\
              Content-Disposition: form-data; name=\"file\"; filename=\"f\"\r\nContent-Length: 6000000\r\n\r\n",
        )];
        pieces.extend(std::iter::repeat_n(piece.clone(), 100));
        pieces.push(Bytes::from_static(b"\r\n--xx--\r\n"));
        let mut read = Form::of(form(pieces)).await.unwrap();
        let word = read.next().await.unwrap().unwrap();
        assert_eq!((word.name().to_owned(), word.text().await.unwrap()), ("a".to_owned(), "word".to_owned()));
        let file = read.next().await.unwrap().unwrap();
        assert_eq!((file.file_name(), file.announced()), (Some("f"), Some(6_000_000)));
        let mut length = 0;
        {
            let mut content = std::pin::pin!(file.pieces());
            while let Some(piece) = content.next().await {
                let piece = piece.unwrap();
                assert!(piece.len() <= AHEAD, "{} bytes were held", piece.len());
                length += piece.len();
            }
        }
        assert_eq!(length, 6_000_000);
        assert!(read.next().await.unwrap().is_none());

        let endless =
            std::iter::once(Bytes::from_static(b"--xx\r\nX: ")).chain(std::iter::repeat_n(piece, 1000));
        let mut read = Form::of(form(endless.collect())).await.unwrap();
        assert!(read.next().await.is_err());
    }

    #[tokio::test]
    async fn a_form_that_breaks_off_is_noticed() {
        let cut = Bytes::from_static(
            b"--xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nhalf of i",
        );
        let mut read = Form::of(form(vec![cut])).await.unwrap();
        let file = read.next().await.unwrap().unwrap();
        assert!(file.bytes(100).await.is_err());
    }
}
