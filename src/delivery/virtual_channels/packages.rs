//! Files of a virtual channel: each from the member that the merged index has it from.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::conda::archive::ArchiveName;
use crate::conda::subdir::Subdir;
use crate::delivery::indexes::refusal_of;
use crate::delivery::refusal::UNLISTED;
use crate::delivery::sidecars::package_of;
use crate::delivery::{Answer, Body, Delivery, Refusal};
use crate::policy::Unlisted;
use crate::repodata::generation::Generation;
use crate::snapshot::{Member, Place, VirtualChannel};

impl Delivery {
    /// A package archive.
    pub(super) async fn virtual_package(
        &self,
        channel: &Arc<VirtualChannel>,
        subdir: &Subdir,
        archive: &ArchiveName,
    ) -> Result<Answer, Refusal> {
        let generation = self.routing(channel, subdir).await?;
        if let Some(owner) = owner(channel, &generation, archive) {
            return self.of_member(owner, subdir, archive).await;
        }
        if !self.has_hosted_of_now(channel, subdir, &generation)
            && let Ok(newer) = self.merge_with_hosted(channel, subdir).await
            && let Some(owner) = owner(channel, &newer, archive)
        {
            return self.of_member(owner, subdir, archive).await;
        }
        if self.any_member_shows(channel, subdir, archive).await? {
            // A member may have got it since: then the merged index is behind.
            if !self.is_up_to_date(channel, subdir, &generation) {
                let newer = self.merge_in_time(channel, subdir).await?;
                if let Some(owner) = owner(channel, &newer, archive) {
                    return self.of_member(owner, subdir, archive).await;
                }
            }
            if channel.unlisted != Unlisted::Allow {
                return Err(left_out(channel, subdir, archive));
            }
        }
        self.unlisted_package(channel, subdir, archive).await
    }

    /// The merged generation that says who owns a file. One that was made under another rule does not count: what a rule says of
    /// owners holds for downloads as soon as it is loaded.
    async fn routing(
        &self,
        channel: &Arc<VirtualChannel>,
        subdir: &Subdir,
    ) -> Result<Arc<Generation>, Refusal> {
        let key = (channel.stored_as(), subdir.clone());
        let current = self.trusted(&key).await.filter(|_| !self.is_gone(&key));
        let current = current.filter(|generation| generation.rules_revision() == channel.fingerprint);
        // Who owns a file is for rules to say, not for a disk that has changed.
        let current = current.filter(|generation| generation.is_intact());
        let Some(current) = current else {
            let (generation, _) = self.merged(channel, subdir).await?;
            if generation.rules_revision() == channel.fingerprint {
                return Ok(generation);
            }
            return self.merge_in_time(channel, subdir).await;
        };
        // Hits come here: whether the members have changed since is only asked for a file that is not found.
        if !self.is_fresh(&key, &current, channel.ttl) {
            self.merge_behind(channel, subdir);
        }
        Ok(current)
    }

    /// A file that no index lists (or that the rule lets pass although this one does not): members are asked in order, for an owned
    /// name only its owners.
    async fn unlisted_package(
        &self,
        channel: &Arc<VirtualChannel>,
        subdir: &Subdir,
        archive: &ArchiveName,
    ) -> Result<Answer, Refusal> {
        let frozen = channel.rule.as_of.is_some() && channel.unlisted == Unlisted::Auto;
        if channel.unlisted == Unlisted::Deny || frozen {
            return Err(left_out(channel, subdir, archive));
        }
        let name = &channel.label;
        let mut last =
            Refusal::NotFound(format!("no member of `{name}/{subdir}` may answer for `{archive}`"));
        for (place, member) in channel.members.iter().enumerate() {
            if !channel.rule.may_answer_file(place, archive.as_str(), None) {
                continue;
            }
            match self.begun(member, subdir, archive).await {
                Ok(answer) => return Ok(answer),
                Err(refusal @ Refusal::NotFound(_)) if matches!(last, Refusal::NotFound(_)) => last = refusal,
                Err(Refusal::NotFound(_)) => {}
                // This member gives nothing that its index does not list; the next one may.
                Err(refusal @ Refusal::Rule { .. }) if refusal.is_unlisted() => last = refusal,
                // One that can't tell must not make way for the next.
                Err(refusal) => return Err(refusal),
            }
        }
        Err(last)
    }

