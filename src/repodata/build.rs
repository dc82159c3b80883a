//! Building a generation: upstream's document in, a complete directory out. Blocking; belongs on a blocking thread.
//!
//! Belongs here: the order of the work and its limits. Does not: the parts (`unpack`, `scan`, `rewrite`, `table`, `encode`),
//! making the result visible (`store`).
//!
//! Memory: decoder window (≤ 128 MiB, 8 MiB for conda-forge), one record, about 160 bytes for each record; after that the
//! encoder (about 10 MiB for each of its threads). The document itself is never in memory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::departed;
use super::encode;
use super::error::BuildError;
use super::files::{self, HashingFile, Written};
use super::generation::Generation;
use super::judging::{Clerk, Court};
use super::manifest::{FORMAT, FileEntry, Judged, Manifest, Report, Source};
use super::names::{FRAME_MAP, MANIFEST, TABLE, WITHHELD};
use super::onlooker::Onlooker;
use super::out::{Out, OutWritten};
use super::read;
use super::rewrite::{Purpose, Rewriter, Rewritten};
use super::scan::{ScanLimits, Shape};
use super::table::{PackageTable, TableBuilder};
use super::unpack::UnpackLimits;
use crate::clock::UnixMillis;
use crate::conda::channel::ChannelRef;
use crate::conda::digest::Sha256;
use crate::conda::subdir::Subdir;
use crate::conda::url::Packing;

/// Hard limits of a build; the defaults leave an order of magnitude above the largest channel there is.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Decoding.
    pub unpack: UnpackLimits,
    /// Scanning.
    pub scan: ScanLimits,
    /// Records of one subdir.
    pub records: usize,
    /// Largest document that gets a `.bz2` made: it takes a second for 9 MB, and only very old clients ask for it.
    pub bz2: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unpack: UnpackLimits::default(),
            scan: ScanLimits::default(),
            records: 5_000_000,
            bz2: 32 << 20,
        }
    }
}

/// What a generation is to be built from.
#[derive(Clone, Copy)]
pub struct BuildInput<'a> {
    /// Whose index it is.
    pub channel: &'a ChannelRef,
    /// Which subdir was asked; the document must say the same.
    pub subdir: &'a Subdir,
    /// Upstream's document.
    pub raw: &'a dyn RawDocument,
    /// How it is packed.
    pub packing: Packing,
    /// The rules that decide, and who keeps ages.
    pub court: Court<'a>,
    /// The generation in force: files that left the index since stay known by their last records.
    pub before: Option<&'a Generation>,
    /// When this happens.
    pub now: UnixMillis,
    /// What is too much.
    pub limits: Limits,
    /// Where to work: [`GenerationStore::staging`](super::store::GenerationStore::staging).
    pub out_dir: &'a Path,
    /// Who reads along.
    pub onlooker: Option<&'a Arc<dyn Onlooker>>,
}

impl std::fmt::Debug for BuildInput<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BuildInput({}/{})", self.channel, self.subdir)
    }
}

/// Upstream's `repodata.json[.zst|.bz2]`: there, or still arriving.
pub trait RawDocument {
    /// What it is called in errors.
    fn path(&self) -> &Path;

    /// Its bytes, from the beginning.
    ///
    /// # Errors
    /// The file can't be opened.
    fn open(&self) -> io::Result<Box<dyn Read + '_>>;

    /// What is known of it once it was read to its end.
    ///
    /// # Errors
    /// It did not arrive whole after all.
    fn identity(&self) -> Result<Identity, BuildError>;

    /// Files that it does not list and that are known all the same, by their last records. `None`: whoever made it does not say; then
    /// what the generation before knew stays known.
    fn withdrawn(&self) -> Option<io::Result<Withdrawn<'_>>> {
        None
    }
}

/// File names and records.
pub type Withdrawn<'a> = Box<dyn Iterator<Item = io::Result<(String, Vec<u8>)>> + 'a>;

