//! The documents of a generation: those it was built with, and those that join it when first asked.

use std::sync::Arc;
use std::time::Duration;

use super::{Key, MAX_MAPS, index_ask};
use crate::cache::{BodyOptions, FileBody, Purge};
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;
use crate::conda::url::{IndexFile, Packing};
use crate::delivery::{Answer, Body, CacheFor, Delivery, Facts, NamedBy, Outcome, Refusal};
use crate::http::etag::ETag;
use crate::repodata::attach::Attach;
use crate::repodata::generation::{Generation, Variant};
use crate::snapshot::{Channel, Hosted};

impl Delivery {
    /// Fetches (or makes) a document that belongs to the generation but was not needed so far, checks that it agrees, and adds it.
    pub(in crate::delivery) async fn attach(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        generation: &Arc<Generation>,
        file: IndexFile,
    ) -> Result<(), Refusal> {
        let memo = (generation.key().to_string(), file);
        if let Some(sentence) = self.inner.indexes.absent.get(&memo, self.inner.clock.now()) {
            return Err(Refusal::NotFound(sentence));
        }
        if matches!(file, IndexFile::Current(_)) {
            return self.make_current(generation, memo).await;
        }
        if let Some(hosted) = channel.hosted() {
            return self
                .attach_hosted(hosted, &(channel.stored_as(asked), subdir.clone()), generation, memo)
                .await;
        }
        self.attach_of_upstream(channel, asked, subdir, generation, memo).await
    }

    /// The same from upstream's documents.
    async fn attach_of_upstream(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        generation: &Arc<Generation>,
        memo: (String, IndexFile),
    ) -> Result<(), Refusal> {
        let file = memo.1;
        // A form that can't be had for the moment does not stand in the way of the other, which may be here.
        let mut trouble = None;
        let mut last = format!("upstream has no `{}` for `{asked}/{subdir}`", file.file_name());
        for form in forms(file) {
            let ask = index_ask(channel, asked, subdir, form, Duration::ZERO)?;
            let object = match self.refreshed(ask).await {
                Ok(refreshed) => refreshed.object,
                Err(Refusal::NotFound(_)) => continue,
                Err(refusal) => {
                    trouble = Some(refusal);
                    continue;
                }
            };
            let (store, target) = (Arc::clone(&self.inner.generations), Arc::clone(generation));
            let (raw, limits) = (self.inner.cache.path_of(&object.blob), self.inner.settings.index.limits);
            let meta = Arc::clone(&object.meta);
            let attached = self
                .blocking(move || {
                    let modified_at =
                        meta.validators.last_modified.as_deref().and_then(crate::http::date::parse);
                    let packing = packing_of(form);
                    store.attach(&target, &Attach { file: form, raw: &raw, packing, modified_at, limits })
                })
                .await;
            match self.noted(generation, attached) {
                Ok(()) if generation.variant(file).is_some() => return Ok(()),
                Ok(()) => {}
                Err(Refusal::BadUpstream(sentence)) => last = sentence,
                Err(refusal) => return Err(refusal),
            }
            drop(object);
        }
        let may_be_made = matches!(file, IndexFile::RunExports(_)) && trouble.is_none();
        if may_be_made && self.make_run_exports(generation).await? {
            return Ok(());
        }
        if let Some(trouble) = trouble {
            return Err(trouble);
        }
        let until = self.inner.clock.now().plus(channel.ttl);
        self.inner.indexes.absent.until(memo, last.clone(), until);
        Err(Refusal::NotFound(last))
    }

