//! A store as a file that any other store can take in: how a team moves from SQLite to MongoDB and back.
//!
//! Lines of JSON. The first says what this is, the last how many rows there are and the SHA-256 of all bytes before it; each
//! one between is a row, tables in a fixed order, rows by key. The same rows make the same bytes, whichever database
//! they are in. Bytes are written as hex, times as milliseconds since the epoch. What only serves one database (numbers of
//! changes, removed rows) is left out.
//!
//! ```text
//! {"format":"condagate-store","version":1,"schema":3}
//! {"table":"users","row":{"id":"…","name":"…",…}}
//! {"rows":1,"sha256":"…"}
//! ```
//!
//! A load reads the file twice: everything is checked before the first row is written. While it writes, the store carries a
//! mark, and a store that carries it is refused by whoever wants to serve from it ([`Store::is_whole`]).
//!
//! A dump of SQLite has everything as it was at one moment. MongoDB is read page by page: that is exact if nobody writes meanwhile.
//!
//! Belongs here: the format, writing, loading. Does not: where files are (`cli`).

mod line;
mod read;
#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Seek, Write};

use sha2::{Digest as _, Sha256};

use super::engine::{Engine, SCHEMA};
use super::error::StoreError;
use super::model::{GONE, TABLES};
use super::query::{Query, all, behind};
use super::table::{Record, Row, Table};
use super::{Store, value::Value};
use read::Reader;

/// Of the format.
const VERSION: i64 = 1;
/// As the first line calls it.
const FORMAT: &str = "condagate-store";
/// Rows that are in memory at one time.
const PAGE: u32 = 10_000;
/// Rows that are added at one time.
const BATCH: usize = 1_000;

/// What went through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Rows of all tables.
    pub rows: u64,
    /// SHA-256 of the file without its last line.
    pub sha256: [u8; 32],
}

/// Why there is no dump, or it can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The database.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The file.
    #[error("the dump can't be read or written: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("the file is not a dump of a store")]
    NotADump,
    /// A newer condagate made it.
    #[error("the dump has version {found}, this condagate knows up to {known}; run the newer version")]
    Newer {
        /// Of the dump: of its format, or of its schema.
        found: i64,
        /// The newest known here.
        known: i64,
    },
    /// The end is missing.
    #[error("the dump ends in the middle; nothing was loaded")]
    Cut,
    /// A line can't be.
    #[error("line {line} of the dump: {what}; nothing was loaded")]
    Line {
        /// From 1.
        line: u64,
        /// What is wrong with it, without its content.
        what: &'static str,
    },
    /// There is something already.
    #[error("the store is not empty: {rows} rows are in it; `--replace` takes them away first")]
    NotEmpty {
        /// How many.
        rows: u64,
    },
}

/// Tables that are moved.
fn tables() -> impl Iterator<Item = &'static Table> {
    TABLES.iter().copied().filter(|table| table.name != GONE.name)
}

/// Writes a whole store.
pub async fn dump(store: &Store, out: &mut (dyn Write + Send)) -> Result<Summary, DumpError> {
    store.is_whole().await?;
    let frozen = store.frozen().await?;
    let store = frozen.as_ref().unwrap_or(store);
    let mut to = Counted { out, digest: Sha256::new(), rows: 0 };
    to.line(&line::header())?;
    for table in tables() {
        let mut after = None;
        loop {
            let rows = page(store.engine(), table, after).await?;
            let Some(last) = rows.last() else { break };
            after = Some(table.pick(last, table.key));
            for row in &rows {
                to.line(&line::of(table, row))?;
                to.rows += 1;
            }
            if rows.len() < PAGE as usize {
                break;
            }
        }
    }
    let summary = Summary { rows: to.rows, sha256: to.digest.finalize().into() };
    writeln!(to.out, "{}", line::end(&summary))?;
    to.out.flush()?;
    Ok(summary)
}

async fn page(
    engine: &dyn Engine,
    table: &'static Table,
    after: Option<Vec<Value>>,
) -> Result<Vec<Row>, StoreError> {
    let filter = behind(table.key, after, false);
    engine.find(Query { table, filter, order: table.key, descending: false, limit: PAGE }).await
}

struct Counted<'a> {
    out: &'a mut (dyn Write + Send),
    digest: Sha256,
    rows: u64,
}

impl Counted<'_> {
    fn line(&mut self, json: &serde_json::Value) -> io::Result<()> {
        let line = format!("{json}\n");
        self.digest.update(&line);
        self.out.write_all(line.as_bytes())
    }
}

/// Reads a whole dump without a store: whether it could be loaded.
pub fn check(from: &mut (dyn BufRead + Send)) -> Result<Summary, DumpError> {
    let mut reader = Reader::new(from)?;
    while reader.next()?.is_some() {}
    reader.summary()
}

/// The rows of one table of a dump, in order, as the whole of it is checked.
///
/// # Errors
/// As [`check`]; rows may have been given before.
pub fn rows_of<R: Record>(
    from: &mut (dyn BufRead + Send),
    mut each: impl FnMut(R),
) -> Result<Summary, DumpError> {
    let mut reader = Reader::new(from)?;
    while let Some((table, row)) = reader.next()? {
        if table.name == R::table().name {
            each(R::from_row(row)?);
        }
    }
    reader.summary()
}

/// A file, for [`load`].
pub trait Source: BufRead + Seek + Send {}
impl<T: BufRead + Seek + Send> Source for T {}

/// Takes a dump in. What is in the store already is refused, or taken away first with `replace`; gates must be stopped
/// then, they are not told.
pub async fn load(store: &Store, mut from: &mut dyn Source, replace: bool) -> Result<Summary, DumpError> {
    let summary = check(&mut from)?;
    from.rewind()?;
    let engine = store.engine();
    let mut there = 0;
    for table in tables() {
        there += engine.count(table).await?;
    }
    if there > 0 && !replace {
        return Err(DumpError::NotEmpty { rows: there });
    }
    engine.mark_loading(true).await?;
    for table in TABLES {
        while engine.purge(table, all(), PAGE).await? > 0 {}
    }
    fill(engine, &mut from).await?;
    if replace {
        // What anybody made of the rows that were here before says nothing about these, though their numbers may look alike.
        engine.raise_floor(engine.tick().await?).await?;
    }
    engine.mark_loading(false).await?;
    Ok(summary)
}

async fn fill(engine: &dyn Engine, from: &mut (dyn BufRead + Send)) -> Result<(), DumpError> {
    let mut reader = Reader::new(from)?;
    let mut batch: Option<(&'static Table, Vec<Row>)> = None;
    loop {
        let next = reader.next()?;
        let full = batch.as_ref().is_some_and(|(table, rows)| {
            rows.len() >= BATCH || next.as_ref().is_none_or(|(other, _)| other.name != table.name)
        });
        if full && let Some((table, rows)) = batch.take() {
            engine.insert(table, rows).await?;
        }
        match (next, &mut batch) {
            (None, _) => return Ok(()),
            (Some((_, row)), Some((_, rows))) => rows.push(row),
            (Some((table, row)), None) => batch = Some((table, vec![row])),
        }
    }
}

/// The schema that rows are written in.
const fn schema() -> i64 {
    SCHEMA
}
