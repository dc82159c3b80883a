//! One generation, opened: what it can serve and what it knows of every file.
//!
//! Belongs here: reading one generation directory. Does not: which one is current, making and removing them (`store`).
//!
//! # A generation's directory
//!
//! | file | what |
//! |---|---|
//! | `manifest.json` | every file below with length, digest and `ETag`; written last |
//! | `repodata.json` `.zst` `.bz2` | the index; `.bz2` only where it is small or upstream's own could be used |
//! | `packages.table` | see `table` |
//! | `withheld.json` | records that `repodata.json` has not, or has otherwise than upstream, one behind the other; see `table` |
//! | `current_repodata.json` … | documents attached or made later |
//! | `repodata_shards.msgpack.zst` `shards.map` | shards the gate made, see `shards::map` |

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;

use super::error::BuildError;
use super::judging::KnownFile;
use super::manifest::{FORMAT, Manifest};
use super::names::{self, JSON, MANIFEST, SHARD_MAP, TABLE, WITHHELD};
use super::outline::{Outline, Timing};
use super::seal::{Doubts, Seals, check_file};
use super::shards::{ShardAt, ShardError, ShardMap, pack_path};
use super::table::{self, PackageTable};
use crate::cache::stamp::Stamp;
use crate::clock::UnixMillis;
use crate::conda::channel::ChannelRef;
use crate::conda::digest::{Expected, Sha256};
use crate::conda::url::IndexFile;

/// A file that can be handed out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variant {
    /// Where it is. It never changes; it is removed some time after its generation went out of use.
    pub path: PathBuf,
    /// Its length.
    pub len: u64,
    /// The stamp it had when its bytes were known to be good. If it has another one now: [`Generation::doubt`].
    pub stamp: Stamp,
    /// Its SHA-256.
    pub sha256: Sha256,
    /// Strong `ETag`, quotes included.
    pub etag: Arc<str>,
    /// For `Last-Modified`.
    pub last_modified: UnixMillis,
}

/// A generation in use. Its directory stays as long as somebody holds this.
#[derive(Debug)]
pub struct Generation {
    id: String,
    key: Arc<str>,
    dir: PathBuf,
    /// Where the packs of made shards are.
    packs: PathBuf,
    table: PackageTable,
    checked_at: AtomicI64,
    state: ArcSwap<State>,
    /// Opened when a record is first read.
    json: OnceLock<File>,
    withheld: OnceLock<File>,
    doubts: Doubts,
}

/// What grows when documents are attached.
#[derive(Debug)]
struct State {
    manifest: Manifest,
    variants: HashMap<IndexFile, Arc<Variant>>,
    shards: Option<ShardMap>,
    seals: Seals,
}

impl State {
    /// `before`: the seals of files that were known to be good before.
    fn load(dir: &Path, packs: &Path, manifest: Manifest, before: &Seals) -> Result<Self, BuildError> {
        let (mut variants, mut seals) = (HashMap::new(), Seals::default());
        for (name, entry) in &manifest.files {
            let path = dir.join(name);
            let stamp = seals.add(name, &path, before)?;
            let Some(sha256) = entry.digest().filter(|_| stamp.size == entry.len) else {
                return Err(BuildError::Damaged { path });
            };
            if let Some(file) = names::document(name) {
                let etag = entry.etag.as_str().into();
                let last_modified = UnixMillis(entry.last_modified);
                let len = entry.len;
                variants.insert(file, Arc::new(Variant { path, len, stamp, sha256, etag, last_modified }));
            }
        }
        if seals.of(TABLE).is_none() {
            return Err(ShardError::Generation { what: "its manifest names no package table" }.into());
        }
        let has_shards = manifest.files.contains_key(SHARD_MAP);
        let shards = has_shards.then(|| ShardMap::open(&dir.join(SHARD_MAP))).transpose()?;
        for pack in shards.iter().flat_map(ShardMap::packs) {
            let path = pack_path(packs, pack);
            std::fs::metadata(&path).map_err(BuildError::io("read", &path))?;
        }
        Ok(Self { manifest, variants, shards, seals })
    }
}

impl Generation {
    /// Opens the generation `id` in `dir`. Its bytes are taken to be what was written: [`Generation::verify`] it, unless it was made
    /// just now.
    pub(super) fn load(dir: PathBuf, packs: PathBuf, id: String) -> Result<Self, BuildError> {
        let manifest = read_manifest(&dir)?;
        let checked_at = AtomicI64::new(manifest.built_at);
        let state = State::load(&dir, &packs, manifest, &Seals::default())?;
        let table = PackageTable::open(&dir.join(TABLE))?;
        let (json, withheld) = (OnceLock::new(), OnceLock::new());
        let key = dir.to_string_lossy().into();
        let (state, doubts) = (ArcSwap::from_pointee(state), Doubts::new());
        Ok(Self { id, key, dir, packs, table, checked_at, state, json, withheld, doubts })
    }

