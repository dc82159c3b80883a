//! `run_exports.json` (CEP 12) of a merged index: from each member's own, for the files that the index has from that member.

use std::path::Path;
use std::sync::Arc;

use super::document::pair;
use crate::clock::UnixMillis;
use crate::conda::url::{IndexFile, Packing};
use crate::repodata::build::{Limits, Made};
use crate::repodata::error::BuildError;
use crate::repodata::files::HashingFile;
use crate::repodata::generation::Generation;
use crate::repodata::names::file_name;
use crate::repodata::scan::{Group, Record, Scanner, Shape, Sink};
use crate::repodata::store::GenerationStore;
use crate::repodata::unpack::unpack;

const EXPORTS: IndexFile = IndexFile::RunExports(Packing::Json);
const GROUPS: [(Group, &str); 2] = [(Group::Packages, "packages"), (Group::PackagesConda, "packages.conda")];

impl GenerationStore {
    /// Makes `run_exports.json` part of a merged generation, in every packing. `members` are the places and generations of the
    /// members that have one.
    ///
    /// # Errors
    /// Trouble with the disk, or a damaged member.
    pub fn attach_merged_exports(
        &self,
        merged: &Generation,
        members: &[(usize, Arc<Generation>)],
        limits: &Limits,
    ) -> Result<(), BuildError> {
        let work = self.workspace()?;
        let name = file_name(EXPORTS);
        let variants = members.iter().filter_map(|(_, member)| member.variant(EXPORTS));
        let modified_at = variants.map(|variant| variant.last_modified).max();
        let mut made = Made::new(work.path(), modified_at.unwrap_or(UnixMillis(merged.manifest().built_at)));
        let mut out = HashingFile::create(&work.path().join(name))?;
        let head = format!("{{\"info\":{{\"subdir\":\"{}\",\"version\":0}}", merged.manifest().subdir);
        out.put(head.as_bytes())?;
        for (group, key) in GROUPS {
            out.put(format!(",\"{key}\":{{").as_bytes())?;
            let mut pick = Pick { out: &mut out, merged, group, place: 0, first: true };
            for (place, member) in members {
                if let Some(variant) = member.variant(EXPORTS) {
                    pick.place = *place;
                    pick.read(&variant.path, limits)?;
                }
            }
            out.put(b"}")?;
        }
        out.put(b"}")?;
        let written = out.finish()?;
        made.add(name, written);
        made.pack(name, written.len, None, limits.bz2)?;
        self.adopt(merged, work.path(), made.files, None)
    }
}

/// Copies the records of one group that the merged index has from one member.
struct Pick<'a> {
    out: &'a mut HashingFile,
    merged: &'a Generation,
    group: Group,
    place: usize,
    first: bool,
}

impl Pick<'_> {
    fn read(&mut self, path: &Path, limits: &Limits) -> Result<(), BuildError> {
        let mut scanner = Scanner::new(Shape::Records, limits.scan);
        unpack(path, Packing::Json, limits.unpack, &mut |piece| scanner.feed(piece, self))?;
        Ok(scanner.finish()?)
    }
}

impl Sink for Pick<'_> {
    type Error = BuildError;

    fn record(&mut self, record: &Record<'_>) -> Result<(), BuildError> {
        if record.group() != self.group {
            return Ok(());
        }
        // A flawed one was left out when the member's document was made; what came in between is left out here.
        let Ok(good) = record.judge() else { return Ok(()) };
        if self.merged.member_of(&good.file) != Some(self.place) {
            return Ok(());
        }
        pair(self.out, std::mem::take(&mut self.first), &good.file, record.value())
    }

    fn raw(&mut self, _: &[u8]) -> Result<(), BuildError> {
        Ok(())
    }

    fn info(&mut self, _: &[u8]) -> Result<(), BuildError> {
        Ok(())
    }

    fn version(&mut self, _: &[u8]) -> Result<(), BuildError> {
        Ok(())
    }

    fn removed(&mut self, _: &[u8]) -> Result<(), BuildError> {
        Ok(())
    }

    fn group(&mut self, _: Group) -> Result<(), BuildError> {
        Ok(())
    }

    fn closing(&mut self) -> Result<(), BuildError> {
        Ok(())
    }
}
