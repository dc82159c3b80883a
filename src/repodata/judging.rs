//! What rules and first sightings say of each record while an index is built, and of single files afterwards.
//!
//! Belongs here: asking, counting, and keeping the records that are not shown as upstream has them, so that they can be judged
//! again under other rules. Does not: what the rules are (`policy`), writing documents (`rewrite`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::error::BuildError;
use super::files::{HashingFile, Written};
use super::manifest::Judged;
use super::scan::{Good, Record};
use super::sightings::{Key, Ledger, Origin, Sighting, Sightings};
use super::subject::{self, About};
use super::table::{Stance, Standing};
use crate::clock::UnixMillis;
use crate::conda::digest::Expected;
use crate::policy::verdict::{Decision, Judge, Patch, Subject, Verdict};

/// Who decides about the records of a channel and subdir.
#[derive(Clone, Copy)]
pub struct Court<'a> {
    /// The rules.
    pub judge: &'a dyn Judge,
    /// The source channel under the name that rules use, label excluded.
    pub source: &'a str,
    /// Since when files are there.
    pub ages: Ages<'a>,
}

/// Who knows since when a file is there.
#[derive(Clone, Copy, Debug)]
pub enum Ages<'a> {
    /// Nobody: records have no age and get no `indexed_timestamp`.
    Unknown,
    /// The gate, which notes first sightings in this file.
    Kept(&'a Path),
    /// The records, whose `indexed_timestamp` is the gate's own.
    Said,
}

impl std::fmt::Debug for Court<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Court({}, {})", self.source, self.judge.revision())
    }
}

/// What becomes of a record.
#[derive(Debug, Default)]
pub(super) struct Ruling {
    pub standing: Standing,
    /// Whether it is listed in indexes.
    pub shown: bool,
    pub patches: Vec<Arc<Patch>>,
}

/// Asks about one record after the other.
pub(super) struct Clerk<'a> {
    court: Court<'a>,
    subdir: &'a str,
    now: UnixMillis,
    ledger: Option<Ledger>,
    withheld: HashingFile,
    counted: Judged,
}

impl<'a> Clerk<'a> {
    /// `withheld`: the file for records that are not shown as upstream has them; must not exist.
    pub fn new(
        court: Court<'a>,
        subdir: &'a str,
        now: UnixMillis,
        withheld: &Path,
    ) -> Result<Self, BuildError> {
        let ledger = match court.ages {
            Ages::Kept(path) => Some(Ledger::open(path, now)?),
            Ages::Said | Ages::Unknown => None,
        };
        let withheld = HashingFile::create(withheld)?;
        Ok(Self { court, subdir, now, ledger, withheld, counted: Judged::default() })
    }

    /// What becomes of a record of upstream's index.
    pub fn rule(&mut self, record: &Record<'_>, good: &Good<'_>) -> Result<Ruling, BuildError> {
        let (indexed, built) = (subject::indexed_at(record), subject::built_at(record));
        let seen = match &mut self.ledger {
            Some(ledger) => Some(ledger.see(&good.file, &good.expected, indexed, built)),
            None => self.said(record),
        };
        let mut standing = Standing { seen, ..Standing::default() };
        if self.court.judge.is_idle() {
            return Ok(Ruling { standing, shown: true, patches: Vec::new() });
        }
        let about = self.about(&good.file, seen.map(|seen| seen.at), false);
        let decision = self.court.judge.decide(&subject::of_record(about, record, &good.expected), self.now);
        self.count(&decision);
        let Decision { verdict, until, patches, .. } = decision;
        (standing.stance, standing.until) = (stance(&verdict), until);
        let shown = verdict.listed();
        if !shown || !patches.is_empty() {
            standing.withheld = self.withhold(record.value())?;
        }
        Ok(Ruling { standing, shown, patches })
    }

    /// When a file was first there, where its record is believed about that.
    pub fn said(&self, record: &Record<'_>) -> Option<Sighting> {
        let is_believed = matches!(self.court.ages, Ages::Said);
        let at = subject::indexed_at(record).filter(|_| is_believed)?;
        Some(Sighting { at, origin: Origin::Gate })
    }

