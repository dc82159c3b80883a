//! All generations on disk: which one is current, publishing, keeping and removing.
//!
//! Belongs here: the store's directories and what happens to them in which order. Does not: what is inside a generation
//! (`generation`, `build`), when to refresh (`refresh`). Everything that writes blocks and belongs on a blocking thread.
//!
//! # Directories
//!
//! | path | what |
//! |---|---|
//! | `.staging/` | work in progress; emptied at every start |
//! | `<channel>/<subdir>/current` | `{"id", "previous"}`; replaced in one step, which is what publishing is |
//! | `<channel>/<subdir>/checked` | when upstream last confirmed the current generation, Unix milliseconds |
//! | `<channel>/<subdir>/<id>/` | a generation |
//! | `<channel>/<subdir>/shards/<name>.pack` | made shards, shared by generations |
//! | `../sightings/<channel>/<subdir>.seen` | when each file was first seen; see `sightings` |
//! | `<channel>/<subdir>/shards/gone-<day>.map` | shards that left the index on that day since 1970, kept for a week |

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::build::{Built, Staging};
use super::error::BuildError;
use super::files;
use super::generation::{Generation, read_manifest};
use super::gone::Gone;
use super::names::{self, channel_dir};
use super::shards::{PACK, ShardAt, pack_path};
use crate::clock::UnixMillis;
use crate::conda::channel::ChannelRef;
use crate::conda::digest::Sha256;
use crate::conda::subdir::Subdir;

pub(super) const CURRENT: &str = "current";
const CHECKED: &str = "checked";
const PACKS: &str = "shards";
const STAGING: &str = ".staging";
const SIGHTINGS: &str = "sightings";

/// Where first sightings are below the directory for derived files (`storage.cache`).
#[must_use]
pub fn sightings_of(cache: &Path) -> PathBuf {
    cache.join(SIGHTINGS)
}

/// The generations of every channel and subdir.
#[derive(Debug)]
pub struct GenerationStore {
    pub(super) root: PathBuf,
    /// Where first sightings are: beside the generations, because they outlive them.
    sightings: PathBuf,
    pub(super) live: RwLock<AHashMap<ChannelRef, AHashMap<Subdir, Slot>>>,
    /// Held while directories change; readers never take it.
    pub(super) writing: Mutex<()>,
}

/// What is in use of one subdir.
#[derive(Debug)]
pub(super) struct Slot {
    pub current: Arc<Generation>,
    /// Oldest first; the last one is kept even when nobody uses it.
    pub older: Vec<Arc<Generation>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Pointer {
    pub id: String,
    previous: Option<String>,
}

/// What [`GenerationStore::prune`] removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pruned {
    /// Generation directories.
    pub generations: usize,
    /// Packs of shards.
    pub packs: usize,
}

impl GenerationStore {
    /// Opens the store in `root`, making the directory where there is none, and removes what an earlier run left half done.
    ///
    /// # Errors
    /// The directory can't be made or cleaned.
    pub fn open(root: &Path) -> Result<Self, BuildError> {
        let staging = root.join(STAGING);
        files::remove_dir(&staging)?;
        fs::create_dir_all(&staging).map_err(BuildError::io("create", &staging))?;
        Ok(Self::to_look_at(root))
    }

    /// The store in `root` as it is, for looking only: nothing is made and nothing removed.
    #[must_use]
    pub fn to_look_at(root: &Path) -> Self {
        let sightings = root.with_file_name(SIGHTINGS);
        Self { root: root.to_owned(), sightings, live: RwLock::default(), writing: Mutex::new(()) }
    }

    /// Where builds work: on the same file system, so that publishing is a rename.
    pub fn staging(&self) -> PathBuf {
        self.root.join(STAGING)
    }

    /// The directory of one subdir.
    pub(super) fn place(&self, channel: &ChannelRef, subdir: &Subdir) -> PathBuf {
        self.root.join(channel_dir(channel)).join(subdir.as_str())
    }

    /// The file of first sightings of one subdir. It is never removed with generations.
    pub fn sightings(&self, channel: &ChannelRef, subdir: &Subdir) -> PathBuf {
        self.sightings.join(channel_dir(channel)).join(format!("{subdir}.seen"))
    }

