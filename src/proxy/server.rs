//! Running the engine: settings, readiness, and a stop that ends as soon as nothing is in flight.
//!
//! Belongs here: what the composition root calls. Does not: signals of the process (`app` turns them into a [`Stopper`]).
//!
//! The engine's own graceful stop sleeps its whole grace period even when idle. So the gate has a stop signal of its own, which
//! accept loops and connections see, waits here for the last request, and tells the engine only then, to end at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch};
use tokio::sync::{oneshot, watch};

use super::Handler;
use super::drain::Drain;
use super::front::{FrontApp, FrontSettings};
use super::gateway::{Gateway, Shared};
use super::listen::{Bound, FrontService};
use crate::clock::SharedClock;
use crate::id::RequestIds;
use crate::telemetry::{Eyes, Health};

/// Everything the front door needs.
pub struct ServerParts {
    /// From [`super::listen::bind_all`].
    pub bound: Vec<Bound>,
    /// Answers every request.
    pub handler: Arc<dyn Handler>,
    /// What connections may do.
    pub front: FrontSettings,
    /// Worker threads, each with a runtime of its own; 0 means one per core.
    pub threads: usize,
    /// Blocking threads per worker.
    pub blocking_threads: usize,
    /// A directory of the gate's own, mode 0700.
    pub run_dir: PathBuf,
    /// How long a stop waits for requests in flight.
    pub grace: Duration,
    /// When to stop.
    pub stop: Stop,
    /// Told once connections are being accepted.
    pub ready: Option<oneshot::Sender<()>>,
    /// Access log, metrics, health.
    pub eyes: Eyes,
    /// For the times in access lines.
    pub clock: SharedClock,
    /// For `X-Request-Id`.
    pub ids: Arc<RequestIds>,
}

/// Asks a running server to stop; the same as dropping its last clone.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<bool>);

/// The server's end of a [`Stopper`].
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// A stopper and what it stops.
#[must_use]
pub fn stop_pair() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// No new connections; requests in flight finish, as long as the grace period lasts.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Returns once a stop has been asked for.
    pub async fn requested(&self) {
        // An error means that nobody is left who could ask.
        let mut signal = self.0.clone();
        let _asked_or_abandoned = signal.wait_for(|stop| *stop).await;
    }
}

/// How a server ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stopped {
    /// Requests that were cut as they outlived the grace period.
    pub cut: usize,
}

/// Serves until stopped. Blocks: call it from a thread that is in no runtime. Many can run in one process.
pub fn run(parts: ServerParts) -> Stopped {
    let drain = Arc::new(Drain::default());
    let shared = Arc::new(Shared { eyes: parts.eyes, clock: parts.clock, ids: parts.ids });
    let mut server =
        Server::new_with_opt_and_conf(None, conf(parts.threads, parts.blocking_threads, &parts.run_dir));
    let proxy = Gateway::proxy(&server.configuration, parts.handler, Arc::clone(&shared));
    let health = Arc::clone(&shared.eyes.health);
    let front = FrontApp::new(proxy, shared, parts.front, Arc::clone(&drain));
    health.set_listening();
    server.add_service(FrontService::new(front, parts.bound, parts.stop.0.clone(), parts.ready));
    let stop = LastRequest { stop: parts.stop, grace: parts.grace, drain: Arc::clone(&drain), health };
    server.run(RunArgs { shutdown_signal: Box::new(stop) });
    Stopped { cut: drain.in_flight() }
}

fn conf(threads: usize, blocking_threads: usize, run_dir: &Path) -> ServerConf {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    ServerConf {
        threads: if threads == 0 { cores() } else { threads },
        // One runtime per worker: measured faster for short answers, and nothing here blocks a worker.
        work_stealing: false,
        max_blocking_threads: Some(blocking_threads.max(1)),
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        // Not used before the gate upgrades itself; the default is a guessable name in /tmp.
        upgrade_sock: run_dir.join("upgrade.sock").display().to_string(),
        pid_file: run_dir.join("pid").display().to_string(),
        ..ServerConf::default()
    }
}

/// Holds the engine's stop back until nothing is in flight.
struct LastRequest {
    stop: Stop,
    grace: Duration,
    drain: Arc<Drain>,
    health: Arc<Health>,
}

#[async_trait]
impl ShutdownSignalWatch for LastRequest {
    async fn recv(&self) -> ShutdownSignal {
        self.stop.requested().await;
        self.health.set_stopping();
        tracing::info!(
            in_flight = self.drain.in_flight(),
            "stopping: no new connections, requests in flight finish"
        );
        if tokio::time::timeout(self.grace, self.drain.drained()).await.is_err() {
            tracing::warn!(
                in_flight = self.drain.in_flight(),
                "the grace period is over; these requests are cut"
            );
        }
        ShutdownSignal::FastShutdown
    }
}

#[cfg(test)]
mod tests;
