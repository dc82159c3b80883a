//! The document of a hosted channel's subdir, made from the rows of the store: what a generation is then built from, like upstream's.
//!
//! Rows come one by one, in the order of file names; what they say goes to files of the two groups, which are read behind one another.
//! A channel's own patches (`hosted_patches`) are part of what its records say, as conda-index has it: rules see them patched.
//! Of each record the store's word counts for the digest, the size and since when it is there (CEP 47); whatever else it says stays.
//!
//! Belongs here: from rows to that document. Does not: reading rows (`delivery`), rules, and all that clients get (`build`).

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256 as Hasher};

use super::build::{Identity, RawDocument, Withdrawn};
use super::edit;
use super::error::BuildError;
use super::hosted_patches::HostedPatches;
use super::judging::{KnownFile, Ruling};
use super::scan::{Group, Record};
use super::sightings::{Origin, Sighting};
use super::table::Standing;
use crate::clock::UnixMillis;
use crate::conda::archive::{ArchiveKind, ArchiveName};
use crate::conda::digest::Sha256;

/// The groups, in the order in which they stand in the document, and where each is spooled.
const GROUPS: [(Group, &str); 2] = [(Group::Packages, "packages"), (Group::PackagesConda, "packages.conda")];
/// Where records are spooled that are in no index.
const YANKED: &str = "yanked";

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct HostedRow<'a> {
    /// File name.
    pub file: &'a str,
    /// Its record as it was uploaded: a JSON object.
    pub record: &'a [u8],
    /// Of its bytes.
    pub sha256: &'a Sha256,
    /// Bytes.
    pub size: u64,
    /// When.
    pub uploaded_at: UnixMillis,
    /// Not in the index, and known all the same.
    pub yanked: bool,
}

/// A document being made, in a directory of its own.
pub struct HostedWriter {
    dir: PathBuf,
    subdir: String,
    parts: [Part; 2],
    yanked: BufWriter<File>,
    removed: Vec<String>,
    hasher: Hasher,
    text: Vec<u8>,
    patches: Option<HostedPatches>,
}

/// The records of one group.
struct Part {
    out: BufWriter<File>,
    is_empty: bool,
}

/// A document that is complete.
#[derive(Debug)]
pub struct HostedDocument {
    dir: PathBuf,
    head: String,
    tail: String,
    identity: Identity,
}

impl HostedWriter {
    /// Begins in `dir`, which must be empty.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn create(dir: &Path, subdir: &str) -> Result<Self, BuildError> {
        let open = |name: &str| {
            let path = dir.join(name);
            let file = File::create_new(&path).map_err(BuildError::io("create", &path))?;
            Ok::<_, BuildError>(BufWriter::with_capacity(128 << 10, file))
        };
        let part = |(_, name): (Group, &str)| Ok::<_, BuildError>(Part { out: open(name)?, is_empty: true });
        let [packages, conda] = GROUPS;
        Ok(Self {
            dir: dir.to_owned(),
            subdir: subdir.to_owned(),
            parts: [part(packages)?, part(conda)?],
            yanked: open(YANKED)?,
            removed: Vec::new(),
            hasher: Hasher::new_with_prefix(format!("condagate hosted 1 {subdir}\n")),
            text: Vec::new(),
            patches: None,
        })
    }

    /// With these changes to what is added from now on.
    #[must_use]
    pub fn patched(mut self, patches: Option<HostedPatches>) -> Self {
        if let Some(patches) = &patches {
            self.hasher.update(patches.package().0);
        }
        self.patches = patches;
        self
    }

    /// Adds a row. One that no index can list is left out, which is logged: nothing else may suffer from it.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn add(&mut self, row: &HostedRow<'_>) -> Result<(), BuildError> {
        let archive = ArchiveName::parse(row.file).map(|archive| archive.kind());
        let place = match archive {
            Some(ArchiveKind::TarBz2) => Some(0),
            Some(ArchiveKind::Conda) => Some(1),
            Some(ArchiveKind::Wheel) | None => None,
        };
        let patches = self.patches.as_ref();
        let is_withdrawn = row.yanked || patches.is_some_and(|patches| patches.removes(row.file));
        let Some(place) = place.filter(|at| text_of(row, GROUPS[*at].0, patches, &mut self.text)) else {
            tracing::error!(file = row.file, "a hosted package has a record that no index can list");
            return Ok(());
        };
        let name = Value::from(row.file).to_string();
        self.hasher.update([u8::from(is_withdrawn)]);
        self.hasher.update((self.text.len() as u64).to_le_bytes());
        self.hasher.update(name.as_bytes());
        self.hasher.update(&self.text);
        let trouble = BuildError::io("write", &self.dir);
        if is_withdrawn {
            self.removed.push(row.file.to_owned());
            return put_yanked(&mut self.yanked, row.file, &self.text).map_err(trouble);
        }
        let Some(part) = self.parts.get_mut(place) else { return Ok(()) };
        let comma = if std::mem::take(&mut part.is_empty) { "" } else { "," };
        let written = write!(part.out, "{comma}{name}:").and_then(|()| part.out.write_all(&self.text));
        written.map_err(trouble)
    }

    /// Ends it. `number`: up to which number of the store's counter it says everything.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn finish(mut self, number: Option<u64>) -> Result<HostedDocument, BuildError> {
        let trouble = BuildError::io("write", &self.dir);
        let flushed = self.parts.iter_mut().try_for_each(|part| part.out.flush());
        flushed.and_then(|()| self.yanked.flush()).map_err(trouble)?;
        let head = format!("{{\"info\":{{\"subdir\":{}}},", Value::from(self.subdir));
        let tail = format!(",\"removed\":{},\"repodata_version\":1}}", Value::from(self.removed));
        let digest = Some(Sha256(self.hasher.finalize().into()));
        let patches = self.patches.map(|patches| *patches.package());
        let identity = Identity { path: self.dir.clone(), digest, number, patches, ..Identity::default() };
        Ok(HostedDocument { dir: self.dir, head, tail, identity })
    }
}

