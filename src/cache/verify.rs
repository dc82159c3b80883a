//! The scrub: reads files and compares them with their digests, at a bounded speed.
//!
//! Belongs here: the whole run (`condagate cache verify`), the small steps in the background, and making sense of
//! files without rows. Does not: what happens to a wrong file (`blobs::quarantine`).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::Inner;
use super::blobs::Blobs;
use super::error::CacheError;
use super::hashing;
use super::index::BlobRow;
use super::stamp::Stamp;
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;

/// Rows taken from the index at a time.
const PAGE: u32 = 64;

/// What a scrub has done so far.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct VerifyReport {
    /// Files read and found right.
    pub right: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Files that were not what they should be, now in `quarantine/`.
    pub quarantined: u64,
    /// Rows whose file was gone; the rows are gone now, too.
    pub missing: u64,
    /// Right files without a row (a crash, a lost `cache.db`), taken in.
    pub adopted: u64,
    /// Wrong files without a row, deleted.
    pub deleted: u64,
    /// The first files that were wrong or gone: digest and what they were fetched as.
    pub wrong: Vec<String>,
}

/// Wrong files named in a report; the log has them all.
const NAMED: usize = 100;

/// What looking at one file found.
enum Finding {
    Right(u64),
    Quarantined,
    Missing,
    Adopted(u64),
    Deleted,
    /// Somebody else replaced or removed it meanwhile.
    Moved,
}

impl VerifyReport {
    fn name(&mut self, row: &BlobRow, finding: &Finding) {
        if matches!(finding, Finding::Quarantined | Finding::Missing) && self.wrong.len() < NAMED {
            self.wrong.push(format!("{} ({})", row.sha256, row.origin));
        }
    }

    const fn count(&mut self, finding: &Finding) -> u64 {
        let bytes = match finding {
            Finding::Right(bytes) => {
                self.right += 1;
                *bytes
            }
            Finding::Adopted(bytes) => {
                self.adopted += 1;
                *bytes
            }
            Finding::Quarantined => {
                self.quarantined += 1;
                0
            }
            Finding::Missing => {
                self.missing += 1;
                0
            }
            Finding::Deleted => {
                self.deleted += 1;
                0
            }
            Finding::Moved => 0,
        };
        self.bytes += bytes;
        bytes
    }
}

/// Keeps a run at a number of bytes per second.
struct Pace {
    per_second: Option<u64>,
    started: Instant,
    bytes: u64,
}

impl Pace {
    async fn after(&mut self, bytes: u64) {
        self.bytes += bytes;
        let Some(per_second) = self.per_second.filter(|rate| *rate > 0) else { return };
        let due = Duration::from_millis(self.bytes.saturating_mul(1000) / per_second);
        tokio::time::sleep_until(self.started + due).await;
    }
}

/// Reads every file, then looks for files without rows. `progress` is called after each file.
pub(super) async fn run(
    inner: &Arc<Inner>,
    per_second: Option<u64>,
    mut progress: impl FnMut(&VerifyReport) + Send,
) -> Result<VerifyReport, CacheError> {
    let mut report = VerifyReport::default();
    let mut pace = Pace { per_second, started: Instant::now(), bytes: 0 };
    let mut after = None;
    loop {
        let rows = on_pool(inner, move |inner| inner.blobs.index.page(after.as_ref(), PAGE)).await??;
        let Some(last) = rows.last() else { break };
        after = Some(last.sha256);
        for row in rows {
            let looked_at = row.clone();
            let finding = on_pool(inner, move |inner| examine(&inner.blobs, &looked_at)).await??;
            report.name(&row, &finding);
            let bytes = report.count(&finding);
            progress(&report);
            pace.after(bytes).await;
        }
    }
    for dir in on_pool(inner, |inner| directories(&inner.blobs)).await?? {
        for path in on_pool(inner, move |inner| strangers(&inner.blobs, &dir)).await?? {
            let finding = on_pool(inner, move |inner| adopt(&inner.blobs, &path)).await??;
            let bytes = report.count(&finding);
            progress(&report);
            pace.after(bytes).await;
        }
    }
    Ok(report)
}

/// A small piece of the background scrub: up to about `budget` bytes of what was verified longest ago, and the
/// files without rows in the `round`-th of the 256 directories.
pub(super) async fn step(inner: &Arc<Inner>, budget: u64, round: usize) {
    let outcome = on_pool(inner, move |inner| {
        let age = i64::try_from(inner.settings.scrub_age.as_millis()).unwrap_or(i64::MAX);
        let before = UnixMillis(inner.blobs.clock.now().0.saturating_sub(age));
        let mut report = VerifyReport::default();
        for row in inner.blobs.index.unverified_since(before, PAGE)? {
            if report.bytes >= budget {
                break;
            }
            report.count(&examine(&inner.blobs, &row)?);
        }
        let dirs = directories(&inner.blobs)?;
        if let Some(dir) = dirs.get(round % dirs.len().max(1)) {
            for path in strangers(&inner.blobs, dir)? {
                report.count(&adopt(&inner.blobs, &path)?);
            }
        }
        Ok::<_, CacheError>(())
    });
    if let Ok(Err(error)) = outcome.await {
        tracing::warn!(%error, "the background scrub could not read a file");
    }
}

