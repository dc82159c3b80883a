//! The package table: file name → what the file must be, as one sorted file that is mapped, not loaded.
//!
//! Belongs here: the file's layout, reading ([`PackageTable`]) and writing ([`TableBuilder`]). Does not: where records come
//! from (`rewrite`), what is done with a digest (`cache`).
//!
//! # Layout, version 2
//!
//! All numbers are little-endian. The file is written once and never changed; a reader that meets another version treats
//! the generation as damaged, and it is built anew.
//!
//! | part | bytes | what |
//! |---|---|---|
//! | header | 8 | `CGTABLE\0` |
//! | | 4 | version, 2 |
//! | | 4 | number of entries, n |
//! | | 8 | length of the heap, h |
//! | | 8 | zero |
//! | index | n × 112 | entries, sorted by file name (bytewise), names unique |
//! | heap | h | file names, one behind the other |
//!
//! | entry | bytes | what |
//! |---|---|---|
//! | 0 | 4 | offset of the file name in the heap |
//! | 4 | 2 | its length |
//! | 6 | 2 | length of the package name that the file name begins with; 0xFFFF: it begins with something else |
//! | 8 | 8 | size of the file; all ones: unknown |
//! | 16 | 8 | offset of the record's value in `repodata.json` |
//! | 24 | 4 | its length |
//! | 28 | 1 | bit 0: has SHA-256, bit 1: has MD5 |
//! | 29 | 1 | group, see `group_code` |
//! | 30 | 1 | bits 0–1: stance, bit 2: departed, bit 3: in `removed`, bits 4–5: origin of the sighting |
//! | 31 | 1 | in a merged index: place of the member that the record comes from; else zero |
//! | 32 | 32 | SHA-256 |
//! | 64 | 16 | MD5 |
//! | 80 | 8 | when the gate first saw the file, Unix milliseconds; zero: unknown |
//! | 88 | 8 | until when the stance holds, Unix milliseconds; zero: for ever |
//! | 96 | 8 | offset in `withheld.json` of the record as upstream has it, where `repodata.json` has not that |
//! | 104 | 4 | its length; zero: `repodata.json` has it, but for `indexed_timestamp`, or nobody has |
//! | 108 | 4 | zero |

use std::cmp::Ordering;
use std::io;
use std::path::{Path, PathBuf};

use super::map::Mapped;
use super::scan::Group;
use super::sightings::{Origin, Sighting};
use crate::cache::stamp::Stamp;
use crate::clock::UnixMillis;
use crate::conda::digest::{Expected, Md5, Sha256};

mod write;

#[cfg(test)]
mod tests;

pub(crate) use write::TableWritten;
pub use write::{NewEntry, TableBuilder};

const MAGIC: [u8; 8] = *b"CGTABLE\0";
const VERSION: u32 = 2;
const HEADER: usize = 32;
const ENTRY: usize = 112;
const NO_NAME: u16 = u16::MAX;
const NO_SIZE: u64 = u64::MAX;

/// Why a table file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It can't be read at all.
    #[error("can't read the package table {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not a table, is of another version, or is damaged.
    #[error("the package table {path} is damaged: {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        what: &'static str,
    },
}

/// An opened table. Cheap to keep: the content stays in the page cache.
#[derive(Debug)]
pub struct PackageTable {
    map: Mapped,
    count: usize,
}

/// What the rules said of a file when the generation was built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Stance {
    /// Nothing against it.
    #[default]
    Open,
    /// It is in no index, and its file may be had.
    Kept,
    /// It is in no index, and its file is refused.
    Refused,
}

/// What is known of a file beside its record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// What the rules said.
    pub stance: Stance,
    /// Until when; `None`: as long as the rules stay the same.
    pub until: Option<UnixMillis>,
    /// When the gate first saw it.
    pub seen: Option<Sighting>,
    /// Upstream's index had it once and has it no more: this is its last record.
    pub departed: bool,
    /// Upstream's `removed` names it.
    pub removed: bool,
    /// Where in `withheld.json` the record stands as upstream has it: offset and length; length 0: it is not there.
    pub withheld: (u64, u32),
}

