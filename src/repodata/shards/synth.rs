//! The gate's own shards, made of a generation's own records.
//!
//! Two runs over the same records give the same bytes, on however many threads, so a shard keeps its digest as long as its
//! package's records stay the same. What was made before is not made again: the digest of a package's JSON leads to the shard
//! of the last generation, and only new shards go into a new pack.
//!
//! Belongs here: the order of the work. Does not: one shard (`maker`).

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::ShardError;
use super::grouping::{ByName, removed_by_name};
use super::index::write_index;
use super::maker::{Known, Maker, Shard, Theirs};
use super::map::{Line, ShardMap, ShardMapBuilder};
use super::source::Reader;
use crate::conda::digest::Sha256;
use crate::repodata::error::BuildError;
use crate::repodata::files::{HashingFile, Written};
use crate::repodata::table::PackageTable;

/// The new shards' pack in a generation's directory, until the store moves it beside the others.
pub(crate) const PACK: &str = "shards.pack";

/// Beyond so many packs, or when less than half of the packs' bytes are in use, everything is written anew.
const MAX_PACKS: usize = 200;

/// Threads that make shards, at most; the bytes do not depend on it.
const THREADS: usize = 4;

/// Finished portions that wait for each thread to be written.
const WAITING: usize = 2;

/// The generation before, whose shards may be used again.
#[derive(Debug)]
pub(crate) struct Previous<'a> {
    pub map: &'a ShardMap,
    /// Where its packs are.
    pub packs: PathBuf,
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Synthesised {
    /// The packed index.
    pub index: Vec<u8>,
    /// The map that was written.
    pub map: Written,
    /// Name of the new pack, which lies at [`PACK`]; `None` when every shard was there already.
    pub pack: Option<String>,
}

/// A generation's records.
#[derive(Clone, Copy)]
pub(crate) struct Records<'a> {
    /// Where `repodata.json` is.
    pub json_dir: &'a Path,
    /// Where to write.
    pub dir: &'a Path,
    pub subdir: &'a str,
    pub table: &'a PackageTable,
    /// Where `removed` stands in `repodata.json`.
    pub removed_at: Option<(u64, u64)>,
    /// Upstream's own shards that are at hand.
    pub theirs: Option<&'a Theirs<'a>>,
}

/// Makes the shards of a generation in its directory `dir`, the map as `map_name`.
pub(crate) fn synthesise(
    from: &Records<'_>,
    previous: Option<&Previous<'_>>,
    map_name: &str,
) -> Result<Synthesised, BuildError> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(THREADS));
    synthesise_on(threads, from, previous, map_name)
}

/// The same on so many threads.
pub(crate) fn synthesise_on(
    threads: usize,
    from: &Records<'_>,
    previous: Option<&Previous<'_>>,
    map_name: &str,
) -> Result<Synthesised, BuildError> {
    let reader = Reader::open(from.json_dir)?;
    let by_name = ByName::of(from.table, &reader)?;
    let removed = removed_by_name(from.removed_at, &reader)?;
    let before = previous.filter(|previous| worth_keeping(previous)).map(|previous| previous.map);
    let known = Known::new(from.table, reader, removed, before, from.theirs);
    let mut output = Output::new(from.dir)?;
    let mut digests = Vec::with_capacity(by_name.len());
    in_portions(threads, &known, &by_name, |shard| {
        digests.push(shard.digest());
        output.put(shard)
    })?;
    let names = by_name.packages(0..by_name.len()).map(|(name, _)| name);
    let index: Vec<_> = names.zip(digests).collect();
    let index = write_index(from.subdir, index.into_iter())?;
    let (map, pack) = output.finish(&from.dir.join(map_name))?;
    Ok(Synthesised { index, map, pack })
}

fn worth_keeping(previous: &Previous<'_>) -> bool {
    let used: u64 = previous.map.iter().map(|line| u64::from(line.len)).sum();
    let size = |pack: &String| fs::metadata(pack_path(&previous.packs, pack)).map(|file| file.len());
    let Ok(sizes) = previous.map.packs().iter().map(size).collect::<Result<Vec<u64>, _>>() else {
        return false;
    };
    sizes.len() < MAX_PACKS && used.saturating_mul(2) >= sizes.iter().sum()
}

