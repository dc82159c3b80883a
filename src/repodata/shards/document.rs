//! `repodata.json` made of all shards of a subdir, for an upstream that has nothing else.
//!
//! Belongs here: shards in, one document on disk out, the same whatever the order they come in. Does not: fetching them
//! (`delivery`), building a generation of the document (`build`).
//!
//! Records pass through a spool file, because they come by package and leave by file name. Memory: one shard, and about 100
//! bytes for each record.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::cursor::Cursor;
use super::inflate::{SHARD_LIMIT, inflate};
use super::json;
use super::walk::{Part, Place, walk};
use crate::repodata::build::Limits;
use crate::repodata::error::BuildError;

/// More kinds of packages in `v3` than this are no kinds.
const MAX_KINDS: usize = 64;
/// The classic groups, in the order they stand in a document.
const TOP: [&str; 3] = ["packages", "packages.conda", "packages.whl"];

/// What a document says besides its records.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// `info.subdir`.
    pub subdir: &'a str,
    /// `info.base_url` (CEP 15): where upstream's shard index says that its packages lie; may be empty.
    pub base_url: &'a str,
}

/// What one shard's records are listed under: its package's name and its packed bytes.
pub type Shard = (String, Vec<u8>);

/// Writes the document to `repodata.json` in `dir`; a spool file beside it is removed again.
///
/// A record that JSON can't carry stands there as `null`: it counts as dropped when the document is built. Where two shards
/// list the same file, the one of the package that comes first by name counts.
///
/// # Errors
/// Whatever `shards` gives; a broken or oversized shard; more records or bytes than `limits`; trouble with the disk.
pub fn write_document<E: From<BuildError>>(
    dir: &Path,
    head: Head<'_>,
    limits: &Limits,
    shards: impl IntoIterator<Item = Result<Shard, E>>,
) -> Result<PathBuf, E> {
    let mut gathered = Gathered::new(dir, limits)?;
    for shard in shards {
        let (package, packed) = shard?;
        gathered.add(&package, &packed)?;
    }
    Ok(gathered.write(dir, head)?)
}

/// A record in the spool.
#[derive(Clone, Copy, Debug)]
struct Spooled {
    /// Where its key is, and its length.
    key: (u64, u32),
    /// Where its JSON is, and its length.
    json: (u64, u32),
    /// Which group, as a number.
    group: u32,
    /// The how-manieth package, by arrival.
    package: u32,
}

/// Everything that was in shards so far.
struct Gathered<'l> {
    limits: &'l Limits,
    spool: BufWriter<File>,
    spool_path: PathBuf,
    spooled: u64,
    keys: Vec<u8>,
    places: Vec<Spooled>,
    packages: Vec<String>,
    /// Groups inside `v3`, by arrival; their numbers follow those of [`TOP`].
    kinds: Vec<String>,
    removed: Vec<String>,
}

impl<'l> Gathered<'l> {
    fn new(dir: &Path, limits: &'l Limits) -> Result<Self, BuildError> {
        let spool_path = dir.join("records.spool");
        let options = File::options().read(true).write(true).create_new(true).open(&spool_path);
        let spool = options.map_err(BuildError::io("create", &spool_path))?;
        Ok(Self {
            limits,
            spool: BufWriter::with_capacity(256 << 10, spool),
            spool_path,
            spooled: 0,
            keys: Vec::new(),
            places: Vec::new(),
            packages: Vec::new(),
            kinds: Vec::new(),
            removed: Vec::new(),
        })
    }

    fn add(&mut self, package: &str, packed: &[u8]) -> Result<(), BuildError> {
        self.packages.push(package.to_owned());
        let added = inflate(packed, SHARD_LIMIT).map_err(BuildError::from).and_then(|raw| self.read(&raw));
        added.map_err(|error| match error {
            BuildError::Shards(why) => {
                let package: String = package.chars().take(64).collect();
                BuildError::Unknown { what: format!("its shard of `{package}` is wrong: {why}") }
            }
            other => other,
        })
    }

    fn read(&mut self, raw: &[u8]) -> Result<(), BuildError> {
        let mut json = Vec::new();
        let classic = walk(raw, |part, at| match part {
            Part::Record(place, key) => {
                json.clear();
                self.record(place, key, at, &mut json)
            }
            Part::Removed(file) => self.remove(file),
            Part::Other => Ok(()),
        })?;
        // Clients that read shards can't read one without them, so nobody means it.
        if classic {
            Ok(())
        } else {
            Err(super::ShardError::Missing { key: "packages` and `packages.conda" }.into())
        }
    }

    fn record(
        &mut self,
        place: Place<'_>,
        key: Option<&str>,
        at: &mut Cursor<'_>,
        json: &mut Vec<u8>,
    ) -> Result<(), BuildError> {
        let group = self.group(place)?;
        let limit = self.limits.scan.record.saturating_sub(self.limits.scan.key + 16);
        if !json::record(at, limit, json)? {
            json.extend_from_slice(b"null");
        }
        // A name that the document could not even hold is none; the record is still counted.
        let start = self.keys.len();
        json::string(&mut self.keys, key.unwrap_or(""));
        if self.keys.len() - start > self.limits.scan.key {
            self.keys.truncate(start);
            json::string(&mut self.keys, "");
        }
        self.room(self.places.len())?;
        self.places.push(Spooled {
            key: (start as u64, narrow(self.keys.len() - start)),
            json: (self.spooled, narrow(json.len())),
            group,
            package: narrow(self.packages.len() - 1),
        });
        self.spool.write_all(json).map_err(BuildError::io("write", &self.spool_path))?;
        self.spooled += json.len() as u64;
        let limit = self.limits.unpack.bytes;
        if self.spooled > limit {
            return Err(BuildError::TooLarge { limit, why: "more than an index may have" });
        }
        Ok(())
    }

