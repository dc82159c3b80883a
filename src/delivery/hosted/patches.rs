//! The patches of a hosted channel: the newest of its packages called `<channel>-repodata-patches` changes the records of all others, as
//! conda-index does with a patch generator and quetz with its own. What it says of a subdir stands in `<subdir>/patch_instructions.json`.
//!
//! The package may be for `noarch` or for the subdir itself. A label has those of its own and those of `main`, the newest of both: what is being
//! tried out under a label changes nothing elsewhere.
//!
//! Belongs here: which package counts, reading it. Does not: names (`conda::patches`), carrying patches out (`repodata`).

use std::cmp::Reverse;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache as Memo;
use serde_json::Value;

use super::{MAIN, has_label, trouble};
use crate::clock::UnixMillis;
use crate::conda::archive::ArchiveName;
use crate::conda::digest::Sha256;
use crate::conda::patches;
use crate::conda::spec::Version;
use crate::conda::subdir::Subdir;
use crate::conda::url::{IndexFile, Packing};
use crate::delivery::indexes::Key;
use crate::delivery::{Delivery, Refusal};
use crate::policy::judge::hotfix;
use crate::repodata::attach::Attach;
use crate::repodata::generation::Generation;
use crate::repodata::hosted_patches::HostedPatches;
use crate::snapshot::Hosted;
use crate::store::Store;
use crate::store::model::{Package, PackageState};

/// Bytes of instructions that are remembered.
const REMEMBERED: u64 = 128 << 20;

/// Who can look into a package.
pub trait Opener: Send + Sync {
    /// One file, by its path, of an archive with this name and length, if it is there. Blocks, and reads all of the archive.
    ///
    /// # Errors
    /// A sentence: the archive is damaged, or the file has more bytes than are given with its path.
    fn file(
        &self,
        archive: &File,
        is: (&ArchiveName, u64),
        wanted: (&str, u64),
    ) -> Result<Option<Vec<u8>>, String>;
}

/// What a package says of a subdir.
#[derive(Clone)]
enum Said {
    /// Nothing.
    Nothing,
    /// This.
    Patches(HostedPatches),
    /// It can't be read.
    Unreadable,
}

/// See the module's description.
pub(super) struct Patching {
    opener: Arc<dyn Opener>,
    said: Memo<(Sha256, Subdir), (u32, Said)>,
}

impl Patching {
    pub(super) fn new(opener: Arc<dyn Opener>) -> Self {
        let said =
            Memo::builder().max_capacity(REMEMBERED).weigher(|_, (bytes, _): &(u32, Said)| bytes + 200);
        Self { opener, said: said.build() }
    }
}

impl Delivery {
    /// The patches that the records of an index have now, if there are any.
    pub(super) async fn hosted_patches(
        &self,
        store: &Store,
        hosted: &Hosted,
        key: &Key,
    ) -> Result<Option<HostedPatches>, Refusal> {
        let Some(id) = hosted.id() else { return Ok(None) };
        let name = patches::package_of(hosted.name.as_str());
        let rows = store.packages().named(id, &name).await.map_err(|error| trouble(&error))?;
        for row in in_force(rows, key) {
            match self.said_of(&row, &key.1).await? {
                Said::Nothing => return Ok(None),
                Said::Patches(patches) => return Ok(Some(patches)),
                // Uploads are looked at; this one came as a copy of another channel's.
                Said::Unreadable => {}
            }
        }
        Ok(None)
    }

    async fn said_of(&self, row: &Package, subdir: &Subdir) -> Result<Said, Refusal> {
        let key = (row.sha256, subdir.clone());
        if let Some((_, known)) = self.inner.hosted.patching.said.get(&key) {
            return Ok(known);
        }
        let (bytes, said) = match self.instructions(row, subdir).await? {
            Ok(None) => (0, Said::Nothing),
            Ok(Some(text)) => match HostedPatches::read(&text, row.sha256, &row.file) {
                Ok(patches) => (text.len(), Said::Patches(patches)),
                Err(why) => (0, unreadable(row, subdir, &format!("it {why}"))),
            },
            Err(why) => (0, unreadable(row, subdir, &why)),
        };
        let weight = u32::try_from(bytes).unwrap_or(u32::MAX >> 1);
        self.inner.hosted.patching.said.insert(key, (weight, said.clone()));
        Ok(said)
    }

