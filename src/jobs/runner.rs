//! Doing jobs.
//!
//! Belongs here: claiming, leases, bounds, catching what panics, stopping. Does not: what a job does.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::kind::{Events, Failure, Kind, Outcome};
use super::queue::Queue;
use super::schedule::Schedule;
use crate::auth;
use crate::clock::UnixMillis;
use crate::store::model::{Job, JobState, back_off};
use crate::store::repo::Claim;
use crate::store::{Store, StoreError};

/// Jobs of a state that are forgotten at one time.
const BATCH: u32 = 1000;
const DAY: Duration = Duration::from_hours(24);
/// How long jobs that ended are kept for a look.
const KEPT: [(JobState, Duration); 3] = [
    (JobState::Done, DAY.saturating_mul(31)),
    (JobState::Cancelled, DAY.saturating_mul(30)),
    (JobState::Dead, DAY.saturating_mul(90)),
];
/// Looks between two rounds of forgetting.
const FORGET_EVERY: u64 = 3600;

/// How a runner goes about it.
#[derive(Clone, Copy, Debug)]
pub struct RunnerSettings {
    /// Jobs at one time.
    pub at_once: usize,
    /// How long a job is a runner's without a word.
    pub lease: Duration,
    /// How often it looks for work.
    pub look: Duration,
    /// How often a running job says that it is alive, and learns whether it was cancelled.
    pub beat: Duration,
    /// How long running jobs may finish at a stop before they are given back.
    pub grace: Duration,
}

impl Default for RunnerSettings {
    fn default() -> Self {
        Self {
            at_once: 4,
            lease: Duration::from_mins(1),
            look: Duration::from_secs(1),
            beat: Duration::from_secs(5),
            grace: Duration::from_secs(2),
        }
    }
}

/// What a runner is made of.
pub struct RunnerParts {
    /// Where jobs come from.
    pub queue: Queue,
    /// What it can do.
    pub kinds: Vec<Arc<dyn Kind>>,
    /// What comes by itself.
    pub schedules: Vec<Schedule>,
    /// Who is told.
    pub events: Arc<dyn Events>,
    /// How.
    pub settings: RunnerSettings,
}

/// Does jobs until it is told to stop.
pub struct Runner {
    parts: Arc<RunnerParts>,
    /// Like no other runner's.
    name: String,
    claims: AtomicU64,
}

impl Runner {
    /// One that does nothing yet.
    #[must_use]
    pub fn new(parts: RunnerParts) -> Self {
        Self { parts: Arc::new(parts), name: auth::token::new_id(), claims: AtomicU64::new(0) }
    }

    /// Works until `stop` ends; then running jobs may finish for a moment, and what does not is given back.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let mut ticks = interval(self.parts.settings.look);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (stopping, stopped) = watch::channel(false);
        let mut running = JoinSet::new();
        let mut looks = 0_u64;
        tokio::pin!(stop);
        loop {
            let is_tick = tokio::select! {
                () = &mut stop => break,
                _ = ticks.tick() => true,
                () = self.parts.queue.added.notified() => false,
                // A place is free.
                Some(_) = running.join_next() => false,
            };
            if is_tick {
                self.keep_house(looks).await;
                looks = looks.wrapping_add(1);
            }
            while running.len() < self.parts.settings.at_once {
                let Some((store, job)) = self.claim().await else { break };
                let (parts, stopped) = (Arc::clone(&self.parts), stopped.clone());
                running.spawn(async move { attend(&parts, &store, job, stopped).await });
            }
        }
        let finished = async { while running.join_next().await.is_some() {} };
        if timeout(self.parts.settings.grace, finished).await.is_err() {
            stopping.send_replace(true);
            while running.join_next().await.is_some() {}
        }
    }

    /// Places what comes by itself, and forgets what ended long ago. A store that can't be asked is somebody else's to report.
    async fn keep_house(&self, look: u64) {
        let now = self.parts.queue.now();
        for schedule in &self.parts.schedules {
            if let Err(error) = schedule.place(&self.parts.queue, now).await {
                tracing::debug!(%error, "scheduled jobs wait for the store");
                return;
            }
        }
        if look.is_multiple_of(FORGET_EVERY)
            && let Ok(store) = self.parts.queue.store().await
        {
            for (state, kept) in KEPT {
                let forgotten = store.jobs().forget(state, now.before(kept), BATCH).await;
                if let Err(error) = forgotten {
                    tracing::debug!(%error, "old jobs can't be forgotten now");
                }
            }
        }
    }

    async fn claim(&self) -> Option<(Store, Job)> {
        let kinds: Vec<&str> = self.parts.kinds.iter().map(|kind| kind.name()).collect();
        let lease = format!("{}-{}", self.name, self.claims.fetch_add(1, Ordering::Relaxed));
        let claimed = async {
            let store = self.parts.queue.store().await?;
            let (at, length) = (self.parts.queue.now(), self.parts.settings.lease);
            let job = store.jobs().claim(&Claim { kinds: &kinds, lease: &lease, at, length }).await?;
            Ok::<_, StoreError>(job.map(|job| (store, job)))
        };
        claimed.await.unwrap_or_else(|error| {
            tracing::debug!(%error, "jobs wait for the store");
            None
        })
    }
}

