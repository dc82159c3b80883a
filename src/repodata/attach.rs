//! Documents that join a generation after it was built: fetched when first asked, or made from its records.
//!
//! Belongs here: what each document must satisfy to be part of a generation. Does not: fetching (`refresh`).

use std::collections::BTreeMap;
use std::path::Path;

use super::build::{Built, Limits, Made, Task, write_manifest};
use super::encode;
use super::error::BuildError;
use super::files::{self, HashingFile, Written};
use super::generation::{Generation, read_manifest};
use super::manifest::{FileEntry, Manifest};
use super::names::{SHARD_MAP, TABLE, file_name};
use super::rewrite::Purpose;
use super::scan::{Good, Shape};
use super::shards::{PACK, Previous, Records, Synthesised, Theirs, synthesise};
use super::store::{GenerationStore, adopt_pack};
use super::table::{Entry, PackageTable};
use super::unpack::unpack;
use crate::clock::UnixMillis;
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::conda::subdir::Subdir;
use crate::conda::url::{IndexFile, Packing};

/// A document to be attached.
#[derive(Clone, Copy, Debug)]
pub struct Attach<'a> {
    /// Which document; its packing does not matter except for [`IndexFile::Repodata`].
    pub file: IndexFile,
    /// Upstream's file, complete.
    pub raw: &'a Path,
    /// How `raw` is packed.
    pub packing: Packing,
    /// Upstream's `Last-Modified`.
    pub modified_at: Option<UnixMillis>,
    /// What is too much.
    pub limits: Limits,
}

impl GenerationStore {
    /// Makes a document part of `generation`, in every packing. What was there already stays as it is.
    ///
    /// | document | must be |
    /// |---|---|
    /// | `repodata.json.bz2` | bzip2 of exactly this generation's `repodata.json` |
    /// | `run_exports.json` | of this subdir; edited as `repodata.json` is; only files that this generation shows pass |
    /// | `repodata_from_packages.json` | the same where rules are about the subdir; without rules every file passes |
    /// | `patch_instructions.json` | a JSON object |
    ///
    /// # Errors
    /// [`BuildError::Disagrees`]: for this generation the document does not exist (404). Others as for `build`.
    pub fn attach(&self, generation: &Generation, attach: &Attach<'_>) -> Result<(), BuildError> {
        let work = self.workspace()?;
        let modified_at = attach.modified_at.unwrap_or(UnixMillis(generation.manifest().built_at));
        let mut made = Made::new(work.path(), modified_at);
        match attach.file {
            IndexFile::Repodata(Packing::Bz2) => same_as_json(generation, attach, &mut made)?,
            IndexFile::Repodata(_) | IndexFile::Current(_) | IndexFile::ShardIndex => {
                return Err(BuildError::NotAttachable { document: file_name(attach.file) });
            }
            _ => document(generation, attach, work.path(), &mut made)?,
        }
        self.adopt(generation, work.path(), made.files, None)
    }

    /// Makes the gate's own shards for a generation that is already in use.
    ///
    /// # Errors
    /// Trouble with the disk, or a damaged generation.
    pub fn make_shards(&self, generation: &Generation, reuse: Reuse<'_>) -> Result<(), BuildError> {
        if generation.has_shards() {
            return Ok(());
        }
        let manifest = generation.manifest();
        let work = self.workspace()?;
        let from = Records {
            json_dir: generation.dir(),
            dir: work.path(),
            subdir: &manifest.subdir,
            table: generation.table(),
            removed_at: manifest.report.removed_at,
            theirs: reuse.theirs,
        };
        let (made, pack) = make_shards(&from, reuse.before, UnixMillis(manifest.built_at))?;
        self.adopt(generation, work.path(), made, pack.as_deref())?;
        self.keep_late_shards(generation)
    }

    /// Moves finished files into a generation: the pack they point into first, the manifest last, and nothing is pruned
    /// meanwhile.
    pub(super) fn adopt(
        &self,
        generation: &Generation,
        work: &Path,
        made: BTreeMap<String, FileEntry>,
        pack: Option<&str>,
    ) -> Result<(), BuildError> {
        let _writing = self.writing.lock();
        if !generation.is_unchanged() {
            generation.doubt();
            return Err(BuildError::Damaged { path: generation.dir().to_owned() });
        }
        adopt_pack(work, generation.packs(), pack)?;
        let mut manifest = read_manifest(generation.dir())?;
        let fresh: BTreeMap<_, _> =
            made.into_iter().filter(|(name, _)| !manifest.files.contains_key(name)).collect();
        for name in fresh.keys() {
            files::rename(&work.join(name), &generation.dir().join(name))?;
        }
        manifest.files.extend(fresh);
        write_manifest(generation.dir(), &manifest)?;
        generation.reload()
    }

    /// Packs a document that was made in `work`, and makes all its forms part of a generation.
    pub(super) fn adopt_document(
        &self,
        generation: &Generation,
        work: &Path,
        (name, written): (&str, Written),
        modified_at: UnixMillis,
        limits: &Limits,
    ) -> Result<(), BuildError> {
        let mut made = Made::new(work, modified_at);
        made.add(name, written);
        made.pack(name, written.len, None, limits.bz2)?;
        self.adopt(generation, work, made.files, None)
    }
}

/// Shards that need not be made again.
#[derive(Clone, Copy, Default)]
pub struct Reuse<'a> {
    /// The generation whose shards may be used again: packages that did not change keep theirs.
    pub before: Option<&'a Generation>,
    /// Upstream's own shards, by package name, as far as they are at hand. One that holds exactly the generation's records is
    /// taken over byte for byte.
    pub theirs: Option<&'a Theirs<'a>>,
}

