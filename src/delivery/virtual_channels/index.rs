//! The merged index: when it is up to date, when and how it is made again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::conda::digest::Sha256;
use crate::conda::subdir::Subdir;
use crate::conda::url::IndexFile;
use crate::delivery::indexes::{Flight, Key, keeping};
use crate::delivery::{Answer, Delivery, Outcome, Refusal};
use crate::repodata::attach::Reuse;
use crate::repodata::generation::Generation;
use crate::repodata::merge::{self, MergeInput, MergeMember};
use crate::repodata::outline::Outline;
use crate::snapshot::{Member, Place, VirtualChannel};

/// How long a merge waits for a member. Clients are told to come again long before; this only ends a merge whose member never
/// comes to an end.
const MEMBER_PATIENCE: Duration = Duration::from_mins(15);

impl Delivery {
    /// An index document: every form of the one merged generation.
    pub(super) async fn virtual_index(
        &self,
        channel: &Arc<VirtualChannel>,
        subdir: &Subdir,
        file: IndexFile,
    ) -> Result<Answer, Refusal> {
        let (generation, outcome) = self.merged(channel, subdir).await?;
        if file == IndexFile::ShardIndex && !generation.has_shards() {
            let _build = self.inner.indexes.builds.acquire().await;
            let (store, target) = (Arc::clone(&self.inner.generations), Arc::clone(&generation));
            self.blocking(move || store.make_shards(&target, Reuse::default())).await?;
        }
        if matches!(file, IndexFile::Current(_)) && generation.variant(file).is_none() {
            let memo = (generation.key().to_string(), file);
            if let Some(sentence) = self.inner.indexes.absent.get(&memo, self.inner.clock.now()) {
                return Err(Refusal::NotFound(sentence));
            }
            self.make_current(&generation, memo).await?;
        }
        if matches!(file, IndexFile::RunExports(_)) && generation.variant(file).is_none() {
            self.join_exports(channel, subdir, &generation).await?;
        }
        self.variant(&generation, file, outcome, keeping(channel.has_hosted))
    }

    /// A shard of the merged index, or one that left it within the last week.
    pub(super) async fn virtual_shard(
        &self,
        channel: &VirtualChannel,
        subdir: &Subdir,
        digest: &Sha256,
    ) -> Result<Answer, Refusal> {
        let made = self.made_shard(&channel.stored_as(), subdir, digest).await?;
        made.ok_or_else(|| {
            let name = &channel.label;
            Refusal::NotFound(format!("the index of `{name}/{subdir}` has no shard with this digest"))
        })
    }

    /// The merged generation in force, and whether it is up to date; waits (bounded) only where there is none.
    pub(in crate::delivery) async fn merged(
        &self,
        channel: &Arc<VirtualChannel>,
        subdir: &Subdir,
    ) -> Result<(Arc<Generation>, Outcome), Refusal> {
        let key = (channel.stored_as(), subdir.clone());
        if let Some(current) = self.trusted(&key).await {
            self.note_use(&key, &channel.asked(), channel.audience());
            let fresh = self.is_up_to_date(channel, subdir, &current);
            if !fresh {
                if !self.has_hosted_of_now(channel, subdir, &current)
                    && let Ok(newer) = self.merge_with_hosted(channel, subdir).await
                {
                    return Ok((newer, Outcome::Fill));
                }
                self.merge_behind(channel, subdir);
            }
            if self.is_gone(&key) {
                return Err(nowhere(channel, subdir));
            }
            return Ok((current, if fresh { Outcome::Hit } else { Outcome::Stale }));
        }
        if channel.has_hosted {
            // What is not there now may be published at any moment.
            let made = self.merge_with_hosted(channel, subdir).await?;
            return Ok((made, Outcome::Fill));
        }
        let negative = absence_of(&key);
        if let Some(sentence) = self.inner.objects.negative.get(&negative) {
            return Err(Refusal::NotFound(sentence));
        }
        let made = self.merge_in_time(channel, subdir).await;
        if let Err(Refusal::NotFound(sentence)) = &made {
            self.inner.objects.negative.insert(negative, sentence.clone());
        }
        made.map(|generation| (generation, Outcome::Fill))
    }

