//! When the gate first saw each file of a subdir: the age that rules and `indexed_timestamp` (CEP 47) go by.
//!
//! A file is its name and its digest: other bytes under an old name are a new file. What was seen once stays known, also after
//! upstream took the file away and after the generations were purged: this is a record of facts, not a cache.
//!
//! Belongs here: the file they are kept in, and what counts as the first sighting. Does not: where the file lies (`store`), what
//! is made of an age (`judging`).
//!
//! # Layout, version 1
//!
//! | part | bytes | what |
//! |---|---|---|
//! | header | 8 | `CGSEEN\0\0` |
//! | | 4 | version, 1 |
//! | | 4 | zero |
//! | | 8 | number of entries, n |
//! | | 8 | when the gate met the subdir, Unix milliseconds |
//! | entries | n × 24 | sorted by key: 16 bytes of SHA-256 over name and digest; Unix milliseconds × 4 + origin |
//! | end | 32 | SHA-256 of all before |
//!
//! Numbers are little-endian. The file is replaced whole.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256 as Hasher};

use super::error::BuildError;
use super::files;
use super::map::Mapped;
use crate::clock::UnixMillis;
use crate::conda::digest::Expected;

const MAGIC: [u8; 8] = *b"CGSEEN\0\0";
const VERSION: u32 = 1;
const HEADER: usize = 32;
const ENTRY: usize = 24;
const END: usize = 32;

/// Where a first sighting comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The gate saw it come.
    Gate,
    /// It was there when the gate met the subdir, and upstream's `indexed_timestamp` says since when.
    Upstream,
    /// It was there when the gate met the subdir, and only its build's `timestamp` says how old it may be.
    Build,
    /// It was there when the gate met the subdir, and nothing says how old it is.
    Meeting,
}

impl Origin {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Gate => 0,
            Self::Upstream => 1,
            Self::Build => 2,
            Self::Meeting => 3,
        }
    }

    pub(super) const fn of_code(code: u8) -> Self {
        match code & 3 {
            0 => Self::Gate,
            1 => Self::Upstream,
            2 => Self::Build,
            _ => Self::Meeting,
        }
    }
}

/// When a file was first seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sighting {
    /// The moment.
    pub at: UnixMillis,
    /// Who says so.
    pub origin: Origin,
}

impl Sighting {
    /// The first sighting of a file that was there when the gate met its subdir: what upstream says, else what the build says,
    /// never later than `now`.
    pub fn on_meeting(indexed: Option<UnixMillis>, built: Option<UnixMillis>, now: UnixMillis) -> Self {
        let (at, origin) = match (indexed, built) {
            (Some(indexed), _) => (indexed, Origin::Upstream),
            (None, Some(built)) => (built, Origin::Build),
            (None, None) => (now, Origin::Meeting),
        };
        Self { at: at.min(now), origin }
    }
}

/// A file, as sightings know it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key([u8; 16]);

impl Key {
    /// The key of a file name with the digest its record promises: SHA-256, else MD5, else none.
    #[must_use]
    pub fn of(file: &str, expected: &Expected) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(file.as_bytes());
        match (expected.sha256, expected.md5) {
            (Some(sha256), _) => hasher.update(sha256.0),
            (None, Some(md5)) => hasher.update(md5.0),
            (None, None) => {}
        }
        let digest: [u8; 32] = hasher.finalize().into();
        Self(std::array::from_fn(|n| digest[n]))
    }

    /// Keys are digests: this says where about in the order one stands.
    fn guess(self, count: usize) -> usize {
        let high = u64::from_be_bytes(std::array::from_fn(|n| self.0[n]));
        let at = (u128::from(high) * count as u128) >> 64;
        usize::try_from(at).unwrap_or(0)
    }
}

/// The sightings of one subdir, opened.
#[derive(Debug)]
pub struct Sightings {
    map: Mapped,
    count: usize,
}

impl Sightings {
    /// Opens the file at `path`; `None` where there is none.
    ///
    /// # Errors
    /// It can't be read or is damaged.
    pub fn open(path: &Path) -> Result<Option<Self>, BuildError> {
        let map = match Mapped::open(path) {
            Ok(map) => map,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BuildError::io("read", path)(error)),
        };
        let damaged = |what| BuildError::Sightings { path: path.to_owned(), what };
        let count = map.bytes().ok_or("it became shorter").and_then(check).map_err(damaged)?;
        Ok(Some(Self { map, count }))
    }

    /// When a file was first seen.
    #[must_use]
    pub fn find(&self, key: Key) -> Option<Sighting> {
        self.map.read(|bytes| {
            let at = |n: usize| key_at(bytes, n);
            let guess = key.guess(self.count).min(self.count.checked_sub(1)?);
            let (low, high) = around(guess, self.count, key, at)?;
            let mut span = low..high;
            while span.start < span.end {
                let middle = usize::midpoint(span.start, span.end);
                match at(middle)?.cmp(&key) {
                    std::cmp::Ordering::Less => span.start = middle + 1,
                    std::cmp::Ordering::Greater => span.end = middle,
                    std::cmp::Ordering::Equal => return sighting_at(bytes, middle),
                }
            }
            None
        })
    }

    /// How many files were ever seen.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether none was.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// A range of places that holds `key` if any does: doubles its steps away from a guess that is close.
