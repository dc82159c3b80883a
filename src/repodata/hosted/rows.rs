//! What is known of each row of an index, in the order of file names, and the texts of their records, in a file beside.
//!
//! A text that changes is written behind the others; what it stood in for stays in the file as waste, until the rows are read anew. Each
//! text is compared with a checksum when it is read: a file that changed behind our back makes no index.
//!
//! Belongs here: these rows, one changed at a time. Does not: the document they make (`document`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256 as Hasher};

use super::sum::{RowDigest, Sum};
use super::{HostedRow, group_of, is_withdrawn, text_of};
use crate::conda::digest::Sha256;
use crate::repodata::error::BuildError;
use crate::repodata::hosted_patches::HostedPatches;
use crate::repodata::scan::Group;
use crate::repodata::store::Scratch;

/// The file of texts.
const TEXTS: &str = "texts";
/// Texts are written in pieces of about this many bytes.
const PIECE: usize = 256 << 10;
/// What a row takes in memory beside its name, about.
const ROW_WEIGHT: usize = 96;
/// Waste that is too little to matter.
const LITTLE: u64 = 4 << 20;

/// Where a row stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stand {
    /// In this group of the document.
    Listed(Group),
    /// In none, and known all the same.
    Withdrawn,
    /// There is a row, and it is in no index.
    Absent,
}

/// A row: where it stands, and where its entry is in the file of texts: `,"name":{…}`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) stand: Stand,
    pub(super) at: u64,
    pub(super) len: u32,
    pub(super) crc: u32,
}

/// See the module's description.
#[derive(Debug)]
pub struct HostedRows {
    subdir: String,
    patches: Option<HostedPatches>,
    rows: BTreeMap<Box<str>, Kept>,
    sum: Sum,
    texts: File,
    /// Bytes in the file.
    end: u64,
    /// To be written behind it.
    piece: Vec<u8>,
    /// Bytes of the file that no row has any more.
    waste: u64,
    weight: usize,
    scratch: Scratch,
}