    /// A member's answer once its upstream has said that there is one.
    async fn begun(
        &self,
        member: &Member,
        subdir: &Subdir,
        archive: &ArchiveName,
    ) -> Result<Answer, Refusal> {
        let answer = self.of_member(member, subdir, archive).await?;
        if let Body::Fill(fill) = &answer.body {
            fill.head().await.map_err(|error| Refusal::of_fill(&error))?;
        }
        Ok(answer)
    }

    /// A file through the member's own delivery.
    fn of_member<'a>(
        &'a self,
        member: &'a Member,
        subdir: &'a Subdir,
        archive: &'a ArchiveName,
    ) -> BoxFuture<'a, Result<Answer, Refusal>> {
        match &member.place {
            Place::Source(channel) => self.package(channel, &member.asked, subdir, archive).boxed(),
            Place::Virtual(channel) => self.virtual_package(channel, subdir, archive).boxed(),
        }
    }

    /// Whether the own index of any member lists a file.
    async fn any_member_shows(
        &self,
        channel: &VirtualChannel,
        subdir: &Subdir,
        archive: &ArchiveName,
    ) -> Result<bool, Refusal> {
        for member in channel.members.iter().filter(|member| !member.place.is_deleted()) {
            let key = (member.place.stored_as(&member.asked), subdir.clone());
            let Some(generation) = self.trusted(&key).await else { continue };
            let entry = generation.find(archive.as_str()).map_err(|error| refusal_of(&error))?;
            if entry.is_some_and(|entry| entry.is_shown()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A signature file beside a package (CEP 50): from the member that owns the package.
    pub(super) async fn virtual_sidecar(
        &self,
        channel: &Arc<VirtualChannel>,
        subdir: &Subdir,
        file: &str,
    ) -> Result<Answer, Refusal> {
        let (mut channel, mut depth) = (Arc::clone(channel), 0);
        let absent = || Refusal::NotFound(format!("no package of this index has a file `{file}` beside it"));
        let package = package_of(file).ok_or_else(absent)?;
        // Down through the virtual channels; rules bound how many there are.
        while depth < crate::policy::virtual_rule::MAX_DEPTH {
            let generation = self.routing(&channel, subdir).await?;
            let member = owner(&channel, &generation, &package).ok_or_else(absent)?;
            let inner = match &member.place {
                Place::Source(proxied) => return self.sidecar(proxied, &member.asked, subdir, file).await,
                Place::Virtual(inner) => Arc::clone(inner),
            };
            (channel, depth) = (inner, depth + 1);
        }
        Err(absent())
    }
}

/// The member that the merged index has a file from.
fn owner<'a>(channel: &'a VirtualChannel, merged: &Generation, archive: &ArchiveName) -> Option<&'a Member> {
    channel.members.get(merged.member_of(archive.as_str())?)
}

/// The refusal of a file that the rule of a virtual channel leaves out.
pub(in crate::delivery) fn left_out(
    channel: &VirtualChannel,
    subdir: &Subdir,
    archive: &ArchiveName,
) -> Refusal {
    let name = archive.parts().map_or("", |(name, _, _)| name);
    if channel.rule.is_lookalike(name) {
        return Refusal::rule(
            UNLISTED,
            format!(
                "`{archive}` is not in the index of the virtual channel `{}/{subdir}`: `{name}` looks like a name that belongs to one of its \
                 members (`owns`), and only that may answer for it",
                channel.label
            ),
        );
    }
    Refusal::rule(
        UNLISTED,
        format!(
            "`{archive}` is not in the index of the virtual channel `{}/{subdir}`: its rule (members, `priority`, `owns`, `as_of`) \
             leaves it out; `unlisted: allow` there would let it pass unless its name is owned",
            channel.label
        ),
    )
}
