//! `run_exports.json` (CEP 12) made of the records themselves, for an upstream that has no such document but carries `run_exports` in
//! its records (CEP 21), as shards do.
//!
//! A record without `run_exports` is left out: "not known" must not look like "none", which would keep builders from looking into the
//! package.
//!
//! Belongs here: that document. Does not: upstream's own (`attach`), merging several (`merge`).

use std::path::Path;

use super::build::{Limits, Made};
use super::error::BuildError;
use super::files::HashingFile;
use super::generation::Generation;
use super::names::file_name;
use super::scan::{Field, Group, Record, Scanner, Shape, Sink};
use super::store::GenerationStore;
use super::unpack::unpack;
use crate::clock::UnixMillis;
use crate::conda::url::{IndexFile, Packing};

impl GenerationStore {
    /// Makes the document part of `generation`; `false`, and nothing is done, where no record says anything.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn make_run_exports(&self, generation: &Generation, limits: &Limits) -> Result<bool, BuildError> {
        let work = self.workspace()?;
        let manifest = generation.manifest();
        let name = file_name(IndexFile::RunExports(Packing::Json));
        let json = generation.dir().join("repodata.json");
        let mut writer = Writer {
            out: HashingFile::create(&work.path().join(name))?,
            group: Group::Packages,
            written: 0,
            first: true,
        };
        writer.out.put(b"{\"info\":{\"subdir\":\"")?;
        writer.out.put(manifest.subdir.as_bytes())?;
        writer.out.put(b"\",\"version\":0},\"packages\":{")?;
        writer.walk(&json, limits)?;
        writer.out.put(b"},\"packages.conda\":{")?;
        (writer.group, writer.first) = (Group::PackagesConda, true);
        writer.walk(&json, limits)?;
        writer.out.put(b"}}")?;
        if writer.written == 0 {
            return Ok(false);
        }
        let written = writer.out.finish()?;
        let mut made = Made::new(work.path(), UnixMillis(manifest.built_at));
        made.add(name, written);
        made.pack(name, written.len, None, limits.bz2)?;
        self.adopt(generation, work.path(), made.files, None)?;
        Ok(true)
    }
}

struct Writer {
    out: HashingFile,
    /// Whose records are written on this walk.
    group: Group,
    written: u64,
    first: bool,
}

impl Writer {
    fn walk(&mut self, json: &Path, limits: &Limits) -> Result<(), BuildError> {
        let mut scanner = Scanner::new(Shape::Records, limits.scan);
        unpack(json, Packing::Json, limits.unpack, &mut |piece| scanner.feed(piece, self))?;
        Ok(scanner.finish()?)
    }
}

impl Sink for Writer {
    type Error = BuildError;

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

    fn record(&mut self, record: &Record<'_>) -> Result<(), BuildError> {
        let exports = record.field(Field::RunExports).filter(|_| record.group() == self.group);
        let Some(exports) = exports.filter(|raw| raw.starts_with(b"{")) else { return Ok(()) };
        self.out.put(if std::mem::take(&mut self.first) { b"\"" } else { b",\"" })?;
        self.out.put(record.raw_key())?;
        self.out.put(b"\":{\"run_exports\":")?;
        self.out.put(exports)?;
        self.out.put(b"}")?;
        self.written += 1;
        Ok(())
    }

    fn closing(&mut self) -> Result<(), BuildError> {
        Ok(())
    }
}