    /// What becomes of a file that upstream's index does not list any more, by its last record, where one is known.
    pub fn departed(
        &mut self,
        file: &str,
        last: Option<(&Record<'_>, &Expected)>,
        before: Standing,
        removed: bool,
    ) -> Result<Standing, BuildError> {
        let mut standing =
            Standing { departed: last.is_some(), removed, seen: before.seen, ..Standing::default() };
        if let Some((record, _)) = last {
            standing.withheld = self.withhold(record.value())?;
        }
        if !self.court.judge.is_idle() {
            let about = self.about(file, before.seen.map(|seen| seen.at), removed);
            let subject = match last {
                Some((record, expected)) => subject::of_record(about, record, expected),
                None => subject::of_file(about, &Expected::default()),
            };
            let decision = self.court.judge.decide(&subject, self.now);
            (standing.stance, standing.until) = (stance(&decision.verdict), decision.until);
        }
        Ok(standing)
    }

    const fn about<'s>(&'s self, file: &'s str, seen: Option<UnixMillis>, removed: bool) -> About<'s> {
        About { channel: self.court.source, subdir: self.subdir, file, seen, removed }
    }

    fn withhold(&mut self, value: &[u8]) -> Result<(u64, u32), BuildError> {
        let at = self.withheld.len();
        self.withheld.put(value)?;
        Ok((at, u32::try_from(value.len()).unwrap_or(u32::MAX)))
    }

    fn count(&mut self, decision: &Decision) {
        let add = |counts: &mut BTreeMap<String, u64>, id: &str| match counts.get_mut(id) {
            Some(count) => *count += 1,
            None => drop(counts.insert(id.to_owned(), 1)),
        };
        let counted = &mut self.counted;
        match &decision.verdict {
            Verdict::Hide { rule, .. } | Verdict::Deny { rule } => add(&mut counted.withheld, &rule.id),
            Verdict::Show => decision.patches.iter().for_each(|p| add(&mut counted.patched, &p.rule.id)),
        }
        decision.trial.iter().for_each(|rule| add(&mut counted.trial, &rule.id));
        if let Some(until) = decision.until {
            counted.next_turn = Some(counted.next_turn.map_or(until.0, |turn| turn.min(until.0)));
        }
    }

    /// Makes sightings durable and gives what was counted, and the file of withheld records.
    pub fn finish(self) -> Result<(Judged, Written), BuildError> {
        let mut counted = self.counted;
        if let Some(ledger) = self.ledger {
            counted.first_seen = ledger.fresh() as u64;
            ledger.write()?;
        }
        Ok((counted, self.withheld.finish()?))
    }
}

/// A verdict as the package table has it.
#[must_use]
pub const fn stance(verdict: &Verdict) -> Stance {
    match verdict {
        Verdict::Show => Stance::Open,
        Verdict::Hide { keep_download: true, .. } => Stance::Kept,
        Verdict::Hide { keep_download: false, .. } | Verdict::Deny { .. } => Stance::Refused,
    }
}

/// What is known of one file of a generation, for asking rules about it later.
#[derive(Clone, Debug)]
pub struct KnownFile {
    /// File name.
    pub file: String,
    /// What the file must be.
    pub expected: Expected,
    /// Its record as upstream has or had it, as JSON; `None` for a file of which only the name is known.
    pub record: Option<Vec<u8>>,
    /// What was said of it.
    pub standing: Standing,
    /// Whether it stands in `repodata.json`.
    pub shown: bool,
}

impl KnownFile {
    /// A file of which only the name is known, and what `expected` says; `removed`: whether upstream's `removed` has it.
    #[must_use]
    pub fn unlisted(file: &str, expected: Expected, removed: bool) -> Self {
        let standing = Standing { removed, ..Standing::default() };
        Self { file: file.to_owned(), expected, record: None, standing, shown: false }
    }

    /// Whether an index would list this record, given as JSON.
    #[must_use]
    pub fn is_package(record: &[u8]) -> bool {
        let record = Record::alone(super::scan::Group::Packages, record);
        record.is_some_and(|record| record.expected().is_ok() && record.check_package().is_ok())
    }

    /// A file that one of upstream's shards lists: seen before, or else now. Reads from disk.
    ///
    /// # Errors
    /// The disk is in trouble.
    pub fn of_shard(
        file: &str,
        expected: Expected,
        record: Option<Vec<u8>>,
        sightings: &Path,
        now: UnixMillis,
    ) -> Result<Self, BuildError> {
        let said = record.as_deref().and_then(|raw| Record::alone(super::scan::Group::Packages, raw));
        let says = |ask: fn(&Record<'_>) -> Option<UnixMillis>| said.as_ref().and_then(ask);
        let seen = match Sightings::open(sightings)? {
            Some(known) => {
                known.find(Key::of(file, &expected)).unwrap_or(Sighting { at: now, origin: Origin::Gate })
            }
            None => Sighting::on_meeting(says(subject::indexed_at), says(subject::built_at), now),
        };
        let standing = Standing { seen: Some(seen), ..Standing::default() };
        Ok(Self { file: file.to_owned(), expected, record, standing, shown: true })
    }

    /// Asks something of the file as rules see it.
    pub fn with_subject<T>(&self, source: &str, subdir: &str, ask: impl FnOnce(&Subject<'_>) -> T) -> T {
        let Standing { seen, removed, .. } = self.standing;
        let removed = removed && (self.standing.departed || self.record.is_none());
        let about = About { channel: source, subdir, file: &self.file, seen: seen.map(|s| s.at), removed };
        let record = self.record.as_deref().and_then(|raw| Record::alone(super::scan::Group::Packages, raw));
        match record {
            Some(record) => ask(&subject::of_record(about, &record, &self.expected)),
            None => ask(&subject::of_file(about, &self.expected)),
        }
    }
}
