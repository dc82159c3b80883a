//! Packages: verified against the index, from the cache or by one fill with many readers.

use std::sync::Arc;
use std::time::Duration;

use super::look_up::is_listed;
use super::objects::{Held, ObjectAsk, outcome_of};
use super::refusal::remote;
use super::rulings::{Wanted, must_be_listed};
use super::{Answer, Body, CacheFor, Delivery, Facts, NamedBy, Outcome, Refusal};
use crate::cache::{Blob, Fill, FillKind, FillRequest};
use crate::conda::archive::{ArchiveKind, ArchiveName};
use crate::conda::channel::ChannelRef;
use crate::conda::digest::{Expected, Sha256};
use crate::conda::subdir::Subdir;
use crate::http::etag::ETag;
use crate::policy::Unlisted;
use crate::repodata::generation::Generation;
use crate::repodata::judging::KnownFile;
use crate::repodata::table::{Entry, Stance};
use crate::snapshot::Channel;
use crate::upstream::Purpose;

/// What the gate knows of a package file before it has the bytes.
pub(super) enum Listing {
    /// An index lists it, and no rule refuses it.
    Listed(Expected),
    /// This generation knows it, and the rules have to be asked.
    Asking(Arc<Generation>),
    /// The current index does not list it, and no rule refuses it by its last record, where one is known.
    Unlisted(Last),
    /// A shard of upstream's lists it.
    Sharded(Arc<KnownFile>),
    /// There is no index to ask, or it is past its time: upstream has to be asked.
    Unknown,
    /// There is one on disk that has to be read first.
    Unread,
}

/// What a generation knows of a file that it does not list.
#[derive(Clone, Copy, Default)]
pub(super) struct Last {
    pub(super) expected: Expected,
    /// It listed it once: rules are asked by that record. Otherwise little more than the name is known.
    pub(super) has_record: bool,
    /// Upstream's `removed` has it.
    pub(super) removed: bool,
}

