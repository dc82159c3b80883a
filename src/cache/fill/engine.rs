//! The table of running fills: one per key, whoever asks.
//!
//! Belongs here: joining, starting, ending. Does not: what a fill does (`task`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::state::Shared;
use super::task::Task;
use super::{Fill, FillHead, FillKind, FillRequest};
use crate::cache::blobs::{Blob, Blobs};
use crate::cache::error::{FillError, SourceErrorKind};
use crate::cache::object::{ObjectMeta, Objects};
use crate::cache::report::RunningFill;
use crate::cache::settings::CacheSettings;
use crate::conda::digest::Expected;

/// How long a file counts as "just stored" where only its name is known.
const JUST_NOW: Duration = Duration::from_secs(2);

/// Starts fills and knows the running ones.
pub(in crate::cache) struct Engine {
    pub(super) settings: CacheSettings,
    pub(super) blobs: Arc<Blobs>,
    pub(super) objects: Arc<Objects>,
    running: Mutex<HashMap<String, Arc<Shared>>>,
    /// Places for packages and for plain files; apart, so that a crowd of packages which wait for an index never
    /// keeps out the files that an index is made of.
    places: [Semaphore; 2],
    /// Bytes that running fills have announced and not yet written.
    pub(super) announced: AtomicU64,
    stop: CancellationToken,
}

impl Engine {
    pub(in crate::cache) fn new(
        settings: CacheSettings,
        blobs: Arc<Blobs>,
        objects: Arc<Objects>,
    ) -> Arc<Self> {
        let places = || Semaphore::new(settings.max_fills.clamp(1, Semaphore::MAX_PERMITS));
        Arc::new(Self {
            places: [places(), places()],
            settings,
            blobs,
            objects,
            running: Mutex::default(),
            announced: AtomicU64::new(0),
            stop: CancellationToken::new(),
        })
    }

    /// The running fill of these very bytes under this key, if there is one. Memory only.
    pub(in crate::cache) fn join(&self, key: &str, expected: &Expected) -> Option<Fill> {
        let running = self.running.lock();
        let shared =
            running.get(key).filter(|shared| !shared.failed() && !shared.is_for_other(expected.sha256))?;
        shared.learn(*expected);
        self.blobs.counters.joined.fetch_add(1, Ordering::Relaxed);
        Some(Fill { shared: Arc::clone(shared), joined: true })
    }

    /// Joins the running fill of the key, or takes what has just been stored, or starts a fill.
    pub(in crate::cache) fn fill(self: &Arc<Self>, request: FillRequest) -> Fill {
        let mut running = self.running.lock();
        let mut name = request.key.clone();
        if running.get(&name).is_some_and(|shared| shared.is_for_other(request.expected.sha256)) {
            // The index changed under a running fill: this request is about other bytes, under a name of its own.
            name.push('#');
            name.extend(request.expected.sha256.map(|digest| digest.to_hex()));
        }
        if let Some(shared) = running.get(&name).filter(|shared| !shared.failed()) {
            shared.learn(request.expected);
            self.blobs.counters.joined.fetch_add(1, Ordering::Relaxed);
            return Fill { shared: Arc::clone(shared), joined: true };
        }
        if let Some((blob, head)) = self.just_stored(&request) {
            let runtime = self.blobs.runtime.clone();
            let shared = Shared::stored(blob, head, self.settings.hold_back, runtime);
            self.blobs.counters.joined.fetch_add(1, Ordering::Relaxed);
            return Fill { shared: Arc::new(shared), joined: true };
        }
        let shared = Arc::new(Shared::new(
            request.expected,
            self.settings.hold_back,
            self.settings.ring,
            self.blobs.runtime.clone(),
        ));
        running.insert(name.clone(), Arc::clone(&shared));
        drop(running);
        self.start(name, Arc::clone(&shared), request);
        Fill { shared, joined: false }
    }

    /// The caller looked before a fill of the same file ended, and asks after: without this look a crowd's last
    /// members would fetch the file a second time. Memory only, as the table's lock is held.
    fn just_stored(&self, request: &FillRequest) -> Option<(Arc<Blob>, FillHead)> {
        let by_digest = |expected: &Expected| self.blobs.hot(&expected.sha256?);
        if let Some(blob) = by_digest(&request.expected) {
            let head = FillHead { total: Some(blob.len()), ..FillHead::default() };
            return Some((blob, head));
        }
        let (sha256, meta) = self.objects.remembered(&request.key)?;
        let newer = match &request.kind {
            FillKind::Object { known: Some(known) } => meta.checked_at > known.checked_at,
            FillKind::Object { known: None } => true,
            // Without a digest from the index, what was verified under the same name a moment ago will do.
            FillKind::Package => {
                request.expected.sha256.is_none() && self.blobs.clock.now().since(meta.stored_at) < JUST_NOW
            }
        };
        let blob = newer.then(|| self.blobs.hot(&sha256)).flatten()?;
        let head = head_of(&meta, &blob);
        Some((blob, head))
    }

