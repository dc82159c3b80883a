//! Opens a package and says what is in it: the part of taking in an upload that has to distrust every byte.
//!
//! A package is accepted only if all clients read it alike. They differ (Python's zipfile and tarfile, libarchive, the zip and tar crates)
//! in what they make of bytes that should not be there, of things said twice, and of links; so all of that is refused here, and the
//! whole archive is read once to its end, checksums included. Memory depends on [`Limits`], not on the package.
//!
//! What others refuse was the start: conda-package-streaming (members outside, links), rattler_package_streaming (the same while
//! unpacking), uv (a zip's directory against its members), cargo (links, sizes, one top directory).
//!
//! Belongs here: archives and the files in `info/`. Does not: who may upload what (`policy`), where it is kept (`store`, `cache`), other
//! files' names. All of it blocks: it reads the file and unpacks it.

mod contents;
mod error;
mod index;
mod json;
mod names;
mod path;
mod paths_json;
mod pax;
mod pick;
mod run;
mod seen;
mod tarball;
mod unpack;
mod zip;
mod zip_fields;

#[cfg(test)]
pub(super) mod tests;

use std::fs::File;

use serde_json::Value;

use self::contents::{Contents, Section};
pub use self::error::{Fault, InspectError, MemberFlaw, MetadataFlaw, PackedFlaw, TarFlaw, ZipFlaw};
pub use self::pick::pick;
pub use self::run::Limits;
use self::run::Run;
use self::unpack::{Packing, Part};
use crate::conda::archive::{ArchiveKind, ArchiveName};
use crate::conda::digest::{Md5, Sha256};
use crate::conda::subdir::Subdir;

/// What was computed while the file was received.
#[derive(Clone, Copy, Debug)]
pub struct Digests {
    /// Of the whole file.
    pub sha256: Sha256,
    /// Of the whole file.
    pub md5: Md5,
    /// Its length in bytes.
    pub size: u64,
}

/// What a package is.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// Where it says it belongs. Whether it was uploaded there is the caller's question.
    pub subdir: Subdir,
    /// As in the file's name.
    pub name: String,
    /// As in the file's name.
    pub version: String,
    /// As in the file's name.
    pub build: String,
    /// From index.json.
    pub build_number: u64,
    /// The repodata record as compact JSON, as conda-index makes it, keys in alphabetical order, without `indexed_timestamp`.
    pub record: Vec<u8>,
    /// `info/run_exports.json`, an object that rattler reads.
    pub run_exports: Option<Value>,
    /// `info/about.json`, an object: summary, description, home, dev_url, doc_url, license and what else the recipe had.
    pub about: Option<Value>,
    /// Path below `info/` and text of the licences that are not too long.
    pub licenses: Vec<(String, String)>,
    /// `info/icon.png`, a PNG, if it is not too long.
    pub icon: Option<Vec<u8>>,
    /// Files and links outside `info/`, in the archive's order, up to [`Limits::listed`].
    pub paths: Vec<PathEntry>,
    /// How many of them the package has.
    pub path_count: u64,
}

/// A file in a package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathEntry {
    /// Relative, with `/`.
    pub path: String,
    /// Bytes of contents; 0 for links.
    pub size: u64,
    /// Whether it is a symbolic link.
    pub is_link: bool,
}

/// Reads the package in `file`, which is called `name`, to its end. Blocks for about as long as unpacking it takes.
///
/// # Errors
/// What is wrong with it, and whose fault that is ([`InspectError::fault`]).
pub fn inspect(
    file: &File,
    name: &ArchiveName,
    digests: &Digests,
    limits: &Limits,
) -> Result<Inspected, InspectError> {
    let run = Run::new(file, digests.size, limits)?;
    let mut contents = Contents::new();
    let index = match name.kind() {
        ArchiveKind::Wheel => return Err(InspectError::Wheel { file: name.clone() }),
        ArchiveKind::Conda => {
            check_magic(&run, name, b"PK\x03\x04", ".conda (zip)")?;
            conda(&run, name, digests, &mut contents)?
        }
        ArchiveKind::TarBz2 => {
            check_magic(&run, name, b"BZh", ".tar.bz2")?;
            let part = Part {
                name: name.as_str().to_owned(),
                from: 0,
                to: run.len,
                crc: None,
                packing: Packing::Bz2,
            };
            walk(&run, &part, Section::Whole, &mut contents)?;
            read_index(&contents, name, digests)?
        }
    };
    let about = contents.about.as_deref().map(|bytes| object("info/about.json", bytes)).transpose()?;
    let run_exports = contents.run_exports.as_deref().map(run_exports).transpose()?;
    Ok(Inspected {
        subdir: index.subdir,
        name: index.name,
        version: index.version,
        build: index.build,
        build_number: index.build_number,
        record: index.record,
        run_exports,
        about,
        licenses: contents.licenses,
        icon: contents.icon,
        paths: contents.paths,
        path_count: contents.path_count,
    })
}

