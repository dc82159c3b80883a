//! The runtimes behind the front door: which threads do what, and how urgently.
//!
//! Belongs here: threads. Does not: what runs on them, the front door's own workers (`proxy::workers`).

use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Threads of the runtime that fetches, builds and serves the control socket.
const BACKGROUND_THREADS: usize = 2;
/// Its blocking threads: index builds, disk work.
const BLOCKING_THREADS: usize = 32;
/// Threads of the runtime that makes pages and answers of the API: a slow one leaves room for another.
const PAGE_THREADS: usize = 2;
const PAGE_BLOCKING_THREADS: usize = 8;
/// How much less urgent these are: where there is not enough CPU for all, downloads get nine tenths of it.
const PAGE_NICENESS: i32 = 10;
/// How long a blocking thread waits for more work. A thread that waits keeps the memory of its last one.
const BLOCKING_KEEP_ALIVE: Duration = Duration::from_secs(1);

/// See the module's description.
pub(super) struct Runtimes {
    pub(super) background: Runtime,
    pub(super) pages: Runtime,
}

impl Runtimes {
    pub(super) fn start() -> io::Result<Self> {
        let background = Builder::new_multi_thread()
            .worker_threads(BACKGROUND_THREADS)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_keep_alive(BLOCKING_KEEP_ALIVE)
            .thread_name("gate-background")
            .enable_all()
            .build()?;
        let pages = Builder::new_multi_thread()
            .worker_threads(PAGE_THREADS)
            .max_blocking_threads(PAGE_BLOCKING_THREADS)
            .thread_keep_alive(BLOCKING_KEEP_ALIVE)
            .thread_name("gate-pages")
            .on_thread_start(stand_back)
            .enable_all()
            .build()?;
        Ok(Self { background, pages })
    }
}

/// Makes the calling thread, and on Linux it alone, less urgent.
fn stand_back() {
    if let Err(error) = rustix::process::nice(PAGE_NICENESS) {
        tracing::debug!(%error, "pages are as urgent as downloads");
    }
}