    /// Merges anew and waits for it, within limits.
    pub(super) async fn merge_in_time(
        &self,
        channel: &Arc<VirtualChannel>,
        subdir: &Subdir,
    ) -> Result<Arc<Generation>, Refusal> {
        let merging = async {
            // A merge that is under way may have begun under rules that were replaced since.
            for _ in 0..3 {
                let made = self.merge(channel, subdir).await?;
                if made.rules_revision() == channel.fingerprint {
                    return Ok(made);
                }
            }
            Err(still_merging(channel, subdir))
        };
        let made = tokio::time::timeout(self.inner.settings.patience, merging).await;
        made.unwrap_or_else(|_| Err(still_merging(channel, subdir)))
    }

    /// Merges until what hosted members have now is in it, and waits for it, within limits.
    pub(super) async fn merge_with_hosted(
        &self,
        channel: &Arc<VirtualChannel>,
        subdir: &Subdir,
    ) -> Result<Arc<Generation>, Refusal> {
        let merging = async {
            let mut made = self.merge_in_time(channel, subdir).await?;
            // The first one may have been under way; the second began after this request.
            if !self.has_hosted_of_now(channel, subdir, &made) {
                made = self.merge_in_time(channel, subdir).await?;
            }
            Ok(made)
        };
        let made = tokio::time::timeout(self.inner.settings.patience, merging).await;
        made.unwrap_or_else(|_| Err(still_merging(channel, subdir)))
    }

    /// Whether a merged generation has what its hosted members have, as far as this gate has heard. Members of upstreams don't count,
    /// nor does anything while the store is in trouble.
    pub(super) fn has_hosted_of_now(
        &self,
        channel: &VirtualChannel,
        subdir: &Subdir,
        merged: &Generation,
    ) -> bool {
        if !channel.has_hosted || self.is_store_in_trouble() {
            return true;
        }
        channel.members.iter().filter(|member| member.place.has_hosted()).all(|member| {
            let key = (member.place.stored_as(&member.asked), subdir.clone());
            match &member.place {
                Place::Source(channel) => {
                    let Some(hosted) = channel.hosted() else { return true };
                    let outline = self.inner.generations.outline(&key.0, &key.1);
                    let outline = outline.filter(|_| !hosted.deleted);
                    (hosted.deleted || self.is_hosted_current(hosted, &key))
                        && merged.is_made_of(&key.0, outline.as_ref().map(|outline| &*outline.id))
                }
                Place::Virtual(inner) => {
                    self.inner.generations.current(&key.0, &key.1).is_some_and(|current| {
                        merged.is_made_of(&key.0, Some(current.id()))
                            && self.has_hosted_of_now(inner, subdir, &current)
                    })
                }
            }
        })
    }

    /// Starts a merge unless one is under way or the last one failed a moment ago. Returns at once.
    pub(in crate::delivery) fn merge_behind(&self, channel: &Arc<VirtualChannel>, subdir: &Subdir) {
        if !self.is_resting(&(channel.stored_as(), subdir.clone())) {
            drop(self.merge(channel, subdir));
        }
    }

    /// Whether a merged generation is what the rule makes of its members' indexes now, and the members were looked after lately.
    pub(super) fn is_up_to_date(
        &self,
        channel: &VirtualChannel,
        subdir: &Subdir,
        merged: &Generation,
    ) -> bool {
        let age = self.inner.clock.now().since(merged.checked_at());
        age < channel.ttl
            && self.has_hosted_of_now(channel, subdir, merged)
            && self.is_merged_of_current(channel, subdir, &merged.outline())
    }

