//! Collecting and writing a package table: about 160 bytes of memory for each record while a document passes.

use std::path::Path;

use super::{ENTRY, HEADER, MAGIC, NO_NAME, NO_SIZE, PackageTable, Stance, Standing, VERSION, group_code};
use crate::conda::digest::{Expected, Sha256};
use crate::repodata::error::BuildError;
use crate::repodata::files::{HashingFile, Written};
use crate::repodata::scan::Group;

/// A record that is to be listed.
#[derive(Clone, Copy, Debug)]
pub struct NewEntry<'a> {
    /// File name, at most 65,534 bytes.
    pub file: &'a str,
    /// Package name.
    pub name: Option<&'a str>,
    /// What the file must be.
    pub expected: Expected,
    /// Offset and length of the record's value in `repodata.json`.
    pub record: (u64, u32),
    /// Which object it stands in.
    pub group: Group,
    /// What is known beside the record.
    pub standing: Standing,
}

/// Entries in the order they came, in the form they are written.
#[derive(Debug, Default)]
pub struct TableBuilder {
    entries: Vec<[u8; ENTRY]>,
    heap: Vec<u8>,
}

/// What [`TableBuilder::write`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TableWritten {
    /// Length of the file.
    pub len: u64,
    /// SHA-256 of the file.
    pub sha256: Sha256,
    /// Entries written.
    pub entries: usize,
    /// File names that came again with other digests or another size; the last one counts, as in every client's parser.
    pub conflicts: u64,
}

impl TableBuilder {
    /// How many entries there are, repetitions included.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds one. `false`: the name is too long, or the names together are larger than 4 GiB.
    #[must_use]
    pub fn push(&mut self, new: &NewEntry<'_>) -> bool {
        self.push_of(new, 0)
    }

    /// The same for a merged index, with the place of the member that the record comes from.
    #[must_use]
    pub fn push_of(&mut self, new: &NewEntry<'_>, member: u8) -> bool {
        let (Ok(offset), Ok(len)) = (u32::try_from(self.heap.len()), u16::try_from(new.file.len())) else {
            return false;
        };
        if len == u16::MAX {
            return false;
        }
        self.heap.extend_from_slice(new.file.as_bytes());
        let begins = new.name.filter(|name| new.file.starts_with(name));
        let name_len = begins.and_then(|name| u16::try_from(name.len()).ok()).unwrap_or(NO_NAME);
        let has = |is: bool, bit: u8| if is { bit } else { 0 };
        let mut raw = [0; ENTRY];
        raw[..4].copy_from_slice(&offset.to_le_bytes());
        raw[4..6].copy_from_slice(&len.to_le_bytes());
        raw[6..8].copy_from_slice(&name_len.to_le_bytes());
        raw[8..16].copy_from_slice(&new.expected.size.unwrap_or(NO_SIZE).to_le_bytes());
        raw[16..24].copy_from_slice(&new.record.0.to_le_bytes());
        raw[24..28].copy_from_slice(&new.record.1.to_le_bytes());
        raw[28] = has(new.expected.sha256.is_some(), 1) | has(new.expected.md5.is_some(), 2);
        raw[29] = group_code(new.group);
        raw[31] = member;
        put_standing(&mut raw, &new.standing);
        raw[32..64].copy_from_slice(&new.expected.sha256.map_or([0; 32], |digest| digest.0));
        raw[64..80].copy_from_slice(&new.expected.md5.map_or([0; 16], |digest| digest.0));
        self.entries.push(raw);
        true
    }

