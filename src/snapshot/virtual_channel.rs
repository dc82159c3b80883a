//! A channel that is made of others, with its members found.
//!
//! Belongs here: what a request needs to know of it. Does not: its rule ([`VirtualRule`]), merging (`repodata`, `delivery`).

use std::sync::Arc;
use std::time::Duration;

use super::{Place, audience};
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::conda::digest::Sha256;
use crate::policy::judge::audience::AudienceSet;
use crate::policy::{ChannelRule, Notice, Unlisted, VirtualRule};

/// One of the channels that a virtual one is made of.
#[derive(Clone)]
pub struct Member {
    /// The channel, and its label where the rule gives one.
    pub asked: ChannelRef,
    /// What that name means.
    pub place: Place,
}

/// A channel that is made of others.
#[derive(Clone)]
pub struct VirtualChannel {
    /// What the rules say: priority, ownership, date.
    pub rule: Arc<VirtualRule>,
    /// The rule's [`VirtualRule::fingerprint`].
    pub fingerprint: u64,
    /// In the order of the rule; never empty.
    pub members: Vec<Member>,
    /// How long the merged index counts as fresh before the members are looked after again.
    pub ttl: Duration,
    /// What the gate has to tell its users, expired notices too; its members have their own.
    pub notices: Arc<[Arc<Notice>]>,
    /// What happens to files that no member's index lists.
    pub unlisted: Unlisted,
    /// Bytes a second that everybody who downloads from it under this name gets together.
    pub bandwidth: Option<u64>,
    /// Whether any member is read with the gate's own credentials.
    pub needs_identity: bool,
    /// Whether any member is hosted here, directly or through another one.
    pub has_hosted: bool,
    /// The name metrics and logs use.
    pub label: Arc<str>,
    name: ChannelName,
    identity: ChannelName,
    /// Under which name the merged indexes are kept that its audience sees.
    kept: ChannelName,
}

impl VirtualChannel {
    /// `None` only for a name that can't be kept on disk, which no name of a channel is.
    pub(super) fn new(
        name: &ChannelName,
        rule: &ChannelRule,
        made_of: Arc<VirtualRule>,
        members: Vec<Member>,
        notices: Arc<[Arc<Notice>]>,
    ) -> Option<Self> {
        let identity = identity(name)?;
        Some(Self {
            kept: kept_as(&identity, &members),
            needs_identity: members.iter().any(|member| member.place.needs_identity()),
            has_hosted: members.iter().any(|member| member.place.has_hosted()),
            fingerprint: made_of.fingerprint(),
            rule: made_of,
            members,
            notices,
            ttl: rule.ttl,
            unlisted: rule.unlisted,
            bandwidth: rule.bandwidth,
            label: name.as_str().into(),
            name: name.clone(),
            identity,
        })
    }

    /// The channel as callers in these audiences see it: made of its members as they see them.
    #[must_use]
    pub fn for_audience(self: &Arc<Self>, audience: AudienceSet) -> Arc<Self> {
        let seen = |member: &Member| Member {
            asked: member.asked.clone(),
            place: member.place.for_audience(audience),
        };
        let members: Vec<_> = self.members.iter().map(seen).collect();
        let kept = kept_as(&self.identity, &members);
        if kept == self.kept {
            return Arc::clone(self);
        }
        Arc::new(Self { members, kept, ..Self::clone(self) })
    }

    /// Whose rules count in it.
    #[must_use]
    pub fn audience(&self) -> AudienceSet {
        let all = |all: AudienceSet, member: &Member| all.or(member.place.audience());
        self.members.iter().fold(AudienceSet::default(), all)
    }

    /// 0 where all members are seen as everybody sees them.
    pub(super) fn view(&self) -> u64 {
        if self.kept == self.identity {
            return 0;
        }
        let tail = self.kept.as_str().rsplit('.').next().unwrap_or_default();
        u64::from_str_radix(tail, 16).unwrap_or(1)
    }

    /// What the names of all its merged indexes begin with, whoever sees them; and the name of those that everybody sees.
    #[must_use]
    pub fn all_stored_as(&self) -> (ChannelRef, String) {
        (ChannelRef { name: self.identity.clone(), label: None }, audience::prefix(&self.identity))
    }

    /// Its own name.
    #[must_use]
    pub fn asked(&self) -> ChannelRef {
        ChannelRef { name: self.name.clone(), label: None }
    }

    /// Under which name its generations are kept: one component, so that it never meets `<upstream>/<channel>`.
    #[must_use]
    pub fn stored_as(&self) -> ChannelRef {
        ChannelRef { name: self.kept.clone(), label: None }
    }
}

/// A view of it for each combination of its members' views.
fn kept_as(identity: &ChannelName, members: &[Member]) -> ChannelName {
    let views: Vec<_> = members.iter().map(|member| member.place.view()).collect();
    if views.iter().all(|view| *view == 0) {
        return identity.clone();
    }
    let text: Vec<_> = views.iter().map(|view| format!("{view:016x}")).collect();
    let digest = Sha256::of(text.join(" ").as_bytes()).0;
    let number = digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte));
    // Never 0, which is the view of everybody.
    audience::kept_as(identity, number.max(1))
}

/// Readable, and different for any two names.
fn identity(name: &ChannelName) -> Option<ChannelName> {
    let digest = Sha256::of(name.as_str().as_bytes()).to_hex();
    let flat = name.as_str().replace('/', ".");
    ChannelName::parse(&format!("{}.{}", flat.get(..flat.len().min(100))?, &digest[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_one_component_and_differ() {
        let of = |name: &str| identity(&ChannelName::parse(name).unwrap()).unwrap();
        for name in ["prod", "team/prod", "x.y", &"a".repeat(128)] {
            assert!(!of(name).as_str().contains('/'), "{name}");
        }
        assert_ne!(of("a/b"), of("a.b"));
        assert!(of("prod").as_str().starts_with("prod."));
    }
}
