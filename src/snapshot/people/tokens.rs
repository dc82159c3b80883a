//! Every token of the store in one sorted file, found with two small reads: a million of them cost a quarter of a megabyte of
//! memory and no time at start.
//!
//! The file: a magic line; entries, each a JSON object; records of `RECORD` bytes in the order of the tokens' digests (digest, where
//! the entry stands, how long it is); 65,537 numbers that say where the records of each first two bytes begin; the length
//! of the first two parts; the SHA-256 of all that. Numbers are little-endian.
//!
//! Belongs here: writing and reading that file. Does not: what changed since it was written (`state`), what a token is good for.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256 as Hasher};

use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::store::model::{Token, TokenId, UserId};

const MAGIC: &[u8; 16] = b"condagate-tok-1\n";
/// Bytes of a record.
const RECORD: usize = 32 + 8 + 4;
const BUCKETS: usize = 1 << 16;
/// Bytes behind the records.
const TAIL: usize = (BUCKETS + 1) * 4 + 16 + 32;
/// The longest entry that is believed.
const LONGEST: u32 = 1 << 20;

/// What the data plane must know of a token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    /// Public.
    pub id: String,
    /// The id of its owner.
    pub owner: String,
    /// As the store writes them.
    pub scopes: Vec<ScopeEntry>,
    /// Good until then (milliseconds); none for ever.
    pub expires: Option<i64>,
    /// No longer good.
    pub revoked: bool,
}

/// One scope of a token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeEntry {
    /// `read`, `write`, `manage`
    pub right: String,
    /// Globs of channels.
    pub channels: Vec<String>,
    /// Globs of packages.
    pub packages: Vec<String>,
}

impl TokenEntry {
    /// Of a row.
    #[must_use]
    pub fn of(token: &Token) -> Self {
        let scope = |scope: &crate::store::model::Scope| ScopeEntry {
            right: scope.right.as_str().to_owned(),
            channels: scope.channels.texts().to_vec(),
            packages: scope.packages.texts().to_vec(),
        };
        Self {
            id: token.id.to_string(),
            owner: token.owner.to_string(),
            scopes: token.scopes.iter().map(scope).collect(),
            expires: token.expires.map(|at| at.0),
            revoked: token.revoked.is_some(),
        }
    }

    /// Whose.
    #[must_use]
    pub fn owner(&self) -> Option<UserId> {
        UserId::new(&self.owner)
    }

    /// Its public name.
    #[must_use]
    pub fn id(&self) -> Option<TokenId> {
        TokenId::new(&self.id)
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        self.expires.is_some_and(|at| at <= now.0)
    }
}

/// A file being written. It is not there under its name before [`TokenWriter::finish`].
pub struct TokenWriter {
    out: BufWriter<File>,
    hasher: Hasher,
    written: u64,
    records: Vec<([u8; 32], u64, u32)>,
    beside: PathBuf,
    path: PathBuf,
}

