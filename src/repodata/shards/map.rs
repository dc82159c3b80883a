//! Where made shards lie: many shards in a few pack files, and a mapped file that finds them by digest.
//!
//! # Layout of a shard map, version 1
//!
//! Little-endian; written once, never changed.
//!
//! | part | bytes | what |
//! |---|---|---|
//! | header | 8 | `CGSHARD\0` |
//! | | 4 | version, 1 |
//! | | 4 | number of packs, p |
//! | | 8 | number of shards, n |
//! | packs | p × 16 | names of pack files (`<name>.pack`), hex digits |
//! | shards | n × 64 | sorted by digest |
//!
//! | shard | bytes | what |
//! |---|---|---|
//! | 0 | 32 | SHA-256 of the packed shard |
//! | 32 | 16 | digest of the JSON it was made of, see `synth` |
//! | 48 | 8 | offset in its pack |
//! | 56 | 4 | length |
//! | 60 | 4 | which pack |
//!
//! A pack is shards one behind the other, nothing else; its name is the beginning of its own SHA-256.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::ShardError;
use crate::conda::digest::Sha256;
use crate::repodata::error::BuildError;
use crate::repodata::files::{HashingFile, Written};
use crate::repodata::map::Mapped;

const MAGIC: [u8; 8] = *b"CGSHARD\0";
const VERSION: u32 = 1;
const HEADER: usize = 24;
const PACK_NAME: usize = 16;
const SHARD: usize = 64;

/// Where a shard's bytes are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShardAt {
    /// The pack file.
    pub path: PathBuf,
    /// Offset of the shard in it.
    pub offset: u64,
    /// Its length.
    pub len: u64,
}

/// One line of a map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Line<'a> {
    pub digest: Sha256,
    pub source: [u8; 16],
    pub pack: &'a str,
    pub offset: u64,
    pub len: u32,
}

/// An opened map.
#[derive(Debug)]
pub(crate) struct ShardMap {
    map: Mapped,
    packs: Vec<String>,
    count: usize,
}

impl ShardMap {
    pub fn open(path: &Path) -> Result<Self, ShardError> {
        let failed = |source| ShardError::Io { action: "read", path: path.to_owned(), source };
        let map = Mapped::open(path).map_err(failed)?;
        let parsed = map.bytes().and_then(parse_head);
        let (packs, count) = parsed.ok_or(ShardError::Generation { what: "its shard map is not one" })?;
        Ok(Self { map, packs, count })
    }

    /// Names of the packs it points into.
    pub fn packs(&self) -> &[String] {
        &self.packs
    }

    fn line<'a>(&'a self, bytes: &'a [u8], n: usize) -> Option<Line<'a>> {
        let at = HEADER + self.packs.len() * PACK_NAME + n * SHARD;
        let raw: &[u8; SHARD] = bytes.get(at..at + SHARD)?.try_into().ok()?;
        let pack = u32::from_le_bytes(raw[60..].try_into().ok()?) as usize;
        Some(Line {
            digest: Sha256(raw[..32].try_into().ok()?),
            source: raw[32..48].try_into().ok()?,
            offset: u64::from_le_bytes(raw[48..56].try_into().ok()?),
            len: u32::from_le_bytes(raw[56..60].try_into().ok()?),
            pack: self.packs.get(pack)?,
        })
    }

    pub fn find(&self, digest: &Sha256) -> Option<Line<'_>> {
        let bytes = self.map.bytes()?;
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = usize::midpoint(low, high);
            let line = self.line(bytes, middle)?;
            match line.digest.cmp(digest) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(line),
            }
        }
        None
    }

    pub fn iter(&self) -> impl Iterator<Item = Line<'_>> {
        let bytes = self.map.bytes().unwrap_or_default();
        (0..self.count).map_while(move |n| self.line(bytes, n))
    }
}

fn parse_head(bytes: &[u8]) -> Option<(Vec<String>, usize)> {
    let header = bytes.get(..HEADER)?;
    let version = u32::from_le_bytes(header[8..12].try_into().ok()?);
    let packs = u32::from_le_bytes(header[12..16].try_into().ok()?) as usize;
    let count = usize::try_from(u64::from_le_bytes(header[16..24].try_into().ok()?)).ok()?;
    let names_end = packs.checked_mul(PACK_NAME)?.checked_add(HEADER)?;
    let whole = count.checked_mul(SHARD)?.checked_add(names_end)?;
    if header[..8] != MAGIC || version != VERSION || whole != bytes.len() {
        return None;
    }
    let name = |raw: &[u8]| {
        let hex = raw.iter().all(u8::is_ascii_hexdigit);
        hex.then(|| String::from_utf8_lossy(raw).into_owned())
    };
    let names = bytes[HEADER..names_end].chunks(PACK_NAME).map(name).collect::<Option<_>>()?;
    Some((names, count))
}

/// Collects lines and writes them as a map.
#[derive(Debug, Default)]
pub(crate) struct ShardMapBuilder {
    packs: Vec<String>,
    pack_numbers: HashMap<String, u32>,
    lines: Vec<[u8; SHARD]>,
}

impl ShardMapBuilder {
    pub fn push(&mut self, line: &Line<'_>) {
        let pack = if let Some(n) = self.pack_numbers.get(line.pack) {
            *n
        } else {
            let n = u32::try_from(self.packs.len()).unwrap_or(u32::MAX);
            self.packs.push(line.pack.to_owned());
            self.pack_numbers.insert(line.pack.to_owned(), n);
            n
        };
        let mut raw = [0; SHARD];
        raw[..32].copy_from_slice(&line.digest.0);
        raw[32..48].copy_from_slice(&line.source);
        raw[48..56].copy_from_slice(&line.offset.to_le_bytes());
        raw[56..60].copy_from_slice(&line.len.to_le_bytes());
        raw[60..].copy_from_slice(&pack.to_le_bytes());
        self.lines.push(raw);
    }

    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub fn write(mut self, path: &Path) -> Result<Written, BuildError> {
        self.lines.sort_unstable();
        self.lines.dedup_by(|a, b| a[..32] == b[..32]);
        let mut out = HashingFile::create(path)?;
        out.put(&MAGIC)?;
        out.put(&VERSION.to_le_bytes())?;
        out.put(&u32::try_from(self.packs.len()).unwrap_or(u32::MAX).to_le_bytes())?;
        out.put(&(self.lines.len() as u64).to_le_bytes())?;
        for pack in &self.packs {
            let mut name = [b'0'; PACK_NAME];
            let len = pack.len().min(PACK_NAME);
            name[..len].copy_from_slice(&pack.as_bytes()[..len]);
            out.put(&name)?;
        }
        for line in &self.lines {
            out.put(line)?;
        }
        out.finish()
    }
}
