//! Packages: verified against the index, from the cache or by one fill with many readers.

use std::sync::Arc;
use std::time::Duration;

use super::objects::{ObjectAsk, outcome_of};
use super::{Answer, Body, CacheFor, Delivery, Facts, NamedBy, Outcome, Refusal};
use crate::cache::{Blob, Fill, FillKind, FillRequest};
use crate::conda::archive::{ArchiveKind, ArchiveName};
use crate::conda::channel::ChannelRef;
use crate::conda::digest::{Expected, Sha256};
use crate::conda::subdir::Subdir;
use crate::http::etag::ETag;
use crate::policy::Unlisted;
use crate::snapshot::Channel;
use crate::upstream::Purpose;

/// What the gate knows of a package file before it has the bytes.
pub(super) enum Listing {
    /// An index lists it.
    Listed(Expected),
    /// The current index does not list it.
    Unlisted,
    /// There is no index to ask, or it is past its time: upstream has to be asked.
    Unknown,
}

/// One package file, as asked for.
#[derive(Clone)]
pub(super) struct PackageAsk {
    pub(super) channel: Arc<Channel>,
    pub(super) asked: ChannelRef,
    pub(super) subdir: Subdir,
    pub(super) archive: ArchiveName,
}

impl PackageAsk {
    fn key(&self) -> String {
        format!("pkg:{}/{}/{}", self.channel.stored_as(&self.asked), self.subdir, self.archive)
    }

    fn rest(&self) -> String {
        format!("{}/{}", self.subdir, self.archive)
    }
}

impl Delivery {
    /// A package archive.
    ///
    /// # Errors
    /// As [`Refusal`]; a wrong digest is never delivered, whatever upstream sends.
    pub async fn package(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        archive: &ArchiveName,
    ) -> Result<Answer, Refusal> {
        // The hot path: one look into a mapped table, one into the table of open blobs, nothing else.
        let listing = self.listed_now(channel, asked, subdir, archive);
        if let Listing::Listed(Expected { sha256: Some(sha256), .. }) = &listing
            && let Some(blob) = self.inner.cache.hot(sha256)
        {
            return Ok(blob_answer(blob, archive, Outcome::Hit));
        }
        let ask = PackageAsk {
            channel: Arc::clone(channel),
            asked: asked.clone(),
            subdir: subdir.clone(),
            archive: archive.clone(),
        };
        match listing {
            Listing::Listed(expected) if expected.has_digest() => self.package_listed(&ask, expected).await,
            Listing::Listed(expected) => self.package_without_digest(&ask, expected).await,
            Listing::Unlisted => self.package_unlisted(&ask).await,
            Listing::Unknown => self.package_unknown(&ask).await,
        }
    }

    /// What memory knows: the generation's table, then digests learned from shards. Never waits.
    fn listed_now(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        archive: &ArchiveName,
    ) -> Listing {
        let stored = channel.stored_as(asked);
        let Some(generation) = self.inner.generations.current(&stored, subdir) else {
            return self.shard_memo(&stored, subdir, archive).map_or(Listing::Unknown, Listing::Listed);
        };
        let age = self.inner.clock.now().since(generation.checked_at());
        if age >= channel.ttl {
            // Keeps the index of a busy channel warm; returns at once.
            self.refresh_behind(channel, asked, subdir);
        }
        if let Some(expected) = generation.lookup(archive.as_str()) {
            return Listing::Listed(expected);
        }
        match self.shard_memo(&stored, subdir, archive) {
            Some(expected) => Listing::Listed(expected),
            None if age >= channel.ttl => Listing::Unknown,
            None => Listing::Unlisted,
        }
    }

    /// Listed with a digest, but not in the cache: by SHA-256, else by MD5.
    async fn package_listed(&self, ask: &PackageAsk, expected: Expected) -> Result<Answer, Refusal> {
        // Most of a crowd comes while the download runs.
        if let Some(fill) = self.inner.cache.running(&ask.key(), &expected) {
            return Ok(fill_answer(fill, ask, expected, Outcome::Follow));
        }
        if let Some(blob) = self.inner.cache.find_expected(&expected).await {
            let mut answer = blob_answer(blob, &ask.archive, Outcome::Hit);
            answer.facts.etag = package_etag(&expected);
            return Ok(answer);
        }
        if let Some(sentence) = self.inner.objects.negative.get(&ask.key()) {
            return Err(Refusal::NotFound(sentence));
        }
        let fill = self.start_package_fill(ask, expected);
        let outcome = outcome_of(&fill);
        Ok(fill_answer(fill, ask, expected, outcome))
    }

    fn start_package_fill(&self, ask: &PackageAsk, expected: Expected) -> Fill {
        self.inner.cache.fill(FillRequest {
            key: ask.key(),
            expected,
            kind: FillKind::Package,
            source: self.source(
                &ask.channel,
                &ask.asked,
                &ask.subdir,
                &ask.rest(),
                &ask.key(),
                Purpose::Package,
            ),
        })
    }