    /// The same where there is no upstream: made of the generation's records, or not there.
    async fn attach_hosted(
        &self,
        hosted: &Hosted,
        key: &Key,
        generation: &Arc<Generation>,
        memo: (String, IndexFile),
    ) -> Result<(), Refusal> {
        let file = memo.1;
        match file {
            IndexFile::RunExports(_) if self.make_run_exports(generation).await? => return Ok(()),
            IndexFile::FromPackages(_) => {
                self.join_from_packages(hosted, key, generation).await?;
                if generation.variant(file).is_some() {
                    return Ok(());
                }
            }
            IndexFile::PatchInstructions if self.join_instructions(key, generation).await? => return Ok(()),
            _ => {}
        }
        let sentence =
            format!("the hosted channel `{}` has no `{}` for `{}`", hosted.name, file.file_name(), key.1);
        self.inner.indexes.absent.for_good(memo, sentence.clone());
        Err(Refusal::NotFound(sentence))
    }

    /// Upstream has no `run_exports.json`: one is made where the records carry what belongs in it.
    async fn make_run_exports(&self, generation: &Arc<Generation>) -> Result<bool, Refusal> {
        let _build = self.inner.indexes.builds.acquire().await;
        let (store, target) = (Arc::clone(&self.inner.generations), Arc::clone(generation));
        let limits = self.inner.settings.index.limits;
        let made = self.blocking(move || store.make_run_exports(&target, &limits)).await;
        self.noted(generation, made)
    }

    /// Makes the current index of a generation out of its own records, one at a time. Runs to its end whoever waits, so that
    /// clients that lose patience do not start more of them.
    pub(in crate::delivery) async fn make_current(
        &self,
        generation: &Arc<Generation>,
        memo: (String, IndexFile),
    ) -> Result<(), Refusal> {
        let (this, generation) = (self.clone(), Arc::clone(generation));
        let task = self.inner.runtime.spawn(async move {
            let indexes = &this.inner.indexes;
            let _alone = indexes.currents.acquire().await;
            if let Some(sentence) = indexes.absent.get(&memo, this.inner.clock.now()) {
                return Err(Refusal::NotFound(sentence));
            }
            if generation.variant(memo.1).is_some() {
                return Ok(());
            }
            let _build = indexes.builds.acquire().await;
            let (store, limits) = (Arc::clone(&this.inner.generations), this.inner.settings.index.limits);
            let target = Arc::clone(&generation);
            let sentence = match this
                .noted(&generation, this.blocking(move || store.make_current(&target, &limits)).await)
            {
                Ok(()) if generation.variant(memo.1).is_some() => return Ok(()),
                Ok(()) => format!("`{}` would be too large to make; ask for the `.zst`", memo.1.file_name()),
                Err(Refusal::BadUpstream(sentence)) => sentence,
                Err(refusal) => return Err(refusal),
            };
            indexes.absent.for_good(memo, sentence.clone());
            Err(Refusal::NotFound(sentence))
        });
        task.await.unwrap_or_else(|_| {
            Err(Refusal::Internal("making the current index failed inside; see the log".into()))
        })
    }

    /// The answer for a variant that the generation has.
    pub(in crate::delivery) fn variant(
        &self,
        generation: &Generation,
        file: IndexFile,
        outcome: Outcome,
        cache_for: CacheFor,
    ) -> Result<Answer, Refusal> {
        let damaged = |error: std::io::Error| {
            // All of it is read again before anybody gets more of it.
            generation.doubt();
            tracing::warn!(%error, "an index on disk can't be served");
            Refusal::Unavailable {
                message: "this gate's disk has trouble with its index; it is read again, and made anew if it is damaged; ask again \
                          shortly"
                    .to_owned(),
                retry_after: Some(Duration::from_secs(1)),
            }
        };
        let Some(variant) = generation.variant(file) else {
            return Err(Refusal::NotFound(format!("there is no `{}` here", file.file_name())));
        };
        let zstd = zst_form(file).and_then(|zst| generation.variant(zst));
        let zstd = match zstd {
            Some(zst) => Some((self.open_variant(&zst).map_err(damaged)?, zst.len)),
            None => None,
        };
        let json = zst_form(file).is_some();
        Ok(Answer {
            facts: Facts {
                etag: ETag::parse(&variant.etag),
                named_by: NamedBy::Digest,
                last_modified: Some(variant.last_modified),
                len: Some(variant.len),
                content_type: content_type(file).into(),
                cache_for,
                outcome,
            },
            body: Body::File(self.open_variant(&variant).map_err(damaged)?),
            zstd,
            compressible: json,
        })
    }
}