    fn group(&mut self, place: Place<'_>) -> Result<u32, BuildError> {
        let n = match place {
            Place::Top(key) => TOP.iter().position(|known| *known == key).unwrap_or(0),
            Place::V3(key) => {
                let known = self.kinds.iter().position(|kind| kind == key);
                if known.is_none() && (self.kinds.len() == MAX_KINDS || key.len() > MAX_KINDS) {
                    let what =
                        format!("its shards have groups in `v3` that are longer or more than {MAX_KINDS}");
                    return Err(BuildError::Unknown { what });
                }
                TOP.len()
                    + known.unwrap_or_else(|| {
                        self.kinds.push(key.to_owned());
                        self.kinds.len() - 1
                    })
            }
        };
        Ok(narrow(n))
    }

    fn remove(&mut self, file: &str) -> Result<(), BuildError> {
        self.room(self.removed.len())?;
        if file.len() <= self.limits.scan.key {
            self.removed.push(file.to_owned());
        }
        Ok(())
    }

    fn room(&self, used: usize) -> Result<(), BuildError> {
        let limit = self.limits.records;
        if used < limit { Ok(()) } else { Err(BuildError::TooManyRecords { limit }) }
    }

    fn key(&self, place: &Spooled) -> &[u8] {
        let start = usize::try_from(place.key.0).unwrap_or(usize::MAX);
        self.keys.get(start..start.saturating_add(place.key.1 as usize)).unwrap_or_default()
    }

    /// The places by group and key, each file once.
    fn sorted(&mut self) -> Vec<Spooled> {
        let mut places = std::mem::take(&mut self.places);
        let package = |place: &Spooled| self.packages.get(place.package as usize);
        places.sort_by(|a, b| (a.group, self.key(a), package(a)).cmp(&(b.group, self.key(b), package(b))));
        places.dedup_by(|later, first| later.group == first.group && self.key(later) == self.key(first));
        places
    }

    fn write(mut self, dir: &Path, head: Head<'_>) -> Result<PathBuf, BuildError> {
        let path = dir.join("repodata.json");
        let places = self.sorted();
        let removed = self.removed();
        let Self { spool, spool_path, keys, kinds, .. } = self;
        let spool = spool.into_inner().map_err(|e| BuildError::io("write", &spool_path)(e.into_error()))?;
        let file = File::create_new(&path).map_err(BuildError::io("create", &path))?;
        let mut out =
            Document { out: BufWriter::with_capacity(256 << 10, file), spool, keys, record: Vec::new() };
        out.whole(&places, &kinds, &removed, head).map_err(BuildError::io("write", &path))?;
        out.out.flush().map_err(BuildError::io("write", &path))?;
        std::fs::remove_file(&spool_path).map_err(BuildError::io("remove", &spool_path))?;
        Ok(path)
    }

    fn removed(&mut self) -> Vec<String> {
        let mut removed = std::mem::take(&mut self.removed);
        removed.sort_unstable();
        removed.dedup();
        removed
    }
}

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The document while it is written.
struct Document {
    out: BufWriter<File>,
    spool: File,
    keys: Vec<u8>,
    record: Vec<u8>,
}

impl Document {
    fn whole(
        &mut self,
        places: &[Spooled],
        kinds: &[String],
        removed: &[String],
        head: Head<'_>,
    ) -> std::io::Result<()> {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        write!(self.out, "{{\"info\":{{\"subdir\":{}", text(head.subdir))?;
        if !head.base_url.is_empty() {
            write!(self.out, ",\"base_url\":{}", text(head.base_url))?;
        }
        self.out.write_all(b"}")?;
        for (n, key) in TOP.iter().enumerate() {
            let of_group = group(places, n);
            if n < 2 || !of_group.is_empty() {
                write!(self.out, ",\"{key}\":")?;
                self.group(of_group)?;
            }
        }
        if !kinds.is_empty() {
            let mut order: Vec<(&String, usize)> = kinds.iter().zip(TOP.len()..).collect();
            order.sort_unstable();
            for (place, (kind, n)) in order.into_iter().enumerate() {
                self.out.write_all(if place == 0 { b",\"v3\":{" } else { b"," })?;
                write!(self.out, "{}:", text(kind))?;
                self.group(group(places, n))?;
            }
            self.out.write_all(b"}")?;
        }
        self.out.write_all(b",\"removed\":")?;
        serde_json::to_writer(&mut self.out, removed)?;
        self.out.write_all(b",\"repodata_version\":1}")
    }

    fn group(&mut self, places: &[Spooled]) -> std::io::Result<()> {
        self.out.write_all(b"{")?;
        for (n, place) in places.iter().enumerate() {
            if n > 0 {
                self.out.write_all(b",")?;
            }
            let start = usize::try_from(place.key.0).unwrap_or(usize::MAX);
            let key = self.keys.get(start..start.saturating_add(place.key.1 as usize));
            self.out.write_all(key.unwrap_or_default())?;
            self.out.write_all(b":")?;
            self.record.resize(place.json.1 as usize, 0);
            self.spool.read_exact_at(&mut self.record, place.json.0)?;
            self.out.write_all(&self.record)?;
        }
        self.out.write_all(b"}")
    }
}

/// The places of group `n`, in places sorted by group.
fn group(places: &[Spooled], n: usize) -> &[Spooled] {
    let start = places.partition_point(|place| (place.group as usize) < n);
    let end = places.partition_point(|place| place.group as usize <= n);
    places.get(start..end).unwrap_or_default()
}
