//! A dump line by line, checked on the way.
//!
//! Belongs here: order of lines, count and digest, limits. Does not: writing rows anywhere.

use std::io::{BufRead, Read as _};

use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};

use super::{DumpError, FORMAT, Summary, VERSION, line, schema, tables};
use crate::store::table::{Row, Table};

/// Longer lines are refused: a package's record is the longest thing there is.
const LONGEST: u64 = 64 << 20;

/// Goes through a dump.
pub(super) struct Reader<'a> {
    from: &'a mut (dyn BufRead + Send),
    digest: Sha256,
    rows: u64,
    lines: u64,
    end: Option<Summary>,
}

impl<'a> Reader<'a> {
    /// Reads the first line.
    pub(super) fn new(from: &'a mut (dyn BufRead + Send)) -> Result<Self, DumpError> {
        let mut reader = Self { from, digest: Sha256::new(), rows: 0, lines: 0, end: None };
        let first = match reader.line() {
            Ok(Some(first)) => first,
            Ok(None) | Err(DumpError::Line { .. }) => return Err(DumpError::NotADump),
            Err(error) => return Err(error),
        };
        let header: Json = serde_json::from_slice(&first).map_err(|_| DumpError::NotADump)?;
        if header["format"] != FORMAT {
            return Err(DumpError::NotADump);
        }
        for (key, known) in [("version", VERSION), ("schema", schema())] {
            let found = header[key].as_i64().ok_or(DumpError::NotADump)?;
            if found > known {
                return Err(DumpError::Newer { found, known });
            }
        }
        reader.digest.update(&first);
        Ok(reader)
    }

    /// The next row; `None` behind the last one, with everything right.
    pub(super) fn next(&mut self) -> Result<Option<(&'static Table, Row)>, DumpError> {
        if self.end.is_some() {
            return Ok(None);
        }
        let line = self.line()?.ok_or(DumpError::Cut)?;
        // Without its end a line may be half a number and still be JSON.
        if line.last() != Some(&b'\n') {
            return Err(DumpError::Cut);
        }
        let json: Map<String, Json> =
            serde_json::from_slice(&line).map_err(|_| self.wrong("it is not JSON"))?;
        if let Some(Json::String(sha256)) = json.get("sha256") {
            return self.finish(json.get("rows").and_then(Json::as_u64), sha256).map(|()| None);
        }
        self.digest.update(&line);
        self.rows += 1;
        let (Some(Json::String(name)), Some(Json::Object(fields))) = (json.get("table"), json.get("row"))
        else {
            return Err(self.wrong("it is not a row"));
        };
        let table = tables().find(|table| table.name == name);
        let table = table.ok_or_else(|| self.wrong("its table is not known"))?;
        let row = line::row(table, fields).ok_or_else(|| self.wrong("a column is missing or can't be"))?;
        Ok(Some((table, row)))
    }

    /// What was read, after [`Reader::next`] said that it is over.
    pub(super) fn summary(self) -> Result<Summary, DumpError> {
        self.end.ok_or(DumpError::Cut)
    }

    fn finish(&mut self, rows: Option<u64>, sha256: &str) -> Result<(), DumpError> {
        let found: [u8; 32] = self.digest.clone().finalize().into();
        if rows != Some(self.rows) || sha256 != hex::encode(found) {
            return Err(self.wrong("count or digest are not those of the lines before it"));
        }
        if self.line()?.is_some() {
            return Err(self.wrong("it stands behind the end"));
        }
        self.end = Some(Summary { rows: self.rows, sha256: found });
        Ok(())
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>, DumpError> {
        let mut line = Vec::new();
        let read = (&mut *self.from).take(LONGEST).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        self.lines += 1;
        if u64::try_from(read).unwrap_or(LONGEST) >= LONGEST {
            return Err(self.wrong("it is too long"));
        }
        Ok(Some(line))
    }

    fn wrong(&self, what: &'static str) -> DumpError {
        DumpError::Line { line: self.lines, what }
    }
}
