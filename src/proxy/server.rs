//! Running the front door: readiness, and a stop that ends as soon as nothing is in flight.
//!
//! Belongs here: what the composition root calls. Does not: signals of the process (`app` turns them into a [`Stopper`]).

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

use super::Handler;
use super::answers::{Answers, Shared};
use super::drain::Drain;
use super::front::{FrontApp, FrontSettings};
use super::limits::pressure::Pressure;
use super::listen::Bound;
use super::succession::Succession;
use super::tls::Tls;
pub use super::workers::Pulse;
use super::workers::Workers;
use crate::clock::SharedClock;
use crate::id::RequestIds;
use crate::telemetry::Eyes;

/// Everything the front door needs.
pub struct ServerParts {
    /// From [`super::listen::bind_all`].
    pub bound: Vec<Bound>,
    /// Answers handshakes on the sockets that are for TLS; without it those are closed again.
    pub tls: Option<Arc<Tls>>,
    /// Where a process that was here before passes connections on.
    pub inherited: Option<UnixListener>,
    /// For the process that comes after this one.
    pub succession: Arc<Succession>,
    /// Answers every request.
    pub handler: Arc<dyn Handler>,
    /// What connections may do.
    pub front: FrontSettings,
    /// Worker threads, each with a runtime of its own; 0 means one per core.
    pub threads: usize,
    /// Blocking threads per worker.
    pub blocking_threads: usize,
    /// How long a stop waits for requests in flight.
    pub grace: Duration,
    /// What all connections together may take.
    pub pressure: Arc<Pressure>,
    /// When to stop.
    pub stop: Stop,
    /// Told once connections are being accepted.
    pub ready: Option<oneshot::Sender<Pulse>>,
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

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No thread, or no event queue for one.
    #[error(
        "the worker threads could not be started: {0}; check the limits on threads and open files (ulimit -u, -n)"
    )]
    Workers(io::Error),
    /// A listening socket can't be watched.
    #[error("the listening socket {address} can't be used: {source}")]
    Socket {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// Serves until stopped. Blocks: call it from a thread that is in no runtime. Many can run in one process, and one after another.
///
/// # Errors
/// [`ServerError`], before the first request.
pub fn run(parts: ServerParts) -> Result<Stopped, ServerError> {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = if parts.threads == 0 { cores() } else { parts.threads };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(ServerError::Workers)?;
    let workers = Workers::start(threads, parts.blocking_threads).map_err(ServerError::Workers)?;
    let drain = Arc::new(Drain::new(parts.eyes.metrics.in_flight.clone()));
    let succession = parts.succession;
    succession.keep(parts.bound);
    let shared = Arc::new(Shared { eyes: parts.eyes, clock: parts.clock, ids: parts.ids });
    let health = Arc::clone(&shared.eyes.health);
    let answers = Arc::new(Answers::new(parts.handler, Arc::clone(&shared)));
    let front = FrontApp::new(
        answers,
        shared,
        parts.front,
        Arc::clone(&drain),
        parts.stop.0.clone(),
        Arc::clone(&succession),
        parts.pressure,
    );
    let front = Arc::new(front);
    let served = runtime.block_on(async {
        health.set_listening();
        if let Some(ready) = parts.ready {
            // The sockets listen since they were bound: whoever connects now is served. Nobody may be waiting to hear it.
            let _unheard = ready.send(workers.pulse());
        }
        let inherited = async {
            match parts.inherited {
                Some(listener) => {
                    workers.accept_inherited(listener, &front).await.map_err(ServerError::Workers)
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = parts.stop.requested() => {}
            result = inherited => result?,
            result = accept_while_ours(&workers, &front, parts.tls.as_ref(), &succession) => result?,
        }
        succession.keep(Vec::new());
        health.set_stopping();
        Ok(finish(&drain, parts.grace).await)
    });
    workers.stop();
    served
}

/// Accepts, except while another process is taking over; the sockets stay open meanwhile.
async fn accept_while_ours(
    workers: &Workers,
    front: &Arc<FrontApp>,
    tls: Option<&Arc<Tls>>,
    succession: &Succession,
) -> Result<(), ServerError> {
    loop {
        let bound = succession.sockets().map_err(ServerError::Workers)?;
        tokio::select! {
            result = accept_all(workers, bound, front, tls) => result?,
            () = succession.begun() => {}
        }
        succession.given_up().await;
    }
}

/// Accepts on every socket; returns only when one can't be used. Dropping it closes them all.
async fn accept_all(
    workers: &Workers,
    bound: Vec<Bound>,
    front: &Arc<FrontApp>,
    tls: Option<&Arc<Tls>>,
) -> Result<(), ServerError> {
    let each = bound.into_iter().filter(|one| tls.is_some() || !one.is_tls()).map(|one| async move {
        let (address, tls) = (one.address(), tls.filter(|_| one.is_tls()));
        let accepted = workers.accept(one.into_listener(), front, tls).await;
        accepted.map_err(|source| ServerError::Socket { address, source })
    });
    futures_util::future::try_join_all(each).await?;
    // Without any socket there is nothing to accept, and still something to stop.
    std::future::pending().await
}

/// Waits for the last request.
async fn finish(drain: &Drain, grace: Duration) -> Stopped {
    tracing::info!(in_flight = drain.in_flight(), "stopping: no new connections, requests in flight finish");
    let in_time = tokio::time::timeout(grace, drain.drained()).await.is_ok();
    let cut = if in_time { 0 } else { drain.in_flight() };
    if cut > 0 {
        tracing::warn!(in_flight = cut, "the grace period is over; these requests are cut");
    }
    Stopped { cut }
}