/// Which version of upstream's document it was.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Where it lies now, whole.
    pub path: PathBuf,
    /// Its SHA-256, so that the same document is not built again.
    pub digest: Option<Sha256>,
    /// Upstream's `ETag`, kept for the next conditional request.
    pub etag: Option<String>,
    /// Upstream's `Last-Modified`, kept as it is.
    pub last_modified: Option<String>,
    /// The same as a moment, for clients; `now` where upstream sent none.
    pub modified_at: Option<UnixMillis>,
    /// Whether it was made of upstream's shards.
    pub gathered: bool,
    /// For a hosted channel: up to which number of the store's counter it says everything.
    pub number: Option<u64>,
    /// For a hosted channel: the digest of the package whose patches its records have.
    pub patches: Option<Sha256>,
}

/// A document that lies on disk.
impl RawDocument for Identity {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(fs::File::open(&self.path)?))
    }

    fn identity(&self) -> Result<Identity, BuildError> {
        Ok(self.clone())
    }
}

/// A complete generation that nobody sees yet. Dropping it removes it.
#[derive(Debug)]
pub struct Built {
    pub(super) staging: Staging,
    pub(super) manifest: Manifest,
    /// Name of the pack of new shards that lies in the directory.
    pub(super) pack: Option<String>,
}

impl Built {
    /// What is in it.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn pack(&self) -> Option<&str> {
        self.pack.as_deref()
    }

    /// Where it lies until it is published.
    pub fn dir(&self) -> &Path {
        self.staging.path()
    }
}

/// A work directory that is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Staging(PathBuf);

impl Staging {
    /// Makes a fresh directory below `out_dir`.
    pub fn create(out_dir: &Path) -> Result<Self, BuildError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = out_dir.join(name);
        fs::create_dir_all(out_dir).map_err(BuildError::io("create", out_dir))?;
        files::remove_dir(&path)?;
        fs::create_dir(&path).map_err(BuildError::io("create", &path))?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // After a publish there is nothing here any more; after a failure the store removes what this can't.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Builds a generation from upstream's document.
///
/// # Errors
/// [`BuildError::is_upstreams_fault`] tells bad documents from trouble with the gate's own disk.
pub fn build(input: &BuildInput<'_>) -> Result<Built, BuildError> {
    let staging = Staging::create(input.out_dir)?;
    let (rewritten, members) = rewrite(input, &staging)?;
    let Rewritten { written, purpose, mut report, removed } = rewritten;
    let Identity { path, digest, etag, last_modified, modified_at, gathered, number, patches } =
        input.raw.identity()?;
    let mut made = Made::new(staging.path(), modified_at.unwrap_or(input.now));
    let json_len = written.json.len;
    made.add_out(written)?;
    let mut judged = Judged::default();
    if let Purpose::List(mut table, mut clerk) = purpose {
        let departed = match input.raw.withdrawn() {
            None => departed::carry_over(&mut table, &mut clerk, input.before, removed)?,
            Some(files) => {
                let files = files.map_err(BuildError::io("read", input.raw.path()))?;
                departed::take_over(&mut table, &mut clerk, files, input.raw.path())?
            }
        };
        let table = table.write(&staging.path().join(TABLE))?;
        (report.files, report.conflicts) = (table.entries as u64 - departed.strangers, table.conflicts);
        made.add(TABLE, Written { len: table.len, sha256: table.sha256 });
        let withheld;
        (judged, withheld) = clerk.finish()?;
        judged.departed = departed.known;
        made.add(WITHHELD, withheld);
    }
    let own_bytes = (!report.edited && members == 1).then_some((&*path, input.packing));
    made.pack("repodata.json", json_len, own_bytes, input.limits.bz2)?;
    let source = Source {
        etag,
        last_modified,
        packing: packing_name(input.packing).to_owned(),
        sha256: digest.map(|digest| digest.to_hex()),
        gathered,
        number,
        patches: patches.map(|patches| patches.to_hex()),
        members: Vec::new(),
    };
    let rules_revision = input.court.judge.revision();
    let head = Head { channel: input.channel, subdir: input.subdir, now: input.now, rules_revision };
    let files = made.files;
    finish(staging, &head, Some(source), report, judged, files)
}

/// Reads upstream's document and writes `repodata.json` and its `.zst`.
fn rewrite<'a>(input: &BuildInput<'a>, staging: &Staging) -> Result<(Rewritten<'a>, u32), BuildError> {
    let withheld = staging.path().join(WITHHELD);
    let clerk = Clerk::new(input.court, input.subdir.as_str(), input.now, &withheld)?;
    let purpose = Purpose::List(TableBuilder::default(), Box::new(clerk));
    let out = Out::packed(staging.path(), input.before, input.onlooker.cloned())?;
    let mut rewriter = Rewriter::new(out, input.subdir.as_str(), &input.limits, purpose);
    let path = input.raw.path();
    let raw = input.raw.open().map_err(BuildError::io("open", path))?;
    let unpacked = read::read(path, raw, input.packing, Shape::Records, &input.limits, &mut rewriter)?;
    Ok((rewriter.finish()?, unpacked.members))
}

