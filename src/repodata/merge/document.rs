//! Writing the merged `repodata.json` and its package table.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::MergeInput;
use super::choose::Choice;
use super::records::Records;
use crate::repodata::error::BuildError;
use crate::repodata::info;
use crate::repodata::names::TABLE;
use crate::repodata::out::{Out, OutWritten};
use crate::repodata::scan::Group;
use crate::repodata::table::{Entry, NewEntry, PackageTable, Standing, TableBuilder, TableWritten};

/// What was written.
pub(super) struct Done {
    pub written: OutWritten,
    pub table: TableWritten,
    /// Where the value of `removed` stands.
    pub removed_at: (u64, u64),
}

/// Groups at the top, and whether clients expect them even when they are empty.
const TOP: [(Group, &str, bool); 3] = [
    (Group::Packages, "packages", true),
    (Group::PackagesConda, "packages.conda", true),
    (Group::PackagesWhl, "packages.whl", false),
];
/// Groups inside `v3`, and the extension their keys lack (CEP 48).
const V3: [(Group, &str, &str); 3] = [
    (Group::V3TarBz2, "tar.bz2", ".tar.bz2"),
    (Group::V3Conda, "conda", ".conda"),
    (Group::V3Whl, "whl", ".whl"),
];

/// Writes both files into `dir`.
pub(super) fn write(
    dir: &Path,
    input: &MergeInput<'_>,
    members: &[Records<'_>],
    choice: &Choice,
) -> Result<Done, BuildError> {
    let mut writer = Writer {
        out: Out::packed(dir, input.before, None)?,
        table: TableBuilder::default(),
        buffer: Vec::new(),
        most: input.limits.records,
        members,
        choice,
    };
    writer.out.put(b"{\"info\":")?;
    writer.out.put(&info::fresh(input.subdir.as_str()))?;
    for (group, key, always) in TOP {
        if always || choice.has(group) {
            writer.out.put(b",")?;
            writer.group(group, key, "")?;
        }
    }
    writer.v3()?;
    let Writer { mut out, table, .. } = writer;
    let path = dir.join(TABLE);
    let table = table.write(&path)?;
    let removed = removed(input, members, &PackageTable::open(&path)?)?;
    out.put(b",\"removed\":")?;
    let removed_at = (out.len(), removed.len() as u64);
    out.put(&removed)?;
    out.put(b",\"repodata_version\":1}")?;
    Ok(Done { written: out.finish()?, table, removed_at })
}

struct Writer<'a> {
    out: Out,
    table: TableBuilder,
    buffer: Vec<u8>,
    most: usize,
    members: &'a [Records<'a>],
    choice: &'a Choice,
}

impl Writer<'_> {
    fn v3(&mut self) -> Result<(), BuildError> {
        if !V3.iter().any(|(group, ..)| self.choice.has(*group)) {
            return Ok(());
        }
        let mut before: &[u8] = b",\"v3\":{";
        for (group, key, extension) in V3 {
            if self.choice.has(group) {
                self.out.put(before)?;
                self.group(group, key, extension)?;
                before = b",";
            }
        }
        self.out.put(b"}")
    }

    /// One group with all its records.
    fn group(&mut self, group: Group, key: &str, extension: &str) -> Result<(), BuildError> {
        self.out.put(format!("\"{key}\":{{").as_bytes())?;
        if self.choice.has(group) {
            let (choice, members) = (self.choice, self.members);
            let mut first = true;
            for (n, entry) in choice.merged(members.iter().map(Records::table).collect()) {
                // Each file stands once, in the group of the member that won, so it is passed over in the others.
                if entry.group == group
                    && let Some(member) = members.get(n)
                {
                    self.record(member, &entry, extension, std::mem::take(&mut first))?;
                }
            }
        }
        self.out.put(b"}")
    }

    fn record(
        &mut self,
        member: &Records<'_>,
        entry: &Entry<'_>,
        extension: &str,
        first: bool,
    ) -> Result<(), BuildError> {
        member.record(entry, &mut self.buffer)?;
        let key = entry.file.strip_suffix(extension).unwrap_or(entry.file);
        self.out.put(if first { b"" } else { b"," })?;
        self.out.put(Value::from(key).to_string().as_bytes())?;
        self.out.put(b":")?;
        self.out.put(&self.buffer)?;
        let len = entry.record.1;
        let record = (self.out.len() - u64::from(len), len);
        self.out.record_ends(entry.file)?;
        let Entry { file, name, expected, group, .. } = *entry;
        let standing = Standing { seen: entry.standing.seen, ..Standing::default() };
        let new = NewEntry { file, name, expected, record, group, standing };
        let place = u8::try_from(member.place).unwrap_or(u8::MAX);
        if self.table.len() >= self.most || !self.table.push_of(&new, place) {
            return Err(BuildError::TooManyRecords { limit: self.most });
        }
        Ok(())
    }
}

/// What members list as removed and nobody lists as there; names that are owned only from their owners.
fn removed(
    input: &MergeInput<'_>,
    members: &[Records<'_>],
    listed: &PackageTable,
) -> Result<Vec<u8>, BuildError> {
    let mut removed = BTreeSet::new();
    for member in members {
        let files = member.removed()?.into_iter();
        removed.extend(files.filter(|file| {
            input.rule.may_answer_file(member.place, file, None) && listed.find(file).is_none()
        }));
    }
    Ok(Value::from_iter(removed).to_string().into_bytes())
}
