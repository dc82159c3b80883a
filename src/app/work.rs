//! Puts the queue and what does its jobs together.
//!
//! Belongs here: wiring, the end. Does not: jobs (`jobs`).

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Core, convert, tell};
use crate::clock::SharedClock;
use crate::config::Config;
use crate::jobs::kinds::ForgetOld;
use crate::jobs::{Events, Kind, Outcome, Queue, Runner, RunnerParts, RunnerSettings, Schedule};
use crate::notify::Notifier;
use crate::proxy::server::Stop;
use crate::store::lazy::LazyStore;
use crate::store::model::Job;
use crate::telemetry::Metrics;

/// How long a stop waits for jobs that are given back to a store that does not answer.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// What orders work, and does it.
pub(super) struct Work {
    pub(super) queue: Queue,
    /// None where nobody wants to be told of anything.
    pub(super) notifier: Option<Notifier>,
    /// What was told last.
    pub(super) last: Mutex<tell::Last>,
    pub(super) handle: Handle,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Work {
    pub(super) fn new(config: &Config, store: &LazyStore, clock: &SharedClock, handle: &Handle) -> Self {
        let queue = Queue::new(store.clone(), Arc::clone(clock));
        let notifier = tell::notifier(config, &queue);
        Self { queue, notifier, last: Mutex::default(), handle: handle.clone(), running: Mutex::default() }
    }
}

/// Counts what happens to jobs, and tells of those that are dead.
struct JobEyes {
    metrics: Arc<Metrics>,
    core: Arc<Core>,
}

impl Events for JobEyes {
    fn begun(&self, _kind: &str) {
        self.metrics.jobs.begun();
    }

    fn ended(&self, kind: &str, outcome: Outcome, took: Duration) {
        let result = match outcome {
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::Dead => "dead",
            Outcome::Lost => "lost",
            Outcome::Released => "released",
        };
        self.metrics.jobs.ended(kind, result, took);
    }

    fn panicked(&self, kind: &str) {
        self.metrics.jobs.panicked(kind);
    }

    fn dead(&self, job: &Job, why: &str) {
        if let Some(event) = Core::death_of(job, why, self.core.clock.now()) {
            self.core.tell(event);
        }
    }
}

impl Core {
    /// Does jobs until the stop, and gives back then what is not finished.
    pub(super) fn keep_working(self: &Arc<Self>, runtime: &Handle, stop: Stop) {
        let runner = Runner::new(RunnerParts {
            queue: self.work.queue.clone(),
            kinds: self.kinds(),
            schedules: self.schedules(),
            events: Arc::new(JobEyes { metrics: Arc::clone(&self.eyes.metrics), core: Arc::clone(self) }),
            settings: RunnerSettings::default(),
        });
        let running = runtime.spawn(async move { runner.run(stop.requested()).await });
        *self.work.running.lock() = Some(running);
    }

    fn kinds(&self) -> Vec<Arc<dyn Kind>> {
        let (store, clock) = (self.store.clone(), Arc::clone(&self.clock));
        let forget = ForgetOld::new(store, convert::retention(&self.config), clock);
        let mut kinds: Vec<Arc<dyn Kind>> = vec![Arc::new(forget)];
        if let Some(notifier) = &self.work.notifier {
            kinds.extend(self.notify_kinds(notifier));
        }
        kinds
    }

    fn schedules(&self) -> Vec<Schedule> {
        let tokens = self.work.notifier.as_ref().and_then(|notifier| self.notify_schedules(notifier));
        [ForgetOld::schedule()].into_iter().chain(tokens).collect()
    }

    /// Waits until jobs are finished or given back; to be called while the store is still there.
    pub(super) async fn end_work(&self) {
        let Some(running) = self.work.running.lock().take() else { return };
        if timeout(END_PATIENCE, running).await.is_err() {
            tracing::warn!(
                "running jobs could not be given back in time; another gate takes them over when their leases end"
            );
        }
    }
}
