//! The sink that makes of upstream's document what clients get: edits `info`, judges every record, fills the package table.
//!
//! Belongs here: deciding byte by byte what passes. This is where policy, patches and first sightings act on a record
//! ([`Rewriter::record`]); a record that is kept as it is costs one copy. Does not: the grammar (`scan`), packing (`encode`).

use super::build::Limits;
use super::error::BuildError;
use super::files::{HashingFile, Written};
use super::info;
use super::manifest::Report;
use super::scan::{Flaw, Good, Group, Record, Sink};
use super::table::{NewEntry, TableBuilder};

/// What a document's records are to be held against.
#[derive(Debug)]
pub(super) enum Purpose {
    /// They are the generation's records: list them.
    List(TableBuilder),
    /// They stand for themselves.
    Free,
}

/// Writes the edited document.
#[derive(Debug)]
pub(super) struct Rewriter<'a> {
    out: HashingFile,
    subdir: &'a str,
    max_records: usize,
    purpose: Purpose,
    report: Report,
    kept_in_group: u64,
    has_info: bool,
}

/// What a document became.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub json: Written,
    pub purpose: Purpose,
    pub report: Report,
}

impl<'a> Rewriter<'a> {
    pub fn new(out: HashingFile, subdir: &'a str, limits: &Limits, purpose: Purpose) -> Self {
        Self {
            out,
            subdir,
            max_records: limits.records,
            purpose,
            report: Report::default(),
            kept_in_group: 0,
            has_info: false,
        }
    }

    /// For documents without an `info`: none is to be added.
    pub const fn leave_alone(&mut self) {
        self.has_info = true;
    }

    pub fn finish(self) -> Result<Rewritten, BuildError> {
        Ok(Rewritten { json: self.out.finish()?, purpose: self.purpose, report: self.report })
    }

    fn drop_record(&mut self, flaw: Flaw) {
        *self.report.dropped.entry(flaw).or_default() += 1;
        self.report.edited = true;
    }

    /// Writes a record as it stands, or without the `url` that names another host; gives offset and length of its value in the
    /// output.
    fn keep(&mut self, record: &Record<'_>) -> Result<(u64, u32), BuildError> {
        let value = record.value();
        let cut = record.foreign_url();
        let (lead, tail) = match cut {
            Some((from, to)) => {
                self.report.edited = true;
                (record.value_at() + from, &value[to..])
            }
            None => (record.whole().len(), &[][..]),
        };
        let (mut skipped, mut before) = (0, &[][..]);
        if self.kept_in_group == 0 {
            let (head, rest) = record.lead_without_comma();
            (before, skipped) = (head, record.whole().len() - rest.len());
        }
        self.out.put(before)?;
        self.out.put(&record.whole()[skipped..lead])?;
        self.out.put(tail)?;
        let value_len = value.len() - cut.map_or(0, |(from, to)| to - from);
        self.kept_in_group += 1;
        self.report.records += 1;
        Ok((self.out.len() - value_len as u64, u32::try_from(value_len).unwrap_or(u32::MAX)))
    }

    fn list(&mut self, good: &Good<'_>, group: Group, record: (u64, u32)) -> Result<(), BuildError> {
        if !good.listed {
            self.report.unlisted += 1;
            return Ok(());
        }
        if let Purpose::List(table) = &mut self.purpose {
            let (file, name) = (good.file.as_ref(), good.name.as_deref());
            let entry = NewEntry { file, name, expected: good.expected, record, group };
            if table.len() >= self.max_records || !table.push(&entry) {
                return Err(BuildError::TooManyRecords { limit: self.max_records });
            }
        }
        Ok(())
    }
}

impl Sink for Rewriter<'_> {
    type Error = BuildError;

    fn raw(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        self.out.put(bytes)
    }

    fn info(&mut self, value: &[u8]) -> Result<(), BuildError> {
        self.has_info = true;
        self.report.base_url = info::base_url(value);
        match info::edit(value, self.subdir)? {
            None => self.out.put(value),
            Some(edited) => {
                self.report.edited = true;
                self.out.put(&edited)
            }
        }
    }

    /// Without `base_url` version 2 (CEP 15) says nothing that version 1 does not, and old clients refuse it.
    fn version(&mut self, value: &[u8]) -> Result<(), BuildError> {
        match value {
            b"0" | b"1" => self.out.put(value),
            b"2" | b"null" => {
                self.report.edited = true;
                self.out.put(b"1")
            }
            _ => {
                let found: String = String::from_utf8_lossy(value).chars().take(32).collect();
                Err(BuildError::Unknown {
                    what: format!("its `repodata_version` is {found}, and the gate knows 1 and 2"),
                })
            }
        }
    }

    fn removed(&mut self, value: &[u8]) -> Result<(), BuildError> {
        self.report.removed_at = Some((self.out.len(), value.len() as u64));
        self.out.put(value)
    }

    fn group(&mut self, _: Group) -> Result<(), BuildError> {
        self.kept_in_group = 0;
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), BuildError> {
        let good = match record.judge() {
            Ok(good) => good,
            Err(flaw) => {
                self.drop_record(flaw);
                return Ok(());
            }
        };
        let at = self.keep(record)?;
        self.list(&good, record.group(), at)
    }

    fn closing(&mut self) -> Result<(), BuildError> {
        if self.has_info {
            return Ok(());
        }
        self.report.edited = true;
        self.out.put(b",\"info\":")?;
        self.out.put(&info::fresh(self.subdir))
    }
}