    /// A record with neither digest: an ordinary file that is revalidated, because nothing can vouch for its bytes.
    async fn package_without_digest(&self, ask: &PackageAsk, expected: Expected) -> Result<Answer, Refusal> {
        let held = self.object(package_object(ask, ask.channel.ttl)).await?;
        let mut answer = Self::object_answer(held, content_type(&ask.archive), CacheFor::Revalidate);
        answer.facts.len = answer.facts.len.or(expected.size);
        Ok(answer)
    }

    /// Not in the current index: what was verified once stays good (lock files); anything else as the channel's rule says.
    async fn package_unlisted(&self, ask: &PackageAsk) -> Result<Answer, Refusal> {
        if let Some(blob) = self.inner.cache.verified(&ask.key()).await {
            return Ok(blob_answer(blob, &ask.archive, Outcome::Hit));
        }
        if let Some(expected) = self.newer_shard(ask).await {
            return self.package_listed(ask, expected).await;
        }
        if ask.channel.unlisted == Unlisted::Deny {
            return Err(Refusal::Rule {
                rule: "unlisted".to_owned(),
                message: format!(
                    "`{}` is not in the index of `{}/{}`, and the channel's rule says `unlisted: deny`",
                    ask.archive, ask.asked, ask.subdir
                ),
            });
        }
        self.package_without_digest(ask, Expected::default()).await
    }

    /// Shards may be newer than the generation: where clients of this channel use upstream's, they are asked before a file counts
    /// as unlisted.
    async fn newer_shard(&self, ask: &PackageAsk) -> Option<Expected> {
        let PackageAsk { channel, asked, subdir, archive } = ask;
        if !self.knows_upstream_shards(channel, asked, subdir) {
            return None;
        }
        let found = self.expected_from_shard(channel, asked, subdir, archive).await;
        found.ok().flatten().filter(Expected::has_digest)
    }

    /// No index to ask: what was verified once is good; else the download starts at once and its tail waits for the digest,
    /// which is looked up meanwhile.
    async fn package_unknown(&self, ask: &PackageAsk) -> Result<Answer, Refusal> {
        if let Some(blob) = self.inner.cache.verified(&ask.key()).await {
            return Ok(blob_answer(blob, &ask.archive, Outcome::Hit));
        }
        if let Some(sentence) = self.inner.objects.negative.get(&ask.key()) {
            return Err(Refusal::NotFound(sentence));
        }
        let fill = self.start_package_fill(ask, Expected::default());
        let outcome = outcome_of(&fill);
        if !fill.joined() {
            let (this, ask, fill) = (self.clone(), ask.clone(), fill.clone());
            self.inner.runtime.spawn(async move { this.find_digest(&ask, &fill).await });
        }
        Ok(fill_answer(fill, ask, Expected::default(), outcome))
    }

    /// Finds the digest of a download that is under way: from a shard, else from a generation.
    async fn find_digest(&self, ask: &PackageAsk, fill: &Fill) {
        match self.look_up(ask).await {
            Ok(Some(expected)) if expected.has_digest() => fill.learn(expected),
            Ok(Some(expected)) => fill.learn_none(expected.size),
            Ok(None) if ask.channel.unlisted != Unlisted::Deny => fill.learn_none(None),
            Ok(None) => fill.refuse(format!(
                "`{}` is not in the index of `{}/{}`, and the channel's rule says `unlisted: deny`",
                ask.archive, ask.asked, ask.subdir
            )),
            Err(refusal) => fill.unverifiable(format!(
                "no index of `{}/{}` could be had to verify `{}` against: {refusal}",
                ask.asked, ask.subdir, ask.archive
            )),
        }
    }

