//! Waiting without sleeping: a [`Latch`] that both sides can see, and [`eventually`] with bounded patience.
//!
//! Belongs here: synchronisation between a test and the servers it drives. Does not: anything that knows HTTP.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

/// How long a test waits for something that must happen before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);

/// A gate in the road of a request: the server arrives and waits, the test sees it there and opens.
#[derive(Clone, Debug)]
pub struct Latch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    open: watch::Sender<bool>,
    arrived: Mutex<usize>,
    changed: Condvar,
}

impl Latch {
    /// A closed latch.
    pub fn new() -> Self {
        let (open, _) = watch::channel(false);
        Self(Arc::new(Inner { open, arrived: Mutex::new(0), changed: Condvar::new() }))
    }

    /// Lets everyone through, now and later.
    pub fn open(&self) {
        self.0.open.send_replace(true);
    }

    /// The server's side: says that it is here and waits.
    pub async fn pass(&self) {
        *self.0.arrived.lock() += 1;
        self.0.changed.notify_all();
        let mut open = self.0.open.subscribe();
        let _gone = open.wait_for(|open| *open).await;
    }

    /// The test's side: blocks until somebody waits (or waited) here.
    ///
    /// # Panics
    /// When nobody came in time.
    pub fn wait_for_arrival(&self) {
        let mut arrived = self.0.arrived.lock();
        while *arrived == 0 {
            let late = self.0.changed.wait_for(&mut arrived, PATIENCE);
            assert!(!late.timed_out(), "nobody arrived at the latch within {PATIENCE:?}");
        }
    }
}

/// Asks `probe` again and again until it answers, with bounded patience.
///
/// # Panics
/// When `probe` never answered; `what` says what was missed.
pub fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let never = Condvar::new();
    let lock = Mutex::new(());
    let rounds = PATIENCE.as_millis() / STEP.as_millis();
    for _ in 0..rounds {
        if let Some(answer) = probe() {
            return answer;
        }
        let mut guard = lock.lock();
        let _timed_out = never.wait_for(&mut guard, STEP);
    }
    panic!("{what}: did not happen within {PATIENCE:?}");
}

/// [`eventually`] for conditions.
pub fn eventually_true(what: &str, mut probe: impl FnMut() -> bool) {
    eventually(what, || probe().then_some(()));
}

/// Says loudly, past the test runner's capture, that a test did not run.
pub fn skipped(why: &str) {
    let line = format!("\nSKIPPED: {why}\n");
    let _nowhere_to_complain = std::io::stderr().write_all(line.as_bytes());
}
