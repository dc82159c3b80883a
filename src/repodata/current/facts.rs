//! What is kept of each record while the current ones are found: about 32 bytes and its build string.
//!
//! Belongs here: reading every record once, versions in their order, records in the order of preference. Does not: choosing
//! among them (`choose`).

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use ahash::AHashMap;

use super::fields::{Fields, text};
use super::versions::Versions;
use crate::conda::archive::ArchiveName;
use crate::repodata::error::BuildError;
use crate::repodata::scan::Group;
use crate::repodata::shards::ShardError;
use crate::repodata::table::{Entry, PackageTable};

/// Longest name, version or build string that is kept. Honest ones have a few dozen bytes, and a file name 255.
const LONGEST: usize = 255;

/// A read buffer that grew beyond this is given back after the record that needed it.
const LARGE: usize = 1 << 20;

/// One record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fact {
    pub name: u32,
    pub version: u32,
    pub number: u64,
    /// Its line in the package table.
    pub line: u32,
    build_at: u32,
    build_len: u8,
    /// Stands in `packages`, where the older archive format is.
    classic: bool,
    /// Has `features` or `track_features`.
    pub featured: bool,
    /// Is current.
    pub kept: bool,
}

/// All records of the two classic groups: by name, best first. Best is the newest version, then the highest build number.
#[derive(Debug)]
pub(super) struct Facts {
    pub all: Vec<Fact>,
    pub versions: Versions,
    names: AHashMap<Box<str>, u32>,
    /// Where the records of each name begin in `all`; one more at the end.
    starts: Vec<u32>,
    builds: Vec<u8>,
}

impl Facts {
    /// Reads every record once.
    pub fn read(table: &PackageTable, source: &mut Source) -> Result<Self, BuildError> {
        let mut facts = Self {
            all: Vec::with_capacity(table.len()),
            versions: Versions::default(),
            names: AHashMap::new(),
            starts: Vec::new(),
            builds: Vec::new(),
        };
        let mut lines = 0;
        for (line, entry) in table.iter().enumerate() {
            lines += 1;
            if entry.is_shown() && matches!(entry.group, Group::Packages | Group::PackagesConda) {
                facts.add(u32::try_from(line).unwrap_or(u32::MAX), &entry, source.record(&entry)?)?;
            }
        }
        if lines != table.len() {
            return Err(damaged());
        }
        facts.versions.rank();
        facts.sort();
        facts.drop_twins(table);
        facts.find_starts();
        Ok(facts)
    }

    fn add(&mut self, line: u32, entry: &Entry<'_>, record: &[u8]) -> Result<(), BuildError> {
        let fields = Fields::read(record).ok_or_else(mismatch)?;
        let archive = ArchiveName::parse(entry.file);
        let parts = archive.as_ref().and_then(ArchiveName::parts);
        let own_name = fields.name.and_then(text);
        // Without a name that anything could ask for it is in no client's way; it stays in the full index.
        let Some(name) = own_name.as_deref().or(parts.map(|(name, ..)| name)).filter(|n| n.len() <= LONGEST)
        else {
            return Ok(());
        };
        let build = fields.build.and_then(text).filter(|build| build.len() <= LONGEST).unwrap_or_default();
        let version = fields.version.and_then(text).filter(|version| version.len() <= LONGEST);
        let (Ok(build_at), Ok(build_len)) = (u32::try_from(self.builds.len()), u8::try_from(build.len()))
        else {
            return Err(mismatch());
        };
        let fact = Fact {
            name: self.name_number(name),
            version: self.versions.number(version.as_deref().unwrap_or_default()),
            number: fields.number(),
            line,
            build_at,
            build_len,
            classic: entry.group == Group::Packages,
            featured: fields.is_featured(),
            kept: false,
        };
        self.builds.extend_from_slice(build.as_bytes());
        self.all.push(fact);
        Ok(())
    }

    /// Names are compared without case, as in match specs.
    fn name_number(&mut self, name: &str) -> u32 {
        let lower;
        let name = if name.bytes().any(|b| b.is_ascii_uppercase()) {
            lower = name.to_ascii_lowercase();
            &lower
        } else {
            name
        };
        if let Some(number) = self.names.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.insert(name.into(), number);
        number
    }