    /// The subdirs of a channel that have a generation, in memory or on disk.
    pub fn subdirs(&self, channel: &ChannelRef) -> Vec<Subdir> {
        let dir = self.root.join(channel_dir(channel));
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| Subdir::parse(entry.file_name().to_str()?));
        let mut found: Vec<_> =
            names.filter(|subdir| dir.join(subdir.as_str()).join(CURRENT).exists()).collect();
        found.sort_unstable();
        found
    }

    /// Every channel that has a generation on disk, as generations are kept, in order. Reads a manifest for each.
    pub fn channels(&self) -> Vec<ChannelRef> {
        let list = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        // A directory's name may be cut short; its generations know the whole one.
        let owner = |place: PathBuf| {
            let manifest = read_manifest(&place.join(read_pointer(&place)?.id)).ok()?;
            super::attach::owner(&manifest).map(|(channel, _)| channel)
        };
        let mut found: Vec<_> = list(&self.root).filter_map(|dir| list(&dir).find_map(owner)).collect();
        found.sort_unstable();
        found
    }

    /// Makes a built generation the current one, in one step: before it nobody sees anything of it, after it everybody sees
    /// all of it, also when the machine stops at any moment. Shards that leave the index stay available for a week.
    ///
    /// # Errors
    /// Trouble with the disk; what was current stays so.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a generation is published once; dropping the rest cleans up"
    )]
    pub fn publish(&self, built: Built) -> Result<Arc<Generation>, BuildError> {
        let _writing = self.writing.lock();
        let (channel, subdir) = built.owner()?;
        let place = self.place(&channel, &subdir);
        let packs = place.join(PACKS);
        fs::create_dir_all(&packs).map_err(BuildError::io("create", &packs))?;
        adopt_pack(built.dir(), &packs, built.pack())?;
        // Also one that is in doubt: shards are checked by their digests.
        let before = self.in_memory(&channel, &subdir);
        let id = free_id(&place, &built.manifest().id);
        files::sync_dir(built.dir())?;
        files::rename(built.dir(), &place.join(&id))?;
        let fresh = Arc::new(load(&place, id.clone(), &channel, &subdir)?);
        if let Some(before) = &before {
            Gone::new(&packs).add(before, &fresh, fresh.checked_at())?;
        }
        let previous = before.as_ref().map(|generation| generation.id().to_owned());
        write_pointer(&place, &Pointer { id, previous })?;
        self.switch(channel, subdir, &fresh);
        Ok(fresh)
    }

    pub(super) fn switch(&self, channel: ChannelRef, subdir: Subdir, fresh: &Arc<Generation>) {
        let mut live = self.live.write();
        let subdirs = live.entry(channel).or_default();
        if let Some(slot) = subdirs.get_mut(&subdir) {
            let before = std::mem::replace(&mut slot.current, Arc::clone(fresh));
            slot.older.push(before);
        } else {
            subdirs.insert(subdir, Slot { current: Arc::clone(fresh), older: Vec::new() });
        }
    }

    /// Notes that upstream confirmed `generation` at `checked_at` (a 304). Kept over a restart; cheap, and nothing is lost but a
    /// revalidation if the machine stops right now.
    ///
    /// # Errors
    /// Trouble with the disk. The note holds for this run all the same.
    pub fn touch(&self, generation: &Generation, checked_at: UnixMillis) -> Result<(), BuildError> {
        generation.set_checked_at(checked_at);
        generation.dir().parent().map_or(Ok(()), |place| write_checked(place, checked_at))
    }

    /// Stops using a generation that turned out to be damaged. It is absent from now on, also after a restart.
    ///
    /// # Errors
    /// Trouble with the disk; for this run it is gone all the same.
    pub fn discard(
        &self,
        channel: &ChannelRef,
        subdir: &Subdir,
        id: &str,
        why: &str,
    ) -> Result<(), BuildError> {
        let _writing = self.writing.lock();
        let mut live = self.live.write();
        let Some(subdirs) = live.get_mut(channel) else { return Ok(()) };
        if subdirs.get(subdir).is_none_or(|slot| slot.current.id() != id) {
            return Ok(());
        }
        subdirs.remove(subdir);
        drop(live);
        tracing::warn!(channel.name = %channel, subdir = %subdir, generation = id, why, "discarded a damaged generation");
        let pointer = self.place(channel, subdir).join(CURRENT);
        fs::remove_file(&pointer).map_err(BuildError::io("remove", &pointer))
    }

    /// Forgets one subdir: what is in use goes on being served to whoever holds it, nothing is found here any more. Returns
    /// whether there was a generation.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn remove(&self, channel: &ChannelRef, subdir: &Subdir) -> Result<bool, BuildError> {
        let _writing = self.writing.lock();
        let place = self.place(channel, subdir);
        let had = place.join(CURRENT).exists();
        if let Some(subdirs) = self.live.write().get_mut(channel) {
            subdirs.remove(subdir);
        }
        files::remove_dir(&place)?;
        Ok(had)
    }

    /// Forgets every subdir of a channel; returns how many had a generation.
    ///
    /// # Errors
    /// As [`GenerationStore::remove`].
    pub fn remove_channel(&self, channel: &ChannelRef) -> Result<u64, BuildError> {
        let mut removed = 0;
        for subdir in self.subdirs(channel) {
            removed += u64::from(self.remove(channel, &subdir)?);
        }
        Ok(removed)
    }

    /// Forgets the channel `first` and every other whose name begins with `prefix`, or one subdir of each; returns how many generations
    /// went.
    ///
    /// # Errors
    /// As [`GenerationStore::remove`].
    pub fn remove_views(
        &self,
        first: &ChannelRef,
        prefix: &str,
        subdir: Option<&Subdir>,
    ) -> Result<u64, BuildError> {
        let is_view =
            |channel: &ChannelRef| channel.name.as_str().starts_with(prefix) && channel.label == first.label;
        let mut removed = 0;
        for channel in std::iter::once(first.clone()).chain(self.channels().into_iter().filter(is_view)) {
            removed += match subdir {
                Some(subdir) => u64::from(self.remove(&channel, subdir)?),
                None => self.remove_channel(&channel)?,
            };
        }
        Ok(removed)
    }

    /// Forgets everything; returns how many directories of channels went.
    ///
    /// # Errors
    /// As [`GenerationStore::remove`].
    pub fn remove_all(&self) -> Result<u64, BuildError> {
        let _writing = self.writing.lock();
        self.live.write().clear();
        let mut removed = 0;
        for entry in fs::read_dir(&self.root).map_err(BuildError::io("list", &self.root))?.flatten() {
            if entry.file_name() != STAGING {
                files::remove_dir(&entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Where a shard lies that the gate made for this subdir: in the current index, or in one of the last seven days.
    pub fn shard(&self, channel: &ChannelRef, subdir: &Subdir, digest: &Sha256) -> Option<ShardAt> {
        let current = self.current(channel, subdir);
        if let Some(found) = current.and_then(|generation| generation.shard(digest)) {
            return Some(found);
        }
        Gone::new(&self.place(channel, subdir).join(PACKS)).find(digest)
    }

    /// Keeps the shards of a generation that got them only when another one was in force already: whoever asked for its index
    /// will ask for them, too.
    pub(super) fn keep_late_shards(&self, late: &Generation) -> Result<(), BuildError> {
        let _writing = self.writing.lock();
        let Some((channel, subdir)) = super::attach::owner(&late.manifest()) else { return Ok(()) };
        match self.current(&channel, &subdir).filter(|current| current.id() != late.id()) {
            Some(current) => Gone::new(late.packs()).add(late, &current, current.checked_at()),
            None => Ok(()),
        }
    }

    /// Removes generations that nobody uses any more (the one before the current stays), and shards that left the index more
    /// than a week before `now`. Only touches subdirs that were used in this run.
    ///
    /// # Errors
    /// Trouble with the disk, after doing what could be done in the subdirs before.
    pub fn prune(&self, now: UnixMillis) -> Result<Pruned, BuildError> {
        let _writing = self.writing.lock();
        let mut pruned = Pruned::default();
        for (place, keep) in self.keep_list() {
            pruned.generations += remove_others(&place, &keep.ids)?;
            let packs = place.join(PACKS);
            let gone = Gone::new(&packs);
            gone.expire(now)?;
            let mut used = gone.packs();
            used.extend(keep.packs);
            pruned.packs += remove_packs(&packs, &used)?;
        }
        Ok(pruned)
    }

    /// For every subdir in use: what has to stay. Lets go of generations that nobody else holds.
    fn keep_list(&self) -> Vec<(PathBuf, Keep)> {
        let mut lists = Vec::new();
        for (channel, subdirs) in self.live.write().iter_mut() {
            for (subdir, slot) in subdirs.iter_mut() {
                let place = self.place(channel, subdir);
                let last = slot.older.pop();
                slot.older.retain(|generation| Arc::strong_count(generation) > 1);
                slot.older.extend(last);
                let mut keep = Keep::default();
                for generation in slot.older.iter().chain([&slot.current]) {
                    keep.ids.insert(generation.id().to_owned());
                    keep.packs
                        .extend(generation.with_shards(|map| map.packs().to_vec()).into_iter().flatten());
                }
                if slot.older.is_empty() {
                    keep.ids.extend(read_pointer(&place).and_then(|pointer| pointer.previous));
                }
                lists.push((place, keep));
            }
        }
        lists
    }

    /// A directory for a document that a generation is to be built from.
    ///
    /// # Errors
    /// It can't be made.
    pub fn scratch(&self) -> Result<Scratch, BuildError> {
        self.workspace().map(Scratch)
    }

    /// A work directory for documents that are attached later.
    pub(super) fn workspace(&self) -> Result<Staging, BuildError> {
        Staging::create(&self.staging())
    }
}

/// A directory on the store's file system that is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch(Staging);

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file into it; where that is.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, BuildError> {
        let path = self.path().join(name);
        fs::write(&path, bytes).map_err(BuildError::io("write", &path))?;
        Ok(path)
    }
}

#[derive(Debug, Default)]
struct Keep {
    ids: HashSet<String>,
    packs: HashSet<String>,
}

pub(super) fn load(
    place: &Path,
    id: String,
    channel: &ChannelRef,
    subdir: &Subdir,
) -> Result<Generation, BuildError> {
    let generation = Generation::load(place.join(&id), place.join(PACKS), id)?;
    let manifest = generation.manifest();
    if manifest.channel != channel.name.as_str()
        || manifest.label.as_deref() != channel.label.as_deref()
        || manifest.subdir != subdir.as_str()
    {
        let found = format!("{} {}", manifest.channel, manifest.subdir);
        return Err(BuildError::NotThisSubdir { found, wanted: format!("{channel} {subdir}") });
    }
    Ok(generation)
}

/// The pack that came with a generation moves to where all packs are. Its name is its digest: one that is there already is the
/// same.
pub(super) fn adopt_pack(from: &Path, packs: &Path, name: Option<&str>) -> Result<(), BuildError> {
    let Some(name) = name else { return Ok(()) };
    fs::create_dir_all(packs).map_err(BuildError::io("create", packs))?;
    files::rename(&from.join(PACK), &pack_path(packs, name))
}

fn free_id(place: &Path, wanted: &str) -> String {
    let candidates = (2..u32::MAX).map(|n| format!("{wanted}-{n}"));
    let mut all = std::iter::once(wanted.to_owned()).chain(candidates);
    all.find(|id| !place.join(id).exists()).unwrap_or_else(|| wanted.to_owned())
}

pub(super) fn read_pointer(place: &Path) -> Option<Pointer> {
    let text = fs::read(place.join(CURRENT)).ok()?;
    let pointer: Pointer = serde_json::from_slice(&text).ok()?;
    // An id is a directory name and nothing else, whoever wrote the file.
    let plain = |id: &String| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !id.is_empty();
    (plain(&pointer.id) && pointer.previous.as_ref().is_none_or(plain)).then_some(pointer)
}

fn write_pointer(place: &Path, pointer: &Pointer) -> Result<(), BuildError> {
    let path = place.join(CURRENT);
    let text =
        serde_json::to_vec(pointer).map_err(|e| BuildError::io("write", &path)(std::io::Error::other(e)))?;
    files::replace(&path, &text, true)
}

pub(super) fn read_checked(place: &Path) -> Option<UnixMillis> {
    fs::read_to_string(place.join(CHECKED)).ok()?.trim().parse().ok().map(UnixMillis)
}

fn write_checked(place: &Path, at: UnixMillis) -> Result<(), BuildError> {
    files::replace(&place.join(CHECKED), at.0.to_string().as_bytes(), false)
}

/// Removes the generation directories in `place` that are not in `keep`.
fn remove_others(place: &Path, keep: &HashSet<String>) -> Result<usize, BuildError> {
    let mut removed = 0;
    for entry in fs::read_dir(place).map_err(BuildError::io("list", place))?.flatten() {
        let name = entry.file_name();
        let is_generation = entry.path().join(names::MANIFEST).exists();
        if is_generation && name.to_str().is_none_or(|name| !keep.contains(name)) {
            files::remove_dir(&entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn remove_packs(packs: &Path, used: &HashSet<String>) -> Result<usize, BuildError> {
    let mut removed = 0;
    for entry in fs::read_dir(packs).into_iter().flatten().flatten() {
        let path = entry.path();
        let name =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".pack"));
        if name.is_some_and(|name| !used.contains(name)) {
            fs::remove_file(&path).map_err(BuildError::io("remove", &path))?;
            removed += 1;
        }
    }
    Ok(removed)
}