fn around(guess: usize, count: usize, key: Key, at: impl Fn(usize) -> Option<Key>) -> Option<(usize, usize)> {
    let (mut low, mut high, mut step) = (guess, guess + 1, 16);
    while low > 0 && at(low)? > key {
        low = low.saturating_sub(step);
        step *= 2;
    }
    step = 16;
    while high < count && at(high - 1)? < key {
        high = (high + step).min(count);
        step *= 2;
    }
    Some((low, high))
}

fn check(bytes: &[u8]) -> Result<usize, &'static str> {
    let header = bytes.get(..HEADER).ok_or("it is shorter than its header")?;
    if header[..8] != MAGIC || header[8..12] != VERSION.to_le_bytes() {
        return Err("it is of another form or version");
    }
    let count = usize::try_from(u64_at(bytes, 16).unwrap_or(u64::MAX)).ok();
    let end = count.and_then(|n| n.checked_mul(ENTRY)).and_then(|n| n.checked_add(HEADER));
    let (Some(count), Some(end)) = (count, end.filter(|end| end.checked_add(END) == Some(bytes.len())))
    else {
        return Err("its length is not what its header says");
    };
    if Hasher::digest(&bytes[..end])[..] != bytes[end..] {
        return Err("its content is not what its digest says");
    }
    Ok(count)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn key_at(bytes: &[u8], n: usize) -> Option<Key> {
    let at = HEADER + n * ENTRY;
    Some(Key(bytes.get(at..at + 16)?.try_into().ok()?))
}

fn sighting_at(bytes: &[u8], n: usize) -> Option<Sighting> {
    let raw = u64_at(bytes, HEADER + n * ENTRY + 16)?;
    let origin = Origin::of_code(u8::try_from(raw & 3).unwrap_or(0));
    Some(Sighting { at: UnixMillis(raw.cast_signed() >> 2), origin })
}

/// What was known before, and what one look at upstream's index adds.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    before: Option<Sightings>,
    now: UnixMillis,
    fresh: Vec<(Key, Sighting)>,
}

impl Ledger {
    /// Opens what is known. A damaged file is set aside and counts as unknown: the subdir is met anew, which is logged.
    ///
    /// # Errors
    /// The disk is in trouble.
    pub fn open(path: &Path, now: UnixMillis) -> Result<Self, BuildError> {
        let before = match Sightings::open(path) {
            Err(error @ BuildError::Sightings { .. }) => {
                tracing::error!(%error, "first sightings are lost; ages start anew from what records say");
                let aside = path.with_extension("damaged");
                fs::rename(path, &aside).map_err(BuildError::io("rename", path))?;
                None
            }
            opened => opened?,
        };
        Ok(Self { path: path.to_owned(), before, now, fresh: Vec::new() })
    }

    /// When a file was first seen: now, if this is the first time. `indexed` and `built` are what its record says.
    pub fn see(
        &mut self,
        file: &str,
        expected: &Expected,
        indexed: Option<UnixMillis>,
        built: Option<UnixMillis>,
    ) -> Sighting {
        let key = Key::of(file, expected);
        let known = self.before.as_ref().map(|before| before.find(key));
        let sighting = match known {
            Some(Some(known)) => return known,
            Some(None) => Sighting { at: self.now, origin: Origin::Gate },
            None => Sighting::on_meeting(indexed, built, self.now),
        };
        self.fresh.push((key, sighting));
        sighting
    }

    /// How many files were seen for the first time.
    pub const fn fresh(&self) -> usize {
        self.fresh.len()
    }