/// One line of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// File name.
    pub file: &'a str,
    /// Package name, unless it has to be read from the record.
    pub name: Option<&'a str>,
    /// What the file must be.
    pub expected: Expected,
    /// Where the record's value stands in the generation's `repodata.json`: offset and length.
    pub record: (u64, u32),
    /// Which object it stands in.
    pub group: Group,
    /// In a merged index: place of the member that the record comes from; else 0.
    pub member: u8,
    /// What is known beside the record.
    pub standing: Standing,
}

impl Entry<'_> {
    /// Whether `repodata.json` has the record.
    pub const fn is_shown(&self) -> bool {
        self.record.1 > 0
    }

    /// Whether a record of it is known, shown or not.
    pub const fn has_record(&self) -> bool {
        self.is_shown() || self.standing.withheld.1 > 0
    }
}

impl PackageTable {
    /// Maps a table and checks that its parts fit its length.
    ///
    /// # Errors
    /// It is missing, or is not a table this version can read.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        let map = Mapped::open(path).map_err(|source| TableError::Io { path: path.to_owned(), source })?;
        let count = map.bytes().ok_or("it is shorter than it was").and_then(check_header);
        match count {
            Ok(count) => Ok(Self { map, count }),
            Err(what) => Err(TableError::Damaged { path: path.to_owned(), what }),
        }
    }

    /// Whether its file still is the one of which `stamp` was taken. Costs a system call.
    pub(super) fn fits(&self, stamp: &Stamp) -> bool {
        self.map.fits(stamp)
    }

    /// How many files it lists.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether it lists nothing.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The entry of a file name; `None` when it is not listed (or the table was damaged while in use).
    pub fn find(&self, file: &str) -> Option<Entry<'_>> {
        self.map.read(|bytes| search(bytes, self.count, file.as_bytes()))
    }

    /// What is known of a file.
    pub fn lookup(&self, file: &str) -> Option<Expected> {
        self.find(file).map(|entry| entry.expected)
    }

    /// The `n`th entry in the order of file names.
    pub fn get(&self, n: usize) -> Option<Entry<'_>> {
        if n < self.count { self.map.read(|bytes| entry(bytes, self.count, n)) } else { None }
    }

    /// The entries of the files whose names begin with that of a package, in the order of file names. Packages whose files are named
    /// otherwise are not found.
    pub fn of_package<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Entry<'a>> {
        let bytes = self.map.bytes().unwrap_or_default();
        let prefix = format!("{name}-");
        let first = lower_bound(bytes, self.count, prefix.as_bytes());
        (first..self.count)
            .map_while(move |n| entry(bytes, self.count, n).filter(|entry| entry.file.starts_with(&prefix)))
            .filter(move |entry| entry.name == Some(name))
    }

    /// All entries, in the order of file names. Ends early if the table is damaged while in use.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let bytes = self.map.bytes().unwrap_or_default();
        (0..self.count).map_while(move |n| entry(bytes, self.count, n))
    }
}

fn search<'a>(bytes: &'a [u8], count: usize, wanted: &[u8]) -> Option<Entry<'a>> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = usize::midpoint(low, high);
        match name_bytes(bytes, count, middle)?.cmp(wanted) {
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
            Ordering::Equal => return entry(bytes, count, middle),
        }
    }
    None
}

/// The place of the first entry whose file name is not below `wanted`.
fn lower_bound(bytes: &[u8], count: usize, wanted: &[u8]) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = usize::midpoint(low, high);
        match name_bytes(bytes, count, middle) {
            Some(name) if name < wanted => low = middle + 1,
            _ => high = middle,
        }
    }
    low
}

