//! One package's shard: the one that was made before, upstream's own, or a new one.
//!
//! Belongs here: what a worker does. Does not: in which order, and where the bytes go (`synth`).

use std::collections::HashMap;

use sha2::{Digest as _, Sha256 as Hasher};

use super::ShardError;
use super::grouping::Removed;
use super::map::{Line, ShardMap};
use super::same::same_records;
use super::source::{Buffer, MISMATCH, Reader};
use super::transcode;
use crate::conda::digest::Sha256;
use crate::repodata::error::BuildError;
use crate::repodata::table::{Entry, PackageTable, group_code};

/// Changes whenever the same JSON would give other bytes.
const RECIPE: &[u8] = b"condagate shard 2";

/// zstd's level. Digests, which no level shrinks, are most of a packed shard: on real records this is 6 % larger than
/// conda-index's level 16 and 7 % larger than level 19, at many times their speed.
const LEVEL: i32 = 3;

/// Upstream's own shard of a package, packed, where it is at hand; asked from several threads.
pub type Theirs<'a> = dyn Fn(&str) -> Option<Vec<u8>> + Sync + 'a;

/// What became of one package.
#[derive(Debug)]
pub(super) enum Shard<'a> {
    /// It lies there already.
    Kept(Line<'a>),
    /// It has to be written.
    New { digest: Sha256, source: [u8; 16], packed: Vec<u8> },
}

impl Shard<'_> {
    pub const fn digest(&self) -> Sha256 {
        match self {
            Self::Kept(line) => line.digest,
            Self::New { digest, .. } => *digest,
        }
    }
}

/// What all workers look into.
pub(super) struct Known<'a> {
    pub table: &'a PackageTable,
    pub reader: Reader,
    pub removed: Removed,
    pub theirs: Option<&'a Theirs<'a>>,
    by_source: HashMap<[u8; 16], Line<'a>, ahash::RandomState>,
    by_digest: Option<&'a ShardMap>,
}

impl<'a> Known<'a> {
    pub fn new(
        table: &'a PackageTable,
        reader: Reader,
        removed: Removed,
        before: Option<&'a ShardMap>,
        theirs: Option<&'a Theirs<'a>>,
    ) -> Self {
        let by_source = before.into_iter().flat_map(ShardMap::iter).map(|line| (line.source, line)).collect();
        Self { table, reader, removed, theirs, by_source, by_digest: before }
    }
}

/// Makes shards one by one; keeps its buffers and its compressor.
pub(super) struct Maker<'k, 'a> {
    known: &'k Known<'a>,
    packer: zstd::bulk::Compressor<'static>,
    records: Buffer,
    raw: Vec<u8>,
    packed: Vec<u8>,
}

impl<'k, 'a> Maker<'k, 'a> {
    pub fn new(known: &'k Known<'a>) -> Result<Self, BuildError> {
        let mut packer = zstd::bulk::Compressor::new(LEVEL).map_err(not_packed)?;
        packer.include_checksum(true).map_err(not_packed)?;
        Ok(Self { known, packer, records: Buffer::default(), raw: Vec::new(), packed: Vec::new() })
    }

    /// The shard of package `name`, whose records are at `lines`.
    pub fn shard(&mut self, name: &str, lines: &[(u32, u32)]) -> Result<Shard<'a>, BuildError> {
        let known = self.known;
        let entries: Option<Vec<Entry<'_>>> =
            lines.iter().map(|(_, n)| known.table.get(*n as usize)).collect();
        let entries = entries.ok_or(ShardError::Generation { what: "its package table is damaged" })?;
        let removed = known.removed.get(name).map_or(&[][..], Vec::as_slice);
        known.reader.records(&entries, &mut self.records)?;
        let source = source_of(&entries, &self.records, removed);
        if let Some(line) = known.by_source.get(&source) {
            return Ok(Shard::Kept(*line));
        }
        let parts = entries.iter().zip(self.records.iter());
        let parts: Vec<_> = parts.map(|(entry, raw)| (entry.group, entry.file, raw)).collect();
        if let Some(packed) = known.theirs.and_then(|theirs| theirs(name))
            && same_records(&packed, &parts, removed)
        {
            return Ok(known.finish(source, &packed));
        }
        transcode::shard(&mut self.raw, &parts, removed)
            .map_err(|_| ShardError::Generation { what: MISMATCH })?;
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(self.raw.len()));
        self.packer.compress_to_buffer(&self.raw, &mut self.packed).map_err(not_packed)?;
        Ok(known.finish(source, &self.packed))
    }
}

impl<'a> Known<'a> {
    fn finish(&self, source: [u8; 16], packed: &[u8]) -> Shard<'a> {
        let digest = Sha256(Hasher::digest(packed).into());
        match self.by_digest.and_then(|map| map.find(&digest)) {
            Some(line) => Shard::Kept(Line { source, ..line }),
            None => Shard::New { digest, source, packed: packed.to_vec() },
        }
    }
}

/// What a shard was made of, in short.
fn source_of(entries: &[Entry<'_>], records: &Buffer, removed: &[String]) -> [u8; 16] {
    let mut hasher = Hasher::new();
    hasher.update(RECIPE);
    for (entry, raw) in entries.iter().zip(records.iter()) {
        hash_part(&mut hasher, &[group_code(entry.group)]);
        hash_part(&mut hasher, entry.file.as_bytes());
        hash_part(&mut hasher, raw);
    }
    hash_part(&mut hasher, b"removed");
    for file in removed {
        hash_part(&mut hasher, file.as_bytes());
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let mut source = [0; 16];
    source.copy_from_slice(&digest[..16]);
    source
}

fn hash_part(hasher: &mut Hasher, part: &[u8]) {
    hasher.update((part.len() as u64).to_le_bytes());
    hasher.update(part);
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn not_packed(error: std::io::Error) -> ShardError {
    ShardError::Packed(format!("not to be packed ({error})"))
}
