//! Reading a file while it arrives.
//!
//! Belongs here: one reader's position and its waiting. Does not: what it may have (`state`).

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::state::{Shared, Step};
use crate::cache::body::{self, BodyMode, BodyReader};
use crate::cache::error::FillError;

/// One reader of a fill. Slow ones never slow the fill or each other; dropping one changes nothing for the others.
pub struct Follower {
    shared: Arc<Shared>,
    version: watch::Receiver<u64>,
    start: u64,
    end: Option<u64>,
    at: u64,
    mode: BodyMode,
    /// Set when the file is stored: the rest comes from there.
    rest: Option<BodyReader>,
    over: bool,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, start: u64, end: Option<u64>) -> Self {
        let version = shared.watch();
        let over = end.is_some_and(|end| end <= start);
        Self { shared, version, start, end, at: start, mode: BodyMode::default(), rest: None, over }
    }

    /// How chunks may be made once the file is stored; see [`BodyMode`].
    #[must_use]
    pub const fn mode(mut self, mode: BodyMode) -> Self {
        self.mode = mode;
        self
    }

    /// The next bytes, never empty; `None` at the end of a right answer. After an error nothing more comes, and
    /// the answer must be cut, not ended.
    pub async fn next(&mut self) -> Option<Result<Bytes, FillError>> {
        if self.over {
            return None;
        }
        let next = self.advance().await;
        match &next {
            Some(Ok(bytes)) => self.at += bytes.len() as u64,
            Some(Err(_)) | None => self.over = true,
        }
        next
    }

    async fn advance(&mut self) -> Option<Result<Bytes, FillError>> {
        loop {
            if let Some(rest) = &mut self.rest {
                let chunk = rest.next().await?;
                return Some(chunk.map_err(|error| FillError::Disk(error.to_string().into())));
            }
            self.version.borrow_and_update();
            match self.shared.step(self.start, self.end, self.at) {
                Step::Chunk(bytes) => return Some(Ok(bytes)),
                Step::ReadBack { file, len } => {
                    let read = body::read_chunk(&file, self.at, len, &self.shared.runtime).await;
                    return Some(read.map_err(|error| FillError::Disk(error.to_string().into())));
                }
                Step::Stored(blob) => {
                    self.rest = Some(blob.reader(self.at..self.end.unwrap_or(u64::MAX), self.mode));
                }
                Step::End => return None,
                Step::Failed(error) => return Some(Err(error)),
                Step::Wait => {
                    if self.version.changed().await.is_err() {
                        return Some(Err(FillError::Stopped));
                    }
                }
            }
        }
    }
}