    fn name(&self, n: u32) -> &[u8] {
        let raw = &self.entries[n as usize];
        let offset = u32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]) as usize;
        let len = usize::from(u16::from_le_bytes([raw[4], raw[5]]));
        &self.heap[offset..offset + len]
    }

    /// What two entries of one file must agree on: size, which digests, digests.
    fn promise(&self, n: u32) -> (&[u8], u8, &[u8]) {
        let raw = &self.entries[n as usize];
        (&raw[8..16], raw[28], &raw[32..80])
    }

    /// Entries by name, and the later one first among equals: it is the one that is kept. Real documents are a few sorted
    /// runs, which the stable sort merges.
    fn order(&self) -> Vec<u32> {
        let count = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_by(|a, b| self.name(*a).cmp(self.name(*b)).then(b.cmp(a)));
        order
    }

    /// Which lines of `other` are about files that have no entry here.
    pub(crate) fn missing_of(&self, other: &PackageTable) -> Vec<usize> {
        let order = self.order();
        let mut mine = order.iter().map(|n| self.name(*n)).peekable();
        let mut missing = Vec::new();
        for (line, entry) in other.iter().enumerate() {
            while mine.next_if(|name| *name < entry.file.as_bytes()).is_some() {}
            if mine.peek().is_none_or(|name| *name != entry.file.as_bytes()) {
                missing.push(line);
            }
        }
        missing
    }

    /// Which of these file names have no entry here.
    pub(crate) fn absent_of(&self, files: &[String]) -> Vec<usize> {
        // Spares sorting half a million names for the many documents that have removed nothing.
        if files.is_empty() {
            return Vec::new();
        }
        let order = self.order();
        let has = |file: &String| order.binary_search_by(|n| self.name(*n).cmp(file.as_bytes())).is_ok();
        files.iter().enumerate().filter(|(_, file)| !has(file)).map(|(which, _)| which).collect()
    }

    /// Sorts, keeps the last entry of every file name, and writes the file.
    pub(crate) fn write(self, path: &Path) -> Result<TableWritten, BuildError> {
        let mut order = self.order();
        let mut conflicts = 0;
        order.dedup_by(|later, kept| {
            let same = self.name(*later) == self.name(*kept);
            conflicts += u64::from(same && self.promise(*later) != self.promise(*kept));
            same
        });
        let Written { len, sha256 } = self.write_sorted(&order, path)?;
        Ok(TableWritten { len, sha256, entries: order.len(), conflicts })
    }

    fn write_sorted(&self, order: &[u32], path: &Path) -> Result<Written, BuildError> {
        let mut out = HashingFile::create(path)?;
        let heap_len: usize = order.iter().map(|n| self.name(*n).len()).sum();
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&u32::try_from(order.len()).unwrap_or(u32::MAX).to_le_bytes());
        header[16..24].copy_from_slice(&(heap_len as u64).to_le_bytes());
        out.put(&header)?;
        let mut offset = 0u32;
        for n in order {
            let mut raw = self.entries[*n as usize];
            raw[..4].copy_from_slice(&offset.to_le_bytes());
            offset += u32::from(u16::from_le_bytes([raw[4], raw[5]]));
            out.put(&raw)?;
        }
        for n in order {
            out.put(self.name(*n))?;
        }
        out.finish()
    }
}

const DEPARTED: u8 = 4;
const REMOVED: u8 = 8;

fn put_standing(raw: &mut [u8; ENTRY], standing: &Standing) {
    let stance = match standing.stance {
        Stance::Open => 0,
        Stance::Kept => 1,
        Stance::Refused => 2,
    };
    let bit = |is: bool, bit: u8| if is { bit } else { 0 };
    let origin = standing.seen.map_or(0, |seen| seen.origin.code());
    raw[30] = stance | bit(standing.departed, DEPARTED) | bit(standing.removed, REMOVED) | origin << 4;
    raw[80..88].copy_from_slice(&standing.seen.map_or(0, |seen| seen.at.0).to_le_bytes());
    raw[88..96].copy_from_slice(&standing.until.map_or(0, |until| until.0).to_le_bytes());
    raw[96..104].copy_from_slice(&standing.withheld.0.to_le_bytes());
    raw[104..108].copy_from_slice(&standing.withheld.1.to_le_bytes());
}