fn check_header(bytes: &[u8]) -> Result<usize, &'static str> {
    let header = bytes.get(..HEADER).ok_or("it is shorter than its header")?;
    if header[..8] != MAGIC {
        return Err("it does not begin as a table does");
    }
    if u32_at(header, 8) != Some(VERSION) {
        return Err("it is of another version");
    }
    let count = u32_at(header, 12).unwrap_or(0) as usize;
    let heap = u64_at(header, 16).and_then(|n| usize::try_from(n).ok());
    let whole = count
        .checked_mul(ENTRY)
        .and_then(|n| n.checked_add(HEADER))
        .zip(heap)
        .map(|(n, heap)| n.checked_add(heap));
    if whole.flatten() == Some(bytes.len()) {
        Ok(count)
    } else {
        Err("its length is not what its header says")
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn name_bytes(bytes: &[u8], count: usize, n: usize) -> Option<&[u8]> {
    let at = HEADER + n * ENTRY;
    let (offset, len) = (u32_at(bytes, at)? as usize, usize::from(u16_at(bytes, at + 4)?));
    let heap = bytes.get(HEADER + count * ENTRY..)?;
    heap.get(offset..offset + len)
}

fn entry(bytes: &[u8], count: usize, n: usize) -> Option<Entry<'_>> {
    let at = HEADER + n * ENTRY;
    let file = std::str::from_utf8(name_bytes(bytes, count, n)?).ok()?;
    let name = match u16_at(bytes, at + 6)? {
        NO_NAME => None,
        len => Some(file.get(..usize::from(len))?),
    };
    let flags = *bytes.get(at + 28)?;
    let sha256: [u8; 32] = bytes.get(at + 32..at + 64)?.try_into().ok()?;
    let md5: [u8; 16] = bytes.get(at + 64..at + 80)?.try_into().ok()?;
    Some(Entry {
        file,
        name,
        expected: Expected {
            sha256: (flags & 1 != 0).then_some(Sha256(sha256)),
            md5: (flags & 2 != 0).then_some(Md5(md5)),
            size: Some(u64_at(bytes, at + 8)?).filter(|size| *size != NO_SIZE),
        },
        record: (u64_at(bytes, at + 16)?, u32_at(bytes, at + 24)?),
        group: group_of(*bytes.get(at + 29)?)?,
        member: *bytes.get(at + 31)?,
        standing: standing(bytes, at)?,
    })
}

fn standing(bytes: &[u8], at: usize) -> Option<Standing> {
    let bits = *bytes.get(at + 30)?;
    let moment = |at| Some(UnixMillis(u64_at(bytes, at)?.cast_signed())).filter(|moment| moment.0 != 0);
    Some(Standing {
        stance: match bits & 3 {
            0 => Stance::Open,
            1 => Stance::Kept,
            _ => Stance::Refused,
        },
        until: moment(at + 88),
        seen: moment(at + 80).map(|moment| Sighting { at: moment, origin: Origin::of_code(bits >> 4 & 3) }),
        departed: bits & 4 != 0,
        removed: bits & 8 != 0,
        withheld: (u64_at(bytes, at + 96)?, u32_at(bytes, at + 104)?),
    })
}

/// A group as one byte. Codes are part of the layout: new ones may be added, none may change.
pub(super) const fn group_code(group: Group) -> u8 {
    match group {
        Group::Packages => 0,
        Group::PackagesConda => 1,
        Group::PackagesWhl => 2,
        Group::V3TarBz2 => 3,
        Group::V3Conda => 4,
        Group::V3Whl => 5,
        Group::V3Other => 6,
    }
}

const fn group_of(code: u8) -> Option<Group> {
    Some(match code {
        0 => Group::Packages,
        1 => Group::PackagesConda,
        2 => Group::PackagesWhl,
        3 => Group::V3TarBz2,
        4 => Group::V3Conda,
        5 => Group::V3Whl,
        6 => Group::V3Other,
        _ => return None,
    })
}