    /// Makes what was seen durable. Nothing is written where nothing is new, except the first time.
    ///
    /// # Errors
    /// The disk is in trouble.
    pub fn write(mut self) -> Result<(), BuildError> {
        if self.fresh.is_empty() && self.before.is_some() {
            return Ok(());
        }
        self.fresh.sort_by_key(|(key, _)| *key);
        // The same file may stand in two groups; what was said first counts.
        self.fresh.dedup_by_key(|(key, _)| *key);
        let raw = |(key, sighting): &(Key, Sighting)| {
            let mut raw = [0; ENTRY];
            raw[..16].copy_from_slice(&key.0);
            let packed = sighting.at.0 << 2 | i64::from(sighting.origin.code());
            raw[16..].copy_from_slice(&packed.to_le_bytes());
            raw
        };
        let old = self.before.as_ref().and_then(|before| before.map.bytes()).unwrap_or_default();
        let since = u64_at(old, 24).unwrap_or_else(|| self.now.0.cast_unsigned());
        let old = old.get(HEADER..old.len().saturating_sub(END)).unwrap_or_default();
        let count = old.len() / ENTRY + self.fresh.len();
        let mut out = Vec::with_capacity(HEADER + count * ENTRY + END);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&(count as u64).to_le_bytes());
        out.extend_from_slice(&since.to_le_bytes());
        let mut fresh = self.fresh.iter().map(raw).peekable();
        for entry in old.chunks_exact(ENTRY) {
            while let Some(new) = fresh.next_if(|new| new[..16] < entry[..16]) {
                out.extend_from_slice(&new);
            }
            out.extend_from_slice(entry);
        }
        fresh.for_each(|new| out.extend_from_slice(&new));
        let digest = Hasher::digest(&out);
        out.extend_from_slice(&digest);
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir).map_err(BuildError::io("create", dir))?;
        }
        files::replace(&self.path, &out, true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conda::digest::Sha256;

    fn digest(n: u8) -> Expected {
        Expected { sha256: Some(Sha256([n; 32])), ..Expected::default() }
    }

    fn look(path: &Path, now: i64, files: &[(String, u8)]) -> Vec<Sighting> {
        let mut ledger = Ledger::open(path, UnixMillis(now)).unwrap();
        let seen = files.iter().map(|(file, n)| ledger.see(file, &digest(*n), None, None)).collect();
        ledger.write().unwrap();
        seen
    }

    #[test]
    fn the_first_look_takes_what_records_say_and_later_ones_the_clock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.seen");
        let mut ledger = Ledger::open(&path, UnixMillis(1000)).unwrap();
        let (indexed, built) = (Some(UnixMillis(500)), Some(UnixMillis(400)));
        let says = |at, origin| Sighting { at: UnixMillis(at), origin };
        assert_eq!(ledger.see("a", &digest(1), indexed, built), says(500, Origin::Upstream));
        assert_eq!(ledger.see("b", &digest(1), None, built), says(400, Origin::Build));
        assert_eq!(ledger.see("c", &digest(1), None, None), says(1000, Origin::Meeting));
        assert_eq!(ledger.see("d", &digest(1), None, Some(UnixMillis(5000))), says(1000, Origin::Build));
        ledger.write().unwrap();
        let mut ledger = Ledger::open(&path, UnixMillis(2000)).unwrap();
        assert_eq!(ledger.see("a", &digest(1), None, None), says(500, Origin::Upstream));
        assert_eq!(ledger.see("e", &digest(1), indexed, built), says(2000, Origin::Gate));
        assert_eq!(ledger.see("a", &digest(2), indexed, built), says(2000, Origin::Gate), "other bytes");
        assert_eq!(ledger.fresh(), 2);
        ledger.write().unwrap();
        let kept = Sightings::open(&path).unwrap().unwrap();
        assert_eq!((kept.len(), kept.is_empty()), (6, false));
        assert_eq!(kept.find(Key::of("e", &digest(1))), Some(says(2000, Origin::Gate)));
        assert_eq!(kept.find(Key::of("f", &digest(1))), None);
    }

    #[test]
    fn damage_is_noticed_and_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.seen");
        look(&path, 5, &[("a".to_owned(), 1), ("b".to_owned(), 1)]);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            // Four bytes have no meaning but are part of what the digest covers.
            assert!(matches!(Sightings::open(&path), Err(BuildError::Sightings { .. })), "byte {at}");
        }
        let seen = look(&path, 9, &[("a".to_owned(), 1)]);
        assert_eq!(seen[0].at, UnixMillis(9));
        assert!(dir.path().join("x.damaged").exists());
    }

    proptest! {
        #[test]
        fn looks_add_up(looks in prop::collection::vec(prop::collection::vec(("[a-f]{1,2}", 0u8..3), 0..40), 1..6)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x.seen");
            let mut first: std::collections::HashMap<(String, u8), i64> = std::collections::HashMap::new();
            for (n, files) in (1i64..).zip(&looks) {
                let now = n * 1000;
                for (file, seen) in files.iter().zip(look(&path, now, files)) {
                    let expected = *first.entry(file.clone()).or_insert(now);
                    prop_assert_eq!(seen.at.0, expected);
                }
            }
            let kept = Sightings::open(&path).unwrap().unwrap();
            prop_assert_eq!(kept.len(), first.len());
            for ((file, n), at) in first {
                prop_assert_eq!(kept.find(Key::of(&file, &digest(n))).map(|s| s.at.0), Some(at));
            }
        }
    }
}