    /// The text for a subdir; a sentence where it can't be had from that package.
    async fn instructions(
        &self,
        row: &Package,
        subdir: &Subdir,
    ) -> Result<Result<Option<String>, String>, Refusal> {
        let Some(name) = ArchiveName::parse(&row.file) else { return Ok(Ok(None)) };
        let blob = self.kept_blob(&row.sha256).await.ok_or_else(|| Refusal::Unavailable {
            message: format!(
                "the bytes of `{}`, which changes the records of this channel, are missing on this gate; those who run it can restore them",
                row.file
            ),
            retry_after: Some(Duration::from_mins(1)),
        })?;
        let (opener, path, size) =
            (Arc::clone(&self.inner.hosted.patching.opener), patches::path_of(subdir), row.size);
        self.blocking_io(move || {
            let longest = hotfix::MAX_BYTES;
            let file = opener.file(blob.body().file(), (&name, size), (&path, longest));
            let text = file.and_then(|file| {
                file.map(|bytes| String::from_utf8(bytes).map_err(|_| "it is no UTF-8".to_owned()))
                    .transpose()
            });
            Ok::<_, io::Error>(text)
        })
        .await
    }

    /// Makes `patch_instructions.json` part of a generation whose records have patches; whether they have.
    pub(in crate::delivery) async fn join_instructions(
        &self,
        key: &Key,
        generation: &Arc<Generation>,
    ) -> Result<bool, Refusal> {
        let Some(package) = generation.source_patches() else { return Ok(false) };
        let store = self.inner.hosted.store().await?;
        let rows = store.packages().by_digest(&package, 1).await.map_err(|error| trouble(&error))?;
        let Some(row) = rows.first() else { return Ok(false) };
        let Ok(Some(text)) = self.instructions(row, &key.1).await? else { return Ok(false) };
        let (generations, target) = (Arc::clone(&self.inner.generations), Arc::clone(generation));
        let limits = self.inner.settings.index.limits;
        let made = self.blocking(move || {
            let scratch = generations.scratch()?;
            let raw = scratch.put("instructions.json", text.as_bytes())?;
            let (file, packing) = (IndexFile::PatchInstructions, Packing::Json);
            generations.attach(&target, &Attach { file, raw: &raw, packing, modified_at: None, limits })
        });
        self.noted(generation, made.await)?;
        Ok(true)
    }
}

fn unreadable(row: &Package, subdir: &Subdir, why: &str) -> Said {
    tracing::error!(
        file = %row.file, %subdir,
        "a package with patches can't be used for this subdir, the one before it counts: {why}; yank it, or upload a good one"
    );
    Said::Unreadable
}

/// The packages that count for an index, the newest first.
fn in_force(mut rows: Vec<Package>, key: &Key) -> Vec<Package> {
    let label = key.0.label.as_deref();
    rows.retain(|row| {
        let is_here = row.subdir == key.1.as_str() || row.subdir == Subdir::noarch().as_str();
        let counts = has_label(&row.labels, label) || has_label(&row.labels, Some(MAIN));
        row.state == PackageState::Listed && is_here && counts
    });
    rows.sort_by_cached_key(|row| Reverse(age(row)));
    rows
}

/// What is newer is greater: by version, then by build number, then by when it was uploaded.
fn age(row: &Package) -> (Option<Version>, u64, UnixMillis, String) {
    let record: Value = serde_json::from_slice(&row.record).unwrap_or_default();
    let version = record["version"].as_str().and_then(Version::parse);
    (version, record["build_number"].as_u64().unwrap_or(0), row.uploaded_at, row.file.clone())
}
