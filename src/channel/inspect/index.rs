//! `info/index.json`: what the package says it is, checked as strictly as the strictest client reads it, and the record made of it.
//!
//! The record has the fields that conda-index gives it: those of index.json without a few, and the file's digests and size
//! (`extract_to_cache_unconditional` in its `index/cache.py`), keys in alphabetical order.
//!
//! Belongs here: index.json. Does not: whether the caller wants such a package.

use rattler_conda_types::package::IndexJson;
use rattler_conda_types::{MatchSpec, PackageRecord, ParseMatchSpecOptions, RepodataRevision};
use serde_json::{Map, Value};

use super::error::{InspectError, MetadataFlaw, shown};
use super::{Digests, json, names};
use crate::conda::archive::{ArchiveKind, ArchiveName};
use crate::conda::subdir::Subdir;
use crate::repodata::scan::{Group, Record};

const FILE: &str = "info/index.json";
/// What conda-index leaves out.
const LEFT_OUT: [&str; 10] = [
    "arch",
    "binstar",
    "has_prefix",
    "machine",
    "mtime",
    "operatingsystem",
    "platform",
    "requires_features",
    "target-triplet",
    "ucs",
];
/// What only a server can say of a file. conda-index would take it over; no package that is built has it.
const SERVERS_OWN: [&str; 5] = ["attestations_sha256", "channel", "fn", "indexed_timestamp", "url"];
/// Longest dependency that is parsed, in bytes, and most parentheses in it: the parser recurses.
const SPEC_LEN: usize = 1024;
const SPEC_PARENTHESES: usize = 16;

/// What index.json says.
pub(super) struct Index {
    pub name: String,
    pub version: String,
    pub build: String,
    pub build_number: u64,
    pub subdir: Subdir,
    /// The repodata record, as compact JSON.
    pub record: Vec<u8>,
}

/// Checks the bytes of index.json against the file's name and makes the record.
pub(super) fn read(bytes: &[u8], file: &ArchiveName, digests: &Digests) -> Result<Index, InspectError> {
    let metadata = |flaw| InspectError::Metadata { file: FILE, flaw };
    let unreadable = |what: String| metadata(MetadataFlaw::Unreadable { what });
    let map = json::object(bytes).map_err(metadata)?;
    let index: IndexJson = serde_json::from_slice(bytes).map_err(|e| unreadable(e.to_string()))?;
    // These are strings: rattler has read them as such.
    let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, version, build) = (text("name"), text("version"), text("build"));
    check_names(file, [&name, &version, &build])?;
    check_specs(&index).map_err(metadata)?;
    let (subdir, build_number) = (subdir(&index).map_err(metadata)?, index.build_number);
    let record = record(map, digests);
    let bytes = record.to_string().into_bytes();
    let group = if file.kind() == ArchiveKind::TarBz2 { Group::Packages } else { Group::PackagesConda };
    let sound = Record::alone(group, &bytes).is_some_and(|record| record.check_package().is_ok());
    if !sound {
        let why = serde_json::from_value::<PackageRecord>(record).err();
        return Err(unreadable(
            why.map_or_else(|| "a field of the wrong type".to_owned(), |e| e.to_string()),
        ));
    }
    Ok(Index { name, version, build, build_number, subdir, record: bytes })
}

fn check_names(file: &ArchiveName, inside: [&str; 3]) -> Result<(), InspectError> {
    let (name, version, build) = file.parts().unwrap_or_default();
    let outside = [("name", name), ("version", version), ("build", build)];
    for ((what, outside), inside) in outside.into_iter().zip(inside) {
        if outside != inside {
            let inside = shown(inside.as_bytes());
            return Err(InspectError::Disagrees { file: file.clone(), what, inside });
        }
    }
    names::check(file.as_str(), name, version, build)
}

/// Checks that every dependency is one that clients can read.
pub(super) fn check_specs(index: &IndexJson) -> Result<(), MetadataFlaw> {
    let options = ParseMatchSpecOptions::lenient().with_repodata_revision(RepodataRevision::V3);
    let extra = index.extra_depends.values().flatten();
    for spec in index.depends.iter().chain(&index.constrains).chain(extra) {
        let flaw = |what: String| MetadataFlaw::Spec { spec: shown(spec.as_bytes()), what };
        if spec.len() > SPEC_LEN || spec.matches('(').count() > SPEC_PARENTHESES {
            return Err(flaw(format!("longer than {SPEC_LEN} characters, or too many parentheses")));
        }
        let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
        MatchSpec::from_str(spec, options).map_err(|error| flaw(first_line(error.to_string())))?;
    }
    Ok(())
}

/// Where the package belongs. Packages from before 2015 have only `platform` and `arch`.
fn subdir(index: &IndexJson) -> Result<Subdir, MetadataFlaw> {
    let text = match (&index.subdir, &index.platform, &index.arch) {
        (Some(subdir), ..) => subdir.clone(),
        (None, Some(platform), Some(arch)) => format!("{platform}-{}", bits(arch)),
        (None, ..) => return Err(MetadataFlaw::NoSubdir),
    };
    Subdir::parse(&text).ok_or_else(|| MetadataFlaw::Subdir { subdir: shown(text.as_bytes()) })
}

/// The part of a subdir that an `arch` becomes (conda-build's `subdir` of a config, and rattler).
fn bits(arch: &str) -> &str {
    match arch {
        "x86" => "32",
        "x86_64" => "64",
        other => other,
    }
}

fn record(mut map: Map<String, Value>, digests: &Digests) -> Value {
    map.retain(|key, _| !LEFT_OUT.contains(&key.as_str()) && !SERVERS_OWN.contains(&key.as_str()));
    map.insert("md5".to_owned(), digests.md5.to_hex().into());
    map.insert("sha256".to_owned(), digests.sha256.to_hex().into());
    map.insert("size".to_owned(), digests.size.into());
    let mut record = Value::Object(map);
    record.sort_all_objects();
    record
}