impl Last {
    pub(super) const fn of(entry: &Entry<'_>) -> Self {
        Self { expected: entry.expected, has_record: entry.has_record(), removed: entry.standing.removed }
    }
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
        format!("pkg:{}/{}/{}", self.channel.fetched_as(&self.asked), self.subdir, self.archive)
    }

    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted { channel: &self.channel, asked: &self.asked, subdir: &self.subdir, archive: &self.archive }
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
        if let Some(hosted) = channel.hosted() {
            let ask = PackageAsk {
                channel: Arc::clone(channel),
                asked: asked.clone(),
                subdir: subdir.clone(),
                archive: archive.clone(),
            };
            return self.hosted_package(&ask, hosted).await;
        }
        // The hot path: one look into a mapped table, one into the table of open blobs, nothing else.
        let mut listing = self.listed_now(channel, asked, subdir, archive);
        if matches!(listing, Listing::Unread) {
            self.trusted(&(channel.stored_as(asked), subdir.clone())).await;
            listing = self.listed_now(channel, asked, subdir, archive);
        }
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
            Listing::Asking(generation) => {
                self.rule_listed(ask.wanted(), &generation).await?;
                match generation.table().find(archive.as_str()) {
                    Some(entry) if is_listed(&entry) => self.package_of_record(&ask, entry.expected).await,
                    entry => {
                        let last = entry.map_or_else(Last::default, |entry| Last::of(&entry));
                        self.package_unlisted(&ask, last).await
                    }
                }
            }
            Listing::Listed(expected) => self.package_of_record(&ask, expected).await,
            Listing::Sharded(known) => {
                self.rule_known(ask.wanted(), &known)?;
                self.package_of_record(&ask, known.expected).await
            }
            Listing::Unlisted(last) => self.package_unlisted(&ask, last).await,
            Listing::Unknown | Listing::Unread => self.package_unknown(&ask).await,
        }
    }

    async fn package_of_record(&self, ask: &PackageAsk, expected: Expected) -> Result<Answer, Refusal> {
        if expected.has_digest() {
            self.package_listed(ask, expected).await
        } else {
            self.package_without_digest(ask, expected).await
        }
    }

    /// What memory knows: the generation's table, then records learned from shards. Never waits.
    fn listed_now(
        &self,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        subdir: &Subdir,
        archive: &ArchiveName,
    ) -> Listing {
        let sharded = || self.shard_memo(channel, asked, subdir, archive).map(Listing::Sharded);
        let stored = channel.stored_as(asked);
        let Some(generation) = self.inner.generations.current(&stored, subdir) else {
            let is_stored = self.inner.generations.is_stored(&stored, subdir);
            return if is_stored { Listing::Unread } else { sharded().unwrap_or(Listing::Unknown) };
        };
        let age = self.inner.clock.now().since(generation.checked_at());
        if age >= channel.ttl || self.is_due(channel, subdir, generation.timing()) {
            // Keeps the index of a busy channel warm; returns at once.
            self.refresh_behind(channel, asked, subdir);
        }
        let entry = generation.table().find(archive.as_str());
        // Where rules go by its word, and where it has none, the table must be what was written.
        if (entry.is_none() || !channel.is_unruled()) && !generation.is_intact() {
            return Listing::Unread;
        }
        if let Some(entry) = entry.filter(Entry::has_record) {
            match self.stance_now(channel, subdir, &generation, &entry) {
                Some(Stance::Open | Stance::Kept) => {}
                Some(Stance::Refused) | None => return Listing::Asking(Arc::clone(&generation)),
            }
            if is_listed(&entry) {
                return Listing::Listed(entry.expected);
            }
        }
        let last = entry.map_or_else(Last::default, |entry| Last::of(&entry));
        match sharded() {
            Some(listing) => listing,
            None if age >= channel.ttl => Listing::Unknown,
            None => Listing::Unlisted(last),
        }
    }

    /// Listed with a digest, but not in the cache: by SHA-256, else by MD5.
    async fn package_listed(&self, ask: &PackageAsk, expected: Expected) -> Result<Answer, Refusal> {
        // Most of a crowd comes while the download runs.
        if let Some(fill) = self.inner.cache.running(&ask.key(), &expected) {
            return Ok(fill_answer(fill, ask, expected, Outcome::Follow));
        }
        if let Some(blob) = self.inner.cache.find_expected(&expected).await {
            if expected.sha256.is_none() {
                self.rule_digest(ask, blob.digest()).await?;
            }
            let mut answer = blob_answer(blob, &ask.archive, Outcome::Hit);
            answer.facts.etag = package_etag(&expected);
            return Ok(answer);
        }
        if let Some(sentence) = self.inner.objects.negative.get(&ask.key()) {
            return Err(Refusal::NotFound(sentence));
        }
        let fill = self.start_package_fill(ask, expected)?;
        let outcome = outcome_of(&fill);
        if expected.sha256.is_none() && ask.channel.judge(&ask.subdir).asks_digest() {
            // Only its bytes say whether a rule is about them.
            let blob = fill.done().await.map_err(|error| Refusal::of_fill(&error))?;
            self.rule_digest(ask, blob.digest()).await?;
        }
        Ok(fill_answer(fill, ask, expected, outcome))
    }

    /// The index has no SHA-256 of a file, and its bytes are here: what rules say of their digest.
    async fn rule_digest(&self, ask: &PackageAsk, digest: &Sha256) -> Result<(), Refusal> {
        if !ask.channel.judge(&ask.subdir).asks_digest() {
            return Ok(());
        }
        let stored = ask.channel.stored_as(&ask.asked);
        let Some(generation) = self.trusted(&(stored, ask.subdir.clone())).await else { return Ok(()) };
        let file = ask.archive.as_str().to_owned();
        // Files without a record were judged by their bytes before.
        let known = self.blocking(move || generation.known_file(&file)).await?;
        let Some(mut known) = known.filter(|known| known.record.is_some()) else { return Ok(()) };
        known.expected.sha256.get_or_insert(*digest);
        self.rule_known(ask.wanted(), &known)
    }

    fn start_package_fill(&self, ask: &PackageAsk, expected: Expected) -> Result<Fill, Refusal> {
        let (rest, key) = (ask.rest(), ask.key());
        let source = self.source(&ask.channel, &ask.asked, &ask.subdir, &rest, &key, Purpose::Package)?;
        Ok(self.inner.cache.fill(FillRequest { key, expected, kind: FillKind::Package, source }))
    }

    /// A record with neither digest: an ordinary file that is revalidated, because nothing can vouch for its bytes.
    async fn package_without_digest(&self, ask: &PackageAsk, expected: Expected) -> Result<Answer, Refusal> {
        let held = self.object(package_object(ask, ask.channel.ttl)?).await?;
        if ask.channel.judge(&ask.subdir).asks_digest() {
            let digest = match &held {
                Held::Ready { object, .. } => *object.blob.digest(),
                Held::Running { fill, .. } => {
                    *fill.done().await.map_err(|error| Refusal::of_fill(&error))?.digest()
                }
            };
            self.rule_digest(ask, &digest).await?;
        }
        let mut answer = Self::object_answer(held, content_type(&ask.archive), CacheFor::Revalidate);
        answer.facts.len = answer.facts.len.or(expected.size);
        Ok(answer)
    }

    /// Not in the current index: what was verified once stays good (lock files), if no rule refuses it; anything else as the
    /// channel's rule says. `last`: what is known of it; by a record that an index had once it was judged before.
    async fn package_unlisted(&self, ask: &PackageAsk, last: Last) -> Result<Answer, Refusal> {
        let blob = self.inner.cache.verified(&ask.key()).await;
        if let Some(known) = self.newer_shard(ask).await {
            self.rule_known(ask.wanted(), &known)?;
            return self.package_listed(ask, known.expected).await;
        }
        if !last.has_record {
            // What came in unverified is not vouched for, but its digest and size are known all the same.
            let here = match &blob {
                Some(blob) => Some(Arc::clone(blob)),
                None => self.inner.cache.find_object(&ask.key()).await.map(|object| object.blob),
            };
            let expected = here.map_or_else(Expected::default, |blob| Expected {
                sha256: Some(*blob.digest()),
                size: Some(blob.len()),
                md5: None,
            });
            let known = KnownFile::unlisted(ask.archive.as_str(), expected, last.removed);
            self.rule_unlisted(ask.wanted(), &known)?;
        }
        if let Some(blob) = blob {
            if last.has_record && last.expected.sha256.is_none() {
                self.rule_digest(ask, blob.digest()).await?;
            }
            return Ok(blob_answer(blob, &ask.archive, Outcome::Hit));
        }
        // What an index listed once was judged by that record; `unlisted` is about files that none ever had.
        if ask.channel.unlisted == Unlisted::Deny && !last.has_record {
            return Err(must_be_listed(ask.wanted()));
        }
        self.package_of_record(ask, last.expected).await
    }

    /// Shards may be newer than the generation: where clients of this channel use upstream's, they are asked before a file counts
    /// as unlisted.
    async fn newer_shard(&self, ask: &PackageAsk) -> Option<Arc<KnownFile>> {
        let PackageAsk { channel, asked, subdir, archive } = ask;
        if !self.knows_upstream_shards(channel, asked, subdir) {
            return None;
        }
        let found = self.known_from_shard(channel, asked, subdir, archive).await;
        found.ok().flatten().filter(|known| known.expected.has_digest())
    }

    /// No index to ask: what was verified once is good; else the download starts at once and its tail waits for the digest,
    /// which is looked up meanwhile. Where rules are about the channel, nothing of the file goes out before they were asked.
    async fn package_unknown(&self, ask: &PackageAsk) -> Result<Answer, Refusal> {
        let ruled = !ask.channel.judge(&ask.subdir).is_idle();
        let blob = self.inner.cache.verified(&ask.key()).await;
        if let Some(blob) = blob.as_ref().filter(|_| !ruled) {
            return Ok(blob_answer(Arc::clone(blob), &ask.archive, Outcome::Hit));
        }
        if let Some(sentence) = self.inner.objects.negative.get(&ask.key()) {
            return Err(Refusal::NotFound(sentence));
        }
        if ruled {
            return self.package_ruled(ask).await;
        }
        let fill = self.start_package_fill(ask, Expected::default())?;
        let outcome = outcome_of(&fill);
        if !fill.joined() {
            let (this, ask, fill) = (self.clone(), ask.clone(), fill.clone());
            self.inner.runtime.spawn(async move { this.find_digest(&ask, &fill).await });
        }
        Ok(fill_answer(fill, ask, Expected::default(), outcome))
    }

    /// The same where rules are about the channel: waits for what they go by, as long as a client bears.
    async fn package_ruled(&self, ask: &PackageAsk) -> Result<Answer, Refusal> {
        match tokio::time::timeout(self.inner.settings.patience, self.look_up(ask)).await {
            Ok(Err(refusal @ Refusal::Rule { .. })) => Err(refusal),
            Ok(Ok(Some(expected))) => self.package_of_record(ask, expected).await,
            Ok(Ok(None)) => self.package_unlisted(ask, self.last_of(ask).await?).await,
            // Upstream's index is out of reach: an older record or the file's own digest decides.
            Ok(Err(trouble)) => self.ruled_without_index(ask, trouble).await,
            Err(_) => Err(Refusal::unavailable(format!(
                "rules are about `{}`, and its index is still on its way: `{}` is given out once they were asked; try again shortly",
                ask.asked, ask.archive
            ))),
        }
    }

    /// No index can be had at the moment, and rules are about the channel: what is here already may go out if they have nothing against
    /// it.
    async fn ruled_without_index(&self, ask: &PackageAsk, trouble: Refusal) -> Result<Answer, Refusal> {
        let last = self.last_of(ask).await?;
        let Some(blob) = self.inner.cache.verified(&ask.key()).await else {
            return if last.has_record { self.package_unlisted(ask, last).await } else { Err(trouble) };
        };
        let key = (ask.channel.stored_as(&ask.asked), ask.subdir.clone());
        if self.trusted(&key).await.is_none() {
            // It may have been lost: what it said of the file nobody knows.
            let expected = Expected { sha256: Some(*blob.digest()), size: Some(blob.len()), md5: None };
            let known = KnownFile::unlisted(ask.archive.as_str(), expected, false);
            self.rule_unheard(ask.wanted(), &known)?;
        }
        self.package_unlisted(ask, last).await
    }
}

/// A package that nothing vouches for, as a plain file.
fn package_object(ask: &PackageAsk, ttl: Duration) -> Result<ObjectAsk, Refusal> {
    let remote = remote(&ask.channel)?;
    Ok(ObjectAsk {
        key: ask.key(),
        upstream: Arc::clone(&remote.upstream),
        path: remote.path_of(&ask.asked, &ask.rest()),
        ttl,
        purpose: Purpose::Package,
    })
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

pub(super) fn blob_answer(blob: Arc<Blob>, archive: &ArchiveName, outcome: Outcome) -> Answer {
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
