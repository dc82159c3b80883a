//! Notices that files changed: rules, certificates.
//!
//! What counts is a fingerprint of the watched directories: names, sizes, times, inodes and where links lead. The system's
//! notifications only say when to look again; where there are none (network file systems, exhausted limits) a look every
//! few seconds does. So a swap of links, as mounted configuration is updated, and a directory that goes and comes back are
//! noticed like any edit, and reading a file is not.
//!
//! Belongs here: noticing. Does not: reading the files again ([`super::rules`]), putting them in force (`app`).

use std::fs::{self, Metadata};
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::rules::RulesDir;

/// After a notification, look when nothing more came for this long.
const QUIET: Duration = Duration::from_millis(150);
/// Look anyway after this many more notifications.
const MOST_WAITS: usize = 50;
/// How often to look without being told, when notifications work and when they don't.
const POLL: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(2));

/// A running watch; it ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    stop: Sender<Signal>,
}

/// Why no watch could be started.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system gave no thread.
    #[error("the watch on files can't start: {0}; changes need a reload by hand")]
    Thread(#[from] std::io::Error),
}

enum Signal {
    Look,
    Stop,
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A watch that already ended has nobody to tell.
        let _ = self.stop.send(Signal::Stop);
    }
}

/// Calls `changed` on a thread of its own whenever something below one of `paths` (directories, not their subdirectories;
/// or files) is not as it was. Paths that are not there yet are waited for.
///
/// What is there during this call counts as known: start the watch first, then read.
///
/// # Errors
/// When there is no thread for it.
pub fn watch(paths: Vec<PathBuf>, changed: impl FnMut() + Send + 'static) -> Result<Watch, WatchError> {
    start(paths, POLL, changed)
}

/// Watches a rules directory. `None`, with a line in the log, when that can't be done: then rules are reloaded by hand.
#[must_use = "the watch ends when this is dropped"]
pub fn rules(dir: &RulesDir, changed: impl FnMut() + Send + 'static) -> Option<Watch> {
    watch(vec![dir.path.clone()], changed).inspect_err(|error| tracing::warn!("{error}")).ok()
}

fn start(
    paths: Vec<PathBuf>,
    poll: (Duration, Duration),
    changed: impl FnMut() + Send + 'static,
) -> Result<Watch, WatchError> {
    let (sender, receiver) = channel();
    let known = fingerprint(&paths);
    let stop = sender.clone();
    std::thread::Builder::new().name("file-watch".to_owned()).spawn(move || {
        let told = Told::new(sender);
        Loop { paths, poll, known, told, receiver }.run(changed);
    })?;
    Ok(Watch { stop })
}

struct Loop {
    paths: Vec<PathBuf>,
    poll: (Duration, Duration),
    known: u64,
    told: Told,
    receiver: Receiver<Signal>,
}

