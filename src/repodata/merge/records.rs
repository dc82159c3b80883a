//! A member's records: its package table, and single records read from its `repodata.json`.

use std::borrow::Cow;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::value::RawValue;

use super::{JSON, MergeMember};
use crate::cache::stamp::Stamp;
use crate::clock::UnixMillis;
use crate::conda::archive::ArchiveName;
use crate::repodata::error::BuildError;
use crate::repodata::generation::Generation;
use crate::repodata::moment::moment;
use crate::repodata::shards::ShardError;
use crate::repodata::table::{Entry, PackageTable};

/// An opened member.
#[derive(Debug)]
pub(super) struct Records<'a> {
    /// Its place in the rule.
    pub place: usize,
    generation: &'a Generation,
    json: File,
    path: PathBuf,
    stamp: Stamp,
    modified_at: UnixMillis,
}

/// What a merge needs to know of a record beyond the table.
#[derive(serde::Deserialize, Default)]
struct Fields<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    indexed_timestamp: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
}

impl<'a> Records<'a> {
    /// Opens a member's index; `None` when it has no such subdir.
    pub fn open(member: &'a MergeMember) -> Result<Option<Self>, BuildError> {
        let Some(generation) = member.generation.as_deref() else { return Ok(None) };
        let Some(json) = generation.variant(JSON) else {
            return Err(ShardError::Generation { what: "it has no repodata.json" }.into());
        };
        let path = json.path.clone();
        let file = File::open(&path).map_err(BuildError::io("open", &path))?;
        let modified_at = json.last_modified;
        Ok(Some(Self { place: member.place, generation, json: file, path, stamp: json.stamp, modified_at }))
    }

    /// When its document last changed.
    pub const fn modified_at(&self) -> UnixMillis {
        self.modified_at
    }

    /// Finds out whether what was read of it is what was written.
    pub fn check_unchanged(&self) -> Result<(), BuildError> {
        if self.generation.is_unchanged() && self.stamp.fits(&self.json) {
            return Ok(());
        }
        self.generation.doubt();
        Err(BuildError::Damaged { path: self.path.clone() })
    }

    /// Its table.
    pub const fn table(&self) -> &'a PackageTable {
        self.generation.table()
    }

    /// Reads bytes of its document.
    pub fn read(&self, at: u64, len: u64, into: &mut Vec<u8>) -> Result<(), BuildError> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        into.clear();
        into.resize(len, 0);
        self.json.read_exact_at(into, at).map_err(BuildError::io("read", &self.path))
    }

    /// Reads a record.
    pub fn record(&self, entry: &Entry<'_>, into: &mut Vec<u8>) -> Result<(), BuildError> {
        self.read(entry.record.0, u64::from(entry.record.1), into)?;
        // A record that is no object would make the whole document unreadable.
        match (into.first(), into.last()) {
            (Some(b'{'), Some(b'}')) => Ok(()),
            _ => Err(BuildError::Damaged { path: self.path.clone() }),
        }
    }

    /// The package name of a record: from the table, else from the record, else from its file name (as for shards).
    pub fn name<'e>(&self, entry: &Entry<'e>, buffer: &mut Vec<u8>) -> Result<Cow<'e, str>, BuildError> {
        if let Some(name) = entry.name {
            return Ok(Cow::Borrowed(name));
        }
        self.record(entry, buffer)?;
        let fields: Fields<'_> = serde_json::from_slice(buffer).unwrap_or_default();
        if let Some(Value::String(name)) = fields.name.and_then(value) {
            return Ok(Cow::Owned(name));
        }
        let archive = ArchiveName::parse(entry.file);
        let parts = archive.as_ref().and_then(ArchiveName::parts);
        Ok(parts.map_or(Cow::Borrowed(entry.file), |(name, ..)| Cow::Owned(name.to_owned())))
    }

    /// When the gate first saw a record; where nobody kept that, what the record says of itself.
    pub fn first_seen(
        &self,
        entry: &Entry<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<UnixMillis>, BuildError> {
        if let Some(seen) = entry.standing.seen {
            return Ok(Some(seen.at));
        }
        self.record(entry, buffer)?;
        let fields: Fields<'_> = serde_json::from_slice(buffer).unwrap_or_default();
        let moment = |raw: &RawValue| moment(raw.get().as_bytes());
        Ok(fields.indexed_timestamp.and_then(moment).or_else(|| fields.timestamp.and_then(moment)))
    }

    /// The file names in its `removed`; what is not a list of file names counts as empty.
    pub fn removed(&self) -> Result<Vec<String>, BuildError> {
        let Some((at, len)) = self.generation.manifest().report.removed_at else { return Ok(Vec::new()) };
        let mut raw = Vec::new();
        self.read(at, len, &mut raw)?;
        let Ok(Value::Array(files)) = serde_json::from_slice(&raw) else { return Ok(Vec::new()) };
        Ok(files
            .into_iter()
            .filter_map(|file| match file {
                Value::String(file) => Some(file).filter(|file| ArchiveName::parse(file).is_some()),
                _ => None,
            })
            .collect())
    }
}

fn value(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}
