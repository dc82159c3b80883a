//! One upstream answer's bytes into the partial file and to the followers.
//!
//! Belongs here: checking an answer's head, skipping what is there already, batching, room on disk. Does not:
//! deciding what a fault leads to (`task`).

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::time::Instant;

use super::partial::{Note, Partial, WORTH_RESUMING};
use super::task::{Stop, Task, Version};
use super::{FillHead, FillKind};
use crate::cache::error::{FillError, SourceError, SourceErrorKind, is_full};
use crate::cache::evict;
use crate::cache::source::{BodyStream, OpenedBody};

/// Largest batch: one write, one hash, one wake-up of the followers.
const BATCH: usize = 128 * 1024;
/// How long bytes may wait for a batch to grow. A crowd of followers is woken at most this often.
const LINGER: Duration = Duration::from_millis(4);
/// How often an answer of unknown length looks for room on disk.
const ROOM_STEP: u64 = 64 * 1024 * 1024;

/// Bytes announced by a fill and not written yet, so that fills side by side don't count the same room twice.
struct Reservation<'a> {
    task: &'a Task,
    left: u64,
}

impl Reservation<'_> {
    fn use_up(&mut self, bytes: u64) {
        let used = bytes.min(self.left);
        self.left -= used;
        self.task.engine.announced.fetch_sub(used, Ordering::Relaxed);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.task.engine.announced.fetch_sub(self.left, Ordering::Relaxed);
    }
}

fn again(message: &str) -> Stop {
    let kind = SourceErrorKind::Unavailable;
    Stop::Again(SourceError { kind, message: message.into(), retryable: true })
}

impl Task {
    /// Takes an answer: after this the file is complete, or says why not.
    pub(super) async fn take(&self, partial: &Arc<Partial>, body: OpenedBody) -> Result<(), Stop> {
        let have = partial.len();
        let before = self.version.lock().clone();
        let expected = self.shared.expected();
        if have > 0 {
            let other = before.validators.contradicts(&body.validators);
            let other_length = matches!((before.total, body.total), (Some(a), Some(b)) if a != b);
            // With a digest the bytes decide in the end (two mirrors may tag the same file differently).
            if other_length || (other && !expected.has_digest()) {
                return Err(Stop::Changed);
            }
        }
        if body.offset != have && body.offset != 0 {
            return Err(again("upstream answered with another range than the one asked for"));
        }
        let OpenedBody { offset, total, validators, content_type, from, lifetime, stream } = body;
        self.shared.course.answered(from);
        // Bytes of the first answer keep its validators.
        let validators = if have > 0 { before.validators } else { validators };
        let content_type = if have > 0 { before.content_type.or(content_type) } else { content_type };
        self.announce(partial, Version { validators, total: total.or(before.total), content_type, lifetime })
            .await?;
        self.pump(partial, offset, stream).await
    }

    /// Publishes the head, looks for room, writes the sidecar.
    pub(super) async fn announce(&self, partial: &Arc<Partial>, version: Version) -> Result<(), Stop> {
        let expected = self.shared.expected();
        if let (Some(expected), Some(got)) = (expected.size, version.total)
            && expected != got
        {
            return Err(Stop::Fail(FillError::WrongLength { expected, got }));
        }
        *self.version.lock() = version.clone();
        let total = version.total.or(expected.size);
        self.find_room(total.map_or(0, |total| total.saturating_sub(partial.len()))).await?;
        let note = Note {
            key: self.name.clone(),
            sha256: expected.sha256.map(|digest| digest.to_hex()),
            validators: version.validators.clone(),
        };
        let head = FillHead { total, validators: version.validators, content_type: version.content_type };
        if !self.shared.set_head(head) {
            return Err(Stop::Fail(FillError::Changed));
        }
        let resumable =
            matches!(self.kind, FillKind::Package) && total.is_none_or(|total| total >= WORTH_RESUMING);
        if partial.len() == 0 && resumable {
            let file = Arc::clone(partial);
            if let Err(error) = self.blocking(move || file.note(&note)).await.map_err(Stop::Fail)? {
                return Err(Stop::Fail(FillError::disk("write", partial.path(), &error)));
            }
        }
        Ok(())
    }

    /// Evicts until `bytes` more fit, or fails.
    async fn find_room(&self, bytes: u64) -> Result<(), Stop> {
        let engine = Arc::clone(&self.engine);
        let needed = bytes.saturating_add(engine.announced.load(Ordering::Relaxed));
        let found = self.blocking(move || evict::make_room(&engine.blobs, &engine.settings, needed)).await;
        found.map_err(Stop::Fail)?.map_err(Stop::Fail)
    }

    async fn pump(&self, partial: &Arc<Partial>, offset: u64, mut stream: BodyStream) -> Result<(), Stop> {
        let limit = self.limit();
        let left = limit.map_or(0, |limit| limit.saturating_sub(partial.len()));
        self.engine.announced.fetch_add(left, Ordering::Relaxed);
        let mut room = Reservation { task: self, left };
        let mut at = offset;
        let mut batch = Batch::new();
        loop {
            let next = self.next(&mut stream, &batch).await;
            let chunk = match next {
                Next::Chunk(chunk) => chunk,
                Next::Linger => {
                    self.flush(partial, &mut batch, &mut room).await?;
                    continue;
                }
                Next::Fault(error) => {
                    // What came before the fault is good: keep it, resume behind it.
                    self.flush(partial, &mut batch, &mut room).await?;
                    return Err(error);
                }
                Next::End => break,
            };
            let chunk = self.skip(partial, at, &mut batch, chunk, &mut room).await?;
            at = chunk.0;
            self.check_length(at)?;
            for piece in pieces(&chunk.1) {
                if batch.bytes.len() + piece.len() > BATCH {
                    self.flush(partial, &mut batch, &mut room).await?;
                }
                batch.add(piece, partial.len() == 0);
            }
        }
        self.flush(partial, &mut batch, &mut room).await?;
        match self.limit() {
            Some(total) if partial.len() < total => {
                Err(again("upstream closed the connection before the end of the file"))
            }
            _ => Ok(()),
        }
    }

