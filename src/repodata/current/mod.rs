//! `current_repodata.json`: the newest of everything and what it needs, worked out from a generation's own records.
//!
//! Belongs here: making that document. Does not: the full index (`build`). Upstream's own document is never used, also not
//! filtered: what a rule hides may be the newest version, and then an older one must take its place, with other dependencies.
//!
//! # Which records
//!
//! As conda-index does it (`conda_index/index/current_repodata.py`: `_shard_newest_packages`, `_add_missing_deps`,
//! `_add_prev_ver_for_features`), without the pins that a channel may configure there:
//!
//! 1. Of each package name the newest version: every record that the spec `name=version` takes. What is no version is older
//!    than everything that is one.
//! 2. For each dependency of those that none of them satisfies: the best record that does, with its version, likewise. Best is
//!    the newest version, then the highest build number.
//! 3. Where a kept record has features: all records of the newest version without them.
//!
//! conda-index takes the second step once; here it is repeated until nothing is missing. So every dependency of a listed
//! record that the full index satisfies is satisfied in this one, and what conda-index lists is listed.
//!
//! Only `packages` and `packages.conda` are looked at, and a `.tar.bz2` that is there as `.conda` too is left out, as by
//! conda-index. The document is `repodata.json` without the other records, byte for byte; `removed` is empty.
//!
//! # Cost
//!
//! Every record is read once by position, the current ones twice more; then `repodata.json` passes once through the scanner.
//! About 32 bytes of memory for each record, its build string, and each distinct name and version once. A document whose
//! dependencies would take too long to work out is refused ([`BuildError::TooTangled`]).

mod choose;
mod facts;
mod fields;
mod versions;
mod wanted;
mod write;

#[cfg(test)]
mod tests;

use std::path::Path;

use facts::{Facts, Source, damaged, mismatch};
use write::Picker;

use super::build::Limits;
use super::error::BuildError;
use super::files::{HashingFile, Written};
use super::generation::Generation;
use super::names::file_name;
use super::read::read_file;
use super::scan::Shape;
use super::store::GenerationStore;
use super::table::PackageTable;
use super::unpack::UnpackLimits;
use crate::clock::UnixMillis;
use crate::conda::url::{IndexFile, Packing};

impl GenerationStore {
    /// Makes `current_repodata.json` of a generation that is already in use, in every packing that `limits` allow. Does nothing
    /// where it is there.
    ///
    /// # Errors
    /// [`BuildError::TooTangled`]: for this generation the document does not exist (404). Else trouble with the disk, or a
    /// damaged generation.
    pub fn make_current(&self, generation: &Generation, limits: &Limits) -> Result<(), BuildError> {
        let document = IndexFile::Current(Packing::Json);
        if generation.variant(document).is_some() {
            return Ok(());
        }
        let work = self.workspace()?;
        let name = file_name(document);
        let from = generation.dir().join(file_name(IndexFile::Repodata(Packing::Json)));
        let written = make(&from, generation.table(), &work.path().join(name), limits)?;
        let modified_at = UnixMillis(generation.manifest().built_at);
        self.adopt_document(generation, work.path(), (name, written), modified_at, limits)
    }
}

/// Writes the current records of the `repodata.json` at `from`, which `table` lists, to a new file at `to`.
fn make(from: &Path, table: &PackageTable, to: &Path, limits: &Limits) -> Result<Written, BuildError> {
    let chosen = chosen(from, table, choose::MOST_STEPS)?;
    let mut picker = Picker::new(HashingFile::create(to)?, &chosen);
    // The gate wrote this file itself, within its limits.
    let limits = Limits { unpack: UnpackLimits { bytes: u64::MAX, ..UnpackLimits::default() }, ..*limits };
    read_file(from, Packing::Json, Shape::Records, &limits, &mut picker)?;
    let (out, missed) = picker.finish();
    if missed > 0 {
        return Err(mismatch());
    }
    out.finish()
}

/// Where the current records' values begin, ascending.
fn chosen(from: &Path, table: &PackageTable, steps: u64) -> Result<Vec<u64>, BuildError> {
    let mut source = Source::open(from)?;
    let mut facts = Facts::read(table, &mut source)?;
    choose::choose(&mut facts, table, &mut source, steps)?;
    let kept = facts.all.iter().filter(|fact| fact.kept);
    let at = |line: u32| table.get(line as usize).map(|entry| entry.record.0);
    let mut chosen = kept.map(|fact| at(fact.line)).collect::<Option<Vec<_>>>().ok_or_else(damaged)?;
    chosen.sort_unstable();
    Ok(chosen)
}