/// Builds the index of a subdir that has no packages, where upstream has none (`noarch` must exist for every channel).
///
/// # Errors
/// Only trouble with the disk.
pub fn build_empty(
    channel: &ChannelRef,
    subdir: &Subdir,
    rules_revision: u64,
    now: UnixMillis,
    out_dir: &Path,
) -> Result<Built, BuildError> {
    let staging = Staging::create(out_dir)?;
    let text = format!(
        "{{\"info\":{{\"subdir\":\"{subdir}\"}},\"packages\":{{}},\"packages.conda\":{{}},\"removed\":[],\"repodata_version\":1}}"
    );
    let mut json = HashingFile::create(&staging.path().join("repodata.json"))?;
    json.put(text.as_bytes())?;
    let written = json.finish()?;
    let mut made = Made::new(staging.path(), now);
    made.add("repodata.json", written);
    let table = TableBuilder::default().write(&staging.path().join(TABLE))?;
    made.add(TABLE, Written { len: table.len, sha256: table.sha256 });
    made.pack("repodata.json", written.len, None, u64::MAX)?;
    let files = made.files;
    let head = Head { channel, subdir, now, rules_revision };
    finish(staging, &head, None, Report::default(), Judged::default(), files)
}

/// One document to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task<'a> {
    pub subdir: &'a Subdir,
    pub raw: &'a Path,
    pub packing: Packing,
    pub limits: Limits,
}

impl<'a> Task<'a> {
    /// Unpacks, scans and rewrites into a new file at `json`. Also gives the number of packed members.
    pub fn rewrite<'p>(
        &self,
        shape: Shape,
        json: &Path,
        purpose: Purpose<'p>,
    ) -> Result<(Rewritten<'p>, u32), BuildError>
    where
        'a: 'p,
    {
        let mut rewriter = Rewriter::new(Out::plain(json)?, self.subdir.as_str(), &self.limits, purpose);
        if shape == Shape::Plain {
            rewriter.leave_alone();
        }
        let unpacked = read::read_file(self.raw, self.packing, shape, &self.limits, &mut rewriter)?;
        Ok((rewriter.finish()?, unpacked.members))
    }
}

/// Files made in a directory, and their packed forms.
#[derive(Debug)]
pub(super) struct Made<'a> {
    dir: &'a Path,
    last_modified: UnixMillis,
    pub files: BTreeMap<String, FileEntry>,
}

impl<'a> Made<'a> {
    pub const fn new(dir: &'a Path, last_modified: UnixMillis) -> Self {
        Self { dir, last_modified, files: BTreeMap::new() }
    }