/// One attempt, from its claim to its end.
async fn attend(parts: &RunnerParts, store: &Store, job: Job, stopped: watch::Receiver<bool>) {
    let Some(kind) = parts.kinds.iter().find(|kind| kind.name() == job.kind) else { return };
    let begun = Instant::now();
    parts.events.begun(&job.kind);
    let work = AssertUnwindSafe(kind.run(&job)).catch_unwind();
    let outcome = tokio::select! {
        done = work => {
            let done = done.unwrap_or_else(|_| {
                parts.events.panicked(&job.kind);
                tracing::error!(job = %job.id, kind = job.kind, "a job panicked; it counts as failed");
                Err(Failure::Later("it ended by a panic; the gate's log says where".to_owned()))
            });
            settle(parts, store, &job, done).await
        }
        () = lose(parts, store, &job) => Outcome::Lost,
        () = given_up(stopped) => release(parts, store, &job).await,
    };
    parts.events.ended(&job.kind, outcome, begun.elapsed());
}

/// Ends when the job is no longer this runner's; until then it says that it is.
async fn lose(parts: &RunnerParts, store: &Store, job: &Job) {
    let mut ticks = interval(parts.settings.beat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let lease = job.lease.as_deref().unwrap_or_default();
    let mut until = job.due;
    loop {
        ticks.tick().await;
        let now = parts.queue.now();
        let next = now.plus(parts.settings.lease);
        match store.jobs().heartbeat(&job.id, lease, next).await {
            Ok(()) => until = next,
            Err(StoreError::Stale { .. }) => {
                tracing::info!(job = %job.id, kind = job.kind, "a job was cancelled, or taken over");
                return;
            }
            // While nobody can be asked nobody can take it over either; when the lease is over somebody might.
            Err(_) if now < until => {}
            Err(error) => {
                tracing::warn!(job = %job.id, kind = job.kind, %error, "a job is dropped: its lease is over and the store can't be asked");
                return;
            }
        }
    }
}

async fn given_up(mut stopped: watch::Receiver<bool>) {
    if stopped.wait_for(|stopped| *stopped).await.is_err() {
        // The runner itself is gone, and this task with it.
        std::future::pending::<()>().await;
    }
}

async fn settle(parts: &RunnerParts, store: &Store, job: &Job, done: Result<(), Failure>) -> Outcome {
    let (lease, now) = (job.lease.as_deref().unwrap_or_default(), parts.queue.now());
    let written = match &done {
        Ok(()) => store.jobs().complete(&job.id, lease, now).await.map(|()| JobState::Done),
        Err(failure) => {
            let retry = match failure {
                Failure::Later(_) => Some(now.plus(pause(job, now))),
                Failure::Never(_) => None,
            };
            store.jobs().fail(&job.id, lease, now, retry, &failure.to_string()).await
        }
    };
    match (written, done) {
        (Ok(JobState::Done), _) => Outcome::Done,
        (Ok(JobState::Dead), Err(failure)) => {
            tracing::error!(job = %job.id, kind = job.kind, error = %failure, "a job is dead; `condagate jobs retry` tries it again");
            parts.events.dead(job, &failure.to_string());
            Outcome::Dead
        }
        (Ok(_), done) => {
            let why = done.err().map(|failure| failure.to_string()).unwrap_or_default();
            tracing::warn!(job = %job.id, kind = job.kind, error = why, "a job failed and is tried again later");
            Outcome::Failed
        }
        (Err(error), _) => {
            tracing::warn!(job = %job.id, kind = job.kind, %error, "what became of a job can't be written down; it is done again");
            Outcome::Lost
        }
    }
}

async fn release(parts: &RunnerParts, store: &Store, job: &Job) -> Outcome {
    let lease = job.lease.as_deref().unwrap_or_default();
    match store.jobs().release(&job.id, lease, parts.queue.now()).await {
        Ok(()) => Outcome::Released,
        Err(_) => Outcome::Lost,
    }
}

/// The wait before the next attempt: up to a quarter longer than [`back_off`], by the job's id and attempt, so that jobs that failed
/// together don't come back together.
fn pause(job: &Job, now: UnixMillis) -> Duration {
    let wait = back_off(job.attempts);
    let seed = crate::conda::digest::Sha256::of(format!("{} {} {}", job.id, job.attempts, now.0).as_bytes());
    wait + wait.mul_f64(f64::from(seed.0[0]) / 255.0 / 4.0)
}