/// The record as the document has it; whether it is one at all.
fn text_of(row: &HostedRow<'_>, group: Group, patches: Option<&HostedPatches>, out: &mut Vec<u8>) -> bool {
    let fixed;
    let mut raw = row.record;
    let is_right = |raw: &[u8]| {
        let expected = Record::alone(group, raw).and_then(|record| record.expected().ok());
        expected.is_some_and(|e| e.sha256.as_ref() == Some(row.sha256) && e.size == Some(row.size))
    };
    if !is_right(raw) {
        // Rare: whoever wrote the row has put both in.
        let Ok(mut record) = serde_json::from_slice::<Map<String, Value>>(raw) else { return false };
        record.insert("sha256".to_owned(), row.sha256.to_hex().into());
        record.insert("size".to_owned(), row.size.into());
        fixed = Value::from(record).to_string();
        raw = fixed.as_bytes();
    }
    let Some(record) = Record::alone(group, raw) else { return false };
    let seen = Some(Sighting { at: row.uploaded_at, origin: Origin::Gate });
    let patches = patches.and_then(|patches| patches.of(row.file)).into_iter().collect();
    let ruling = Ruling { standing: Standing { seen, ..Standing::default() }, patches, ..Ruling::default() };
    out.clear();
    match edit::record(&record, &ruling, out) {
        Ok(true) => true,
        Ok(false) => {
            out.extend_from_slice(raw);
            true
        }
        Err(_) => false,
    }
}

/// What is known of a row's file, for asking rules about it; `None` for one that no index can list.
#[must_use]
pub fn known_file(row: &HostedRow<'_>, patches: Option<&HostedPatches>) -> Option<KnownFile> {
    let group = match ArchiveName::parse(row.file)?.kind() {
        ArchiveKind::TarBz2 => Group::Packages,
        ArchiveKind::Conda => Group::PackagesConda,
        ArchiveKind::Wheel => return None,
    };
    let mut text = Vec::new();
    if !text_of(row, group, patches, &mut text) {
        return None;
    }
    let expected = Record::alone(group, &text)?.expected().ok()?;
    let seen = Some(Sighting { at: row.uploaded_at, origin: Origin::Gate });
    let withdrawn = row.yanked || patches.is_some_and(|patches| patches.removes(row.file));
    let standing = Standing { seen, departed: withdrawn, removed: withdrawn, ..Standing::default() };
    Some(KnownFile { file: row.file.to_owned(), expected, record: Some(text), standing, shown: !withdrawn })
}

fn put_yanked(out: &mut impl Write, file: &str, text: &[u8]) -> io::Result<()> {
    for part in [file.as_bytes(), text] {
        let len = u32::try_from(part.len()).map_err(io::Error::other)?;
        out.write_all(&len.to_le_bytes())?;
        out.write_all(part)?;
    }
    Ok(())
}

/// The next of what [`put_yanked`] wrote; `None` at the end.
fn next_yanked(from: &mut impl BufRead) -> io::Result<Option<(String, Vec<u8>)>> {
    if from.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut part = || {
        let mut len = [0; 4];
        from.read_exact(&mut len)?;
        let mut bytes = vec![0; u32::from_le_bytes(len) as usize];
        from.read_exact(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    let file = String::from_utf8(part()?).map_err(io::Error::other)?;
    Ok(Some((file, part()?)))
}

impl HostedDocument {
    /// What tells it from every other document of this subdir.
    #[must_use]
    pub const fn digest(&self) -> Option<Sha256> {
        self.identity.digest
    }

    /// Writes it to a file of its own beside its parts.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn write_whole(&self) -> Result<PathBuf, BuildError> {
        let path = self.dir.join("whole.json");
        let copied = File::create_new(&path).and_then(|mut file| io::copy(&mut self.open()?, &mut file));
        copied.map_err(BuildError::io("write", &path))?;
        Ok(path)
    }

    fn part(&self, name: &str) -> io::Result<File> {
        File::open(self.dir.join(name))
    }
}

impl RawDocument for HostedDocument {
    fn path(&self) -> &Path {
        &self.dir
    }

    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        let [(_, packages), (_, conda)] = GROUPS;
        Ok(Box::new(
            self.head
                .as_bytes()
                .chain(&b"\"packages\":{"[..])
                .chain(self.part(packages)?)
                .chain(&b"},\"packages.conda\":{"[..])
                .chain(self.part(conda)?)
                .chain(&b"}"[..])
                .chain(self.tail.as_bytes()),
        ))
    }

    fn identity(&self) -> Result<Identity, BuildError> {
        Ok(self.identity.clone())
    }

    fn withdrawn(&self) -> Option<io::Result<Withdrawn<'_>>> {
        let all = self.part(YANKED).map(|file| {
            let mut from = BufReader::with_capacity(128 << 10, file);
            Box::new(std::iter::from_fn(move || next_yanked(&mut from).transpose())) as Withdrawn<'_>
        });
        Some(all)
    }
}
