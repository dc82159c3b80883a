//! The shard index: `repodata_shards.msgpack.zst`.

use rmp::encode::{write_bin, write_map_len, write_pfix, write_str};

use super::ShardError;
use super::cursor::Cursor;
use super::inflate::{INDEX_LIMIT, inflate};
use super::transcode::ok;
use crate::conda::digest::Sha256;

/// Where clients find the gate's shards, relative to the subdir. Relative, because mamba mangles absolute ones.
const SHARDS_BASE_URL: &str = "./shards/";

/// Level for indexes: names shrink, digests do not whatever the level.
const LEVEL: i32 = 9;

/// The gate's own index of shards; `shards` in the order of names.
pub(super) fn write_index<'a>(
    subdir: &str,
    shards: impl ExactSizeIterator<Item = (&'a str, Sha256)>,
) -> Result<Vec<u8>, ShardError> {
    let mut out = Vec::with_capacity(shards.len() * 64 + 128);
    ok(write_map_len(&mut out, 3));
    write_head(&mut out, subdir);
    ok(write_str(&mut out, "shards"));
    ok(write_map_len(&mut out, count(shards.len())));
    for (name, digest) in shards {
        ok(write_str(&mut out, name));
        ok(write_bin(&mut out, &digest.0));
    }
    pack(&out)
}

fn write_head(out: &mut Vec<u8>, subdir: &str) {
    ok(write_str(out, "version"));
    ok(write_pfix(out, 1));
    ok(write_str(out, "info"));
    ok(write_map_len(out, 3));
    for (key, value) in [("subdir", subdir), ("base_url", ""), ("shards_base_url", SHARDS_BASE_URL)] {
        ok(write_str(out, key));
        ok(write_str(out, value));
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn pack(raw: &[u8]) -> Result<Vec<u8>, ShardError> {
    let failed = |e: std::io::Error| ShardError::Packed(format!("not to be packed ({e})"));
    let mut packer = zstd::bulk::Compressor::new(LEVEL).map_err(failed)?;
    packer.include_checksum(true).map_err(failed)?;
    packer.compress(raw).map_err(failed)
}

/// What is of interest in an index of upstream's.
struct Parts<'a> {
    subdir: Option<&'a str>,
    base_url: &'a str,
    shards_base_url: &'a str,
    shards: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(raw: &'a [u8]) -> Result<Self, ShardError> {
        let mut at = Cursor::new(raw);
        let mut parts = Self { subdir: None, base_url: "", shards_base_url: "", shards: &[] };
        let mut has_info = false;
        for _ in 0..at.map()? {
            let key = at.text()?;
            let start = at.pos();
            match key {
                "info" if !has_info => {
                    has_info = true;
                    parts.read_info(&mut at)?;
                }
                "shards" if parts.shards.is_empty() => {
                    at.skip()?;
                    parts.shards = at.since(start);
                }
                "info" | "shards" => return Err(at.wrong("a key that stands twice")),
                _ => at.skip()?,
            }
        }
        if !at.at_end() {
            return Err(at.wrong("more data behind the index"));
        }
        match (has_info, parts.shards) {
            (false, _) => Err(ShardError::Missing { key: "info" }),
            (_, []) => Err(ShardError::Missing { key: "shards" }),
            _ => Ok(parts),
        }
    }

    fn read_info(&mut self, at: &mut Cursor<'a>) -> Result<(), ShardError> {
        for _ in 0..at.map()? {
            match at.text()? {
                "subdir" => self.subdir = at.text_or_nil()?,
                "shards_base_url" => self.shards_base_url = at.text_or_nil()?.unwrap_or(""),
                "base_url" => self.base_url = at.text_or_nil()?.unwrap_or(""),
                _ => at.skip()?,
            }
        }
        Ok(())
    }
}

/// Upstream's index, small: names and digests only.
#[derive(Debug)]
pub struct UpstreamIndex {
    base_url: String,
    shards_base_url: String,
    /// All names, one behind the other, in order.
    names: String,
    /// End of the name in `names`, digest.
    shards: Vec<(u32, Sha256)>,
}

impl UpstreamIndex {
    /// Reads an index as upstream sent it.
    ///
    /// # Errors
    /// Broken or oversized data, an index of another subdir than `subdir`, or one without `info` or `shards`.
    pub fn parse(packed: &[u8], subdir: &str) -> Result<Self, ShardError> {
        let raw = inflate(packed, INDEX_LIMIT)?;
        let parts = Parts::read(&raw)?;
        if let Some(found) = parts.subdir
            && found != subdir
        {
            let found = found.chars().take(64).collect();
            return Err(ShardError::NotThisSubdir { found, wanted: subdir.to_owned() });
        }
        Self::from_parts(&parts)
    }

    fn from_parts(parts: &Parts<'_>) -> Result<Self, ShardError> {
        let mut at = Cursor::new(parts.shards);
        let mut found = Vec::new();
        for _ in 0..at.map()? {
            let name = at.text()?;
            let digest = at.digest::<32>()?.ok_or(at.wrong("a shard without digest"))?;
            found.push((name, Sha256(digest)));
        }
        found.sort_by(|a, b| a.0.cmp(b.0));
        if found.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(at.wrong("a package name that stands twice"));
        }
        let mut index = Self {
            base_url: parts.base_url.to_owned(),
            shards_base_url: parts.shards_base_url.to_owned(),
            names: String::new(),
            shards: Vec::with_capacity(found.len()),
        };
        for (name, digest) in found {
            index.names.push_str(name);
            index.shards.push((count(index.names.len()), digest));
        }
        Ok(index)
    }

    /// `base_url` as upstream wrote it: where its packages lie; empty or relative to the subdir, or absolute.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// `shards_base_url` as upstream wrote it: relative to the subdir, absolute, or empty.
    pub fn shards_base_url(&self) -> &str {
        &self.shards_base_url
    }

    /// How many packages have a shard.
    pub const fn len(&self) -> usize {
        self.shards.len()
    }

    /// Whether none has.
    pub const fn is_empty(&self) -> bool {
        self.shards.is_empty()
    }

    /// The digest of a package's shard.
    pub fn shard(&self, name: &str) -> Option<Sha256> {
        let (mut low, mut high) = (0, self.shards.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.name(middle)?.cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(self.shards[middle].1),
            }
        }
        None
    }

    fn name(&self, n: usize) -> Option<&str> {
        let start = if n == 0 { 0 } else { self.shards.get(n - 1)?.0 as usize };
        self.names.get(start..self.shards.get(n)?.0 as usize)
    }

    /// Names and digests in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Sha256)> {
        (0..self.shards.len()).filter_map(|n| Some((self.name(n)?, self.shards[n].1)))
    }
}
