//! A request's body on its way from the client to whoever answers the request: piece by piece, never whole.
//!
//! The one side reads from the client only when the other asks for more, so a slow reader slows the client down and memory does not grow
//! with the body. The end of a body is told, not guessed: a stream whose other side is dropped ends with an error, so half an upload
//! is never taken for a whole one.
//!
//! Belongs here: the channel, reading on one end, `100 Continue`, what becomes of a body that nobody wants. Does not: what becomes of a body (`api`), answers (`super::api`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::header;
use pingora::ErrorType;
use tokio::sync::{mpsc, oneshot};

use super::Session;

/// A body as it arrives. Ends with an error when the client left, stalled or broke the framing.
pub type Inflow = BoxStream<'static, io::Result<Bytes>>;

/// Pieces on the way; one is up to 64 KiB.
const AHEAD: usize = 2;

/// What passes from one side to the other.
enum Piece {
    Bytes(Bytes),
    End,
    Broken(io::Error),
}

/// The client's side.
pub(super) struct Feed {
    pieces: mpsc::Sender<Piece>,
    wanted: oneshot::Receiver<()>,
}

/// The other side.
struct Arriving {
    pieces: mpsc::Receiver<Piece>,
    wanted: Option<oneshot::Sender<()>>,
    ended: bool,
}

/// How feeding ended.
#[derive(Debug)]
pub(super) enum Fed {
    /// All of the body was handed on.
    Whole,
    /// Nobody wants it, or the rest of it.
    Unwanted,
    /// Nothing came for too long.
    Stalled,
    /// It ended or went wrong before its framing said so.
    Broken,
    /// The connection failed.
    Left(Box<pingora::Error>),
}

/// Both sides.
pub(super) fn channel() -> (Feed, Inflow) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let (want, wanted) = oneshot::channel();
    let arriving = Arriving { pieces: receiver, wanted: Some(want), ended: false };
    (Feed { pieces: sender, wanted }, arriving.boxed())
}

impl Stream for Arriving {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(want) = self.wanted.take() {
            // Where nobody hears it, the pieces end too.
            let _unheard = want.send(());
        }
        let piece = ready!(self.pieces.poll_recv(cx));
        self.ended = !matches!(piece, Some(Piece::Bytes(_)));
        Poll::Ready(match piece {
            Some(Piece::Bytes(bytes)) => Some(Ok(bytes)),
            Some(Piece::End) => None,
            Some(Piece::Broken(error)) => Some(Err(error)),
            None => Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the request was given up"))),
        })
    }
}

impl Feed {
    /// Reads the body and hands it on, once and as long as somebody asks for it. May be dropped at any moment.
    pub(super) async fn run(self, session: &mut Session<'_>, stall: Duration) -> Fed {
        let Self { pieces, wanted } = self;
        if wanted.await.is_err() {
            return Fed::Unwanted;
        }
        if is_expecting(session)
            && session.response_written().is_none()
            && !session.is_body_done()
            && let Err(error) = session.write_continue_response().await
        {
            return Fed::Left(error);
        }
        session.set_read_timeout(Some(stall));
        loop {
            let Ok(room) = pieces.reserve().await else { return Fed::Unwanted };
            match session.read_request_body().await {
                Ok(Some(bytes)) => room.send(Piece::Bytes(bytes)),
                Ok(None) => {
                    room.send(Piece::End);
                    return Fed::Whole;
                }
                Err(error) => {
                    let (kind, fed) = match error.etype() {
                        ErrorType::ReadTimedout => (io::ErrorKind::TimedOut, Fed::Stalled),
                        ErrorType::ReadError => (io::ErrorKind::ConnectionReset, Fed::Left(error)),
                        _ => (io::ErrorKind::UnexpectedEof, Fed::Broken),
                    };
                    room.send(Piece::Broken(io::Error::new(kind, "the request's body broke off")));
                    return fed;
                }
            }
        }
    }
}

/// A body of which so much or less is announced is read away before an early answer, and the connection goes on.
const SMALL: usize = 64 * 1024;
const SMALL_TIME: Duration = Duration::from_secs(2);
/// How much and how long is read away behind an early answer.
const LARGE: usize = 64 << 20;
const LARGE_TIME: Duration = Duration::from_secs(10);

/// Whether the client waits for a word before it sends its body.
pub(super) fn is_expecting(session: &Session<'_>) -> bool {
    let head = session.request();
    let expects = |value: &[u8]| value.eq_ignore_ascii_case(b"100-continue");
    !head.http10 && !session.has_continued() && head.get(&header::EXPECT).is_some_and(expects)
}

/// To be called before an answer that comes before all of the body was read: reads away what is small, and otherwise has the connection
/// end with the answer.
pub(super) async fn settle(session: &mut Session<'_>) {
    // Who waits for a word sends nothing after this one.
    let small = !is_expecting(session) && announced(session).is_some_and(|length| length <= SMALL);
    let is_all_read = session.is_body_done() || (small && read_away(session, SMALL, SMALL_TIME).await);
    if !is_all_read {
        session.close_after();
    }
}

/// To be called behind every answer: reads away what the client still sends, up to a limit. Some clients, and web servers in front, look
/// for an answer only when they have sent everything; closing with bytes unread would take the answer away from them (RFC 9112,
/// section 9.6).
pub(super) async fn linger(session: &mut Session<'_>) {
    if session.is_body_done() {
        return;
    }
    // Who was told not to send it leaves, unless it had lost patience already.
    if is_expecting(session) {
        let first = tokio::time::timeout(SMALL_TIME, session.read_request_body()).await;
        if !matches!(first, Ok(Ok(Some(_)))) {
            return;
        }
    }
    read_away(session, LARGE, LARGE_TIME).await;
}

fn announced(session: &Session<'_>) -> Option<usize> {
    session.request().text(&header::CONTENT_LENGTH)?.parse().ok()
}

/// Reads away what the client still sends, up to so many bytes and so long; whether that was all.
async fn read_away(session: &mut Session<'_>, bytes: usize, time: Duration) -> bool {
    let reading = async {
        let mut left = bytes;
        while let Ok(Some(piece)) = session.read_request_body().await {
            match left.checked_sub(piece.len()) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    let _in_time = tokio::time::timeout(time, reading).await;
    session.is_body_done()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_ends_well_only_when_told_so() {
        let (feed, mut body) = channel();
        feed.pieces.send(Piece::Bytes(Bytes::from_static(b"a"))).await.unwrap();
        feed.pieces.send(Piece::End).await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), "a");
        assert!(body.next().await.is_none() && body.next().await.is_none());

        let (feed, mut body) = channel();
        feed.pieces.send(Piece::Bytes(Bytes::from_static(b"a"))).await.unwrap();
        drop(feed);
        assert_eq!(body.next().await.unwrap().unwrap(), "a");
        assert_eq!(body.next().await.unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(body.next().await.is_none());
    }

    #[tokio::test]
    async fn nothing_is_read_before_it_is_asked_for() {
        let (mut feed, mut body) = channel();
        assert!(feed.wanted.try_recv().is_err());
        assert!(futures_util::poll!(body.next()).is_pending());
        assert_eq!(feed.wanted.try_recv(), Ok(()));
        let (feed, body) = channel();
        drop(body);
        assert!(feed.wanted.await.is_err());
    }
}