    fn sort(&mut self) {
        let Self { all, versions, builds, .. } = self;
        // Among equals the newer archive format comes first, and then the order of file names.
        all.sort_unstable_by(|a, b| {
            a.name
                .cmp(&b.name)
                .then_with(|| versions.ranked(b.version).cmp(&versions.ranked(a.version)))
                .then_with(|| a.version.cmp(&b.version))
                .then_with(|| b.number.cmp(&a.number))
                .then_with(|| build_of(builds, b).cmp(build_of(builds, a)))
                .then_with(|| (a.classic, a.line).cmp(&(b.classic, b.line)))
        });
    }

    /// Takes out every `.tar.bz2` that is there as `.conda` too: all clients of `current_repodata.json` take the `.conda`
    /// (conda: `SubdirData._process_raw_repodata`).
    fn drop_twins(&mut self, table: &PackageTable) {
        let Self { all, builds, .. } = self;
        let same = |a: &Fact, b: &Fact| {
            (a.name, a.version, a.number) == (b.name, b.version, b.number)
                && build_of(builds, a) == build_of(builds, b)
        };
        let file = |fact: &Fact| table.get(fact.line as usize).map_or("", |entry| entry.file);
        let mut twins = Vec::new();
        for run in all.chunk_by(same) {
            let (newer, older) = run.split_at(run.partition_point(|fact| !fact.classic));
            if newer.is_empty() {
                continue;
            }
            for fact in older {
                let Some(stem) = file(fact).strip_suffix(".tar.bz2") else { continue };
                let wanted = format!("{stem}.conda");
                if newer.binary_search_by(|twin| file(twin).cmp(wanted.as_str())).is_ok() {
                    twins.push(fact.line);
                }
            }
        }
        twins.sort_unstable();
        all.retain(|fact| !fact.classic || twins.binary_search(&fact.line).is_err());
    }

    fn find_starts(&mut self) {
        self.starts = vec![0; self.names.len() + 1];
        for fact in &self.all {
            if let Some(next) = self.starts.get_mut(fact.name as usize + 1) {
                *next += 1;
            }
        }
        let mut sum = 0;
        for start in &mut self.starts {
            sum += *start;
            *start = sum;
        }
    }

    /// How many names there are; they are numbered from 0.
    pub fn names(&self) -> u32 {
        u32::try_from(self.names.len()).unwrap_or(u32::MAX)
    }

    /// The number of a name in lower case.
    pub fn name(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// Where the records of a name are in `all`.
    pub fn range(&self, name: u32) -> std::ops::Range<usize> {
        let at = |n: usize| self.starts.get(n).map_or(self.all.len(), |start| *start as usize);
        at(name as usize)..at(name as usize + 1)
    }

    /// The records of a name, best first.
    pub fn group(&self, name: u32) -> &[Fact] {
        self.all.get(self.range(name)).unwrap_or_default()
    }

    /// A record's build string.
    pub fn build(&self, fact: &Fact) -> &str {
        std::str::from_utf8(build_of(&self.builds, fact)).unwrap_or_default()
    }
}

fn build_of<'a>(builds: &'a [u8], fact: &Fact) -> &'a [u8] {
    let at = fact.build_at as usize;
    builds.get(at..at + usize::from(fact.build_len)).unwrap_or_default()
}

/// `repodata.json`, read by positions. Not a map: should the file be cut meanwhile, this is an error.
#[derive(Debug)]
pub(super) struct Source {
    json: File,
    path: PathBuf,
    buffer: Vec<u8>,
}

impl Source {
    pub fn open(path: &Path) -> Result<Self, BuildError> {
        let json = File::open(path).map_err(BuildError::io("open", path))?;
        Ok(Self { json, path: path.to_owned(), buffer: Vec::new() })
    }

    /// The bytes of a record's value.
    pub fn record(&mut self, entry: &Entry<'_>) -> Result<&[u8], BuildError> {
        let (at, len) = (entry.record.0, entry.record.1 as usize);
        if self.buffer.capacity() > LARGE && len <= LARGE {
            self.buffer = Vec::new();
        }
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        let record = self.buffer.get_mut(..len).ok_or_else(mismatch)?;
        self.json.read_exact_at(record, at).map_err(BuildError::io("read", &self.path))?;
        Ok(record)
    }
}

/// The table can't be read to its end.
pub(super) fn damaged() -> BuildError {
    ShardError::Generation { what: "its package table is damaged" }.into()
}

/// What stands where the table says is no record.
pub(super) fn mismatch() -> BuildError {
    ShardError::Generation { what: "its package table and repodata.json do not belong together" }.into()
}
