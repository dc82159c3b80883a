//! The document: a generation's `repodata.json` passed through, with the chosen records only.
//!
//! Belongs here: which bytes pass. Does not: the grammar (`scan`), choosing (`choose`).

use crate::repodata::error::BuildError;
use crate::repodata::files::HashingFile;
use crate::repodata::scan::{Group, Record, Sink};

/// Copies the records whose values begin at `chosen`; everything else that is no record passes as it is, but `removed` is
/// empty, as conda-index leaves it.
pub(super) struct Picker<'a> {
    out: HashingFile,
    /// Offsets in `repodata.json`, ascending.
    chosen: &'a [u64],
    /// How much of `repodata.json` has passed.
    at: u64,
    kept_in_group: bool,
}

impl<'a> Picker<'a> {
    pub const fn new(out: HashingFile, chosen: &'a [u64]) -> Self {
        Self { out, chosen, at: 0, kept_in_group: false }
    }

    /// The finished file, and how many of the chosen records did not come.
    pub fn finish(self) -> (HashingFile, usize) {
        (self.out, self.chosen.len())
    }

    fn pass(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        self.at += bytes.len() as u64;
        self.out.put(bytes)
    }
}

impl Sink for Picker<'_> {
    type Error = BuildError;

    fn raw(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        self.pass(bytes)
    }

    fn info(&mut self, value: &[u8]) -> Result<(), BuildError> {
        self.pass(value)
    }

    fn version(&mut self, value: &[u8]) -> Result<(), BuildError> {
        self.pass(value)
    }

    fn removed(&mut self, value: &[u8]) -> Result<(), BuildError> {
        self.at += value.len() as u64;
        self.out.put(b"[]")
    }

    fn group(&mut self, _: Group) -> Result<(), BuildError> {
        self.kept_in_group = false;
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), BuildError> {
        let value = self.at + record.value_at() as u64;
        self.at += record.whole().len() as u64;
        let Some((_, rest)) = self.chosen.split_first().filter(|(next, _)| **next == value) else {
            return Ok(());
        };
        self.chosen = rest;
        if self.kept_in_group {
            return self.out.put(record.whole());
        }
        self.kept_in_group = true;
        let (before, rest) = record.lead_without_comma();
        self.out.put(before)?;
        self.out.put(rest)
    }
}
