//! How fills went, for whoever watches over them.
//!
//! Belongs here: the values and the seam. Does not: judging them, or writing them down (`telemetry`, by way of `app`).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::error::FillError;
use crate::http::traceparent::TraceSpan;
use crate::id::RequestId;

/// A fill that is over.
#[derive(Clone, Copy, Debug)]
pub struct FillReport<'a> {
    /// What is fetched under one name: the path below the gate, without credentials.
    pub key: &'a str,
    /// The request that began it, where it was one.
    pub request: Option<RequestId>,
    /// Its span in a trace, if it is traced.
    pub span: Option<TraceSpan>,
    /// Who sent the bytes: the printable address of a mirror.
    pub from: Option<&'a str>,
    /// Bytes on disk at its end.
    pub bytes: u64,
    /// How long it waited for a place among the others.
    pub queued: Duration,
    /// From its begin to the head of upstream's answer.
    pub first_byte: Option<Duration>,
    /// From its begin to its end.
    pub took: Duration,
    /// How often upstream was asked again.
    pub asked_again: u32,
    /// Why there is no stored file; `None` where there is one.
    pub error: Option<&'a FillError>,
}

/// A fill that is running.
#[derive(Clone, Debug)]
pub struct RunningFill {
    /// What is fetched under one name: the path below the gate, without credentials.
    pub key: String,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes there will be, once that is known.
    pub total: Option<u64>,
    /// Since when it runs.
    pub age: Duration,
    /// Who sends the bytes: the printable address of a mirror.
    pub from: Option<Arc<str>>,
}

/// Hears of every fill that is over.
pub trait FillWatch: Send + Sync {
    /// Called on the runtime of the fills; must not wait.
    fn ended(&self, report: &FillReport<'_>);
}

/// Nobody, or somebody who hears of fills.
#[derive(Clone, Default)]
pub struct Watcher(pub Option<Arc<dyn FillWatch>>);

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Watcher" } else { "nobody" })
    }
}

/// When what happened to a fill.
#[derive(Debug)]
pub(super) struct Course {
    begun: Instant,
    asked_again: AtomicU32,
    noted: Mutex<Noted>,
}

#[derive(Clone, Default, Debug)]
struct Noted {
    request: Option<RequestId>,
    span: Option<TraceSpan>,
    from: Option<Arc<str>>,
    placed: Option<Instant>,
    answered: Option<Instant>,
}

impl Course {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), asked_again: AtomicU32::new(0), noted: Mutex::default() }
    }

    /// The request that it was begun for.
    pub(super) fn begun_by(&self, request: RequestId) {
        self.noted.lock().request = Some(request);
    }

    /// It is traced.
    pub(super) fn traced(&self, span: Option<TraceSpan>) {
        self.noted.lock().span = span;
    }

    /// It has a place among the running ones.
    pub(super) fn placed(&self) {
        self.noted.lock().placed.get_or_insert_with(Instant::now);
    }

    /// Upstream begins to answer.
    pub(super) fn answered(&self, from: Option<Arc<str>>) {
        let mut noted = self.noted.lock();
        noted.answered.get_or_insert_with(Instant::now);
        if from.is_some() {
            noted.from = from;
        }
    }

    /// Upstream is asked for the rest.
    pub(super) fn asked_again(&self) {
        self.asked_again.fetch_add(1, Ordering::Relaxed);
    }

    /// Who sends the bytes.
    pub(super) fn from(&self) -> Option<Arc<str>> {
        self.noted.lock().from.clone()
    }

    /// Since when it runs.
    pub(super) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Tells whoever watches that it is over.
    pub(super) fn tell(&self, watcher: &Watcher, key: &str, bytes: u64, error: Option<&FillError>) {
        let Some(watch) = &watcher.0 else { return };
        let noted = self.noted.lock().clone();
        let after = |moment: Instant| moment.saturating_duration_since(self.begun);
        let took = self.age();
        watch.ended(&FillReport {
            key,
            request: noted.request,
            span: noted.span,
            from: noted.from.as_deref(),
            bytes,
            queued: noted.placed.map_or(took, after),
            first_byte: noted.answered.map(after),
            took,
            asked_again: self.asked_again.load(Ordering::Relaxed),
            error,
        });
    }
}
