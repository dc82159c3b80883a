//! The writer thread of the access log: sleeps while nothing comes, takes all buffers at once, counts what it can't write.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::{AccessError, Shared, Target};

/// How long lines gather before they are written.
const GATHER: Duration = Duration::from_millis(100);

/// The bell between workers and the writer.
#[derive(Default)]
pub(super) struct Writer {
    state: Mutex<State>,
    bell: Condvar,
    done: Condvar,
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent requests to one thread, not one state")]
struct State {
    dirty: bool,
    urgent: bool,
    reopen: bool,
    stop: bool,
    stopped: bool,
    flush_asked: u64,
    flush_done: u64,
}

impl State {
    fn wanted_now(&self) -> bool {
        self.urgent || self.reopen || self.stop || self.flush_asked > self.flush_done
    }
}

impl Writer {
    pub(super) fn wake(&self, urgent: bool) {
        let mut state = self.state.lock();
        let news = !state.dirty || (urgent && !state.urgent);
        state.dirty = true;
        state.urgent |= urgent;
        drop(state);
        if news {
            self.bell.notify_one();
        }
    }

    pub(super) fn ask_reopen(&self) {
        self.state.lock().reopen = true;
        self.bell.notify_one();
    }

    pub(super) fn flush(&self, patience: Duration) -> bool {
        let mut state = self.state.lock();
        state.flush_asked += 1;
        let mine = state.flush_asked;
        self.bell.notify_one();
        !self.done.wait_while_for(&mut state, |s| s.flush_done < mine && !s.stopped, patience).timed_out()
    }

    pub(super) fn stop(&self, patience: Duration) {
        let mut state = self.state.lock();
        state.stop = true;
        self.bell.notify_one();
        self.done.wait_while_for(&mut state, |s| !s.stopped, patience);
    }
}

/// An open target.
pub(super) enum Sink {
    Stdout,
    Stderr,
    File { path: PathBuf, file: File },
}

impl Sink {
    pub(super) fn open(target: &Target) -> Result<Option<Self>, AccessError> {
        Ok(Some(match target {
            Target::Off => return Ok(None),
            Target::Stdout => Self::Stdout,
            Target::Stderr => Self::Stderr,
            Target::File(path) => Self::File { file: append_to(path)?, path: path.clone() },
        }))
    }

    fn reopen(&mut self) {
        if let Self::File { path, file } = self {
            match append_to(path) {
                Ok(opened) => *file = opened,
                Err(error) => tracing::error!("{error}; lines still go to the old file"),
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            Self::Stderr => io::stderr().lock().write_all(bytes),
            Self::File { file, .. } => file.write_all(bytes),
        }
    }
}

fn append_to(path: &Path) -> Result<File, AccessError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map_err(|source| AccessError::Open { path: path.display().to_string(), source })
}

/// The thread.
pub(super) fn run(shared: &Shared, mut sink: Sink) {
    let mut spare = Vec::new();
    let mut failing = false;
    loop {
        let (reopen, stop, flush) = wait(&shared.writer);
        if reopen {
            sink.reopen();
        }
        for shard in &shared.shards {
            std::mem::swap(&mut *shard.0.lock(), &mut spare);
            if spare.is_empty() {
                continue;
            }
            let result = sink.write(&spare);
            if let Err(error) = &result {
                shared.lost.inc_by(memchr::memchr_iter(b'\n', &spare).count() as u64);
                if !failing {
                    tracing::error!("access lines are being lost, the target takes none: {error}");
                }
            }
            failing = result.is_err();
            spare.clear();
        }
        let mut state = shared.writer.state.lock();
        state.flush_done = flush;
        state.stopped = stop;
        drop(state);
        shared.writer.done.notify_all();
        if stop {
            return;
        }
    }
}

/// Sleeps until there is something to do; then lets lines gather unless someone is waiting.
fn wait(writer: &Writer) -> (bool, bool, u64) {
    let mut state = writer.state.lock();
    writer.bell.wait_while(&mut state, |s| !s.dirty && !s.wanted_now());
    if !state.wanted_now() {
        writer.bell.wait_while_for(&mut state, |s| !s.wanted_now(), GATHER);
    }
    state.dirty = false;
    state.urgent = false;
    (std::mem::take(&mut state.reopen), state.stop, state.flush_asked)
}
