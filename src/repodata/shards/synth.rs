//! Shards for channels whose upstream has none, made of a generation's own records.
//!
//! Two runs over the same records give the same bytes, so a shard keeps its digest as long as its package's records stay the
//! same. What was made before is not made again: the digest of a package's JSON leads to the shard of the last generation,
//! and only new shards go into a new pack.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256 as Hasher};

use super::ShardError;
use super::index::{LEVEL, write_index};
use super::map::{Line, ShardMap, ShardMapBuilder};
use super::transcode;
use crate::conda::archive::ArchiveName;
use crate::conda::digest::Sha256;
use crate::repodata::error::BuildError;
use crate::repodata::files::{HashingFile, Written};
use crate::repodata::table::{Entry, PackageTable, group_code};

const MISMATCH: &str = "its package table and repodata.json do not belong together";

/// The new shards' pack in a generation's directory, until the store moves it beside the others.
pub(crate) const PACK: &str = "shards.pack";

/// Changes whenever the same JSON would give other bytes.
const RECIPE: &[u8] = b"condagate shard 1";

/// Beyond so many packs, or when less than half of the packs' bytes are in use, everything is written anew.
const MAX_PACKS: usize = 200;

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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Records<'a> {
    /// Where `repodata.json` is.
    pub json_dir: &'a Path,
    /// Where to write.
    pub dir: &'a Path,
    pub subdir: &'a str,
    pub table: &'a PackageTable,
    /// Where `removed` stands in `repodata.json`.
    pub removed_at: Option<(u64, u64)>,
}

/// Makes the shards of a generation in its directory `dir`, the map as `map_name`.
pub(crate) fn synthesise(
    from: &Records<'_>,
    previous: Option<&Previous<'_>>,
    map_name: &str,
) -> Result<Synthesised, BuildError> {
    let json_path = from.json_dir.join("repodata.json");
    let json = File::open(&json_path).map_err(BuildError::io("open", &json_path))?;
    let reader = Reader { json, path: json_path };
    let (names, order) = group_by_name(from.table, &reader)?;
    let mut removed = removed_by_name(from, &reader)?;
    let mut maker = Maker::new(from, reader, previous.filter(|p| worth_keeping(p)))?;
    let mut index = Vec::with_capacity(names.len());
    for group in order.chunk_by(|a, b| a.0 == b.0) {
        let name = names[group[0].0 as usize].as_str();
        let digest = maker.shard(group, &removed.remove(name).unwrap_or_default())?;
        index.push((name, digest));
    }
    let index = write_index(from.subdir, index.into_iter())?;
    let (map, pack) = maker.finish(&from.dir.join(map_name))?;
    Ok(Synthesised { index, map, pack })
}

/// Package names in order, and pairs of name number and table line, in order of both.
type ByName = (Vec<String>, Vec<(u32, u32)>);

/// Sorts a table's lines by package.
fn group_by_name(table: &PackageTable, reader: &Reader) -> Result<ByName, BuildError> {
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let mut names = Vec::new();
    let mut order = Vec::with_capacity(table.len());
    for (n, entry) in table.iter().enumerate() {
        let own;
        let name = if let Some(name) = entry.name {
            name
        } else {
            own = reader.name(&entry)?;
            &own
        };
        let number = if let Some(number) = numbers.get(name) {
            *number
        } else {
            let number = u32::try_from(names.len()).unwrap_or(u32::MAX);
            numbers.insert(name.to_owned(), number);
            names.push(name.to_owned());
            number
        };
        order.push((number, u32::try_from(n).unwrap_or(u32::MAX)));
    }
    if order.len() != table.len() {
        return Err(ShardError::Generation { what: "its package table is damaged" }.into());
    }
    // From order of appearance to order of names.
    let mut by_name: Vec<u32> = (0..u32::try_from(names.len()).unwrap_or(u32::MAX)).collect();
    by_name.sort_unstable_by(|a, b| names[*a as usize].cmp(&names[*b as usize]));
    let mut rank = vec![0; names.len()];
    for (place, number) in by_name.iter().enumerate() {
        rank[*number as usize] = u32::try_from(place).unwrap_or(u32::MAX);
    }
    for pair in &mut order {
        pair.0 = rank[pair.0 as usize];
    }
    order.sort_unstable();
    names.sort_unstable();
    Ok((names, order))
}

