//! The sink that makes of upstream's document what clients get: edits `info`, judges every record, fills the package table.
//!
//! Belongs here: deciding byte by byte what passes. This is where policy acts on a record ([`Rewriter::record`]); a record that
//! is kept as it is costs one copy. Does not: the grammar (`scan`), what becomes of a record (`judging`), its new text (`edit`),
//! packing (`encode`).

use std::collections::HashSet;

use super::build::Limits;
use super::edit;
use super::error::BuildError;
use super::info;
use super::judging::{Clerk, Ruling};
use super::manifest::Report;
use super::out::{Out, OutWritten};
use super::scan::{Flaw, Good, Group, Record, Sink};
use super::table::{NewEntry, Standing, TableBuilder};

/// Whether a document beside the index may list a record.
pub(super) type Filter<'a> = dyn Fn(&Good<'_>) -> bool + 'a;

/// What a document's records are to be held against.
pub(super) enum Purpose<'a> {
    /// They are the generation's records: rules are asked about them, and they are listed.
    List(TableBuilder, Box<Clerk<'a>>),
    /// They are listed beside the generation's: only those that it shows may pass.
    Within(&'a Filter<'a>),
    /// They stand for themselves.
    Free,
}

/// Writes the edited document.
pub(super) struct Rewriter<'a> {
    out: Out,
    subdir: &'a str,
    max_records: usize,
    purpose: Purpose<'a>,
    report: Report,
    kept_in_group: u64,
    has_info: bool,
    /// The value of `removed`, as it came.
    removed: Vec<u8>,
    edited: Vec<u8>,
    files: FileNames,
}

/// The file names so far, as hashes by a key that nobody outside knows: 8 bytes each.
#[derive(Default)]
pub(super) struct FileNames {
    hashes: HashSet<u64, ahash::RandomState>,
    hasher: ahash::RandomState,
}

impl FileNames {
    /// Adds a name; whether it was not there yet.
    pub fn is_new(&mut self, file: &str) -> bool {
        self.hashes.insert(self.hasher.hash_one(file))
    }
}

/// What a document became.
pub(super) struct Rewritten<'a> {
    pub written: OutWritten,
    pub purpose: Purpose<'a>,
    pub report: Report,
    /// File names in `removed`; what is no list of texts counts as none.
    pub removed: Vec<String>,
}

impl<'a> Rewriter<'a> {
    pub fn new(out: Out, subdir: &'a str, limits: &Limits, purpose: Purpose<'a>) -> Self {
        Self {
            out,
            subdir,
            max_records: limits.records,
            purpose,
            report: Report::default(),
            kept_in_group: 0,
            has_info: false,
            removed: Vec::new(),
            edited: Vec::new(),
            files: FileNames::default(),
        }
    }

    /// For documents without an `info`: none is to be added.
    pub const fn leave_alone(&mut self) {
        self.has_info = true;
    }

    pub fn finish(self) -> Result<Rewritten<'a>, BuildError> {
        let removed = serde_json::from_slice(&self.removed).unwrap_or_default();
        let Self { out, purpose, report, .. } = self;
        Ok(Rewritten { written: out.finish()?, purpose, report, removed })
    }

    fn drop_record(&mut self, flaw: Flaw) {
        *self.report.dropped.entry(flaw).or_default() += 1;
        self.report.edited = true;
    }

    /// Writes a record as clients get it; gives offset and length of its value in the output.
    fn keep(&mut self, record: &Record<'_>, ruling: &Ruling) -> Result<(u64, u32), BuildError> {
        self.edited.clear();
        let changed = edit::record(record, ruling, &mut self.edited)?;
        self.report.edited |= changed;
        let whole = record.whole();
        let (mut before, mut skipped) = (&[][..], 0);
        if self.kept_in_group == 0 {
            let (head, rest) = record.lead_without_comma();
            (before, skipped) = (head, whole.len() - rest.len());
        }
        self.out.put(before)?;
        let value_len = if changed {
            self.out.put(whole.get(skipped..record.value_at()).unwrap_or_default())?;
            self.out.put(&self.edited)?;
            self.edited.len()
        } else {
            self.out.put(whole.get(skipped..).unwrap_or_default())?;
            record.value().len()
        };
        self.kept_in_group += 1;
        self.report.records += 1;
        Ok((self.out.len() - value_len as u64, u32::try_from(value_len).unwrap_or(u32::MAX)))
    }

    /// Notes a file in the package table. `record`: where its value stands in the output; length 0: it is not shown.
    fn list(
        &mut self,
        good: &Good<'_>,
        group: Group,
        record: (u64, u32),
        standing: Standing,
    ) -> Result<(), BuildError> {
        if !good.listed {
            self.report.unlisted += u64::from(record.1 > 0);
            return Ok(());
        }
        if let Purpose::List(table, _) = &mut self.purpose {
            let (file, name) = (good.file.as_ref(), good.name.as_deref());
            let entry = NewEntry { file, name, expected: good.expected, record, group, standing };
            if table.len() >= self.max_records || !table.push(&entry) {
                return Err(BuildError::TooManyRecords { limit: self.max_records });
            }
        }
        Ok(())
    }

    /// What the records of an index must be, and those of other documents need not.
    fn check(&mut self, record: &Record<'_>, good: &Good<'_>) -> Result<(), Flaw> {
        if !matches!(self.purpose, Purpose::List(..)) {
            return Ok(());
        }
        record.check_package()?;
        if self.files.is_new(&good.file) { Ok(()) } else { Err(Flaw::RepeatedFile) }
    }

    fn rule(&mut self, record: &Record<'_>, good: &Good<'_>) -> Result<Ruling, BuildError> {
        match &mut self.purpose {
            Purpose::List(_, clerk) => clerk.rule(record, good),
            Purpose::Within(may_pass) => Ok(Ruling { shown: may_pass(good), ..Ruling::default() }),
            Purpose::Free => Ok(Ruling { shown: true, ..Ruling::default() }),
        }
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
        if matches!(self.purpose, Purpose::List(..)) {
            self.removed = value.to_vec();
        }
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
        if let Err(flaw) = self.check(record, &good) {
            self.drop_record(flaw);
            return Ok(());
        }
        let ruling = self.rule(record, &good)?;
        let at = if ruling.shown {
            let at = self.keep(record, &ruling)?;
            self.out.record_ends(&good.file)?;
            at
        } else {
            self.report.edited = true;
            (0, 0)
        };
        self.list(&good, record.group(), at, ruling.standing)
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
