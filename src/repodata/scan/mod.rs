//! Index documents read as a stream: bytes in, in any pieces; records and everything else out, never a tree.
//!
//! Belongs here: the grammar of `repodata.json` and its relatives (PROTOCOL 1.1, CEP 36, CEP 48) and its hard limits. Does
//! not: deciding what to do with a record (`rewrite`), reading files and decoding (`unpack`).
//!
//! What a [`Sink`] is given, put together in order, is the document byte for byte:
//! [`Sink::raw`], [`Sink::info`], [`Sink::version`], [`Sink::removed`] and [`Record::whole`] leave nothing out.

mod error;
mod package;
mod record;
mod scanner;
mod text;
mod value;

#[cfg(test)]
mod tests;

pub use error::ScanError;
pub(crate) use record::is_absolute;
pub use record::{Flaw, Good, Group, Record};
pub use scanner::Scanner;
pub(crate) use text::plain_end;
pub use value::Field;

/// What the scanner allows before it gives up on a document.
#[derive(Clone, Copy, Debug)]
pub struct ScanLimits {
    /// Longest record, key included, in bytes.
    pub record: usize,
    /// Longest key, in bytes.
    pub key: usize,
    /// Longest `info` object, in bytes.
    pub info: usize,
}

impl Default for ScanLimits {
    /// 16 MiB, 1 KiB, 1 MiB.
    fn default() -> Self {
        Self { record: 16 << 20, key: 1 << 10, info: 1 << 20 }
    }
}

/// Which keys of a document mean something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// `repodata.json`, `current_repodata.json`, `run_exports.json`: groups of records.
    Records,
    /// Any JSON object; everything is raw.
    Plain,
}

/// Where a document's parts go. What a sink has no use for passes it by.
pub trait Sink {
    /// What stops the scan from this side; takes the scanner's own errors too.
    type Error: From<ScanError>;

    /// Bytes that are no record: braces, white space, keys, whole values of keys without meaning.
    fn raw(&mut self, _: &[u8]) -> Result<(), Self::Error> {
        Ok(())
    }

    /// The value of the top-level `info`.
    fn info(&mut self, _: &[u8]) -> Result<(), Self::Error> {
        Ok(())
    }

    /// The value of the top-level `repodata_version`.
    fn version(&mut self, _: &[u8]) -> Result<(), Self::Error> {
        Ok(())
    }

    /// The value of the top-level `removed`, a list of file names in any honest document.
    fn removed(&mut self, _: &[u8]) -> Result<(), Self::Error> {
        Ok(())
    }

    /// A group's opening brace was given; its records follow.
    fn group(&mut self, _: Group) -> Result<(), Self::Error> {
        Ok(())
    }

    /// A record.
    fn record(&mut self, record: &Record<'_>) -> Result<(), Self::Error>;

    /// All keys have passed; the document's closing brace comes next, as raw bytes.
    fn closing(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}
