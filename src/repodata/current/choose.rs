//! Which records are current.
//!
//! Belongs here: the algorithm that the header of `current` tells. Does not: reading (`facts`), what a spec means (`wanted`).

use std::borrow::Cow;

use ahash::AHashSet;

use super::facts::{Facts, Source, damaged, mismatch};
use super::fields::Fields;
use super::wanted::{self, Wanted};
use crate::repodata::error::BuildError;
use crate::repodata::table::PackageTable;

/// Most steps one document may cost: some seconds. conda-forge's linux-64 takes about a hundredth of it.
pub(super) const MOST_STEPS: u64 = 4_000_000_000;

/// What a comparison of versions, reading a spec, reading a whole record, and a regular expression cost, in steps of looking at
/// one record.
const VERSION: u64 = 32;
const SPEC: u64 = 1_000;
const RECORD: u64 = 2_000;
const REGEX: u64 = 100_000;

/// Memory for specs remembered as done. Forgetting one costs the time of asking it again and nothing else.
const MOST_SEEN: usize = 64 << 20;

/// What remembering a spec takes besides its text.
const SEEN: usize = 32;

/// Marks every current record in `facts`, in at most `steps` steps.
pub(super) fn choose(
    facts: &mut Facts,
    table: &PackageTable,
    source: &mut Source,
    steps: u64,
) -> Result<(), BuildError> {
    let (fresh, seen) = (Vec::new(), AHashSet::new());
    let mut chooser = Chooser { facts, table, source, fresh, seen, seen_bytes: 0, steps_left: steps };
    for name in 0..chooser.facts.names() {
        if let Some(newest) = chooser.facts.group(name).first().map(|fact| fact.version) {
            chooser.keep_version(name, newest)?;
        }
    }
    while !chooser.fresh.is_empty() {
        chooser.round()?;
    }
    Ok(())
}

struct Chooser<'a> {
    facts: &'a mut Facts,
    table: &'a PackageTable,
    source: &'a mut Source,
    /// Records that were kept in this round; their dependencies are the next one's work. Places in `facts.all`.
    fresh: Vec<u32>,
    seen: AHashSet<Box<str>>,
    seen_bytes: usize,
    steps_left: u64,
}

impl Chooser<'_> {
    fn spend(&mut self, steps: u64) -> Result<(), BuildError> {
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(BuildError::TooTangled)?;
        Ok(())
    }

    /// Looks after the dependencies of what was kept last. All are asked of the records kept before; only then what is missing
    /// is added, so the order of records changes nothing.
    fn round(&mut self) -> Result<(), BuildError> {
        let mut missing = Vec::new();
        for place in std::mem::take(&mut self.fresh) {
            for spec in self.dependencies(place)? {
                if !self.seen.contains(spec.as_str()) {
                    missing.extend(self.missing(&spec)?);
                    self.remember(spec);
                }
            }
        }
        missing.sort_unstable();
        missing.dedup();
        for (name, version) in missing {
            self.keep_version(name, version)?;
        }
        Ok(())
    }

    fn remember(&mut self, spec: String) {
        let bytes = spec.len() + SEEN;
        if self.seen_bytes + bytes > MOST_SEEN {
            self.seen.clear();
            self.seen_bytes = 0;
        }
        self.seen_bytes += bytes;
        self.seen.insert(spec.into());
    }

    fn dependencies(&mut self, place: u32) -> Result<Vec<String>, BuildError> {
        self.spend(RECORD)?;
        let line = self.facts.all.get(place as usize).ok_or_else(damaged)?.line;
        let entry = self.table.get(line as usize).ok_or_else(damaged)?;
        let fields = Fields::read(self.source.record(&entry)?).ok_or_else(mismatch)?;
        Ok(fields.depends(wanted::LONGEST).into_iter().map(Cow::into_owned).collect())
    }

    /// The name and version that must be added for a spec; `None`: a kept record fits, or none at all does.
    fn missing(&mut self, spec: &str) -> Result<Option<(u32, u32)>, BuildError> {
        let with_regex = spec.contains('^');
        self.spend(if with_regex { REGEX * 10 } else { SPEC })?;
        let Some(wanted) = Wanted::parse(spec) else { return Ok(None) };
        let Some(name) = wanted.name().and_then(|name| self.facts.name(name)) else { return Ok(None) };
        let (mut best, mut asked) = (None, None);
        for place in self.facts.range(name) {
            self.spend(1)?;
            let fact = *self.facts.all.get(place).ok_or_else(damaged)?;
            if best.is_some() && !fact.kept {
                continue;
            }
            let fits = match asked {
                Some((version, fits)) if version == fact.version => fits,
                _ => {
                    self.spend(VERSION)?;
                    wanted.fits_version(self.facts.versions.get(fact.version))
                }
            };
            asked = Some((fact.version, fits));
            if !fits {
                continue;
            }
            if with_regex {
                self.spend(REGEX)?;
            }
            if !wanted.fits_build(self.facts.build(&fact), fact.number)
                || !self.fits_deep(&wanted, fact.line)?
            {
                continue;
            }
            if fact.kept {
                return Ok(None);
            }
            best = Some((name, fact.version));
        }
        Ok(best)
    }

    fn fits_deep(&mut self, wanted: &Wanted, line: u32) -> Result<bool, BuildError> {
        if !wanted.is_deep() {
            return Ok(true);
        }
        self.spend(RECORD * 2)?;
        let entry = self.table.get(line as usize).ok_or_else(damaged)?;
        Ok(wanted.fits(self.source.record(&entry)?))
    }

    /// Keeps all builds of a version, and where some have features, those of the newest version that have none.
    fn keep_version(&mut self, name: u32, version: u32) -> Result<(), BuildError> {
        let (mut asked, mut featured) = (None, false);
        for place in self.facts.range(name) {
            self.spend(1)?;
            let fact = *self.facts.all.get(place).ok_or_else(damaged)?;
            let is_like = match asked {
                Some((other, is_like)) if other == fact.version => is_like,
                _ => {
                    self.spend(VERSION)?;
                    self.facts.versions.is_like(fact.version, version)
                }
            };
            asked = Some((fact.version, is_like));
            if is_like {
                featured |= fact.featured;
                self.keep(place);
            }
        }
        if featured { self.keep_plain(name) } else { Ok(()) }
    }

    fn keep_plain(&mut self, name: u32) -> Result<(), BuildError> {
        let group = self.facts.group(name);
        let plain = group.iter().find(|fact| !fact.featured).map(|fact| fact.version);
        self.spend(group.len() as u64 * 2)?;
        let Some(version) = plain else { return Ok(()) };
        for place in self.facts.range(name) {
            let fact = self.facts.all.get(place).ok_or_else(damaged)?;
            if fact.version == version && !fact.featured {
                self.keep(place);
            }
        }
        Ok(())
    }

    fn keep(&mut self, place: usize) {
        if let Some(fact) = self.facts.all.get_mut(place)
            && !fact.kept
        {
            fact.kept = true;
            self.fresh.push(u32::try_from(place).unwrap_or(u32::MAX));
        }
    }
}
