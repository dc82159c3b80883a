//! The body of an answer: watched for silence, checked for its length, decoded where needed.
//!
//! Belongs here: [`BodyStream`]. Does not: anything before the headers (`attempt`), digests (the cache's).
//!
//! It holds the upstream's place (`max_concurrent`) until it ends, fails or is dropped. Time in which nobody reads it
//! doesn't count as silence: a slow reader is not the mirror's fault.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use super::answer::Shape;
use super::classify::{Stage, classify};
use super::decode::Decoder;
use super::error::{FetchError, TimeoutPhase};
use super::mirror::Mirror;
use super::stats::Stats;

/// A body as a stream of pieces; after an error or the end there is nothing more. A body that ends without an error is
/// complete as far as HTTP can tell.
pub struct BodyStream(Option<Box<Body>>);

/// What a body needs besides its bytes.
pub(super) struct BodyParts {
    pub(super) stream: BoxStream<'static, reqwest::Result<Bytes>>,
    pub(super) shape: Shape,
    pub(super) limit: u64,
    pub(super) stall: Duration,
    pub(super) mirror: Arc<Mirror>,
    pub(super) stats: Arc<Stats>,
    pub(super) _place: OwnedSemaphorePermit,
}

struct Body {
    parts: BodyParts,
    decoder: Option<Decoder>,
    watch: Pin<Box<Sleep>>,
    waiting: bool,
    ended: bool,
    received: u64,
    given: u64,
}

impl BodyStream {
    /// A body without bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self(None)
    }

    pub(super) fn new(parts: BodyParts) -> Result<Self, FetchError> {
        let decoder =
            parts.shape.coding.map(Decoder::new).transpose().map_err(|e| FetchError::BadAnswer {
                mirror: parts.mirror.shown.clone(),
                why: format!("its coding can't be undone: {e}"),
            })?;
        let watch = Box::pin(tokio::time::sleep(parts.stall));
        let body = Body { parts, decoder, watch, waiting: false, ended: false, received: 0, given: 0 };
        Ok(Self(Some(Box::new(body))))
    }

    /// The whole body, for small documents.
    ///
    /// # Errors
    /// The body's own, or [`FetchError::TooLarge`] beyond `limit` bytes.
    pub async fn read_all(mut self, limit: u64) -> Result<Bytes, FetchError> {
        let mirror = self.0.as_ref().map_or_else(String::new, |b| b.parts.mirror.shown.clone());
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next().await {
            whole.extend_from_slice(&piece?);
            if whole.len() as u64 > limit {
                return Err(FetchError::TooLarge { mirror, limit });
            }
        }
        Ok(whole.freeze())
    }
}

impl Stream for BodyStream {
    type Item = Result<Bytes, FetchError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = self.0.as_mut() else { return Poll::Ready(None) };
        let result = ready!(body.poll_piece(cx));
        match &result {
            Ok(Some(_)) => {}
            Ok(None) => {
                body.parts.mirror.health.completed();
                self.0 = None;
            }
            Err(error) => {
                body.parts.stats.failed(error.kind());
                body.parts.mirror.health.body_failed(error.kind().label());
                self.0 = None;
            }
        }
        Poll::Ready(result.transpose())
    }
}

impl Body {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, FetchError>> {
        loop {
            let piece = match self.decoder.as_mut() {
                None => ready!(self.poll_sent(cx))?,
                Some(decoder) => match decoder.step().map_err(|e| self.not_decoded(&e))? {
                    Some(piece) => Some(piece),
                    None => match ready!(self.poll_sent(cx))? {
                        Some(sent) => {
                            if let Some(decoder) = self.decoder.as_mut() {
                                decoder.feed(sent);
                            }
                            continue;
                        }
                        None => self.finish()?,
                    },
                },
            };
            let Some(piece) = piece else { return Poll::Ready(Ok(None)) };
            if piece.is_empty() {
                continue;
            }
            self.given += piece.len() as u64;
            if self.given > self.parts.limit {
                let (mirror, limit) = (self.parts.mirror.shown.clone(), self.parts.limit);
                return Poll::Ready(Err(FetchError::TooLarge { mirror, limit }));
            }
            return Poll::Ready(Ok(Some(piece)));
        }
    }

    /// The last decoded bytes, once; the decoder is gone afterwards.
    fn finish(&mut self) -> Result<Option<Bytes>, FetchError> {
        let Some(mut decoder) = self.decoder.take() else { return Ok(None) };
        decoder.finish().map_err(|e| self.not_decoded(&e))
    }

    fn not_decoded(&self, error: &std::io::Error) -> FetchError {
        let why = format!("its coded body is broken or cut ({})", error.kind());
        FetchError::Reset { mirror: self.parts.mirror.shown.clone(), why }
    }

    /// The next piece as sent; the end only if the announced length has come.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, FetchError>> {
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        let Poll::Ready(next) = self.parts.stream.poll_next_unpin(cx) else { return self.poll_watch(cx) };
        self.waiting = false;
        let mirror = || self.parts.mirror.shown.clone();
        match next {
            Some(Ok(sent)) => {
                self.received += sent.len() as u64;
                self.parts.stats.body_bytes.fetch_add(sent.len() as u64, Relaxed);
                if self.parts.shape.length.is_some_and(|length| self.received > length) {
                    let why = "a body longer than announced".to_owned();
                    return Poll::Ready(Err(FetchError::BadAnswer { mirror: mirror(), why }));
                }
                Poll::Ready(Ok(Some(sent)))
            }
            Some(Err(error)) => {
                Poll::Ready(Err(classify(&error, &self.parts.mirror.shown, Stage::Body, Duration::ZERO)))
            }
            None => {
                self.ended = true;
                match self.parts.shape.length.map(|length| length - self.received) {
                    None | Some(0) => Poll::Ready(Ok(None)),
                    Some(missing) => {
                        let why = format!("the body ended {missing} bytes early");
                        Poll::Ready(Err(FetchError::Reset { mirror: mirror(), why }))
                    }
                }
            }
        }
    }

    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, FetchError>> {
        if !self.waiting {
            self.waiting = true;
            self.watch.as_mut().reset(Instant::now() + self.parts.stall);
        }
        ready!(self.watch.as_mut().poll(cx));
        let mirror = self.parts.mirror.shown.clone();
        Poll::Ready(Err(FetchError::Timeout { mirror, phase: TimeoutPhase::Stall, after: self.parts.stall }))
    }
}