    fn start(self: &Arc<Self>, name: String, shared: Arc<Shared>, request: FillRequest) {
        self.blobs.counters.started.fetch_add(1, Ordering::Relaxed);
        shared.course.traced(request.source.span());
        let ending = Ending { engine: Arc::clone(self), name: name.clone(), shared: Arc::clone(&shared) };
        let task = Task::new(Arc::clone(self), name, shared, request);
        let stop = self.stop.clone();
        self.blobs.runtime.spawn(async move {
            let outcome = tokio::select! {
                biased;
                () = stop.cancelled() => Err(FillError::Stopped),
                outcome = task.run() => outcome,
            };
            ending.end(outcome);
        });
    }

    /// Waits for a place among the running fills.
    pub(super) async fn place(&self, kind: &FillKind) -> Result<SemaphorePermit<'_>, FillError> {
        let places = &self.places[usize::from(matches!(kind, FillKind::Object { .. }))];
        places.acquire().await.map_err(|_| FillError::Stopped)
    }

    /// Fills under way, and the bytes they have on disk.
    pub(in crate::cache) fn in_flight(&self) -> (u64, u64) {
        let running = self.running.lock();
        (running.len() as u64, running.values().map(|shared| shared.committed()).sum())
    }

    /// The fills under way.
    pub(in crate::cache) fn running_fills(&self) -> Vec<RunningFill> {
        let running = self.running.lock();
        let look = |(key, shared): (&String, &Arc<Shared>)| RunningFill {
            key: key.clone(),
            bytes: shared.committed(),
            total: shared.total(),
            age: shared.course.age(),
            from: shared.course.from(),
        };
        running.iter().map(look).collect()
    }

    /// Waits for the fills that only have to be moved to their place.
    pub(in crate::cache) async fn settle(&self) {
        let settling: Vec<_> = {
            let running = self.running.lock();
            running.values().filter(|shared| shared.settled()).cloned().collect()
        };
        for shared in settling {
            // How it ended is its own readers' business.
            let _outcome = shared.done().await;
        }
    }

    /// Ends every fill; unfinished files stay for the next process where that is worth it.
    pub(in crate::cache) fn stop(&self) {
        self.stop.cancel();
    }
}

/// The head a stored object would have had.
pub(super) fn head_of(meta: &ObjectMeta, blob: &Blob) -> FillHead {
    FillHead {
        total: Some(blob.len()),
        validators: meta.validators.clone(),
        content_type: meta.content_type.clone(),
    }
}

/// Makes sure that a fill ends for everybody, also when its task panics or its runtime goes away.
struct Ending {
    engine: Arc<Engine>,
    name: String,
    shared: Arc<Shared>,
}

impl Ending {
    fn end(&self, outcome: Result<Arc<Blob>, FillError>) {
        let counters = &self.engine.blobs.counters;
        match &outcome {
            Ok(blob) => {
                counters.completed.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(key = %self.name, bytes = blob.len(), "file stored");
            }
            Err(error) => {
                counters.failed.fetch_add(1, Ordering::Relaxed);
                // Clients probe for files that need not exist; the access log has the 404.
                if matches!(error.source_kind(), Some(SourceErrorKind::NotFound | SourceErrorKind::Gone)) {
                    tracing::debug!(key = %self.name, %error, "upstream has no such file");
                } else {
                    tracing::warn!(key = %self.name, %error, "a download ended without a stored file");
                }
            }
        }
        let watcher = &self.engine.settings.watcher;
        self.shared.course.tell(watcher, &self.name, self.shared.committed(), outcome.as_ref().err());
        self.shared.finish(outcome);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.shared.finished() {
            self.end(Err(FillError::Stopped));
        }
        let mut running = self.engine.running.lock();
        if running.get(&self.name).is_some_and(|shared| Arc::ptr_eq(shared, &self.shared)) {
            running.remove(&self.name);
        }
    }
}