    /// Whether a merged generation is what the rule makes of the indexes that its members have now.
    pub(in crate::delivery) fn is_merged_of_current(
        &self,
        channel: &VirtualChannel,
        subdir: &Subdir,
        merged: &Outline,
    ) -> bool {
        if merged.timing.rules_revision != channel.fingerprint {
            return false;
        }
        let mut ids = Vec::with_capacity(channel.members.len());
        for member in &channel.members {
            let stored = member.place.stored_as(&member.asked);
            let outline = self.inner.generations.outline(&stored, subdir);
            let old = match (&member.place, &outline) {
                (Place::Virtual(inner), Some(outline)) => !self.is_merged_of_current(inner, subdir, outline),
                (Place::Source(proxied), Some(outline)) => self.is_due(proxied, subdir, outline.timing),
                (_, None) => false,
            };
            if old {
                return false;
            }
            let absent = self.is_gone(&(stored.clone(), subdir.clone())) || member.place.is_deleted();
            ids.push((stored, outline.map(|outline| outline.id).filter(|_| !absent)));
        }
        let members = ids.iter().map(|(stored, id)| (stored, id.as_deref()));
        merged.source == Some(merge::source_digest(channel.fingerprint, members))
    }

    /// Joins the merge of this subdir that is under way, or starts one. It runs to its end whoever waits.
    fn merge(&self, channel: &Arc<VirtualChannel>, subdir: &Subdir) -> Flight {
        let key = (channel.stored_as(), subdir.clone());
        let (this, channel, landing) = (self.clone(), Arc::clone(channel), key.clone());
        let (label, ttl) = (Arc::clone(&channel.label), channel.ttl);
        self.fly(key, label, ttl, async move { this.merge_now(&channel, &landing).await })
    }

    /// Looks after all members at once, then merges unless nothing has changed.
    async fn merge_now(&self, channel: &Arc<VirtualChannel>, key: &Key) -> Result<Arc<Generation>, Refusal> {
        let asked = channel.members.iter().map(|member| self.member_generation(member, &key.1));
        let mut members = Vec::with_capacity(channel.members.len());
        for (place, (member, came)) in channel.members.iter().zip(join_all(asked).await).enumerate() {
            let generation = came.map_err(|refusal| of_member(channel, member, refusal))?;
            members.push(MergeMember { place, stored: member.place.stored_as(&member.asked), generation });
        }
        let none_has_it = members.iter().all(|member| member.generation.is_none());
        if none_has_it && !key.1.is_noarch() {
            return Err(nowhere(channel, &key.1));
        }
        let ids = members.iter().map(|m| (&m.stored, m.generation.as_deref().map(Generation::id)));
        let digest = merge::source_digest(channel.fingerprint, ids);
        let current = self.trusted(key).await;
        if let Some(same) = current.as_ref().filter(|g| g.source_digest() == Some(digest)) {
            if let Err(error) = self.inner.generations.touch(same, self.inner.clock.now()) {
                tracing::warn!(%error, "a look at a virtual channel's members could not be noted");
            }
            return Ok(Arc::clone(same));
        }
        self.build_merged(channel, key, members, current).await
    }

    async fn build_merged(
        &self,
        channel: &Arc<VirtualChannel>,
        key: &Key,
        members: Vec<MergeMember>,
        before: Option<Arc<Generation>>,
    ) -> Result<Arc<Generation>, Refusal> {
        let _build = self.inner.indexes.builds.acquire().await;
        let started = tokio::time::Instant::now();
        let (store, now, limits) =
            (Arc::clone(&self.inner.generations), self.inner.clock.now(), self.inner.settings.index.limits);
        let (rule, owner) = (Arc::clone(&channel.rule), key.clone());
        let built = self
            .blocking(self.counted(move || {
                let mut built = merge::merge(&MergeInput {
                    channel: &owner.0,
                    subdir: &owner.1,
                    rule: &rule,
                    members: &members,
                    before: before.as_deref(),
                    now,
                    limits,
                    out_dir: &store.staging(),
                })?;
                // Where clients use shards, the new index has its own before anybody sees it.
                if let Some(before) = before.filter(|generation| generation.has_shards()) {
                    built.make_shards(Reuse { before: Some(&before), theirs: None })?;
                }
                let fresh = store.publish(built)?;
                if let Err(error) = store.prune(now) {
                    tracing::warn!(%error, "old generations could not be removed");
                }
                Ok(fresh)
            }))
            .await
            .inspect_err(|refusal| {
                self.inner.events.failed(&channel.label);
                tracing::warn!(channel = %channel.label, subdir = %key.1, error = %refusal, "merging the index failed; what is cached stays");
            })?;
        self.inner.events.built(&channel.label, started.elapsed());
        tracing::info!(channel = %channel.label, subdir = %key.1, generation = %built.id(), "a new merged index is in force");
        Ok(built)
    }