    /// The record of a package, asking upstream for a shard or the whole index where memory does not know it.
    async fn look_up(&self, ask: &PackageAsk) -> Result<Option<Expected>, Refusal> {
        let PackageAsk { channel, asked, subdir, archive } = ask;
        let stored = channel.stored_as(asked);
        let known = || {
            let table =
                self.inner.generations.current(&stored, subdir).and_then(|g| g.lookup(archive.as_str()));
            table.or_else(|| self.shard_memo(&stored, subdir, archive))
        };
        if let Some(expected) = known() {
            return Ok(Some(expected));
        }
        match self.expected_from_shard(channel, asked, subdir, archive).await {
            Ok(Some(expected)) => return Ok(Some(expected)),
            // Without shards, or with shards that do not list it, the whole index has the last word.
            Ok(None) | Err(Refusal::NotFound(_)) => {}
            Err(refusal) => tracing::debug!(%refusal, "no shard could be had; asking for the whole index"),
        }
        match self.refresh(channel, asked, subdir).await {
            Ok(generation) => Ok(generation.lookup(archive.as_str())),
            Err(Refusal::NotFound(_)) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// A signature file beside a package (CEP 50). Its name may carry its digest; without one it is revalidated.
    ///
    /// # Errors
    /// As [`Refusal`].
    pub async fn sidecar(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        file: &str,
    ) -> Result<Answer, Refusal> {
        let rest = format!("{subdir}/{file}");
        let digest = file.rsplit_once('.').and_then(|(_, hex)| Sha256::from_hex(hex));
        let Some(sha256) = digest else {
            let held = self
                .object(ObjectAsk {
                    key: format!("doc:{}/{rest}", channel.stored_as(asked)),
                    upstream: Arc::clone(&channel.upstream),
                    path: channel.upstream_path(asked, &rest),
                    ttl: channel.ttl,
                    purpose: Purpose::Plain,
                })
                .await?;
            return Ok(Self::object_answer(held, "application/json", CacheFor::Index));
        };
        let key = format!("sig:{}/{rest}", channel.stored_as(asked));
        let expected = Expected { sha256: Some(sha256), ..Expected::default() };
        self.by_digest(channel, asked, subdir, &rest, key, expected, "application/json").await
    }

    /// A file that is named by its own digest, kept per channel: another channel's blob of that digest does not count.
    #[expect(clippy::too_many_arguments, reason = "names one file in full")]
    pub(super) async fn by_digest(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        rest: &str,
        key: String,
        expected: Expected,
        content_type: &'static str,
    ) -> Result<Answer, Refusal> {
        let etag = package_etag(&expected);
        if let Some(blob) = self.inner.cache.verified(&key).await {
            let mut answer = plain_blob(blob, content_type, CacheFor::Package, Outcome::Hit);
            answer.facts.etag = etag;
            return Ok(answer);
        }
        if let Some(sentence) = self.inner.objects.negative.get(&key) {
            return Err(Refusal::NotFound(sentence));
        }
        let source = self.source(channel, asked, subdir, rest, &key, Purpose::Index);
        let fill = self.inner.cache.fill(FillRequest { key, expected, kind: FillKind::Package, source });
        let outcome = outcome_of(&fill);
        Ok(Answer {
            facts: Facts {
                etag,
                named_by: NamedBy::Digest,
                last_modified: None,
                len: None,
                content_type: content_type.into(),
                cache_for: CacheFor::Package,
                outcome,
            },
            body: Body::Fill(fill),
            zstd: None,
            compressible: false,
        })
    }
}

/// A package that nothing vouches for, as a plain file.
fn package_object(ask: &PackageAsk, ttl: Duration) -> ObjectAsk {
    ObjectAsk {
        key: ask.key(),
        upstream: Arc::clone(&ask.channel.upstream),
        path: ask.channel.upstream_path(&ask.asked, &ask.rest()),
        ttl,
        purpose: Purpose::Package,
    }
}

fn content_type(archive: &ArchiveName) -> &'static str {
    match archive.kind() {
        ArchiveKind::Conda | ArchiveKind::Wheel => "application/zip",
        ArchiveKind::TarBz2 => "application/x-bzip2",
    }
}

/// The ETag of verified bytes: the same while a download runs and when it is a hit, so an interrupted client can resume.
#[must_use]
pub fn package_etag(expected: &Expected) -> Option<ETag> {
    let by_md5 = || expected.md5.map(|md5| ETag::strong(&format!("md5-{md5}")));
    expected.sha256.as_ref().map(digest_etag).or_else(by_md5)
}

fn digest_etag(digest: &Sha256) -> ETag {
    ETag::strong(&digest.to_hex())
}

fn blob_answer(blob: Arc<Blob>, archive: &ArchiveName, outcome: Outcome) -> Answer {
    plain_blob(blob, content_type(archive), CacheFor::Package, outcome)
}

/// A blob as an answer under the ETag of its digest.
pub(super) fn plain_blob(
    blob: Arc<Blob>,
    content_type: &'static str,
    cache_for: CacheFor,
    outcome: Outcome,
) -> Answer {
    Answer {
        facts: Facts {
            etag: Some(blob.etag().clone()),
            named_by: NamedBy::Digest,
            last_modified: Some(blob.modified()),
            len: Some(blob.len()),
            content_type: content_type.into(),
            cache_for,
            outcome,
        },
        body: Body::Blob(blob),
        zstd: None,
        compressible: false,
    }
}

fn fill_answer(fill: Fill, ask: &PackageAsk, expected: Expected, outcome: Outcome) -> Answer {
    Answer {
        facts: Facts {
            etag: package_etag(&expected),
            named_by: NamedBy::Digest,
            last_modified: None,
            len: expected.size,
            content_type: content_type(&ask.archive).into(),
            cache_for: CacheFor::Package,
            outcome,
        },
        body: Body::Fill(fill),
        zstd: None,
        compressible: false,
    }
}
