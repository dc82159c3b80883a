//! `run_exports.json` (CEP 12) made of other documents: of the records themselves, for an upstream that has no such document but carries
//! `run_exports` in its records (CEP 21), as shards do; or of those of several members (`merge`).
//!
//! A record without `run_exports` is left out: "not known" must not look like "none", which would keep builders from looking into the
//! package.
//!
//! Belongs here: writing that document, and making it of records. Does not: upstream's own (`attach`), which member has a record
//! (`merge`).

use super::build::{Limits, Staging};
use super::error::BuildError;
use super::files::HashingFile;
use super::generation::Generation;
use super::names::file_name;
use super::read::read_file;
use super::scan::{Field, Group, Record, Shape, Sink};
use super::store::GenerationStore;
use crate::clock::UnixMillis;
use crate::conda::url::{IndexFile, Packing};

pub(super) const EXPORTS: IndexFile = IndexFile::RunExports(Packing::Json);
const GROUPS: [(Group, &str); 2] = [(Group::Packages, "packages"), (Group::PackagesConda, "packages.conda")];

impl GenerationStore {
    /// Makes the document part of `generation`; `false`, and nothing is done, where no record says anything.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn make_run_exports(&self, generation: &Generation, limits: &Limits) -> Result<bool, BuildError> {
        let json = generation.dir().join("repodata.json");
        let mut draft = Draft::begin(self, &generation.manifest().subdir)?;
        draft.groups(|draft, group| {
            read_file(&json, Packing::Json, Shape::Records, limits, &mut Told { draft, group }).map(drop)
        })?;
        if draft.is_empty() {
            return Ok(false);
        }
        let modified_at = UnixMillis(generation.manifest().built_at);
        draft.attach(self, generation, modified_at, limits)?;
        Ok(true)
    }
}

/// The document, being written.
pub(super) struct Draft {
    work: Staging,
    out: HashingFile,
    in_group: u64,
    in_all: u64,
}

impl Draft {
    /// Begins the document of a subdir.
    pub fn begin(store: &GenerationStore, subdir: &str) -> Result<Self, BuildError> {
        let work = store.workspace()?;
        let mut out = HashingFile::create(&work.path().join(file_name(EXPORTS)))?;
        out.put(format!("{{\"info\":{{\"subdir\":\"{subdir}\",\"version\":0}}").as_bytes())?;
        Ok(Self { work, out, in_group: 0, in_all: 0 })
    }

    /// Writes the groups; `fill` adds the members of one.
    pub fn groups(
        &mut self,
        mut fill: impl FnMut(&mut Self, Group) -> Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        for (group, key) in GROUPS {
            self.out.put(format!(",\"{key}\":{{").as_bytes())?;
            self.in_group = 0;
            fill(self, group)?;
            self.out.put(b"}")?;
        }
        self.out.put(b"}")
    }

    /// Adds a member to the group, given as JSON in pieces.
    pub fn add(&mut self, member: &[&[u8]]) -> Result<(), BuildError> {
        if self.in_group > 0 {
            self.out.put(b",")?;
        }
        (self.in_group, self.in_all) = (self.in_group + 1, self.in_all + 1);
        member.iter().try_for_each(|piece| self.out.put(piece))
    }

    /// Whether it has no members.
    pub const fn is_empty(&self) -> bool {
        self.in_all == 0
    }

    /// Makes it part of a generation, in every packing.
    pub fn attach(
        self,
        store: &GenerationStore,
        generation: &Generation,
        modified_at: UnixMillis,
        limits: &Limits,
    ) -> Result<(), BuildError> {
        let written = self.out.finish()?;
        let document = (file_name(EXPORTS), written);
        store.adopt_document(generation, self.work.path(), document, modified_at, limits)
    }
}

/// Adds what the records of one group say themselves.
struct Told<'a> {
    draft: &'a mut Draft,
    group: Group,
}

impl Sink for Told<'_> {
    type Error = BuildError;

    fn record(&mut self, record: &Record<'_>) -> Result<(), BuildError> {
        let exports = record.field(Field::RunExports).filter(|_| record.group() == self.group);
        let Some(exports) = exports.filter(|raw| raw.starts_with(b"{")) else { return Ok(()) };
        self.draft.add(&[b"\"", record.raw_key(), b"\":{\"run_exports\":", exports, b"}"])
    }
}