    /// A member's generation for a merge: refreshed where its time is over, an older one where upstream is in trouble, `None` where
    /// it has no such subdir.
    async fn member_generation(
        &self,
        member: &Member,
        subdir: &Subdir,
    ) -> Result<Option<Arc<Generation>>, Refusal> {
        if let Place::Source(channel) = &member.place
            && let Some(hosted) = channel.hosted()
        {
            return match self.hosted_generation(channel, hosted, &member.asked, subdir).await {
                Ok((generation, _)) => Ok(Some(generation)),
                Err(Refusal::NotFound(_)) => Ok(None),
                Err(refusal) => Err(refusal),
            };
        }
        let key = (member.place.stored_as(&member.asked), subdir.clone());
        let current = self.trusted(&key).await;
        if let Some(current) = &current
            && (self.member_is_fresh(member, subdir, &key, current) || self.is_resting(&key))
        {
            return Ok(Some(Arc::clone(current)).filter(|_| !self.is_gone(&key)));
        }
        if current.is_none() && self.inner.objects.negative.get(&absence_of(&key)).is_some() {
            return Ok(None);
        }
        let flight = match &member.place {
            Place::Source(channel) => self.refresh(channel, &member.asked, subdir),
            Place::Virtual(channel) => self.merge(channel, subdir),
        };
        let came = tokio::time::timeout(MEMBER_PATIENCE, flight).await;
        let came = came.unwrap_or_else(|_| Err(Refusal::unavailable("its index takes too long")));
        match (came, current) {
            (Ok(fresh), _) => Ok(Some(fresh)),
            (Err(_), Some(current)) => Ok(Some(current).filter(|_| !self.is_gone(&key))),
            (Err(Refusal::NotFound(sentence)), None) => {
                self.inner.objects.negative.insert(absence_of(&key), sentence);
                Ok(None)
            }
            (Err(refusal), None) => Err(refusal),
        }
    }

    fn member_is_fresh(&self, member: &Member, subdir: &Subdir, key: &Key, current: &Generation) -> bool {
        match &member.place {
            Place::Source(channel) => {
                self.is_fresh(key, current, channel.ttl) && !self.is_due(channel, subdir, current.timing())
            }
            Place::Virtual(channel) => self.is_up_to_date(channel, subdir, current),
        }
    }
}

/// Under which name "there is no such subdir" is remembered; the same as for channels of upstreams.
fn absence_of(key: &Key) -> String {
    format!("idx:{}/{}", key.0, key.1)
}

fn still_merging(channel: &VirtualChannel, subdir: &Subdir) -> Refusal {
    Refusal::Unavailable {
        message: format!(
            "the index of `{}/{subdir}` is still being put together; ask again shortly",
            channel.label
        ),
        retry_after: Some(Duration::from_secs(10)),
    }
}

fn nowhere(channel: &VirtualChannel, subdir: &Subdir) -> Refusal {
    Refusal::NotFound(format!(
        "no member of the virtual channel `{}` has an index for `{subdir}`; check the names of its members",
        channel.label
    ))
}

/// The same refusal, with the member it is about.
fn of_member(channel: &VirtualChannel, member: &Member, refusal: Refusal) -> Refusal {
    let named =
        |sentence: String| format!("`{}` needs its member `{}`: {sentence}", channel.label, member.asked);
    match refusal {
        Refusal::NotFound(s) => Refusal::NotFound(named(s)),
        Refusal::Forbidden(s) => Refusal::Forbidden(named(s)),
        Refusal::Unavailable { message, retry_after } => {
            Refusal::Unavailable { message: named(message), retry_after }
        }
        Refusal::BadUpstream(s) => Refusal::BadUpstream(named(s)),
        Refusal::Rule { rule, message, at } => Refusal::Rule { rule, message: named(message), at },
        Refusal::Internal(s) => Refusal::Internal(named(s)),
    }
}