impl HostedRows {
    /// None yet, in a directory that nobody else uses; their records are to have these patches.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn create(
        scratch: Scratch,
        subdir: &str,
        patches: Option<HostedPatches>,
    ) -> Result<Self, BuildError> {
        let path = scratch.path().join(TEXTS);
        let texts = File::options().read(true).write(true).create_new(true).open(&path);
        Ok(Self {
            subdir: subdir.to_owned(),
            patches,
            rows: BTreeMap::new(),
            sum: Sum::default(),
            texts: texts.map_err(BuildError::io("create", &path))?,
            end: 0,
            piece: Vec::new(),
            waste: 0,
            weight: 0,
            scratch,
        })
    }

    /// A row as it is now. One that no index can list is left out, which is logged: nothing else may suffer from it.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn set(&mut self, row: &HostedRow<'_>) -> Result<(), BuildError> {
        self.remove(row.file)?;
        let patches = self.patches.as_ref();
        let is_withdrawn = is_withdrawn(row, patches);
        let mut text = Vec::new();
        let Some(group) = group_of(row.file).filter(|group| text_of(row, *group, patches, &mut text)) else {
            tracing::error!(file = row.file, "a hosted package has a record that no index can list");
            return self.set_absent(row.file);
        };
        let begin = self.piece.len();
        self.piece.push(b',');
        self.piece.extend_from_slice(Value::from(row.file).to_string().as_bytes());
        self.piece.push(b':');
        self.piece.extend_from_slice(&text);
        let entry = self.piece.get(begin..).unwrap_or_default();
        let (len, crc) = (u32::try_from(entry.len()), crc32fast::hash(entry));
        self.sum.add(RowDigest::of(is_withdrawn, entry));
        let kept = Kept {
            stand: if is_withdrawn { Stand::Withdrawn } else { Stand::Listed(group) },
            at: self.end + begin as u64,
            len: len.map_err(|_| self.trouble(io::ErrorKind::FileTooLarge.into()))?,
            crc,
        };
        self.keep(row.file, kept);
        if self.piece.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    /// There is a row of this name, and it is not offered.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn set_absent(&mut self, file: &str) -> Result<(), BuildError> {
        self.remove(file)?;
        self.keep(file, Kept { stand: Stand::Absent, at: 0, len: 0, crc: 0 });
        Ok(())
    }

    /// There is no row of this name that counts.
    ///
    /// # Errors
    /// Trouble with the disk, or it has changed the text.
    pub fn remove(&mut self, file: &str) -> Result<(), BuildError> {
        let Some(was) = self.rows.get(file).copied() else { return Ok(()) };
        if was.stand != Stand::Absent {
            self.flush()?;
            let mut entry = Vec::new();
            self.read(&[was], &mut entry).map_err(|error| self.trouble(error))?;
            self.sum.take_away(RowDigest::of(was.stand == Stand::Withdrawn, &entry));
        }
        self.rows.remove(file);
        self.weight = self.weight.saturating_sub(file.len() + ROW_WEIGHT);
        self.waste += u64::from(was.len);
        Ok(())
    }

    /// Whether there is any row, offered or not.
    #[must_use]
    pub fn has_any(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Whether they were made with these patches.
    #[must_use]
    pub fn is_with(&self, patches: Option<&HostedPatches>) -> bool {
        self.patches.as_ref().map(HostedPatches::package) == patches.map(HostedPatches::package)
    }

    /// Bytes in memory, about.
    #[must_use]
    pub const fn weight(&self) -> usize {
        self.weight
    }

    /// Whether most of the file is still of use.
    #[must_use]
    pub const fn is_worth_keeping(&self) -> bool {
        self.waste < LITTLE || self.waste < self.end / 2
    }

    pub(super) fn subdir(&self) -> &str {
        &self.subdir
    }

    pub(super) const fn patches(&self) -> Option<&HostedPatches> {
        self.patches.as_ref()
    }

    pub(super) fn dir(&self) -> &Path {
        self.scratch.path()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&str, Kept)> {
        self.rows.iter().map(|(file, kept)| (&**file, *kept))
    }

    /// What tells them from every other set of rows of this subdir.
    pub(super) fn digest(&self) -> Sha256 {
        let mut hasher = Hasher::new_with_prefix(format!("condagate hosted 2 {}\n", self.subdir));
        if let Some(patches) = &self.patches {
            hasher.update(patches.package().0);
        }
        self.sum.bytes().for_each(|lane| hasher.update(lane));
        Sha256(hasher.finalize().into())
    }

    /// Writes what was not written yet.
    pub(super) fn flush(&mut self) -> Result<(), BuildError> {
        let written = self.texts.write_all_at(&self.piece, self.end);
        written.map_err(|error| self.trouble(error))?;
        self.end += self.piece.len() as u64;
        self.piece.clear();
        Ok(())
    }

    /// Reads the entries of rows that stand behind one another in the file, behind what is in `into`.
    pub(super) fn read(&self, rows: &[Kept], into: &mut Vec<u8>) -> io::Result<()> {
        let (Some(first), begin) = (rows.first(), into.len()) else { return Ok(()) };
        let len: usize = rows.iter().map(|row| row.len as usize).sum();
        into.resize(begin + len, 0);
        let mut rest = into.get_mut(begin..).unwrap_or_default();
        self.texts.read_exact_at(rest, first.at)?;
        for row in rows {
            let (entry, behind) = rest.split_at_mut(row.len as usize);
            if crc32fast::hash(entry) != row.crc {
                return Err(io::Error::other(
                    "a record that was kept for the next index has changed on the disk",
                ));
            }
            rest = behind;
        }
        Ok(())
    }

    fn keep(&mut self, file: &str, kept: Kept) {
        self.weight += file.len() + ROW_WEIGHT;
        self.rows.insert(file.into(), kept);
    }

    fn trouble(&self, error: io::Error) -> BuildError {
        BuildError::io("use", &self.scratch.path().join(TEXTS))(error)
    }
}