    /// Reads every file and compares digests: a disk may have changed them while the gate was away. Takes as long as hashing all of it,
    /// so it belongs on a blocking thread.
    ///
    /// # Errors
    /// The first file that is not what was written.
    pub(super) fn verify(&self) -> Result<(), BuildError> {
        let state = self.state.load();
        for (name, entry) in &state.manifest.files {
            check_file(&self.dir.join(name), entry, state.seals.of(name))?;
        }
        if self.is_intact() { Ok(()) } else { Err(self.damaged(TABLE)) }
    }

    /// The same for the maps by which everything else is found, small beside it.
    pub(super) fn verify_maps(&self) -> Result<(), BuildError> {
        let state = self.state.load();
        for name in [TABLE, SHARD_MAP] {
            if let Some(entry) = state.manifest.files.get(name) {
                check_file(&self.dir.join(name), entry, state.seals.of(name))?;
            }
        }
        Ok(())
    }

    /// Whether its files are what was written, as far as the stamps of those that decide tell. They are looked at once a second.
    pub fn is_sound(&self) -> bool {
        self.doubts.none(|| self.is_unchanged())
    }

    /// Looks at the stamps now.
    pub(super) fn is_unchanged(&self) -> bool {
        let state = self.state.load();
        let deciding = [TABLE, JSON, WITHHELD, SHARD_MAP];
        self.is_intact()
            && deciding.into_iter().all(|name| state.seals.still_hold(name, &self.dir.join(name)))
    }

    /// Whether the package table is what was written, as its file's times tell at this moment. Costs a system call, so it is for
    /// answers on which rules depend.
    pub fn is_intact(&self) -> bool {
        let state = self.state.load();
        let intact = state.seals.of(TABLE).is_some_and(|stamp| self.table.fits(stamp));
        if !intact {
            self.doubt();
        }
        intact
    }

    /// Some file is not what was written. From now on the generation is not current any more, until all of it was read again.
    pub fn doubt(&self) {
        self.doubts.begin();
    }

    fn damaged(&self, name: &str) -> BuildError {
        self.doubt();
        BuildError::Damaged { path: self.dir.join(name) }
    }

    /// Reads the manifest again after documents were attached.
    pub(super) fn reload(&self) -> Result<(), BuildError> {
        let before = self.state.load();
        let state = State::load(&self.dir, &self.packs, read_manifest(&self.dir)?, &before.seals)?;
        self.state.store(Arc::new(state));
        Ok(())
    }

    /// Unique within its channel and subdir.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Unique among all generations of a store.
    pub fn key(&self) -> Arc<str> {
        Arc::clone(&self.key)
    }

    /// Whether it was made of the shards of an upstream that has nothing else.
    pub fn is_gathered(&self) -> bool {
        self.state.load().manifest.source.as_ref().is_some_and(|source| source.gathered)
    }

    /// When it was built.
    pub fn built_at(&self) -> UnixMillis {
        UnixMillis(self.state.load().manifest.built_at)
    }

    /// Its directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it was built from and what is in it, as of now.
    pub fn manifest(&self) -> Manifest {
        self.state.load().manifest.clone()
    }

    /// A document; `None` when this generation has none of that name (yet).
    pub fn variant(&self, file: IndexFile) -> Option<Arc<Variant>> {
        self.state.load().variants.get(&file).cloned()
    }

    /// What the index promises about a package file; `None` when it does not list it.
    pub fn lookup(&self, file: &str) -> Option<Expected> {
        self.table.lookup(file)
    }

    /// SHA-256 of the upstream document it was built from.
    pub fn source_digest(&self) -> Option<Sha256> {
        let state = self.state.load();
        Sha256::from_hex(state.manifest.source.as_ref()?.sha256.as_deref()?)
    }

    /// For a hosted channel: up to which number of the store's counter it has everything.
    pub fn source_number(&self) -> Option<u64> {
        self.state.load().manifest.source.as_ref()?.number
    }

    /// For a hosted channel: the digest of the package whose patches its records have.
    pub fn source_patches(&self) -> Option<Sha256> {
        Sha256::from_hex(self.state.load().manifest.source.as_ref()?.patches.as_deref()?)
    }

    /// Whether a merged index was made of this generation of a member, or without the member.
    pub fn is_made_of(&self, member: &ChannelRef, id: Option<&str>) -> bool {
        let (state, name) = (self.state.load(), member.to_string());
        let members = state.manifest.source.as_ref().map_or(&[][..], |source| &source.members);
        let mut ids = members.iter().filter_map(|text| text.rsplit_once('@'));
        ids.find(|(member, _)| *member == name).map(|(_, id)| id) == id
    }

    /// The rules revision that decided what is in it; for a virtual channel, the fingerprint of its rule.
    pub fn rules_revision(&self) -> u64 {
        self.state.load().manifest.rules_revision
    }