impl TokenWriter {
    /// Begins a file that only this user may read.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn create(path: &Path) -> io::Result<Self> {
        let beside = path.with_extension("partial");
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        let (out, hasher) = (BufWriter::with_capacity(256 << 10, file), Hasher::new());
        let mut this = Self { out, hasher, written: 0, records: Vec::new(), beside, path: path.to_owned() };
        this.put(MAGIC)?;
        Ok(this)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// Adds one, in any order; a digest stands there once.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn add(&mut self, hash: &Sha256, entry: &TokenEntry) -> io::Result<()> {
        self.add_raw(hash, &serde_json::to_vec(entry)?)
    }

    fn add_raw(&mut self, hash: &Sha256, entry: &[u8]) -> io::Result<()> {
        let len = u32::try_from(entry.len()).ok().filter(|len| *len <= LONGEST);
        let len = len.ok_or_else(|| io::Error::other("a token's scopes are longer than a megabyte"))?;
        self.records.push((hash.0, self.written, len));
        self.put(entry)
    }

    /// Writes what is left and puts the file in its place.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn finish(mut self) -> io::Result<TokenFile> {
        let mut records = std::mem::take(&mut self.records);
        records.sort_unstable();
        records.dedup_by_key(|record| record.0);
        let heap = self.written;
        let mut starts = vec![0u32; BUCKETS + 1];
        for (hash, at, len) in &records {
            starts[bucket(hash) + 1] += 1;
            self.put(hash)?;
            self.put(&at.to_le_bytes())?;
            self.put(&len.to_le_bytes())?;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        for start in &starts {
            self.put(&start.to_le_bytes())?;
        }
        self.put(&heap.to_le_bytes())?;
        self.put(&(records.len() as u64).to_le_bytes())?;
        let digest: [u8; 32] = self.hasher.clone().finalize().into();
        self.put(&digest)?;
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        std::fs::rename(&self.beside, &self.path)?;
        let file = File::open(&self.path)?;
        Ok(TokenFile { name: name_of(&self.path), file, heap, starts, count: records.len() as u64 })
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn bucket(hash: &[u8; 32]) -> usize {
    usize::from(hash[0]) << 8 | usize::from(hash[1])
}

/// A whole file.
pub struct TokenFile {
    name: String,
    file: File,
    heap: u64,
    starts: Vec<u32>,
    count: u64,
}

impl TokenFile {
    /// Opens a file after reading all of it: one that was changed by anything is refused.
    ///
    /// # Errors
    /// Trouble with the disk, or a sentence on what is wrong.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let len = file.metadata()?.len();
        let body = len.checked_sub(TAIL as u64).filter(|body| *body >= MAGIC.len() as u64);
        let body = body.ok_or_else(|| wrong("it is too short"))?;
        let mut hasher = Hasher::new();
        let mut left = len - 32;
        let mut buffer = vec![0; 256 << 10];
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            file.read_exact(&mut buffer[..part])?;
            hasher.update(&buffer[..part]);
            left -= part as u64;
        }
        let mut tail = vec![0; TAIL];
        file.read_exact_at(&mut tail, body)?;
        let (rest, digest) = tail.split_at(TAIL - 32);
        if <[u8; 32]>::from(hasher.finalize()) != digest {
            return Err(wrong("its bytes are not the ones that were written"));
        }
        let (starts, lengths) = rest.split_at((BUCKETS + 1) * 4);
        let starts = starts.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        let [heap, count] = [0, 8]
            .map(|at| lengths[at..at + 8].as_array::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes)));
        if heap + count * RECORD as u64 != body {
            return Err(wrong("its parts do not add up"));
        }
        Ok(Self { name: name_of(path), file, heap, starts, count })
    }

    /// Its name in its directory.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many tokens are in it.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The token with this digest.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn find(&self, hash: &Sha256) -> io::Result<Option<TokenEntry>> {
        let at = bucket(&hash.0);
        let (from, to) = (self.starts[at], self.starts[at + 1]);
        let records = self.records(from, to)?;
        let found = records.iter().find(|record| record[..32] == hash.0);
        found.map(|record| self.entry(record)).transpose()
    }

    fn records(&self, from: u32, to: u32) -> io::Result<Vec<[u8; RECORD]>> {
        let count = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
        let mut bytes = vec![0; count * RECORD];
        self.file.read_exact_at(&mut bytes, self.heap + u64::from(from) * RECORD as u64)?;
        Ok(bytes.as_chunks::<RECORD>().0.to_vec())
    }

    fn raw(&self, record: &[u8; RECORD]) -> io::Result<Vec<u8>> {
        let at = record[32..40].as_array::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let len = record[40..].as_array::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let mut entry = vec![0; len.min(LONGEST) as usize];
        self.file.read_exact_at(&mut entry, at)?;
        Ok(entry)
    }

    fn entry(&self, record: &[u8; RECORD]) -> io::Result<TokenEntry> {
        Ok(serde_json::from_slice(&self.raw(record)?)?)
    }

    /// Copies to `writer` the tokens for whose digest and id `keep` holds.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn copy(&self, writer: &mut TokenWriter, keep: impl Fn(&Sha256, &str) -> bool) -> io::Result<()> {
        for pair in self.starts.windows(2) {
            for record in self.records(pair[0], pair[1])? {
                let hash = Sha256(record[..32].as_array().copied().unwrap_or_default());
                let raw = self.raw(&record)?;
                let entry: TokenEntry = serde_json::from_slice(&raw)?;
                if keep(&hash, &entry.id) {
                    writer.add_raw(&hash, &raw)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u32) -> TokenEntry {
        let scopes =
            vec![ScopeEntry { right: "read".into(), channels: vec!["team/*".into()], packages: Vec::new() }];
        TokenEntry {
            id: format!("t{n}"),
            owner: "u".into(),
            scopes,
            expires: Some(i64::from(n)),
            revoked: n % 2 == 1,
        }
    }

    #[test]
    fn what_was_written_is_found_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        let hash = |n: u32| Sha256::of(&n.to_le_bytes());
        let mut writer = TokenWriter::create(&path).unwrap();
        (0..2000).for_each(|n| writer.add(&hash(n), &entry(n)).unwrap());
        drop(writer.finish().unwrap());
        let file = TokenFile::open(&path).unwrap();
        assert_eq!(file.count(), 2000);
        for n in 0..2000 {
            assert_eq!(file.find(&hash(n)).unwrap(), Some(entry(n)));
        }
        assert_eq!(file.find(&hash(2000)).unwrap(), None);

        let mut writer = TokenWriter::create(&path).unwrap();
        file.copy(&mut writer, |found, id| *found != hash(7) && id != "t9").unwrap();
        writer.add(&hash(7), &entry(8)).unwrap();
        let copied = writer.finish().unwrap();
        assert_eq!((copied.find(&hash(7)).unwrap(), copied.count()), (Some(entry(8)), 1999));
    }

    #[test]
    fn damage_is_refused_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        let mut writer = TokenWriter::create(&path).unwrap();
        writer.add(&Sha256::of(b"a"), &entry(1)).unwrap();
        drop(writer.finish().unwrap());
        let good = std::fs::read(&path).unwrap();
        for at in [0, 20, good.len() / 2, good.len() - 40, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, bad).unwrap();
            assert!(TokenFile::open(&path).is_err(), "byte {at}");
        }
        for len in [0, 10, good.len() - 1] {
            std::fs::write(&path, &good[..len]).unwrap();
            assert!(TokenFile::open(&path).is_err(), "{len} bytes");
        }
    }
}
