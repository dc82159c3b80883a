//! The room as a whole: documents in, generations out, and what becomes of them.

mod attach;
mod build;
mod current;
mod document;
mod making;
mod merge;
mod shards;
mod store;

use std::fs;
use std::path::{Path, PathBuf};

use super::BuildError;
use super::build::{BuildInput, Built, Identity, Limits, build as build_input};
use super::generation::{Generation, Variant};
use super::judging::{Ages, Court};
use super::store::GenerationStore;
use super::unpack::UnpackLimits;
use crate::clock::UnixMillis;
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::conda::subdir::Subdir;
use crate::conda::url::{IndexFile, Packing};
use crate::policy::verdict::Lenient;

const JSON: IndexFile = IndexFile::Repodata(Packing::Json);
const ZST: IndexFile = IndexFile::Repodata(Packing::Zst);
const BZ2: IndexFile = IndexFile::Repodata(Packing::Bz2);

/// No rules, and nobody who keeps ages.
const NOBODY: Court<'static> = Court { judge: &Lenient, source: "pkgs/main", ages: Ages::Unknown };

/// A store in a directory of its own.
struct Bench {
    dir: tempfile::TempDir,
    store: GenerationStore,
    channel: ChannelRef,
    subdir: Subdir,
    now: UnixMillis,
}

impl Bench {
    fn new() -> Self {
        Self::of("noarch")
    }

    fn of(subdir: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = GenerationStore::open(&dir.path().join("store")).unwrap();
        let channel =
            ChannelRef { name: ChannelName::parse("pkgs/main").unwrap(), label: Some("rc/1".into()) };
        Self {
            dir,
            store,
            channel,
            subdir: Subdir::parse(subdir).unwrap(),
            now: UnixMillis(1_700_000_000_000),
        }
    }

    /// The same directory after a restart.
    fn reopen(self) -> Self {
        let store = GenerationStore::open(&self.dir.path().join("store")).unwrap();
        Self { store, ..self }
    }

    fn raw(&self, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join("upstream");
        fs::write(&path, content).unwrap();
        path
    }

    fn build_with(&self, content: &[u8], packing: Packing, limits: Limits) -> Result<Built, BuildError> {
        let raw = Identity {
            path: self.raw(content),
            etag: Some("\"up-1\"".to_owned()),
            last_modified: Some("Mon, 13 Nov 2023 00:00:00 GMT".to_owned()),
            modified_at: Some(UnixMillis(1_699_833_600_000)),
            ..Identity::default()
        };
        self.build_of(&raw, packing, limits)
    }

    fn build_of(&self, raw: &Identity, packing: Packing, limits: Limits) -> Result<Built, BuildError> {
        build_input(&BuildInput {
            channel: &self.channel,
            subdir: &self.subdir,
            raw,
            packing,
            court: NOBODY,
            before: None,
            now: self.now,
            limits,
            out_dir: &self.store.staging(),
            onlooker: None,
        })
    }

    fn build(&self, content: &[u8], packing: Packing) -> Result<Built, BuildError> {
        self.build_with(content, packing, small_limits())
    }

    fn publish(&self, json: &str) -> std::sync::Arc<Generation> {
        self.store.publish(self.build(json.as_bytes(), Packing::Json).unwrap()).unwrap()
    }

    fn current(&self) -> Option<std::sync::Arc<Generation>> {
        self.store.open_current(&self.channel, &self.subdir).ok().flatten()
    }

    fn place(&self) -> PathBuf {
        self.dir.path().join("store/pkgs%main%label%rc%1").join(self.subdir.as_str())
    }

    /// Names in the staging directory.
    fn left_behind(&self) -> usize {
        fs::read_dir(self.store.staging()).unwrap().count()
    }
}

/// Limits that a test can reach quickly.
fn small_limits() -> Limits {
    Limits { unpack: UnpackLimits { bytes: 8 << 20, ratio: 50, ratio_free: 1 << 20 }, ..Limits::default() }
}

fn fixture(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/repodata").join(path)).unwrap()
}

fn read(variant: &Variant) -> Vec<u8> {
    let bytes = fs::read(&variant.path).unwrap();
    assert_eq!(bytes.len() as u64, variant.len);
    bytes
}

fn body(generation: &Generation, file: IndexFile) -> Vec<u8> {
    read(&generation.variant(file).unwrap())
}

fn unzst(bytes: &[u8]) -> Vec<u8> {
    zstd::decode_all(bytes).unwrap()
}

fn unbz2(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut bzip2::read::BzDecoder::new(bytes), &mut out).unwrap();
    out
}

/// `info` and `packages.conda` with these records.
fn document(records: &str) -> String {
    format!(
        "{{\"info\":{{\"subdir\":\"noarch\"}},\"packages\":{{}},\"packages.conda\":{{{records}}},\"removed\":[\"gone-1-0.conda\"],\"repodata_version\":1}}"
    )
}

/// A record of package `name` whose digest is `n` all over.
/// The text with what every record needs before each `name`.
fn whole(text: &str) -> String {
    text.replace("\"name\":", "\"version\":\"1\",\"build\":\"0\",\"build_number\":0,\"name\":")
}

fn record(name: &str, n: u8) -> String {
    let sha256 = hex::encode([n; 32]);
    format!(
        "\"{name}-1-0.conda\":{{\"build\":\"0\",\"build_number\":0,\"depends\":[],\"name\":\"{name}\",\"sha256\":\"{sha256}\",\"size\":{n},\"subdir\":\"noarch\",\"version\":\"1\"}}"
    )
}
