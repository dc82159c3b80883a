//! Another process takes over: this one takes no new connections and no new requests, and still ends the answers it has begun.
//!
//! ```text
//!  Ours ──begin──▶ Closing ──close──▶ Closed ──give──▶ Given
//!    ▲                │                  │
//!    └────give_up─────┴──────────────────┘
//! ```
//!
//! While it is not yet sure that the other process can, connections wait in the kernel and requests on open ones wait here; then they are
//! passed on, or answered here after all. A connection that stays open belongs to this process, so the next request on it arrives here. Its
//! bytes are passed on, with what is known of the client in front, to a private socket on which the successor listens; the successor answers
//! and ends the connection. So no request meets a closed door, and this process needs nothing for it but the two sockets. HTTP/2 has words
//! for all this: clients are told to go elsewhere, and streams that come too late that they were not looked at.
//!
//! Belongs here: the state of it, the way to the successor, what is left to wait for. Does not: starting the successor (`app`), what is
//! passed on (`front`).

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::sleep;

use super::listen::Bound;

/// Between two tries to reach a successor whose queue is full.
const BREATH: Duration = Duration::from_millis(5);

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
enum Stage {
    /// Every request is answered here.
    #[default]
    Ours,
    /// New requests wait; streams of HTTP/2, which can't, are still answered.
    Closing,
    /// Those are refused too, in a way that makes clients ask again.
    Closed,
    /// New requests are passed on.
    Given,
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct Succession {
    /// Where requests are passed on to.
    heir: Mutex<PathBuf>,
    /// The stage, for every request to look at.
    stage: AtomicU8,
    /// The same, for those who wait for it.
    told: watch::Sender<Stage>,
    /// Requests that wait for something only this process can finish.
    waiting: AtomicUsize,
    /// What the server listens on; empty when it has stopped.
    sockets: Mutex<Vec<Bound>>,
}

/// Counts a request that waits.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Succession {
    fn set(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::SeqCst);
        self.told.send_replace(stage);
    }

    /// From now on connections wait in the kernel, and requests on open ones for what comes next.
    pub fn begin(&self) {
        self.set(Stage::Closing);
    }

    /// Nothing new is answered here any more.
    pub fn close(&self) {
        self.set(Stage::Closed);
    }

    /// Requests go to who listens at `heir`.
    pub fn give(&self, heir: PathBuf) {
        *self.heir.lock() = heir;
        // Held any longer, they would look open when the successor has closed them.
        self.sockets.lock().clear();
        self.set(Stage::Given);
    }

    /// It came to nothing: everything goes on as before.
    pub fn give_up(&self) {
        self.set(Stage::Ours);
    }

    /// Whether new requests are not simply answered here.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.stage.load(Ordering::Relaxed) != Stage::Ours as u8
    }

    /// Whether a stream of HTTP/2 comes too late.
    pub(super) fn is_closed(&self) -> bool {
        self.stage.load(Ordering::SeqCst) >= Stage::Closed as u8
    }

    /// Returns once new requests wait, or are passed on.
    pub(super) async fn begun(&self) {
        self.until(|stage| stage != Stage::Ours).await;
    }

    /// Returns once requests are answered here again.
    pub(super) async fn given_up(&self) {
        self.until(|stage| stage == Stage::Ours).await;
    }

    /// Waits for how it ends; whether requests are passed on.
    pub(super) async fn is_given(&self) -> bool {
        self.until(|stage| matches!(stage, Stage::Ours | Stage::Given)).await == Some(Stage::Given)
    }

    async fn until(&self, wanted: impl Fn(Stage) -> bool) -> Option<Stage> {
        let mut told = self.told.subscribe();
        // Always something: the sender lives as long as this.
        told.wait_for(|stage| wanted(*stage)).await.ok().map(|stage| *stage)
    }

    /// Requests that wait for something only this process can finish.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Counts what is not done at once as waiting.
    pub(super) async fn noted<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        if let Poll::Ready(done) = futures_util::poll!(work.as_mut()) {
            return done;
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _under_way = UnderWay(&self.waiting);
        work.await
    }

    /// Second handles on the sockets that are listened on.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub fn sockets(&self) -> io::Result<Vec<Bound>> {
        self.sockets.lock().iter().map(Bound::again).collect()
    }

    pub(super) fn keep(&self, sockets: Vec<Bound>) {
        *self.sockets.lock() = sockets;
    }

    /// A way to the successor.
    pub(super) async fn connect(&self) -> io::Result<UnixStream> {
        let heir = self.heir.lock().clone();
        loop {
            match UnixStream::connect(&heir).await {
                // Its queue is full: everybody comes at the moment of the hand-over.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(BREATH).await,
                other => return other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_wait_until_it_is_decided() {
        for gives in [true, false] {
            let succession = Succession::default();
            assert!(!succession.is_passing());
            succession.begin();
            assert!(succession.is_passing() && !succession.is_closed());
            succession.begun().await;
            let decided = succession.is_given();
            tokio::pin!(decided);
            assert!(futures_util::poll!(decided.as_mut()).is_pending());
            succession.close();
            assert!(succession.is_closed() && futures_util::poll!(decided.as_mut()).is_pending());
            if gives {
                succession.give("heir".into());
            } else {
                succession.give_up();
            }
            assert_eq!(decided.await, gives);
            assert_eq!(succession.is_passing(), gives);
        }
    }

    #[tokio::test]
    async fn only_what_waits_counts() {
        let succession = Succession::default();
        succession.noted(std::future::ready(())).await;
        let (open, opened) = tokio::sync::oneshot::channel::<()>();
        let work = succession.noted(opened);
        tokio::pin!(work);
        assert!(futures_util::poll!(work.as_mut()).is_pending());
        assert_eq!(succession.waiting(), 1);
        open.send(()).unwrap();
        work.await.unwrap();
        assert_eq!(succession.waiting(), 0);
    }
}