/// Deletes or takes in files without rows; for `gc`.
pub(super) fn reconcile(blobs: &Blobs) -> Result<VerifyReport, CacheError> {
    let mut report = VerifyReport::default();
    for dir in directories(blobs)? {
        for path in strangers(blobs, &dir)? {
            report.count(&adopt(blobs, &path)?);
        }
    }
    Ok(report)
}

async fn on_pool<T: Send + 'static>(
    inner: &Arc<Inner>,
    work: impl FnOnce(&Inner) -> T + Send + 'static,
) -> Result<T, CacheError> {
    let task = Arc::clone(inner);
    inner.blobs.runtime.spawn_blocking(move || work(&task)).await.map_err(|_| CacheError::Stopping)
}

/// Hashes the file of a row.
fn examine(blobs: &Blobs, row: &BlobRow) -> Result<Finding, CacheError> {
    let path = blobs.layout.blob(&row.sha256);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return blobs.drop_row(row).map(|()| Finding::Missing);
        }
        Err(error) => return Err(CacheError::io("open", &path)(error)),
    };
    let read = CacheError::io("read", &path);
    let hashed = Stamp::of(&file).and_then(|stamp| Ok((stamp, hashing::sha256_of(&file)?)));
    let (Some(stamp), sha256) = hashed.map_err(read)? else { return Ok(Finding::Moved) };
    blobs.counters.scrubbed.fetch_add(1, Ordering::Relaxed);
    if sha256 == row.sha256 {
        blobs.index.verified(&row.sha256, &stamp, blobs.clock.now())?;
        return Ok(Finding::Right(stamp.size));
    }
    Ok(if blobs.quarantine(row, stamp) { Finding::Quarantined } else { Finding::Moved })
}

/// The directories below `blobs/sha256/`, at most 256.
fn directories(blobs: &Blobs) -> Result<Vec<PathBuf>, CacheError> {
    let root = blobs.layout.blobs();
    let entries = fs::read_dir(&root).map_err(CacheError::io("list", &root))?;
    let paths: io::Result<Vec<_>> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut dirs = paths.map_err(CacheError::io("list", &root))?;
    dirs.retain(|path| path.is_dir());
    dirs.sort();
    Ok(dirs)
}

/// Files in `dir` that have no row.
fn strangers(blobs: &Blobs, dir: &Path) -> Result<Vec<PathBuf>, CacheError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(CacheError::io("list", dir))? {
        let path = entry.map_err(CacheError::io("list", dir))?.path();
        let known = match digest_of(&path) {
            Some(digest) => blobs.index.blob(&digest)?.is_some(),
            None => false,
        };
        if !known {
            found.push(path);
        }
    }
    Ok(found)
}

fn digest_of(path: &Path) -> Option<Sha256> {
    let name = path.file_name()?.to_str()?;
    let digest = Sha256::from_hex(name)?;
    (digest.to_hex() == name && path.parent()?.file_name()?.to_str()? == &name[..2]).then_some(digest)
}

/// Takes a file without a row in if it is what its name says, else deletes it.
fn adopt(blobs: &Blobs, path: &Path) -> Result<Finding, CacheError> {
    let digest = digest_of(path);
    let look = || File::open(path).and_then(|file| Ok((Stamp::of(&file)?, file)));
    let hashed = look().and_then(|(stamp, file)| Ok((stamp, hashing::sha256_of(&file)?)));
    let (stamp, sha256) = match hashed {
        Ok((Some(stamp), sha256)) => (stamp, sha256),
        Ok((None, _)) => return Ok(Finding::Moved),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Finding::Moved),
        Err(error) => return Err(CacheError::io("read", path)(error)),
    };
    let _change = blobs.tenure.change()?;
    // The stripe of the name: that is what a fill holds from its rename to its row.
    let _stripe = blobs.stripe(&digest.unwrap_or(sha256));
    let stored = digest.map_or(Ok(None), |digest| blobs.index.blob(&digest))?.is_some();
    if stored || !matches!(look(), Ok((Some(now), _)) if now == stamp) {
        return Ok(Finding::Moved);
    }
    if digest != Some(sha256) {
        blobs.ops.remove(path).map_err(CacheError::io("delete", path))?;
        return Ok(Finding::Deleted);
    }
    let now = blobs.clock.now();
    let origin = String::new();
    let row = BlobRow { sha256, stamp, last_use: now, verified_at: now, origin, md5: None };
    blobs.index.put(&row, None)?;
    Ok(Finding::Adopted(stamp.size))
}
