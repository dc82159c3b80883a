//! Whether the files of a generation are what was written.
//!
//! Belongs here: comparing digests once, and stamps ever after. Does not: what is done about damage (`opening`).
//!
//! Digests are compared when a generation is first opened in a run of the gate. From then on the stamps of its files vouch for them: a
//! file whose stamp is another one is not believed until all of it was read again.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::error::BuildError;
use super::files;
use super::manifest::FileEntry;
use crate::cache::stamp::Stamp;

/// How often the stamps are looked at while a generation is in use.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The stamps of files, taken when their bytes were known to be good, or before they are found to be.
#[derive(Debug, Default)]
pub(super) struct Seals(HashMap<String, Stamp>);

impl Seals {
    /// Adds a file: with the stamp it had `before`, else with the one it has.
    pub fn add(&mut self, name: &str, path: &Path, before: &Self) -> Result<Stamp, BuildError> {
        let stamp = match before.of(name) {
            Some(stamp) => *stamp,
            None => Stamp::at(path).map_err(BuildError::io("read", path))?,
        };
        self.0.insert(name.to_owned(), stamp);
        Ok(stamp)
    }

    /// The stamp of a file.
    pub fn of(&self, name: &str) -> Option<&Stamp> {
        self.0.get(name)
    }

    /// Whether a file has the stamp it had; also if there is no such file in the generation.
    pub fn still_hold(&self, name: &str, path: &Path) -> bool {
        self.of(name).is_none_or(|stamp| Stamp::at(path).is_ok_and(|now| now == *stamp))
    }
}

/// Compares a file with what its manifest says of it; `stamp`: what vouches for it afterwards.
pub(super) fn check_file(path: &Path, entry: &FileEntry, stamp: Option<&Stamp>) -> Result<(), BuildError> {
    let file = File::open(path).map_err(BuildError::io("read", path))?;
    let digest = files::digest_of(&file, path)?;
    // Whoever writes into it from now on changes the stamp, and so did whoever has since it was taken.
    if entry.digest() == Some(digest) && stamp.is_some_and(|stamp| stamp.fits(&file)) {
        Ok(())
    } else {
        Err(BuildError::Damaged { path: path.to_owned() })
    }
}

/// Whether anybody has found damage.
#[derive(Debug)]
pub(super) struct Doubts {
    begun: AtomicBool,
    opened: Instant,
    /// When stamps were last looked at, in milliseconds since `opened`.
    looked: AtomicU64,
}

impl Doubts {
    pub fn new() -> Self {
        Self { begun: AtomicBool::new(false), opened: Instant::now(), looked: AtomicU64::new(0) }
    }

    /// There is damage.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Release);
    }

    /// Whether nobody has found any; `look` is asked once in a while.
    pub fn none(&self, look: impl FnOnce() -> bool) -> bool {
        if self.begun.load(Ordering::Acquire) {
            return false;
        }
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let looked = self.looked.load(Ordering::Relaxed);
        if u128::from(now.saturating_sub(looked)) < LOOK_EVERY.as_millis() {
            return true;
        }
        self.looked.store(now, Ordering::Relaxed);
        let good = look();
        if !good {
            self.begin();
        }
        good
    }
}