    /// When it has to be built again.
    pub fn timing(&self) -> Timing {
        Timing::of(&self.state.load().manifest)
    }

    /// The same and what it was built from.
    pub fn outline(&self) -> Outline {
        Outline::of(&self.id, &self.state.load().manifest)
    }

    /// Everything that is known of a file, its record as upstream has it; `None` for a file nobody knows. Reads from disk.
    ///
    /// # Errors
    /// The disk is in trouble, or has changed what is read.
    pub fn known_file(&self, file: &str) -> Result<Option<KnownFile>, BuildError> {
        self.find(file)?.map(|entry| self.known(&entry)).transpose()
    }

    /// The line of its table about a file, if the table is what was written.
    ///
    /// # Errors
    /// It is not.
    pub fn find(&self, file: &str) -> Result<Option<table::Entry<'_>>, BuildError> {
        let found = self.table.find(file);
        if self.is_intact() { Ok(found) } else { Err(self.damaged(TABLE)) }
    }

    /// The same for a line of its table.
    ///
    /// # Errors
    /// As [`Generation::known_file`].
    pub fn known(&self, entry: &table::Entry<'_>) -> Result<KnownFile, BuildError> {
        let (name, opened, (at, len)) = match entry.standing.withheld {
            (_, 0) => (JSON, &self.json, entry.record),
            place => (WITHHELD, &self.withheld, place),
        };
        let record = if len == 0 { None } else { Some(self.read(name, opened, at, len)?) };
        Ok(KnownFile {
            file: entry.file.to_owned(),
            expected: entry.expected,
            record,
            standing: entry.standing,
            shown: entry.is_shown(),
        })
    }

    fn read(&self, name: &str, opened: &OnceLock<File>, at: u64, len: u32) -> Result<Vec<u8>, BuildError> {
        let path = self.dir.join(name);
        let file = if let Some(file) = opened.get() {
            file
        } else {
            let file = File::open(&path).map_err(BuildError::io("open", &path))?;
            opened.get_or_init(|| file)
        };
        let mut raw = vec![0; len as usize];
        match file.read_exact_at(&mut raw, at) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(self.damaged(name)),
            read => read.map_err(BuildError::io("read", &path))?,
        }
        let is_good = self.state.load().seals.of(name).is_some_and(|stamp| stamp.fits(file));
        match (raw.first(), raw.last()) {
            (Some(b'{'), Some(b'}')) if is_good => Ok(raw),
            _ => Err(self.damaged(name)),
        }
    }

    /// In a merged index, the place of the member that a file comes from; `None` when the index does not list it.
    pub fn member_of(&self, file: &str) -> Option<usize> {
        self.table.find(file).filter(table::Entry::is_shown).map(|entry| usize::from(entry.member))
    }

    /// Whether the index lists a file.
    pub fn shows(&self, file: &str) -> bool {
        self.table.find(file).is_some_and(|entry| entry.is_shown())
    }

    /// Where upstream says its packages lie (CEP 15), where it says so.
    pub fn base_url(&self) -> Option<String> {
        self.state.load().manifest.report.base_url.clone()
    }

    /// The package table.
    pub const fn table(&self) -> &PackageTable {
        &self.table
    }

    /// Where a shard that the gate made lies; `None` when this generation has none with that digest.
    pub fn shard(&self, digest: &Sha256) -> Option<ShardAt> {
        let state = self.state.load();
        let line = state.shards.as_ref()?.find(digest)?;
        Some(ShardAt {
            path: pack_path(&self.packs, line.pack),
            offset: line.offset,
            len: u64::from(line.len),
        })
    }

    /// Whether the gate's own shards were made for it.
    pub fn has_shards(&self) -> bool {
        self.state.load().shards.is_some()
    }

    /// Runs `with` on the map of made shards.
    pub(super) fn with_shards<T>(&self, with: impl FnOnce(&ShardMap) -> T) -> Option<T> {
        self.state.load().shards.as_ref().map(with)
    }

    /// Where the packs of its shards are.
    pub(super) fn packs(&self) -> &Path {
        &self.packs
    }

    /// When upstream last said (by a new document or a 304) that this is what it has.
    pub fn checked_at(&self) -> UnixMillis {
        UnixMillis(self.checked_at.load(Ordering::Relaxed))
    }

    pub(super) fn set_checked_at(&self, at: UnixMillis) {
        self.checked_at.fetch_max(at.0, Ordering::Relaxed);
    }
}

/// Reads and checks `manifest.json`.
pub(super) fn read_manifest(dir: &Path) -> Result<Manifest, BuildError> {
    let path = dir.join(MANIFEST);
    let text = std::fs::read(&path).map_err(BuildError::io("read", &path))?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|_| ShardError::Generation { what: "its manifest can't be read" })?;
    if manifest.format == FORMAT {
        Ok(manifest)
    } else {
        Err(ShardError::Generation { what: "it was built by another version of the gate" }.into())
    }
}