/// Where a pack lies.
pub(crate) fn pack_path(packs: &Path, name: &str) -> PathBuf {
    packs.join(format!("{name}.pack"))
}

/// The shards of one portion, or why there are none.
type Portion<'a> = Result<Vec<Shard<'a>>, BuildError>;

/// Makes every shard and hands them to `take` in the order of names. Portion n is made by thread n modulo `threads`, so taking
/// turns at the threads gives the order back, and a thread that is ahead waits.
fn in_portions<'a>(
    threads: usize,
    known: &Known<'a>,
    by_name: &ByName,
    mut take: impl FnMut(Shard<'a>) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    let portions = by_name.portions(known.table);
    let threads = threads.clamp(1, portions.len().max(1));
    std::thread::scope(|scope| {
        let (mut running, mut ready): (Vec<_>, Vec<Receiver<Portion<'a>>>) = (Vec::new(), Vec::new());
        for first in 0..threads {
            let (to, from) = sync_channel(WAITING);
            let mine = portions.iter().skip(first).step_by(threads);
            running.push(scope.spawn(move || make(known, by_name, mine, &to)));
            ready.push(from);
        }
        let turns = portions.iter().zip(ready.iter().cycle());
        // A channel that ends early is a thread that panicked; `join` below says so.
        let taken = turns
            .map_while(|(_, ready)| ready.recv().ok())
            .try_for_each(|portion| portion?.into_iter().try_for_each(&mut take));
        // Threads that still have something to say must not wait for ever.
        drop(ready);
        let stopped =
            running.into_iter().map(|thread| thread.join().is_ok()).fold(true, |all, one| all & one);
        if stopped {
            taken
        } else {
            Err(ShardError::Packed("not to be packed (a thread panicked)".to_owned()).into())
        }
    })
}

/// What one thread does.
fn make<'a, 'p>(
    known: &Known<'a>,
    by_name: &ByName,
    portions: impl Iterator<Item = &'p Range<usize>>,
    to: &SyncSender<Portion<'a>>,
) {
    let mut maker = match Maker::new(known) {
        Ok(maker) => maker,
        Err(error) => return drop(to.send(Err(error))),
    };
    for portion in portions {
        let packages = by_name.packages(portion.clone());
        let made: Portion<'a> = packages.map(|(name, lines)| maker.shard(name, lines)).collect();
        let failed = made.is_err();
        if to.send(made).is_err() || failed {
            return;
        }
    }
}

/// Where finished shards go.
struct Output {
    map: ShardMapBuilder,
    /// Lines of new shards; their pack has no name yet.
    fresh: Vec<(Sha256, [u8; 16], u64, u32)>,
    pack: HashingFile,
    pack_path: PathBuf,
}

impl Output {
    fn new(dir: &Path) -> Result<Self, BuildError> {
        let pack_path = dir.join(PACK);
        let pack = HashingFile::create(&pack_path)?;
        Ok(Self { map: ShardMapBuilder::default(), fresh: Vec::new(), pack, pack_path })
    }

    fn put(&mut self, shard: Shard<'_>) -> Result<(), BuildError> {
        match shard {
            Shard::Kept(line) => self.map.push(&line),
            Shard::New { digest, source, packed } => {
                let len = u32::try_from(packed.len())
                    .map_err(|_| ShardError::TooLarge { limit: u32::MAX as usize })?;
                self.fresh.push((digest, source, self.pack.len(), len));
                self.pack.put(&packed)?;
            }
        }
        Ok(())
    }

    /// Writes the map and names the pack.
    fn finish(mut self, map: &Path) -> Result<(Written, Option<String>), BuildError> {
        let pack = self.pack.finish()?;
        let name = pack.sha256.to_hex()[..16].to_owned();
        for (digest, source, offset, len) in &self.fresh {
            self.map.push(&Line {
                digest: *digest,
                source: *source,
                pack: &name,
                offset: *offset,
                len: *len,
            });
        }
        let written = self.map.write(map)?;
        if self.fresh.is_empty() {
            fs::remove_file(&self.pack_path).map_err(BuildError::io("remove", &self.pack_path))?;
            return Ok((written, None));
        }
        Ok((written, Some(name)))
    }
}
