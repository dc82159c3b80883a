//! What names mean under one set of rules.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ahash::AHashMap;
use parking_lot::RwLock;

use super::audience;
use super::channel::{Channel, Judges, Origin, Remote};
use super::hosted::{self, Hosted, HostedChannels, HostedRow, Named};
use super::virtual_channel::{Member, VirtualChannel};
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::policy::access::Caller;
use crate::policy::judge::audience::AudienceSet;
use crate::policy::{
    ChannelRule, ChannelSource, FileSource, HostedRule, NameGlobs, Pattern, Policy, Rules, SourceNames,
    Unlisted, VirtualRule, WholeIndex,
};
use crate::telemetry::shard;
use crate::upstream::{Upstream, Upstreams};

/// How many channel names a view remembers; when mistyped ones fill it, it starts anew.
const REMEMBERED_CHANNELS: usize = 4096;

/// What a channel name means.
#[derive(Clone)]
pub enum Place {
    /// A channel with records of its own, of an upstream or of this gate.
    Source(Arc<Channel>),
    /// A channel that is made of others.
    Virtual(Arc<VirtualChannel>),
}

impl Place {
    /// Whether the gate uses credentials of its own to read it.
    #[must_use]
    pub fn needs_identity(&self) -> bool {
        match self {
            Self::Source(channel) => channel.needs_identity,
            Self::Virtual(channel) => channel.needs_identity,
        }
    }

    /// Whether any of it is hosted here.
    #[must_use]
    pub fn has_hosted(&self) -> bool {
        match self {
            Self::Source(channel) => channel.hosted().is_some(),
            Self::Virtual(channel) => channel.has_hosted,
        }
    }

    /// Whether it is a hosted channel that was deleted: then nothing of it counts any more.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        matches!(self, Self::Source(channel) if channel.hosted().is_some_and(|hosted| hosted.deleted))
    }

    /// Which of its views it is; 0 for the one of callers about whom no rule says anything special.
    pub(super) fn view(&self) -> u64 {
        match self {
            Self::Source(channel) => channel.judges.view(),
            Self::Virtual(channel) => channel.view(),
        }
    }

    /// Whose rules count in it.
    #[must_use]
    pub fn audience(&self) -> AudienceSet {
        match self {
            Self::Source(channel) => channel.audience(),
            Self::Virtual(channel) => channel.audience(),
        }
    }

    /// The channel as callers in these audiences see it.
    #[must_use]
    pub fn for_audience(&self, audience: AudienceSet) -> Self {
        match self {
            Self::Source(channel) => Self::Source(channel.for_audience(audience)),
            Self::Virtual(channel) => Self::Virtual(channel.for_audience(audience)),
        }
    }

    /// The view of it whose generations are kept under `stored`, if there can be callers for it.
    #[must_use]
    pub fn view_kept_as(&self, asked: &ChannelRef, stored: &ChannelRef) -> Option<Self> {
        if self.stored_as(asked) == *stored {
            return Some(self.clone());
        }
        let (policy, audiences) = self.asked_about()?;
        let views = policy.possible(audiences).into_iter().map(|set| self.for_audience(set));
        views.into_iter().find(|view| view.stored_as(asked) == *stored)
    }

    /// The audiences of all rules about it, or about any member.
    fn asked_about(&self) -> Option<(&Arc<Policy>, AudienceSet)> {
        match self {
            Self::Source(channel) => {
                let Judges { names, policy, .. } = &channel.judges;
                Some((policy, policy.asked_about(names)))
            }
            Self::Virtual(channel) => {
                let members = channel.members.iter().filter_map(|member| member.place.asked_about());
                members.reduce(|(policy, all), (_, more)| (policy, all.or(more)))
            }
        }
    }

    /// Under which name its generations are kept.
    #[must_use]
    pub fn stored_as(&self, asked: &ChannelRef) -> ChannelRef {
        match self {
            Self::Source(channel) => channel.stored_as(asked),
            Self::Virtual(channel) => channel.stored_as(),
        }
    }
}

/// A file served by prefix, not as part of a channel.
#[derive(Clone)]
pub enum PlainFile {
    /// From an upstream.
    Upstream {
        /// The rule's prefix.
        prefix: Arc<str>,
        /// Who answers.
        upstream: Arc<Upstream>,
        /// Path below the upstream's base, percent-encoded.
        path: String,
        /// How long an answer counts as fresh.
        ttl: Duration,
        /// Whether the gate uses credentials of its own to read it.
        needs_identity: bool,
    },
    /// From a directory of this machine.
    Local {
        /// The rule's prefix.
        prefix: Arc<str>,
        /// The directory of the rule.
        dir: Arc<std::path::Path>,
        /// Decoded path below it, no leading slash; empty for the directory itself.
        rest: String,
    },
}

