//! Worker threads, each with a runtime of its own, and the sockets that feed them.
//!
//! Belongs here: accepting, and placing each connection on the worker with the fewest. Does not: what happens on it (`front`).
//!
//! Why not the engine's server: its runtimes without work stealing register every socket with the thread that accepted it, so most
//! wake-ups cross threads; it places connections by chance; and its thread-locals survive their threads, so that a second
//! server in one process spawns onto the first one's dead runtimes and loses its listener.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

use super::front::FrontApp;
use super::tls::Tls;

/// After so many turns of its tasks a worker looks for new connections and for what the sockets have to say. A turn may send a
/// megabyte to a socket, so the runtime's own 61 keep a new client waiting behind a crowd that is being served.
const TURNS: u32 = 8;
/// After accept() failed for want of something, such as file descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// The running threads.
pub(super) struct Workers {
    workers: Vec<Worker>,
    quit: watch::Sender<bool>,
}

struct Worker {
    handle: Handle,
    open: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// A way to see whether all workers take their turns.
#[derive(Clone, Debug)]
pub struct Pulse(Vec<Handle>);

impl Pulse {
    /// Returns once every worker has had a turn; false when one has ended.
    pub async fn beat(&self) -> bool {
        let turns = self.0.iter().map(|worker| worker.spawn(async {}));
        futures_util::future::try_join_all(turns).await.is_ok()
    }
}

/// Counts a connection on its worker.
struct Placed(Arc<AtomicUsize>);

impl Drop for Placed {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// What the system says when it gives no thread or no event queue.
    pub(super) fn start(count: usize, blocking_threads: usize) -> io::Result<Self> {
        let (quit, quitting) = watch::channel(false);
        let mut workers = Vec::with_capacity(count);
        for n in 0..count {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(blocking_threads.max(1))
                .event_interval(TURNS)
                .global_queue_interval(TURNS)
                .build()?;
            let handle = runtime.handle().clone();
            let mut quitting = quitting.clone();
            let thread = std::thread::Builder::new().name(format!("gate-{n}")).spawn(move || {
                runtime.block_on(async {
                    // An error means that whoever could tell is gone, which says the same.
                    let _told = quitting.wait_for(|quit| *quit).await;
                });
                // Connections still open are closed; work in the blocking pool is not waited for.
                runtime.shutdown_background();
            })?;
            workers.push(Worker { handle, open: Arc::default(), thread });
        }
        Ok(Self { workers, quit })
    }

    /// For whoever watches over them.
    pub(super) fn pulse(&self) -> Pulse {
        Pulse(self.workers.iter().map(|worker| worker.handle.clone()).collect())
    }

    /// Ends all threads, and with them all connections.
    pub(super) fn stop(self) {
        self.quit.send_replace(true);
        for worker in self.workers {
            // A worker's thread has no way to panic; if it did, it has ended too.
            let _ended = worker.thread.join();
        }
    }

    /// Accepts until dropped.
    pub(super) async fn accept(
        &self,
        listener: TcpListener,
        front: &Arc<FrontApp>,
        tls: Option<&Arc<Tls>>,
    ) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut failing = false;
        loop {
            match listener.accept().await.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
                Ok((stream, peer)) => {
                    failing = false;
                    self.place(stream, peer, front, tls);
                }
                // The client was gone before it was its turn.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !failing {
                        tracing::error!("connections can't be accepted: {error}; trying on");
                    }
                    failing = true;
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    /// Accepts what another process passes on, until dropped.
    pub(super) async fn accept_inherited(
        &self,
        listener: UnixListener,
        front: &Arc<FrontApp>,
    ) -> io::Result<()> {
        let listener = tokio::net::UnixListener::from_std(listener)?;
        loop {
            let (stream, _) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::error!("what was passed on can't be accepted: {error}; trying on");
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            };
            let stream = stream.into_std()?;
            let Some((worker, placed)) = self.least_busy() else { continue };
            let front = Arc::clone(front);
            worker.spawn(async move {
                match UnixStream::from_std(stream) {
                    Ok(stream) => front.inherited(stream).await,
                    Err(error) => tracing::error!("a connection was lost: {error}"),
                }
                drop(placed);
            });
        }
    }

    /// Where the fewest connections are.
    fn least_busy(&self) -> Option<(&Handle, Placed)> {
        let worker = self.workers.iter().min_by_key(|w| w.open.load(Ordering::Relaxed))?;
        worker.open.fetch_add(1, Ordering::Relaxed);
        Some((&worker.handle, Placed(Arc::clone(&worker.open))))
    }

    /// Puts a connection where the fewest are.
    fn place(
        &self,
        stream: std::net::TcpStream,
        peer: SocketAddr,
        front: &Arc<FrontApp>,
        tls: Option<&Arc<Tls>>,
    ) {
        let Some((worker, placed)) = self.least_busy() else { return };
        let (front, tls) = (Arc::clone(front), tls.cloned());
        // Registered with the worker's own event queue: its wake-ups stay on its thread.
        worker.spawn(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => front.connection(stream, peer, tls.as_deref()).await,
                Err(error) => tracing::error!("a connection was lost: {error}"),
            }
            drop(placed);
        });
    }
}
