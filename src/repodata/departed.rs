//! Files that upstream's index listed once and lists no more: lock files still want them, and rules judge them by their last records.
//!
//! Belongs here: carrying them from one generation's table to the next. Does not: what rules say of them (`judging`), whether they are
//! served (`delivery`).

use std::path::Path;

use super::build::Withdrawn;
use super::error::BuildError;
use super::generation::Generation;
use super::judging::{Clerk, KnownFile};
use super::scan::{Group, Record};
use super::table::{Entry, NewEntry, Standing, TableBuilder};
use crate::conda::archive::{ArchiveKind, ArchiveName};
use crate::conda::digest::Expected;

/// Files that are remembered after they left, at most: a channel of nightly builds loses thousands a month.
const REMEMBERED: usize = 500_000;

/// How many were carried over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Departed {
    /// Files with a last record.
    pub known: u64,
    /// Entries for files that the document does not list, those included.
    pub strangers: u64,
}

/// Adds to `table` what `before` knew and the document does not list any more, and what only its `removed` names.
pub(super) fn carry_over(
    table: &mut TableBuilder,
    clerk: &mut Clerk<'_>,
    before: Option<&Generation>,
    mut removed: Vec<String>,
) -> Result<Departed, BuildError> {
    let mut departed = Departed::default();
    removed.sort_unstable();
    removed.dedup();
    if let Some(before) = before {
        for line in table.missing_of(before.table()).into_iter().take(REMEMBERED) {
            let Some(entry) = before.table().get(line).filter(Entry::has_record) else { continue };
            let known = before.known(&entry)?;
            let is_removed = removed.binary_search_by(|file| file.as_str().cmp(entry.file)).is_ok();
            if add_known(table, clerk, &entry, &known, is_removed)? {
                departed.known += 1;
            }
        }
    }
    departed.strangers = departed.known;
    for which in table.absent_of(&removed).into_iter().take(REMEMBERED) {
        let Some(file) = removed.get(which).filter(|file| ArchiveName::parse(file).is_some()) else {
            continue;
        };
        let standing = clerk.departed(file, None, Standing::default(), true)?;
        let new = NewEntry {
            file,
            name: None,
            expected: Expected::default(),
            record: (0, 0),
            group: group_of(file),
            standing,
        };
        departed.strangers += u64::from(table.push(&new));
    }
    Ok(departed)
}

/// Adds files that are in no index, by their last records: whoever made the document knows them all.
pub(super) fn take_over(
    table: &mut TableBuilder,
    clerk: &mut Clerk<'_>,
    files: Withdrawn<'_>,
    path: &Path,
) -> Result<Departed, BuildError> {
    let mut departed = Departed::default();
    for next in files {
        let (file, raw) = next.map_err(BuildError::io("read", path))?;
        let group = group_of(&file);
        let Some(record) = Record::alone(group, &raw) else { continue };
        let Ok(expected) = record.expected() else { continue };
        let seen = clerk.said(&record);
        let before = Standing { seen, ..Standing::default() };
        let standing = clerk.departed(&file, Some((&record, &expected)), before, true)?;
        let name = record.name().ok().flatten();
        let new = NewEntry { file: &file, name: name.as_deref(), expected, record: (0, 0), group, standing };
        departed.known += u64::from(table.push(&new));
    }
    departed.strangers = departed.known;
    Ok(departed)
}

fn add_known(
    table: &mut TableBuilder,
    clerk: &mut Clerk<'_>,
    entry: &Entry<'_>,
    known: &KnownFile,
    removed: bool,
) -> Result<bool, BuildError> {
    let raw = known.record.as_deref();
    let Some(record) = raw.and_then(|raw| Record::alone(entry.group, raw)) else { return Ok(false) };
    let Entry { file, name, expected, group, .. } = *entry;
    let standing = clerk.departed(file, Some((&record, &expected)), entry.standing, removed)?;
    Ok(table.push(&NewEntry { file, name, expected, record: (0, 0), group, standing }))
}

fn group_of(file: &str) -> Group {
    match ArchiveName::parse(file).map(|archive| archive.kind()) {
        Some(ArchiveKind::TarBz2) => Group::Packages,
        Some(ArchiveKind::Wheel) => Group::PackagesWhl,
        Some(ArchiveKind::Conda) | None => Group::PackagesConda,
    }
}
