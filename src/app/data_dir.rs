//! The data directory: that it can be used, that one process uses it, and how it is laid out.
//!
//! A lock on `<data>/lock` lasts as long as its process, however that ends; who holds it stands in the file. `<data>/layout` has the
//! number of the layout: a directory of a newer condagate is refused before anything in it is opened, an older one is brought up to
//! date. Databases and indexes have numbers of their own, which their rooms look at.
//!
//! Belongs here: the directory as a whole. Does not: what is in it (`cache`, `store`, `repodata`).

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::{Clock, UnixMillis};
use crate::config::Config;
use crate::http::date;
use crate::policy::units;

/// The layout that this condagate writes. 1: `packages`, `cache`, `run`, `store.db`, `lock` and `layout` itself.
pub(super) const LAYOUT: u32 = 1;
/// Steps from each layout to the next, the first from the one before there were numbers. One that is released is never edited.
const STEPS: [fn(&Path) -> io::Result<()>; LAYOUT as usize] = [|_the_number_is_new| Ok(())];
/// A clock that differs by less may have been set by NTP.
const BACK: Duration = Duration::from_mins(1);

/// Why the data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file system says no.
    #[error("the directory `{}` can't be used: {source}; give another with --data or `data:`", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is somebody else's.
    #[error(
        "the data directory `{}` belongs to uid {owner}, and this process runs as uid {me} and may not write there; run the gate \
         as its owner, `chown -R {me} {}`, or give another with --data", path.display(), path.display()
    )]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who runs this process.
        me: u32,
    },
    /// There is no room.
    #[error("there is no room left on the volume of the data directory `{}`; make room, or give another with --data", .0.display())]
    Full(PathBuf),
    /// Another process uses it.
    #[error("the data directory `{}` is used by another condagate ({by}); stop it, or give this one its own with --data", path.display())]
    Held {
        /// Which.
        path: PathBuf,
        /// The process, and since when.
        by: String,
    },
    /// A newer condagate was here.
    #[error(
        "the data directory `{}` has layout {found}, and this condagate knows up to {LAYOUT}; run the newer version again, restore a \
         backup from before the upgrade, or give another directory with --data", path.display()
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its layout.
        found: u32,
    },
    /// The number can't be read.
    #[error("`{}` does not say which layout the data directory has; it should have one number, {LAYOUT}", .0.display())]
    Unknown(PathBuf),
}

/// A data directory in use; it is let go when this is dropped.
#[derive(Debug)]
pub(super) struct DataDir {
    _locked: File,
}

impl DataDir {
    /// Makes the directories a gate owns, takes the lock and looks at the layout.
    ///
    /// # Errors
    /// As [`DataError`]; nothing in the directory was changed but directories that were missing.
    pub(super) fn claim(config: &Config, clock: &dyn Clock) -> Result<Self, DataError> {
        let data = &config.data;
        make(data, 0o750).map_err(|source| of_data(data, source))?;
        let locked = lock(data, clock.now())?;
        bring_up_to_date(data)?;
        let run = data.join("run");
        make(&config.storage.cache, 0o750).map_err(failed(&config.storage.cache))?;
        make(&run, 0o700).map_err(failed(&run))?;
        // The directory may be older than this rule.
        std::fs::set_permissions(&run, Permissions::from_mode(0o700)).map_err(failed(&run))?;
        Ok(Self { _locked: locked })
    }
}

fn make(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> DataError {
    move |source| DataError::Io { path: path.to_owned(), source }
}

/// Tells the usual reasons from the others.
fn of_data(data: &Path, source: io::Error) -> DataError {
    let me = rustix::process::geteuid().as_raw();
    let owner = data.metadata().map_or(me, |meta| meta.uid());
    match source.kind() {
        ErrorKind::PermissionDenied if owner != me => DataError::Foreign { path: data.to_owned(), owner, me },
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DataError::Full(data.to_owned()),
        _ => DataError::Io { path: data.to_owned(), source },
    }
}

fn lock(data: &Path, now: UnixMillis) -> Result<File, DataError> {
    let path = data.join("lock");
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o640).clone();
    let mut file = options.open(&path).map_err(|source| of_data(data, source))?;
    let mut said = String::new();
    match file.try_lock() {
        Ok(()) => {
            // What a broken disk left in it is nobody's business.
            let _unreadable_is_unknown = file.read_to_string(&mut said);
            warn_of_the_clock(&said, now);
            let holder = format!("{}\n{}\n", std::process::id(), date::rfc3339(now));
            let write =
                file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
            write.map_err(|source| of_data(data, source))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let _unreadable_is_unknown = file.read_to_string(&mut said);
            Err(DataError::Held { path: data.to_owned(), by: holder(&said) })
        }
        Err(TryLockError::Error(source)) => Err(of_data(data, source)),
    }
}

fn holder(said: &str) -> String {
    let mut lines = said.lines();
    match (lines.next().and_then(|pid| pid.parse::<u32>().ok()), lines.next()) {
        (Some(pid), Some(since)) => format!("process {pid}, since {since}"),
        _ => "its process is not known".to_owned(),
    }
}

/// Whoever held the directory last wrote down when; a clock that is behind that was set back.
fn warn_of_the_clock(said: &str, now: UnixMillis) {
    let before = said.lines().nth(1).and_then(units::moment);
    if let Some(before) = before.filter(|before| before.since(now) > BACK) {
        tracing::warn!(
            last_start = %date::rfc3339(before), now = %date::rfc3339(now),
            "the clock of this machine went back; ages, cooldowns and the ends of tokens go by it, so set it right (timedatectl)"
        );
    }
}

fn bring_up_to_date(data: &Path) -> Result<(), DataError> {
    let path = data.join("layout");
    let found = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map_err(|_| DataError::Unknown(path.clone()))?,
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(source) => return Err(of_data(data, source)),
    };
    if found > LAYOUT {
        return Err(DataError::Newer { path: data.to_owned(), found });
    }
    for (n, step) in (1..).zip(STEPS).skip(found as usize) {
        step(data).map_err(|source| of_data(data, source))?;
        write_number(&path, n).map_err(|source| of_data(data, source))?;
        tracing::info!(layout = n, data = %data.display(), "the data directory has a new layout");
    }
    Ok(())
}

/// Whole or not at all: half a number would lock everybody out.
fn write_number(path: &Path, number: u32) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(format!("{number}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}
