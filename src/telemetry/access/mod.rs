//! The access log: one line per request, formatted where the request ends, written by a thread of its own.
//!
//! Belongs here: the line, its formats, buffering, the file. Does not: knowing what happened (`proxy` fills the [`Line`]).
//!
//! A worker appends to one of a few buffers (practically its own, so the lock is free) and never waits for the disk or the pipe.
//! The writer takes full buffers about ten times a second. Lines of two workers may therefore stand in another
//! order than they ended in; `time` says when each began. If the target stops taking bytes, lines are dropped
//! and counted rather than holding up answers.

mod line;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;

use super::log::Format;
use super::shard;
pub use line::{End, Line};
use writer::Writer;

/// A buffer this large is written at once instead of at the next tick.
const URGENT: usize = 64 * 1024;
/// A buffer this large takes no more lines.
const FULL: usize = 1024 * 1024;
/// How long dropping the last handle waits for the target to take what is buffered.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Where lines go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, appended to; [`AccessLog::reopen`] after it was renamed.
    File(PathBuf),
}

/// Why the access log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The file can't be opened for appending.
    #[error(
        "the access log {path} can't be opened for writing: {source}; check the directory and its permissions"
    )]
    Open {
        /// Which file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// No thread for the writer.
    #[error("no thread could be started for the access log: {0}")]
    Thread(std::io::Error),
}

/// Takes lines from any thread. Clones share the target; the last one to go flushes it.
#[derive(Clone)]
pub struct AccessLog(Option<Arc<Open>>);

struct Open {
    format: Format,
    shared: Arc<Shared>,
}

/// What workers and the writer share.
struct Shared {
    shards: [Shard; shard::COUNT],
    writer: Writer,
    lost: Counter,
}

/// On a cache line of its own, so that neighbours do not slow each other down.
#[derive(Default)]
#[repr(align(128))]
struct Shard(Mutex<Vec<u8>>);

impl AccessLog {
    /// Opens the target. `lost` counts lines that could not be written.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn open(target: &Target, format: Format, lost: Counter) -> Result<Self, AccessError> {
        let Some(sink) = writer::Sink::open(target)? else { return Ok(Self(None)) };
        let shared = Arc::new(Shared { shards: Default::default(), writer: Writer::default(), lost });
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || writer::run(&theirs, sink))
            .map_err(AccessError::Thread)?;
        Ok(Self(Some(Arc::new(Open { format, shared }))))
    }

    /// A log that drops every line.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// Writes one line, in well under a microsecond; it reaches the target within about 100 ms.
    pub fn write(&self, line: &Line<'_>) {
        let Some(open) = &self.0 else { return };
        let shared = &open.shared;
        let (before, after) = {
            let mut buffer = shared.shards[shard::mine()].0.lock();
            let before = buffer.len();
            if before >= FULL {
                shared.lost.inc();
                return;
            }
            line.format(&mut buffer, open.format);
            (before, buffer.len())
        };
        if before == 0 {
            shared.writer.wake(false);
        } else if before < URGENT && after >= URGENT {
            shared.writer.wake(true);
        }
    }

    /// Opens the file again under its name, for log rotation.
    pub fn reopen(&self) {
        if let Some(open) = &self.0 {
            open.shared.writer.ask_reopen();
        }
    }

    /// Waits until everything written before this call has reached the target, at most `patience` long; false when it has not.
    /// Blocks: not for workers.
    pub fn flush(&self, patience: Duration) -> bool {
        self.0.as_ref().is_none_or(|open| open.shared.writer.flush(patience))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.writer.stop(CLOSE_WAIT);
    }
}

#[cfg(test)]
mod tests;