/// The file names in `removed`, by package name, in order. What is not a list of file names is left out.
fn removed_by_name(from: &Records<'_>, reader: &Reader) -> Result<BTreeMap<String, Vec<String>>, BuildError> {
    let mut removed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let Some((at, len)) = from.removed_at else { return Ok(removed) };
    let raw = reader.read(at, len)?;
    let Ok(Value::Array(files)) = serde_json::from_slice(&raw) else { return Ok(removed) };
    for file in files.iter().filter_map(Value::as_str) {
        let archive = ArchiveName::parse(file);
        if let Some((name, _, _)) = archive.as_ref().and_then(ArchiveName::parts) {
            removed.entry(name.to_owned()).or_default().push(file.to_owned());
        }
    }
    for files in removed.values_mut() {
        files.sort_unstable();
        files.dedup();
    }
    Ok(removed)
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

/// Reads records out of `repodata.json`. Positioned reads, not a map: should the file be cut meanwhile, this is an error.
struct Reader {
    json: File,
    path: PathBuf,
}

impl Reader {
    fn read(&self, at: u64, len: u64) -> Result<Vec<u8>, BuildError> {
        let mut raw = vec![0; usize::try_from(len).unwrap_or(0)];
        self.json.read_exact_at(&mut raw, at).map_err(BuildError::io("read", &self.path))?;
        Ok(raw)
    }

    fn record(raw: &[u8]) -> Result<Map<String, Value>, BuildError> {
        serde_json::from_slice(raw).map_err(|_| {
            ShardError::Generation { what: "its package table and repodata.json do not belong together" }
                .into()
        })
    }

    /// The package name of a record whose file name does not begin with it.
    fn name(&self, entry: &Entry<'_>) -> Result<String, BuildError> {
        let raw = self.read(entry.record.0, u64::from(entry.record.1))?;
        if let Some(Value::String(name)) = Self::record(&raw)?.remove("name") {
            return Ok(name);
        }
        let archive = ArchiveName::parse(entry.file);
        let from_file = archive.as_ref().and_then(ArchiveName::parts).map(|(name, _, _)| name.to_owned());
        Ok(from_file.unwrap_or_else(|| entry.file.to_owned()))
    }
}

/// Makes shards one by one.
struct Maker<'a> {
    table: &'a PackageTable,
    reader: Reader,
    packer: zstd::bulk::Compressor<'static>,
    by_source: HashMap<[u8; 16], Line<'a>>,
    by_digest: Option<&'a ShardMap>,
    map: ShardMapBuilder,
    /// Lines of new shards; their pack has no name yet.
    fresh: Vec<(Sha256, [u8; 16], u64, u32)>,
    pack: HashingFile,
    pack_path: PathBuf,
}

impl<'a> Maker<'a> {
    fn new(from: &Records<'a>, reader: Reader, previous: Option<&Previous<'a>>) -> Result<Self, BuildError> {
        let failed =
            |e: std::io::Error| BuildError::from(ShardError::Packed(format!("not to be packed ({e})")));
        let mut packer = zstd::bulk::Compressor::new(LEVEL).map_err(failed)?;
        packer.include_checksum(true).map_err(failed)?;
        let pack_path = from.dir.join(PACK);
        let lines = previous.into_iter().flat_map(|p| p.map.iter());
        Ok(Self {
            table: from.table,
            reader,
            packer,
            by_source: lines.map(|line| (line.source, line)).collect(),
            by_digest: previous.map(|p| p.map),
            map: ShardMapBuilder::default(),
            fresh: Vec::new(),
            pack: HashingFile::create(&pack_path)?,
            pack_path,
        })
    }

    /// The digest of the shard with the records at `lines` and the removed files `removed`.
    fn shard(&mut self, lines: &[(u32, u32)], removed: &[String]) -> Result<Sha256, BuildError> {
        let mut records = Vec::with_capacity(lines.len());
        let mut source = Hasher::new();
        source.update(RECIPE);
        for (_, n) in lines {
            let damaged = ShardError::Generation { what: "its package table is damaged" };
            let entry = self.table.get(*n as usize).ok_or(damaged)?;
            let raw = self.reader.read(entry.record.0, u64::from(entry.record.1))?;
            hash_part(&mut source, &[group_code(entry.group)]);
            hash_part(&mut source, entry.file.as_bytes());
            hash_part(&mut source, &raw);
            records.push((entry.group, entry.file, raw));
        }
        hash_part(&mut source, b"removed");
        for file in removed {
            hash_part(&mut source, file.as_bytes());
        }
        let digest: [u8; 32] = source.finalize().into();
        let mut source = [0; 16];
        source.copy_from_slice(&digest[..16]);
        if let Some(line) = self.by_source.get(&source) {
            self.map.push(line);
            return Ok(line.digest);
        }
        let raw =
            transcode::shard(&records, removed).map_err(|_| ShardError::Generation { what: MISMATCH })?;
        self.add(source, &raw)
    }

    fn add(&mut self, source: [u8; 16], raw: &[u8]) -> Result<Sha256, BuildError> {
        let failed = |e: std::io::Error| ShardError::Packed(format!("not to be packed ({e})"));
        let packed = self.packer.compress(raw).map_err(failed)?;
        let digest = Sha256(Hasher::digest(&packed).into());
        if let Some(line) = self.by_digest.and_then(|map| map.find(&digest)) {
            self.map.push(&line);
            return Ok(digest);
        }
        let len =
            u32::try_from(packed.len()).map_err(|_| ShardError::TooLarge { limit: u32::MAX as usize })?;
        self.fresh.push((digest, source, self.pack.len(), len));
        self.pack.put(&packed)?;
        Ok(digest)
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

fn hash_part(hasher: &mut Hasher, part: &[u8]) {
    hasher.update((part.len() as u64).to_le_bytes());
    hasher.update(part);
}