impl Built {
    /// Makes the gate's own shards before the generation is published, so that no client ever sees it without.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn make_shards(&mut self, reuse: Reuse<'_>) -> Result<(), BuildError> {
        let dir = self.dir().to_owned();
        let table = PackageTable::open(&dir.join(TABLE))?;
        let from = Records {
            json_dir: &dir,
            dir: &dir,
            subdir: &self.manifest.subdir,
            table: &table,
            removed_at: self.manifest.report.removed_at,
            theirs: reuse.theirs,
        };
        let made = make_shards(&from, reuse.before, UnixMillis(self.manifest.built_at));
        if made.is_err() {
            // The generation may be published without shards; half a pack is of no use to it.
            let _ = std::fs::remove_file(dir.join(PACK));
        }
        let (made, pack) = made?;
        self.manifest.files.extend(made);
        self.pack = pack;
        write_manifest(&dir, &self.manifest)
    }

    /// Whose index it is.
    pub(super) fn owner(&self) -> Result<(ChannelRef, Subdir), BuildError> {
        owner(&self.manifest)
            .ok_or_else(|| BuildError::Unknown { what: "its manifest names no channel".to_owned() })
    }
}

pub(super) fn owner(manifest: &Manifest) -> Option<(ChannelRef, Subdir)> {
    let name = ChannelName::parse(&manifest.channel)?;
    Some((
        ChannelRef { name, label: manifest.label.as_deref().map(Into::into) },
        Subdir::parse(&manifest.subdir)?,
    ))
}

type MadeShards = (BTreeMap<String, FileEntry>, Option<String>);

fn make_shards(
    from: &Records<'_>,
    before: Option<&Generation>,
    at: UnixMillis,
) -> Result<MadeShards, BuildError> {
    let run = |previous: Option<&Previous<'_>>| synthesise(from, previous, SHARD_MAP);
    let reused = before.and_then(|generation| {
        generation.with_shards(|map| run(Some(&Previous { map, packs: generation.packs().to_owned() })))
    });
    let Synthesised { index, map, pack } = reused.unwrap_or_else(|| run(None))?;
    let name = file_name(IndexFile::ShardIndex);
    let mut made = Made::new(from.dir, at);
    let mut file = HashingFile::create(&from.dir.join(name))?;
    file.put(&index)?;
    made.add(name, file.finish()?);
    made.add(SHARD_MAP, map);
    Ok((made.files, pack))
}

/// Upstream's own bzip2 of a document that is too big to pack here.
fn same_as_json(generation: &Generation, attach: &Attach<'_>, made: &mut Made<'_>) -> Result<(), BuildError> {
    use sha2::Digest as _;
    let name = file_name(IndexFile::Repodata(Packing::Bz2));
    let disagrees = |what: &str| BuildError::Disagrees { document: name, what: what.to_owned() };
    let json =
        generation.variant(IndexFile::Repodata(Packing::Json)).ok_or_else(|| disagrees("there is none"))?;
    let mut hasher = sha2::Sha256::new();
    let unpacked = unpack(attach.raw, Packing::Bz2, attach.limits.unpack, &mut |piece| {
        hasher.update(piece);
        Ok(())
    })?;
    if <[u8; 32]>::from(hasher.finalize()) != json.sha256.0 {
        return Err(disagrees("its content is another"));
    }
    if unpacked.members != 1 {
        return Err(disagrees("it has several bzip2 streams, of which clients read one"));
    }
    let written: Written = encode::copy_file(attach.raw, &made.dir().join(name))?;
    made.add(name, written);
    Ok(())
}

/// A JSON document and its packed forms.
fn document(
    generation: &Generation,
    attach: &Attach<'_>,
    work: &Path,
    made: &mut Made<'_>,
) -> Result<(), BuildError> {
    // Under one name there may be other bytes by now; of those the index says nothing.
    let shown = |good: &Good<'_>| {
        let entry = generation.table().find(&good.file).filter(Entry::is_shown);
        entry.is_some_and(|entry| good.expected.may_be(&entry.expected))
    };
    let (name, shape, purpose) = match attach.file {
        // Without patches it may list more than the index does; where rules hide records it must not.
        IndexFile::FromPackages(_) if generation.rules_revision() == 0 => {
            (file_name(IndexFile::FromPackages(Packing::Json)), Shape::Records, Purpose::Free)
        }
        IndexFile::FromPackages(_) => {
            (file_name(IndexFile::FromPackages(Packing::Json)), Shape::Records, Purpose::Within(&shown))
        }
        IndexFile::RunExports(_) => {
            (file_name(IndexFile::RunExports(Packing::Json)), Shape::Records, Purpose::Within(&shown))
        }
        other => (file_name(other), Shape::Plain, Purpose::Free),
    };
    let manifest = generation.manifest();
    let subdir = Subdir::parse(&manifest.subdir).unwrap_or_else(Subdir::noarch);
    let task = Task { subdir: &subdir, raw: attach.raw, packing: attach.packing, limits: attach.limits };
    let (rewritten, members) = task.rewrite(shape, &work.join(name), purpose)?;
    let json = rewritten.written.json;
    made.add(name, json);
    if shape == Shape::Records {
        let own = (!rewritten.report.edited && members == 1).then_some((attach.raw, attach.packing));
        made.pack(name, json.len, own, attach.limits.bz2)?;
    }
    Ok(())
}