/// Where a request that names a foreign host goes.
#[derive(Clone)]
pub struct HostTarget {
    /// The upstream that the host stands for.
    pub upstream: Arc<Upstream>,
    /// Whether tokens in the path are passed on, uncached.
    pub pass_tokens: bool,
    /// Whether the gate uses credentials of its own there.
    pub needs_identity: bool,
}

/// One set of rules with the upstreams they name, and the hosted channels of the store.
pub struct View {
    rules: Arc<Rules>,
    upstreams: Arc<Upstreams>,
    hosted: HostedChannels,
    /// What names mean, as each worker found out for itself: channels are counted references, and all of them in one place would have
    /// the workers wait for each other at every request.
    channels: [Names; shard::COUNT],
}

/// On a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
struct Names(RwLock<AHashMap<ChannelName, Option<Place>>>);

impl View {
    /// A view of `rules`.
    #[must_use]
    pub fn new(rules: Arc<Rules>, upstreams: Arc<Upstreams>, hosted: HostedChannels) -> Self {
        Self { rules, upstreams, hosted, channels: Default::default() }
    }

    /// The hosted channels of the store.
    pub(super) const fn stored_channels(&self) -> &HostedChannels {
        &self.hosted
    }

    pub(super) fn all_rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules)
    }

    /// Every name that a rule or the store gives a channel.
    pub fn names(&self) -> impl Iterator<Item = &ChannelName> {
        let named = self.rules.channels().iter().filter_map(|rule| match &rule.pattern {
            Pattern::Exact(name) => Some(name),
            Pattern::Glob(_) | Pattern::Any => None,
        });
        named.chain(self.hosted.names())
    }

    /// Whether the name is that of a channel that this gate hosts, or hosted once.
    #[must_use]
    pub fn is_hosted(&self, name: &ChannelName) -> bool {
        self.channel(name).is_some_and(|channel| channel.hosted().is_some())
    }

    /// The pattern of another hosted channel's own names that a package's name looks like without being one; `None` also where the channel
    /// itself owns the name.
    #[must_use]
    pub fn looks_owned(&self, channel: &ChannelName, package: &str) -> Option<String> {
        let is_this = |name: &ChannelName| name.as_str().eq_ignore_ascii_case(channel.as_str());
        if self.channel(channel)?.hosted().is_some_and(|hosted| hosted.owns.contains(package)) {
            return None;
        }
        self.names().filter(|name| !is_this(name)).find_map(|name| {
            let other = self.channel(name)?;
            other.hosted()?.owns.like(package).map(str::to_owned)
        })
    }

    /// Whether nobody can tell before the store was read what the name means: it may be hosted, and then no upstream answers for it.
    #[must_use]
    pub fn waits_for_store(&self, name: &ChannelName) -> bool {
        let rule = self.rules.channel(name);
        match rule.as_deref() {
            Some(ChannelRule { pattern: Pattern::Exact(_), source, .. }) => match source {
                ChannelSource::Virtual(made_of) => {
                    made_of.members.iter().any(|member| self.waits_for_store(&member.name))
                }
                ChannelSource::Hosted(_) | ChannelSource::Proxied { .. } => false,
            },
            _ => self.hosted.is_unknown(),
        }
    }

    /// The rules behind this view.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The channel with records of its own that `name` means; `None` when nothing places it or it is made of others.
    #[must_use]
    pub fn channel(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        match self.place(name)? {
            Place::Source(channel) => Some(channel),
            Place::Virtual(_) => None,
        }
    }

    /// What `name` means; `None` when no rule matches it.
    #[must_use]
    pub fn place(&self, name: &ChannelName) -> Option<Place> {
        let names = &self.channels[shard::mine()].0;
        if let Some(known) = names.read().get(name) {
            return known.clone();
        }
        let found = self.resolve(name);
        let mut channels = names.write();
        if channels.len() >= REMEMBERED_CHANNELS {
            channels.clear();
        }
        channels.insert(name.clone(), found.clone());
        found
    }

    fn resolve(&self, name: &ChannelName) -> Option<Place> {
        let rule = self.rules.channel(name);
        if !rule.as_ref().is_some_and(|rule| matches!(rule.pattern, Pattern::Exact(_))) {
            match self.hosted.find(name) {
                Named::Hosted(stored) => {
                    return self.hosted_channel(stored.hosted(), None).map(Place::Source);
                }
                Named::Unknown => return None,
                Named::NotHosted => {}
            }
        }
        let rule = rule?;
        let (source, path) = match &rule.source {
            ChannelSource::Proxied { upstream, path } => (upstream, path),
            ChannelSource::Virtual(made_of) => {
                return self.resolve_virtual(name, &rule, made_of).map(Arc::new).map(Place::Virtual);
            }
            ChannelSource::Hosted(hosted) => {
                let hosted = self.hosted_by_rule(name, &rule, hosted);
                return self.hosted_channel(hosted, rule.bandwidth).map(Place::Source);
            }
        };
        let upstream = self.upstreams.get(&source.name)?;
        let path: Arc<str> = path.as_deref().unwrap_or(name.as_str()).into();
        let identity = ChannelName::parse(&format!("{}/{path}", source.name))?;
        let judges = self.judges(&source.name, &path);
        Some(Place::Source(Arc::new(Channel {
            origin: Origin::Remote(Remote { upstream, path }),
            kept: audience::kept_as(&identity, judges.view()),
            identity,
            ttl: rule.ttl,
            notices: self.rules.notices_for(name.as_str()).into(),
            unlisted: rule.unlisted,
            whole_index: rule.whole_index,
            bandwidth: rule.bandwidth,
            needs_identity: source.credentials.is_some(),
            has_closed_name: self.has_closed_name(&judges.names),
            label: name.as_str().into(),
            series: OnceLock::new(),
            judges,
        })))
    }

    /// A channel that a rule says is hosted. What the store says beside that: its row, whether it is public or deleted.
    fn hosted_by_rule(&self, name: &ChannelName, rule: &ChannelRule, hosted: &HostedRule) -> Hosted {
        let name = if let Pattern::Exact(exact) = &rule.pattern { exact } else { name };
        let bare = |row| Hosted {
            name: name.clone(),
            row,
            deleted: false,
            private: true,
            owns: hosted.owns.clone(),
        };
        match self.hosted.find(name) {
            // The rule's word on what it owns is the last.
            Named::Hosted(stored) if hosted.owns.is_empty() => stored.hosted(),
            Named::Hosted(stored) => Hosted { owns: hosted.owns.clone(), ..stored.hosted() },
            Named::NotHosted => bare(HostedRow::Absent),
            Named::Unknown => bare(HostedRow::Unknown),
        }
    }

    fn hosted_channel(&self, hosted: Hosted, bandwidth: Option<u64>) -> Option<Arc<Channel>> {
        let identity = hosted.identity()?;
        let names = SourceNames::new([hosted.name.as_str()]);
        let judges = self.judges_of(names);
        Some(Arc::new(Channel {
            kept: audience::kept_as(&identity, judges.view()),
            identity,
            ttl: crate::policy::DEFAULT_TTL,
            notices: self.rules.notices_for(hosted.name.as_str()).into(),
            unlisted: Unlisted::Deny,
            whole_index: WholeIndex::Auto,
            bandwidth,
            needs_identity: false,
            has_closed_name: self.has_closed_name(&judges.names),
            label: hosted.name.as_str().into(),
            series: OnceLock::new(),
            origin: Origin::Hosted(hosted),
            judges,
        }))
    }

    /// The rules have been checked for circles, so this ends.
    fn resolve_virtual(
        &self,
        name: &ChannelName,
        rule: &ChannelRule,
        made_of: &Arc<VirtualRule>,
    ) -> Option<VirtualChannel> {
        let members = made_of.members.iter().map(|asked| {
            let place = self.place(&asked.name).or_else(|| self.not_made_yet(&asked.name))?;
            Some(Member { asked: asked.clone(), place })
        });
        let members = members.collect::<Option<Vec<_>>>()?;
        let notices = self.rules.notices_for(name.as_str()).into();
        let claims = hosted::claims(members.iter().map(|member| &member.place));
        let made_of = if claims.is_empty() {
            Arc::clone(made_of)
        } else {
            Arc::new(VirtualRule { claims, ..VirtualRule::clone(made_of) })
        };
        VirtualChannel::new(name, rule, made_of, members, notices)
    }

    /// A member that no rule places, and that the store has not got: a hosted channel in which there is nothing.
    fn not_made_yet(&self, name: &ChannelName) -> Option<Place> {
        if self.rules.channel(name).is_some() || !matches!(self.hosted.find(name), Named::NotHosted) {
            return None;
        }
        let (row, owns) = (HostedRow::Absent, NameGlobs::default());
        let hosted = Hosted { name: name.clone(), row, deleted: false, private: false, owns };
        self.hosted_channel(hosted, None).map(Place::Source)
    }

    /// The channel that `name` means on the upstream `host` stands for. Where the rules send this name to that same
    /// upstream anyway, it is the same channel with the same settings; otherwise it has the defaults.
    #[must_use]
    pub fn channel_on(&self, host: &HostTarget, name: &ChannelName) -> Option<Arc<Channel>> {
        let is_there = |channel: &Arc<Channel>| {
            channel.remote().is_some_and(|remote| {
                remote.upstream.name() == host.upstream.name() && *remote.path == *name.as_str()
            })
        };
        if let Some(channel) = self.channel(name).filter(is_there) {
            return Some(channel);
        }
        let identity = ChannelName::parse(&format!("{}/{name}", host.upstream.name()))?;
        let judges = self.judges(host.upstream.name(), name.as_str());
        let kept = audience::kept_as(&identity, judges.view());
        let remote = Remote { upstream: Arc::clone(&host.upstream), path: name.as_str().into() };
        Some(Arc::new(Channel {
            origin: Origin::Remote(remote),
            ttl: crate::policy::DEFAULT_TTL,
            notices: self.rules.notices_for(name.as_str()).into(),
            unlisted: Unlisted::Auto,
            whole_index: WholeIndex::Auto,
            bandwidth: None,
            needs_identity: host.needs_identity,
            has_closed_name: self.has_closed_name(&judges.names),
            label: name.as_str().into(),
            series: OnceLock::new(),
            judges,
            kept,
            identity,
        }))
    }

    /// A channel is judged under its name at the upstream and under every name that a rule gives it: all of them share its
    /// generations, and a rule about one of them must not be got round by another.
    fn judges(&self, upstream: &str, path: &str) -> Judges {
        let own_name = |rule: &'_ Arc<ChannelRule>| match (&rule.pattern, &rule.source) {
            (Pattern::Exact(name), ChannelSource::Proxied { upstream: there, path: other }) => {
                // Most channel servers take any case: what another spelling leads to is the same channel.
                let same = there.name == upstream
                    && other.as_deref().unwrap_or(name.as_str()).eq_ignore_ascii_case(path);
                same.then(|| name.as_str().to_owned())
            }
            _ => None,
        };
        let aliases: Vec<String> = self.rules.channels().iter().filter_map(own_name).collect();
        self.judges_of(SourceNames::new(aliases.iter().map(String::as_str).chain([path])))
    }

    fn judges_of(&self, names: SourceNames) -> Judges {
        let policy = Arc::clone(self.rules.policy());
        let audience = policy.audience_of(&Caller::ANONYMOUS);
        Judges { names, policy, audience }
    }

    fn has_closed_name(&self, names: &SourceNames) -> bool {
        names.iter().any(|name| self.rules.access().is_closed(name))
    }

    /// The file that `path` (decoded, with its leading slash) means; `None` when no prefix matches.
    #[must_use]
    pub fn plain_file(&self, path: &str) -> Option<PlainFile> {
        let route = self.rules.file(path)?;
        let prefix = Arc::from(route.rule.prefix.as_str());
        match &route.rule.source {
            FileSource::Dir { dir, .. } => {
                Some(PlainFile::Local { prefix, dir: Arc::clone(dir), rest: route.rest })
            }
            FileSource::Upstream { upstream, path: base } => Some(PlainFile::Upstream {
                prefix,
                upstream: self.upstreams.get(&upstream.name)?,
                path: crate::upstream::encode_path(&format!("{base}{}", route.rest)),
                ttl: route.rule.ttl,
                needs_identity: upstream.credentials.is_some(),
            }),
        }
    }

    /// The file that `path` means on the upstream `host` stands for: where a prefix rule leads to that upstream under the same path.
    #[must_use]
    pub fn plain_file_on(&self, host: &HostTarget, path: &str) -> Option<PlainFile> {
        self.plain_file(path).filter(|file| {
            matches!(file, PlainFile::Upstream { upstream, path: there, .. }
                if upstream.name() == host.upstream.name() && crate::upstream::encode_path(path.trim_start_matches('/')) == *there)
        })
    }

    /// What `host` (lower case, no port) stands for in the `hosts:` table.
    #[must_use]
    pub fn host(&self, host: &str) -> Option<HostTarget> {
        let route = self.rules.upstream_for_host(host)?;
        Some(HostTarget {
            upstream: self.upstreams.get(&route.name)?,
            pass_tokens: route.pass_foreign_tokens,
            needs_identity: route.credentials.is_some(),
        })
    }

    /// The upstream that has `url` below one of its mirrors, and the path below that mirror, percent-encoded, with its leading slash.
    /// The scheme does not count: lock files name either.
    #[must_use]
    pub fn mirrored(&self, url: &url::Url) -> Option<(HostTarget, String)> {
        let below = |mirror: &url::Url| {
            let same = mirror.host_str() == url.host_str() && mirror.port() == url.port();
            let rest = url.path().strip_prefix(mirror.path().trim_end_matches('/'))?;
            (same && rest.starts_with('/')).then(|| rest.to_owned())
        };
        self.rules.upstreams().iter().find_map(|rule| {
            let rest = rule.urls.iter().find_map(|mirror| below(mirror.reveal()))?;
            let target = HostTarget {
                upstream: self.upstreams.get(&rule.name)?,
                pass_tokens: rule.pass_foreign_tokens,
                needs_identity: rule.credentials.is_some(),
            };
            Some((target, rest))
        })
    }
}