    /// The length the file must have, once anything says it: upstream, else the index.
    fn limit(&self) -> Option<u64> {
        self.version.lock().total.or(self.shared.expected().size)
    }

    fn check_length(&self, got: u64) -> Result<(), Stop> {
        let announced = self.version.lock().total;
        let expected = self.shared.expected().size;
        match announced.into_iter().chain(expected).min() {
            Some(limit) if got > limit => Err(Stop::Fail(FillError::WrongLength { expected: limit, got })),
            _ if announced.is_some() && expected.is_some() && announced != expected => {
                // Learned meanwhile that this is not the file the index lists.
                let (expected, got) = (expected.unwrap_or_default(), announced.unwrap_or_default());
                Err(Stop::Fail(FillError::WrongLength { expected, got }))
            }
            _ => Ok(()),
        }
    }

    async fn next(&self, stream: &mut BodyStream, batch: &Batch) -> Next {
        let stall = Instant::now() + self.engine.settings.stall_timeout;
        match tokio::time::timeout_at(batch.due.unwrap_or(stall), stream.next()).await {
            Ok(Some(Ok(chunk))) => Next::Chunk(chunk),
            Ok(Some(Err(error))) => Next::Fault(Stop::Again(error)),
            Ok(None) => Next::End,
            Err(_) if batch.due.is_some() => Next::Linger,
            Err(_) => Next::Fault(again("upstream stopped sending in the middle of the file")),
        }
    }

    /// Compares the part of `chunk` that is on disk already; returns the new position and what is left to append.
    async fn skip(
        &self,
        partial: &Arc<Partial>,
        at: u64,
        batch: &mut Batch,
        mut chunk: Bytes,
        room: &mut Reservation<'_>,
    ) -> Result<(u64, Bytes), Stop> {
        let end = at + chunk.len() as u64;
        let have = partial.len();
        if at < have && batch.bytes.is_empty() {
            let known = usize::try_from(have - at).unwrap_or(usize::MAX).min(chunk.len());
            let there = chunk.split_to(known);
            let file = Arc::clone(partial);
            let same = self.blocking(move || file.holds(at, &there)).await.map_err(Stop::Fail)?;
            if !same.map_err(|error| Stop::Fail(FillError::disk("read", partial.path(), &error)))? {
                return Err(Stop::Changed);
            }
        }
        if room.left == 0 && self.limit().is_none() && end / ROOM_STEP > at / ROOM_STEP {
            self.find_room(ROOM_STEP).await?;
        }
        Ok((end, chunk))
    }

    async fn flush(
        &self,
        partial: &Arc<Partial>,
        batch: &mut Batch,
        room: &mut Reservation<'_>,
    ) -> Result<(), Stop> {
        batch.due = None;
        if let Some(refused) = self.shared.failure() {
            return Err(Stop::Fail(refused));
        }
        if batch.bytes.is_empty() {
            return Ok(());
        }
        let bytes = batch.bytes.split().freeze();
        let (engine, file, copy) = (Arc::clone(&self.engine), Arc::clone(partial), bytes.clone());
        let write = move || match file.append(&copy) {
            Err(error) if is_full(&error) && evict::relieve(&engine.blobs, copy.len() as u64) => {
                file.append(&copy)
            }
            other => other,
        };
        let written: io::Result<()> = self.blocking(write).await.map_err(Stop::Fail)?;
        written.map_err(|error| Stop::Fail(FillError::disk("write", partial.path(), &error)))?;
        room.use_up(bytes.len() as u64);
        self.engine.blobs.counters.bytes_in.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.shared.commit(bytes);
        Ok(())
    }
}

enum Next {
    Chunk(Bytes),
    Linger,
    Fault(Stop),
    End,
}

/// Bytes that wait to be written together.
struct Batch {
    bytes: BytesMut,
    due: Option<Instant>,
}

impl Batch {
    fn new() -> Self {
        Self { bytes: BytesMut::new(), due: None }
    }

    /// Copies `piece`: small network chunks share one buffer then, and a follower that still holds a piece keeps
    /// at most [`BATCH`] bytes alive, not some reader's whole buffer. The first bytes of a file don't wait.
    fn add(&mut self, piece: &[u8], first: bool) {
        if self.bytes.capacity() - self.bytes.len() < piece.len() {
            self.bytes.reserve(BATCH);
        }
        self.bytes.extend_from_slice(piece);
        let wait = if first { Duration::ZERO } else { LINGER };
        self.due.get_or_insert_with(|| Instant::now() + wait);
    }
}

fn pieces(chunk: &Bytes) -> impl Iterator<Item = &[u8]> {
    chunk.chunks(BATCH)
}
