//! Puts the queue and what does its jobs together.
//!
//! Belongs here: wiring, the end. Does not: jobs (`jobs`).

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::{Core, convert};
use crate::jobs::kinds::ForgetOld;
use crate::jobs::{Events, Kind, Outcome, Queue, Runner, RunnerParts, RunnerSettings};
use crate::proxy::server::Stop;
use crate::store::model::Job;
use crate::telemetry::Metrics;

/// How long a stop waits for jobs that are given back to a store that does not answer.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// Counts what happens to jobs.
struct JobEyes(Arc<Metrics>);

impl Events for JobEyes {
    fn begun(&self, _kind: &str) {
        self.0.jobs.begun();
    }

    fn ended(&self, kind: &str, outcome: Outcome, took: Duration) {
        let result = match outcome {
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::Dead => "dead",
            Outcome::Lost => "lost",
            Outcome::Released => "released",
        };
        self.0.jobs.ended(kind, result, took);
    }

    fn panicked(&self, kind: &str) {
        self.0.jobs.panicked(kind);
    }

    fn dead(&self, _job: &Job, _why: &str) {}
}

impl Core {
    /// Does jobs until the stop, and gives back then what is not finished.
    pub(super) fn keep_working(&self, runtime: &Runtime, stop: Stop) {
        let runner = Runner::new(RunnerParts {
            queue: Queue::new(self.store.clone(), Arc::clone(&self.clock)),
            kinds: self.kinds(),
            schedules: vec![ForgetOld::schedule()],
            events: Arc::new(JobEyes(Arc::clone(&self.eyes.metrics))),
            settings: RunnerSettings::default(),
        });
        let running = runtime.spawn(async move { runner.run(stop.requested()).await });
        *self.working.lock() = Some(running);
    }

    fn kinds(&self) -> Vec<Arc<dyn Kind>> {
        let (store, clock) = (self.store.clone(), Arc::clone(&self.clock));
        vec![Arc::new(ForgetOld::new(store, convert::retention(&self.config), clock))]
    }

    /// Waits until jobs are finished or given back; to be called while the store is still there.
    pub(super) async fn end_work(&self) {
        let Some(running) = self.working.lock().take() else { return };
        if timeout(END_PATIENCE, running).await.is_err() {
            tracing::warn!(
                "running jobs could not be given back in time; another gate takes them over when their leases end"
            );
        }
    }
}