impl Delivery {
    /// The open file of a variant; kept open for a while, since indexes are asked often.
    fn open_variant(&self, variant: &Variant) -> std::io::Result<Arc<FileBody>> {
        let bodies = &self.inner.indexes.bodies;
        let (body, is_new) = match bodies.get(&variant.path) {
            Some(open) => (open, false),
            None => (FileBody::open(&variant.path, self.body_options(true))?, true),
        };
        // What is in memory stays what it was when it was read.
        if (is_new || body.small().is_none()) && !variant.stamp.fits(body.file()) {
            bodies.invalidate(&variant.path);
            let what = format!("{} is not what was written", variant.path.display());
            return Err(std::io::Error::other(what));
        }
        if is_new {
            bodies.insert(variant.path.clone(), Arc::clone(&body));
        }
        Ok(body)
    }

    /// How files beside the blobs are opened.
    pub(in crate::delivery) fn body_options(&self, keep_small: bool) -> BodyOptions {
        BodyOptions { runtime: self.inner.runtime.clone(), keep_small, max_maps: MAX_MAPS }
    }

    /// Forgets one cached file, so that a bad one is not revalidated into staying.
    pub(in crate::delivery) async fn forget_key(&self, key: &str) {
        if let Err(error) = self.inner.cache.purge(Purge::Key(key.to_owned())).await {
            tracing::warn!(%error, "a bad index could not be removed from the cache");
        }
    }
}

fn packing_of(file: IndexFile) -> Packing {
    match file {
        IndexFile::Repodata(packing)
        | IndexFile::Current(packing)
        | IndexFile::FromPackages(packing)
        | IndexFile::RunExports(packing) => packing,
        IndexFile::PatchInstructions | IndexFile::ShardIndex => Packing::Json,
    }
}

/// Which upstream documents can give `file`, best first.
fn forms(file: IndexFile) -> Vec<IndexFile> {
    match file {
        IndexFile::FromPackages(_) => {
            vec![IndexFile::FromPackages(Packing::Zst), IndexFile::FromPackages(Packing::Json)]
        }
        IndexFile::RunExports(_) => {
            vec![IndexFile::RunExports(Packing::Zst), IndexFile::RunExports(Packing::Json)]
        }
        IndexFile::PatchInstructions | IndexFile::Repodata(Packing::Bz2) => vec![file],
        // The other forms of repodata are always in the generation, the current index is made of it; shards are not attached.
        IndexFile::Repodata(_) | IndexFile::Current(_) | IndexFile::ShardIndex => Vec::new(),
    }
}

/// The zstd form of a plain JSON document: its `Content-Encoding: zstd`.
fn zst_form(file: IndexFile) -> Option<IndexFile> {
    match file {
        IndexFile::Repodata(Packing::Json) => Some(IndexFile::Repodata(Packing::Zst)),
        IndexFile::Current(Packing::Json) => Some(IndexFile::Current(Packing::Zst)),
        IndexFile::FromPackages(Packing::Json) => Some(IndexFile::FromPackages(Packing::Zst)),
        IndexFile::RunExports(Packing::Json) => Some(IndexFile::RunExports(Packing::Zst)),
        _ => None,
    }
}

pub(super) fn content_type(file: IndexFile) -> &'static str {
    match file {
        IndexFile::Repodata(packing)
        | IndexFile::Current(packing)
        | IndexFile::FromPackages(packing)
        | IndexFile::RunExports(packing) => match packing {
            Packing::Json => "application/json",
            Packing::Zst => "application/zstd",
            Packing::Bz2 => "application/x-bzip2",
        },
        IndexFile::PatchInstructions => "application/json",
        IndexFile::ShardIndex => "application/zstd",
    }
}
