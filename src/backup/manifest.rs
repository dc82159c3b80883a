//! The list of one backup: lines of JSON, the last of which has their number and digest.
//!
//! ```text
//! {"format":"condagate-backup","version":1,"made":1800000000000,"condagate":"0.1.0"}
//! {"part":"store","name":"","sha256":"…","size":1234}
//! {"part":"package","name":"","sha256":"…","size":1234}
//! {"part":"missing","name":"","sha256":"…","size":0}
//! {"entries":3,"sha256":"…"}
//! ```
//!
//! Belongs here: the format, names of backups. Does not: the bytes that are named.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::error::BackupError;
use super::shelf::Shelf;
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::http::date;

/// Of the format.
const VERSION: u64 = 1;
const FORMAT: &str = "condagate-backup";
const ENDING: &str = ".backup";
/// Longer lines are refused.
const LONGEST: u64 = 64 << 10;

/// Names a backup: a number that grows, and when it was made.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Id {
    number: u64,
    text: String,
}

impl Id {
    fn new(number: u64, made: UnixMillis) -> Self {
        // `2026-11-27T07:09:38.123Z` without what some file systems can't have in a name.
        let when: String = date::rfc3339(made).chars().filter(char::is_ascii_alphanumeric).collect();
        Self { number, text: format!("{number:06}-{when}") }
    }

    fn of_file(name: &str) -> Option<Self> {
        let text = name.strip_suffix(ENDING)?;
        let number = text.split_once('-')?.0.parse().ok()?;
        Some(Self { number, text: text.to_owned() })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What some bytes are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The dump of the store.
    Store,
    /// A file of settings; `name` is its path as it was.
    Settings,
    /// A file of the rules directory; `name` is its path below that.
    Rules,
    /// First sightings of a subdir; `name` is the path below their directory.
    Sightings,
    /// A file that a hosted channel has: a package or its attestations.
    Package,
    /// The store names it, and it was not on this gate: no bytes.
    Missing,
}

/// One file of a backup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What for.
    pub part: Part,
    /// See [`Part`].
    pub name: String,
    /// Of its bytes.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    part: Part,
    name: String,
    sha256: String,
    size: u64,
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u64,
    made: i64,
    condagate: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    entries: u64,
    sha256: String,
}

/// One backup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// Its name.
    pub id: Id,
    /// When.
    pub made: UnixMillis,
    /// Version of the condagate that made it.
    pub condagate: String,
    /// Everything it is made of.
    pub entries: Vec<Entry>,
}

impl Manifest {
    /// The entries of a part.
    pub fn of(&self, part: Part) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.part == part)
    }

    /// Those that have bytes.
    pub fn with_bytes(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.part != Part::Missing)
    }
}

impl Shelf {
    /// Every backup, the oldest first; what else lies there is not looked at.
    ///
    /// # Errors
    /// The directory can't be read.
    pub fn list(&self) -> Result<Vec<Id>, BackupError> {
        let dir = self.manifests();
        let mut all = Vec::new();
        for entry in fs::read_dir(&dir).map_err(BackupError::io("list", &dir))? {
            let name = entry.map_err(BackupError::io("list", &dir))?.file_name();
            all.extend(name.to_str().and_then(Id::of_file));
        }
        all.sort();
        Ok(all)
    }

    /// The backup with this name, or the newest.
    ///
    /// # Errors
    /// There is none.
    pub fn choose(&self, id: Option<&str>) -> Result<Id, BackupError> {
        let all = self.list()?;
        match id {
            None => all.into_iter().last().ok_or_else(|| BackupError::Nothing(self.root().to_owned())),
            Some(id) => all
                .into_iter()
                .find(|known| known.text == id)
                .ok_or_else(|| BackupError::NoSuch { id: id.to_owned(), dir: self.root().to_owned() }),
        }
    }

    pub(super) fn manifest_file(&self, id: &Id) -> PathBuf {
        self.manifests().join(format!("{id}{ENDING}"))
    }

    /// Writes a backup down; from now on it is one.
    pub(super) fn publish(&self, made: UnixMillis, entries: Vec<Entry>) -> Result<Manifest, BackupError> {
        let number = self.list()?.last().map_or(1, |last| last.number + 1);
        let id = Id::new(number, made);
        let condagate = env!("CARGO_PKG_VERSION").to_owned();
        let manifest = Manifest { id, made, condagate, entries };
        let mut draft = self.draft()?;
        let path = self.manifest_file(&manifest.id);
        draft.write_all(&written(&manifest)).map_err(BackupError::io("write", &path))?;
        draft.publish(&path)?;
        Ok(manifest)
    }

    /// Reads one, checked to its end.
    ///
    /// # Errors
    /// It is damaged, or a newer version made it.
    pub fn manifest(&self, id: &Id) -> Result<Manifest, BackupError> {
        let path = self.manifest_file(id);
        let file = File::open(&path).map_err(BackupError::io("read", &path))?;
        let mut from = BufReader::new(file);
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            let read = (&mut from).take(LONGEST).read_until(b'\n', &mut line);
            if read.map_err(BackupError::io("read", &path))? == 0 {
                break;
            }
            lines.push(line);
        }
        read(id, &lines)
    }
}

fn written(manifest: &Manifest) -> Vec<u8> {
    let mut text = Vec::new();
    let header = Header {
        format: FORMAT.to_owned(),
        version: VERSION,
        made: manifest.made.0,
        condagate: manifest.condagate.clone(),
    };
    line(&mut text, &header);
    for entry in &manifest.entries {
        let (part, name, size) = (entry.part, entry.name.clone(), entry.size);
        line(&mut text, &Line { part, name, sha256: entry.sha256.to_hex(), size });
    }
    let sha256 = hex::encode(sha2::Sha256::digest(&text));
    line(&mut text, &End { entries: manifest.entries.len() as u64, sha256 });
    text
}

fn line(text: &mut Vec<u8>, value: &impl Serialize) {
    // Structs of numbers and texts always are JSON.
    text.extend(serde_json::to_vec(value).unwrap_or_default());
    text.push(b'\n');
}

fn read(id: &Id, lines: &[Vec<u8>]) -> Result<Manifest, BackupError> {
    let wrong = |what: &str| BackupError::Damaged(format!("the list of backup `{id}` {what}"));
    let [first, entries @ .., last] = lines else { return Err(wrong("ends in the middle")) };
    let header: Header = serde_json::from_slice(first).map_err(|_| wrong("does not begin like one"))?;
    if header.format != FORMAT {
        return Err(wrong("does not begin like one"));
    }
    if header.version > VERSION {
        return Err(BackupError::Newer { found: header.version, known: VERSION });
    }
    let end: End = serde_json::from_slice(last).map_err(|_| wrong("ends in the middle"))?;
    let mut digest = sha2::Sha256::new();
    digest.update(first);
    for line in entries {
        digest.update(line);
    }
    if end.entries != entries.len() as u64 || end.sha256 != hex::encode(digest.finalize()) {
        return Err(wrong("is not what was written: its digest is another one"));
    }
    let entry = |line: &Vec<u8>| {
        let Line { part, name, sha256, size } = serde_json::from_slice(line).ok()?;
        Some(Entry { part, name, sha256: Sha256::from_hex(&sha256)?, size })
    };
    let entries: Option<Vec<Entry>> = entries.iter().map(entry).collect();
    let entries = entries.ok_or_else(|| wrong("has a line that can't be read"))?;
    Ok(Manifest { id: id.clone(), made: UnixMillis(header.made), condagate: header.condagate, entries })
}