    pub const fn dir(&self) -> &'a Path {
        self.dir
    }

    pub fn add(&mut self, name: &str, written: Written) {
        self.files.insert(name.to_owned(), FileEntry::new(name, written, self.last_modified));
    }

    /// Adds `repodata.json` and what was packed beside it.
    pub fn add_out(&mut self, out: OutWritten) -> Result<(), BuildError> {
        self.add("repodata.json", out.json);
        if let Some((written, map)) = out.frame {
            self.add("repodata.json.zst", written);
            let map = map.write(&self.dir.join(FRAME_MAP))?;
            self.add(FRAME_MAP, map);
        }
        Ok(())
    }

    /// Makes the `.zst`, unless it is there, and, for documents of at most `bz2_limit` bytes, the `.bz2` of the document `name`, side by side. `own`:
    /// upstream's own file, when it has exactly this content in one member; its bytes are used where the packing is the same.
    pub fn pack(
        &mut self,
        name: &str,
        len: u64,
        own: Option<(&Path, Packing)>,
        bz2_limit: u64,
    ) -> Result<(), BuildError> {
        let own = |packing| own.and_then(|(path, is)| (is == packing).then_some(path));
        let (json, zst, bz2) = (self.dir.join(name), format!("{name}.zst"), format!("{name}.bz2"));
        let (packed_zst, packed_bz2) = (self.dir.join(&zst), self.dir.join(&bz2));
        let make_bz2 = || match own(Packing::Bz2) {
            Some(raw) => encode::copy_file(raw, &packed_bz2).map(Some),
            None if len <= bz2_limit => encode::bz2(&json, &packed_bz2).map(Some),
            None => Ok(None),
        };
        let there = self.files.contains_key(&zst);
        let make_zst = || match own(Packing::Zst) {
            Some(raw) => {
                if there {
                    fs::remove_file(&packed_zst).map_err(BuildError::io("remove", &packed_zst))?;
                }
                encode::copy_file(raw, &packed_zst).map(Some)
            }
            None if there => Ok(None),
            None => encode::zst(&json, &packed_zst).map(Some),
        };
        let (frame, stream) = std::thread::scope(|scope| {
            let beside = scope.spawn(make_bz2);
            (make_zst(), beside.join())
        });
        if let Some(frame) = frame? {
            self.add(&zst, frame);
        }
        let panicked =
            |_| BuildError::io("pack", &packed_bz2)(std::io::Error::other("the packing thread panicked"));
        if let Some(written) = stream.map_err(panicked)?? {
            self.add(&bz2, written);
        }
        Ok(())
    }
}

/// What a manifest begins with.
pub(super) struct Head<'a> {
    pub channel: &'a ChannelRef,
    pub subdir: &'a Subdir,
    pub now: UnixMillis,
    pub rules_revision: u64,
}

/// Writes the manifest: with it a generation is complete.
pub(super) fn finish(
    staging: Staging,
    head: &Head<'_>,
    source: Option<Source>,
    report: Report,
    judged: Judged,
    files: BTreeMap<String, FileEntry>,
) -> Result<Built, BuildError> {
    let digest = files.get("repodata.json").map_or("", |file| &file.sha256[..12]);
    let manifest = Manifest {
        format: FORMAT,
        id: format!("{:012x}-{digest}", head.now.0.max(0)),
        channel: head.channel.name.as_str().to_owned(),
        label: head.channel.label.as_deref().map(str::to_owned),
        subdir: head.subdir.as_str().to_owned(),
        built_at: head.now.0,
        rules_revision: head.rules_revision,
        source,
        report,
        judged,
        files,
    };
    // Whatever was written must be readable, before anyone relies on it.
    PackageTable::open(&staging.path().join(TABLE))?;
    write_manifest(staging.path(), &manifest)?;
    Ok(Built { staging, manifest, pack: None })
}

pub(super) fn write_manifest(dir: &Path, manifest: &Manifest) -> Result<(), BuildError> {
    let path = dir.join(MANIFEST);
    let text = serde_json::to_vec_pretty(manifest)
        .map_err(|e| BuildError::io("write", &path)(std::io::Error::other(e)))?;
    files::replace(&path, &text, true)
}

const fn packing_name(packing: Packing) -> &'static str {
    match packing {
        Packing::Json => "json",
        Packing::Zst => "zst",
        Packing::Bz2 => "bz2",
    }
}
