//! `info/paths.json`, which tells installers what to link where: read as a stream, kept nowhere.
//!
//! Its paths are used like those of the archive, so they have to fit the same grammar; its entries have to be such that rattler
//! reads them.
//!
//! Belongs here: that check. Does not: the paths a package really has (`contents`).

use std::cell::RefCell;
use std::fmt;
use std::io::{self, BufReader, Read};

use rattler_conda_types::package::PathType;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::{MetadataFlaw, shown};
use super::path;
use crate::conda::digest::Sha256;

/// Longest run of bytes without a quotation mark. The parser keeps a string until it ends.
const RUN: usize = 64 << 10;

/// What rattler reads of an entry, with its types. Its own struct keeps whatever else an entry has until it is over, however long.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "_path")]
    path: String,
    #[serde(rename = "path_type")]
    _path_type: PathType,
    #[serde(default, rename = "no_link")]
    _no_link: bool,
    #[serde(default, rename = "prefix_placeholder")]
    _prefix_placeholder: Option<String>,
    #[serde(default, rename = "size_in_bytes")]
    _size_in_bytes: Option<u64>,
    #[serde(default)]
    sha256: Option<String>,
}

/// Reads the document to its end; `limit` is the longest path, in bytes.
pub(super) fn check(bytes: &mut dyn Read, limit: usize) -> Result<(), MetadataFlaw> {
    let flaw = RefCell::new(None);
    let input = BufReader::with_capacity(32 << 10, Strings { inner: bytes, run: 0 });
    let mut parser = serde_json::Deserializer::from_reader(input);
    let read = Document { limit, flaw: &flaw }.deserialize(&mut parser).and_then(|()| parser.end());
    match (flaw.take(), read) {
        (Some(flaw), _) => Err(flaw),
        (None, Err(error)) => Err(MetadataFlaw::Unreadable { what: error.to_string() }),
        (None, Ok(())) => Ok(()),
    }
}

/// Gives up on strings that no paths.json has.
struct Strings<'a> {
    inner: &'a mut dyn Read,
    run: usize,
}

impl Read for Strings<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buf)?;
        let read = &buf[..len];
        self.run = match memchr::memrchr(b'"', read) {
            Some(at) => len - at,
            None => self.run + len,
        };
        if self.run > RUN { Err(io::Error::other("it has a text of more than 64 KiB")) } else { Ok(len) }
    }
}

struct Document<'a> {
    limit: usize,
    flaw: &'a RefCell<Option<MetadataFlaw>>,
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list `paths`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut paths, mut version) = (false, false);
        while let Some(key) = map.next_key::<String>()? {
            let twice = match key.as_str() {
                "paths" => {
                    map.next_value_seed(Entries { limit: self.limit, flaw: self.flaw })?;
                    std::mem::replace(&mut paths, true)
                }
                "paths_version" => {
                    map.next_value::<u64>()?;
                    std::mem::replace(&mut version, true)
                }
                _ => map.next_value::<IgnoredAny>().map(|_| false)?,
            };
            if twice {
                return Err(A::Error::custom(format!("`{key}` stands twice")));
            }
        }
        match (paths, version) {
            (true, true) => Ok(()),
            (false, _) => Err(A::Error::missing_field("paths")),
            (_, false) => Err(A::Error::missing_field("paths_version")),
        }
    }
}

struct Entries<'a> {
    limit: usize,
    flaw: &'a RefCell<Option<MetadataFlaw>>,
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of files")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element::<Listed>()? {
            if entry.sha256.is_some_and(|hex| Sha256::from_hex(&hex).is_none()) {
                return Err(A::Error::custom(format!(
                    "the sha256 of {} is none",
                    shown(entry.path.as_bytes())
                )));
            }
            // Installers read either kind of slash.
            let path = entry.path.replace('\\', "/");
            if let Err(flaw) = path::clean(path.as_bytes(), self.limit) {
                *self.flaw.borrow_mut() = Some(MetadataFlaw::Path { path: shown(path.as_bytes()), flaw });
                return Err(A::Error::custom("a path"));
            }
        }
        Ok(())
    }
}