impl Loop {
    fn run(mut self, mut changed: impl FnMut()) {
        loop {
            // Listen first, then look: what changes in between is seen, what changes later is told.
            let works = self.told.listen_to(&self.paths);
            let now = fingerprint(&self.paths);
            if now != self.known {
                self.known = now;
                changed();
            }
            let wait = if works { self.poll.0 } else { self.poll.1 };
            match self.receiver.recv_timeout(wait) {
                Ok(Signal::Look) if !self.settle() => return,
                Ok(Signal::Look) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Waits until whoever is writing seems done; `false` when the watch is to end.
    fn settle(&self) -> bool {
        for _ in 0..MOST_WAITS {
            match self.receiver.recv_timeout(QUIET) {
                Ok(Signal::Look) => {}
                Err(RecvTimeoutError::Timeout) => return true,
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        true
    }
}

/// The system's notifications, as far as it gives any.
struct Told {
    watcher: Option<RecommendedWatcher>,
    listening: Vec<(PathBuf, u64)>,
}

impl Told {
    fn new(sender: Sender<Signal>) -> Self {
        let look = move |event: notify::Result<notify::Event>| {
            // Looking opens the directory, which would be told again and again.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                // The loop that reads this ends before the watcher does; then nobody needs to know.
                let _ = sender.send(Signal::Look);
            }
        };
        let watcher = notify::recommended_watcher(look);
        if let Err(error) = &watcher {
            tracing::warn!(%error, "no file notifications; files are looked at every few seconds instead");
        }
        Self { watcher: watcher.ok(), listening: Vec::new() }
    }

    /// Listens to the directories of `paths` that exist now, again to one that was made anew. Whether all are listened to.
    fn listen_to(&mut self, paths: &[PathBuf]) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let mut all = true;
        let mut listening = Vec::new();
        for path in paths {
            let dir = if path.is_file() { path.parent().unwrap_or(path) } else { path };
            let Ok(meta) = fs::metadata(dir) else {
                all = false;
                continue;
            };
            let this = (dir.to_owned(), meta.ino());
            if !self.listening.contains(&this) && !listening.contains(&this) {
                if self.listening.iter().any(|(known, _)| known == dir) {
                    // The old directory is gone; so is what listened to it, or it ends here.
                    let _ = watcher.unwatch(dir);
                }
                if watcher.watch(dir, RecursiveMode::NonRecursive).is_err() {
                    all = false;
                    continue;
                }
            }
            listening.push(this);
        }
        self.listening = listening;
        all
    }
}

/// A number that changes when anything about the files changes that an edit would change.
fn fingerprint(paths: &[PathBuf]) -> u64 {
    let mut hasher = ahash::AHasher::default();
    for path in paths {
        one(path, &mut hasher);
        if let Ok(entries) = fs::read_dir(path) {
            let mut entries: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
            entries.sort();
            for entry in &entries {
                one(entry, &mut hasher);
            }
        }
    }
    hasher.finish()
}

fn one(path: &Path, hasher: &mut impl Hasher) {
    path.hash(hasher);
    fs::read_link(path).ok().hash(hasher);
    // Of a directory only what it is: its times change with every file beside the rules, its entries are looked at.
    let facts = |m: Metadata| {
        let times = (m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec(), m.len());
        (m.dev(), m.ino(), m.is_file().then_some(times))
    };
    fs::metadata(path).ok().map(facts).hash(hasher);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    /// No look without a notification within a test, or looks all the time.
    const POLLS: [(Duration, Duration); 2] = [
        (Duration::from_hours(1), Duration::from_millis(5)),
        (Duration::from_millis(5), Duration::from_millis(5)),
    ];

    fn watched(path: &Path, poll: (Duration, Duration)) -> (Watch, Receiver<()>) {
        let (sender, receiver) = channel();
        let tell = move || {
            let _ = sender.send(());
        };
        let watch = start(vec![path.to_owned()], poll, tell).unwrap();
        (watch, receiver)
    }

    #[test]
    fn edits_are_noticed() {
        for poll in POLLS {
            let dir = tempfile::tempdir().unwrap();
            let rules = dir.path().join("rules");
            let (_watch, noticed) = watched(&rules, poll);
            fs::create_dir(&rules).unwrap();
            noticed.recv_timeout(PATIENCE).unwrap();
            fs::write(rules.join("a.yaml"), "x").unwrap();
            noticed.recv_timeout(PATIENCE).unwrap();
            fs::remove_dir_all(&rules).unwrap();
            noticed.recv_timeout(PATIENCE).unwrap();
        }
    }

    #[test]
    fn a_swap_of_links_is_noticed() {
        for poll in POLLS {
            let dir = tempfile::tempdir().unwrap();
            let path = |name: &str| dir.path().join(name);
            for (version, text) in [("..1", "old"), ("..2", "new")] {
                fs::create_dir(path(version)).unwrap();
                fs::write(path(version).join("a.yaml"), text).unwrap();
            }
            std::os::unix::fs::symlink("..1", path("..data")).unwrap();
            std::os::unix::fs::symlink("..data/a.yaml", path("a.yaml")).unwrap();
            let (_watch, noticed) = watched(dir.path(), poll);
            std::os::unix::fs::symlink("..2", path("..tmp")).unwrap();
            fs::rename(path("..tmp"), path("..data")).unwrap();
            noticed.recv_timeout(PATIENCE).unwrap();
        }
    }

    #[test]
    fn reading_changes_nothing_and_a_dropped_watch_ends() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.yaml"), "x").unwrap();
        let before = fingerprint(&[dir.path().to_owned()]);
        fs::read(dir.path().join("a.yaml")).unwrap();
        assert_eq!(before, fingerprint(&[dir.path().to_owned()]));
        let (watch, noticed) = watched(dir.path(), POLLS[0]);
        drop(watch);
        // The callback goes away with the thread.
        assert_eq!(noticed.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
    }
}
