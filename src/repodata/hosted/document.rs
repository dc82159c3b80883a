//! The document that rows make: read front to back, without ever lying on disk as a whole.
//!
//! Belongs here: its form, and putting the entries together. Does not: which entries there are (`rows`).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::rows::{HostedRows, Kept, Stand};
use crate::conda::digest::Sha256;
use crate::repodata::build::{Identity, RawDocument, Withdrawn};
use crate::repodata::error::BuildError;
use crate::repodata::hosted_patches::HostedPatches;
use crate::repodata::scan::Group;

/// Entries are read in pieces of about this many bytes.
const PIECE: u64 = 256 << 10;

/// A document that is complete.
#[derive(Debug)]
pub struct HostedDocument {
    rows: HostedRows,
    identity: Identity,
}

impl HostedDocument {
    /// Of all these rows. `number`: up to which number of the store's counter they say everything.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn new(mut rows: HostedRows, number: Option<u64>) -> Result<Self, BuildError> {
        rows.flush()?;
        let identity = Identity {
            path: rows.dir().to_owned(),
            digest: Some(rows.digest()),
            number,
            patches: rows.patches().map(HostedPatches::package).copied(),
            ..Identity::default()
        };
        Ok(Self { rows, identity })
    }

    /// What tells it from every other document of this subdir.
    #[must_use]
    pub const fn digest(&self) -> Option<Sha256> {
        self.identity.digest
    }

    /// Up to which number of the store's counter it says everything.
    #[must_use]
    pub const fn number(&self) -> Option<u64> {
        self.identity.number
    }

    /// Its rows.
    #[must_use]
    pub const fn rows(&self) -> &HostedRows {
        &self.rows
    }

    /// Its rows, to be changed.
    #[must_use]
    pub fn into_rows(self) -> HostedRows {
        self.rows
    }

    /// Writes it to a file of its own beside its parts.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn write_whole(&self) -> Result<PathBuf, BuildError> {
        let path = self.rows.dir().join("whole.json");
        let copied = File::create(&path).and_then(|mut file| io::copy(&mut self.open()?, &mut file));
        copied.map_err(BuildError::io("write", &path))?;
        Ok(path)
    }

    fn entries(&self, group: Group) -> impl Read {
        let listed = self.rows.all().map(|(_, row)| row).filter(move |row| row.stand == Stand::Listed(group));
        let rows = listed.peekable();
        Entries { of: &self.rows, rows, run: Vec::new(), piece: Vec::new(), taken: 0, is_first: true }
    }
}

impl RawDocument for HostedDocument {
    fn path(&self) -> &Path {
        self.rows.dir()
    }

    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        let head = format!("{{\"info\":{{\"subdir\":{}}},\"packages\":{{", Value::from(self.rows.subdir()));
        let withdrawn = self.rows.all().filter(|(_, row)| row.stand == Stand::Withdrawn);
        let removed = Value::from(withdrawn.map(|(file, _)| file).collect::<Vec<_>>());
        let tail = format!("}},\"removed\":{removed},\"repodata_version\":1}}");
        Ok(Box::new(
            io::Cursor::new(head)
                .chain(self.entries(Group::Packages))
                .chain(&b"},\"packages.conda\":{"[..])
                .chain(self.entries(Group::PackagesConda))
                .chain(io::Cursor::new(tail)),
        ))
    }

    fn identity(&self) -> Result<Identity, BuildError> {
        Ok(self.identity.clone())
    }

    fn withdrawn(&self) -> Option<io::Result<Withdrawn<'_>>> {
        let withdrawn = self.rows.all().filter(|(_, row)| row.stand == Stand::Withdrawn);
        let read = |(file, row): (&str, Kept)| {
            let mut entry = Vec::new();
            self.rows.read(&[row], &mut entry)?;
            // Behind the comma, the name and the colon.
            entry.drain(..(Value::from(file).to_string().len() + 2).min(entry.len()));
            Ok((file.to_owned(), entry))
        };
        Some(Ok(Box::new(withdrawn.map(read))))
    }
}

/// The entries of one group, with commas between them.
struct Entries<'a, I: Iterator<Item = Kept>> {
    of: &'a HostedRows,
    rows: std::iter::Peekable<I>,
    /// Rows that are read at once.
    run: Vec<Kept>,
    piece: Vec<u8>,
    taken: usize,
    is_first: bool,
}

impl<I: Iterator<Item = Kept>> Entries<'_, I> {
    /// Reads the next rows that stand behind one another.
    fn next_piece(&mut self) -> io::Result<()> {
        self.run.clear();
        self.piece.clear();
        self.taken = 0;
        let Some(first) = self.rows.next() else { return Ok(()) };
        let mut end = first.at + u64::from(first.len);
        self.run.push(first);
        while let Some(row) = self.rows.next_if(|row| row.at == end && end - first.at < PIECE) {
            end += u64::from(row.len);
            self.run.push(row);
        }
        self.of.read(&self.run, &mut self.piece)?;
        self.taken = usize::from(std::mem::take(&mut self.is_first));
        Ok(())
    }
}

impl<I: Iterator<Item = Kept>> Read for Entries<'_, I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken >= self.piece.len() {
            self.next_piece()?;
        }
        let rest = self.piece.get(self.taken..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..len), rest.get(..len)) {
            to.copy_from_slice(from);
        }
        self.taken += len;
        Ok(len)
    }
}