/// The small parts first: what is wrong with them is known before gigabytes are unpacked.
fn conda(
    run: &Run<'_>,
    name: &ArchiveName,
    digests: &Digests,
    contents: &mut Contents,
) -> Result<index::Index, InspectError> {
    let stem = name.as_str().strip_suffix(name.kind().extension()).unwrap_or_default();
    let members = zip::members(run, stem)?;
    check_format(run, &members.metadata)?;
    let part = |what: &str, place: &zip::Stored| Part {
        name: format!("{what}-{stem}.tar.zst"),
        from: place.from,
        to: place.to,
        crc: Some(place.crc),
        packing: Packing::Zst,
    };
    walk(run, &part("info", &members.info), Section::Info, contents)?;
    let index = read_index(contents, name, digests)?;
    walk(run, &part("pkg", &members.pkg), Section::Pkg, contents)?;
    Ok(index)
}

fn walk(run: &Run<'_>, part: &Part, section: Section, contents: &mut Contents) -> Result<(), InspectError> {
    tarball::walk(run, part, &mut |member, bytes| contents.meet(run, part, section, member, bytes))
}

fn read_index(
    contents: &Contents,
    name: &ArchiveName,
    digests: &Digests,
) -> Result<index::Index, InspectError> {
    let missing = InspectError::Metadata { file: "info/index.json", flaw: MetadataFlaw::Missing };
    index::read(contents.index.as_deref().ok_or(missing)?, name, digests)
}

/// `{"conda_pkg_format_version": 2}`
fn check_format(run: &Run<'_>, place: &zip::Stored) -> Result<(), InspectError> {
    const FILE: &str = "metadata.json";
    const LIMIT: u64 = 64 << 10;
    let len = place.to - place.from;
    let too_long = InspectError::Metadata { file: FILE, flaw: MetadataFlaw::TooLong { limit: LIMIT } };
    let len = usize::try_from(len).ok().filter(|len| *len as u64 <= LIMIT).ok_or(too_long)?;
    let bytes = run.read(place.from, len)?;
    let mut crc = flate2::Crc::new();
    crc.update(&bytes);
    if crc.sum() != place.crc {
        return Err(ZipFlaw::Checksum { member: FILE.to_owned() }.into());
    }
    let version = object(FILE, &bytes)?.get("conda_pkg_format_version").cloned().unwrap_or_default();
    if version == 2 {
        return Ok(());
    }
    let found = error::shown(version.to_string().as_bytes());
    Err(InspectError::Metadata { file: FILE, flaw: MetadataFlaw::Format { found } })
}

fn object(file: &'static str, bytes: &[u8]) -> Result<Value, InspectError> {
    json::object(bytes).map(Value::Object).map_err(|flaw| InspectError::Metadata { file, flaw })
}

fn run_exports(bytes: &[u8]) -> Result<Value, InspectError> {
    const FILE: &str = "info/run_exports.json";
    let value = object(FILE, bytes)?;
    if let Err(error) = serde_json::from_slice::<rattler_conda_types::package::RunExportsJson>(bytes) {
        let flaw = MetadataFlaw::Unreadable { what: error.to_string() };
        return Err(InspectError::Metadata { file: FILE, flaw });
    }
    Ok(value)
}

/// Says what a file is that begins otherwise than its name promises.
fn check_magic(
    run: &Run<'_>,
    file: &ArchiveName,
    magic: &[u8],
    wanted: &'static str,
) -> Result<(), InspectError> {
    let bytes = run.read(0, usize::try_from(run.len.min(16)).unwrap_or(0))?;
    if bytes.starts_with(magic) {
        return Ok(());
    }
    let found = match bytes.as_slice() {
        [] => "it is empty",
        [b'P', b'K', ..] => "it begins like a zip archive",
        [b'B', b'Z', b'h', ..] => "it begins like bzip2 data",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "it begins like zstd data",
        [0x1f, 0x8b, ..] => "it begins like gzip data",
        [b'<', ..] => "it begins like a web page",
        [b'{' | b'[', ..] => "it begins like JSON",
        _ => "it begins with something else",
    };
    Err(InspectError::NotThisFormat { file: file.clone(), wanted, found })
}
