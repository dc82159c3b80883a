//! What names mean under one set of rules.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ahash::AHashMap;
use parking_lot::RwLock;

use super::audience;
use super::virtual_channel::{Member, VirtualChannel};
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::conda::subdir::Subdir;
use crate::policy::access::Caller;
use crate::policy::judge::audience::AudienceSet;
use crate::policy::verdict::Judge;
use crate::policy::{
    ChannelRule, ChannelSource, FileSource, Notice, Pattern, Policy, Rules, SourceNames, Unlisted,
    VirtualRule, WholeIndex,
};
use crate::telemetry::metrics::ChannelSeries;
use crate::upstream::{Upstream, Upstreams};

/// How many channel names a view remembers; when mistyped ones fill it, it starts anew.
const REMEMBERED_CHANNELS: usize = 4096;

/// A channel as the rules place it: which upstream answers for it, under which name, and how.
#[derive(Clone)]
pub struct Channel {
    /// Who answers.
    pub upstream: Arc<Upstream>,
    /// The channel's name there, label excluded: `conda-forge`, `pkgs/main`.
    pub path: Arc<str>,
    /// How long an index answer counts as fresh.
    pub ttl: Duration,
    /// What the gate has to tell its users, expired notices too.
    pub notices: Arc<[Arc<Notice>]>,
    /// What happens to files that the index does not list.
    pub unlisted: Unlisted,
    /// Whether a whole index is made where upstream has shards only.
    pub whole_index: WholeIndex,
    /// Whether the gate uses credentials of its own to read it.
    pub needs_identity: bool,
    /// Whether access rules are about any of its names: then it is not for everybody under another one either.
    pub has_closed_name: bool,
    /// The name metrics and logs use.
    pub label: Arc<str>,
    /// What its requests report into, from the first answer on.
    pub series: OnceLock<Arc<ChannelSeries>>,
    /// The names it is judged under, by what, and for whom.
    judges: Judges,
    /// `<upstream>/<name there>`
    identity: ChannelName,
    /// Under which name the indexes are kept that its audience sees.
    kept: ChannelName,
}

/// Who judges the records of a channel.
#[derive(Clone)]
struct Judges {
    names: SourceNames,
    policy: Arc<Policy>,
    /// Whose rules count: those of strangers, unless [`Channel::for_audience`] was asked.
    audience: AudienceSet,
}

impl Judges {
    fn view(&self) -> u64 {
        self.policy.view_of(&self.names, self.audience)
    }
}

impl Channel {
    /// Who judges its records in a subdir.
    #[must_use]
    pub fn judge(&self, subdir: &Subdir) -> Arc<dyn Judge> {
        self.judges.policy.judge_of_audience(&self.judges.names, subdir.as_str(), self.judges.audience)
    }

    /// Whether there are no rules at all: then nobody needs to be asked.
    #[must_use]
    pub fn is_unruled(&self) -> bool {
        self.judges.policy.is_empty()
    }

    /// What the revision of a generation is that says what the rules say.
    #[must_use]
    pub fn rules_revision(&self, subdir: &Subdir) -> u64 {
        if self.is_unruled() { 0 } else { self.judge(subdir).revision() }
    }

    /// Whether any rule can hide records of it.
    #[must_use]
    pub fn may_be_hidden(&self) -> bool {
        self.judges.policy.may_hide(&self.judges.names)
    }

    /// The name its records are judged under.
    #[must_use]
    pub fn source(&self) -> &str {
        self.judges.names.first()
    }

    /// Under which name generations are kept: `<upstream>/<name there>`, so two names for one channel share them. Callers for whom other
    /// rules count have others, under a name of their own.
    #[must_use]
    pub fn stored_as(&self, asked: &ChannelRef) -> ChannelRef {
        ChannelRef { name: self.kept.clone(), label: asked.label.clone() }
    }

    /// Under which name everything is kept that comes from upstream as it is, and what is known of it: files, documents, first
    /// sightings. The same for all callers.
    #[must_use]
    pub fn fetched_as(&self, asked: &ChannelRef) -> ChannelRef {
        ChannelRef { name: self.identity.clone(), label: asked.label.clone() }
    }

    /// Whose rules count in it.
    #[must_use]
    pub const fn audience(&self) -> AudienceSet {
        self.judges.audience
    }

    /// Under which name the indexes are kept that everybody sees, and what the names of all others begin with.
    #[must_use]
    pub fn all_stored_as(&self, asked: &ChannelRef) -> (ChannelRef, String) {
        (self.fetched_as(asked), audience::prefix(&self.identity))
    }

    /// The channel as callers in these audiences see it.
    #[must_use]
    pub fn for_audience(self: &Arc<Self>, audience: AudienceSet) -> Arc<Self> {
        let judges = Judges { audience, ..self.judges.clone() };
        let view = judges.view();
        if view == self.judges.view() {
            return Arc::clone(self);
        }
        Arc::new(Self { kept: audience::kept_as(&self.identity, view), judges, ..Self::clone(self) })
    }

    /// The path of a file of this channel below the upstream's base, percent-encoded.
    #[must_use]
    pub fn upstream_path(&self, asked: &ChannelRef, rest: &str) -> String {
        let mut path = String::with_capacity(self.path.len() + rest.len() + 16);
        path.push_str(&self.path);
        if let Some(label) = &asked.label {
            path.push_str("/label/");
            path.push_str(label);
        }
        path.push('/');
        path.push_str(&crate::upstream::encode_path(rest));
        path
    }

    /// The same for a path that is percent-encoded already.
    #[must_use]
    pub fn upstream_path_raw(&self, asked: &ChannelRef, encoded: &str) -> String {
        let mut path = self.upstream_path(asked, "");
        path.push_str(encoded);
        path
    }
}

/// What a channel name means.
#[derive(Clone)]
pub enum Place {
    /// A channel of an upstream.
    Proxied(Arc<Channel>),
    /// A channel that is made of others.
    Virtual(Arc<VirtualChannel>),
}

impl Place {
    /// Whether the gate uses credentials of its own to read it.
    #[must_use]
    pub fn needs_identity(&self) -> bool {
        match self {
            Self::Proxied(channel) => channel.needs_identity,
            Self::Virtual(channel) => channel.needs_identity,
        }
    }

    /// Which of its views it is; 0 for the one of callers about whom no rule says anything special.
    pub(super) fn view(&self) -> u64 {
        match self {
            Self::Proxied(channel) => channel.judges.view(),
            Self::Virtual(channel) => channel.view(),
        }
    }

    /// Whose rules count in it.
    #[must_use]
    pub fn audience(&self) -> AudienceSet {
        match self {
            Self::Proxied(channel) => channel.audience(),
            Self::Virtual(channel) => channel.audience(),
        }
    }

    /// The channel as callers in these audiences see it.
    #[must_use]
    pub fn for_audience(&self, audience: AudienceSet) -> Self {
        match self {
            Self::Proxied(channel) => Self::Proxied(channel.for_audience(audience)),
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
            Self::Proxied(channel) => {
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
            Self::Proxied(channel) => channel.stored_as(asked),
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

/// One set of rules with the upstreams they name.
pub struct View {
    rules: Arc<Rules>,
    upstreams: Arc<Upstreams>,
    channels: RwLock<AHashMap<ChannelName, Option<Place>>>,
}

impl View {
    /// A view of `rules`.
    #[must_use]
    pub fn new(rules: Arc<Rules>, upstreams: Arc<Upstreams>) -> Self {
        Self { rules, upstreams, channels: RwLock::default() }
    }

    /// The rules behind this view.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The channel of an upstream that `name` means; `None` when no rule matches it or it is made of others.
    #[must_use]
    pub fn channel(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        match self.place(name)? {
            Place::Proxied(channel) => Some(channel),
            Place::Virtual(_) => None,
        }
    }

    /// What `name` means; `None` when no rule matches it.
    #[must_use]
    pub fn place(&self, name: &ChannelName) -> Option<Place> {
        if let Some(known) = self.channels.read().get(name) {
            return known.clone();
        }
        let found = self.resolve(name);
        let mut channels = self.channels.write();
        if channels.len() >= REMEMBERED_CHANNELS {
            channels.clear();
        }
        channels.insert(name.clone(), found.clone());
        found
    }

    fn resolve(&self, name: &ChannelName) -> Option<Place> {
        let rule = self.rules.channel(name)?;
        let (source, path) = match &rule.source {
            ChannelSource::Proxied { upstream, path } => (upstream, path),
            ChannelSource::Virtual(made_of) => {
                return self.resolve_virtual(name, &rule, made_of).map(Arc::new).map(Place::Virtual);
            }
        };
        let upstream = self.upstreams.get(&source.name)?;
        let path: Arc<str> = path.as_deref().unwrap_or(name.as_str()).into();
        let identity = ChannelName::parse(&format!("{}/{path}", source.name))?;
        let judges = self.judges(&source.name, &path);
        Some(Place::Proxied(Arc::new(Channel {
            upstream,
            kept: audience::kept_as(&identity, judges.view()),
            identity,
            ttl: rule.ttl,
            notices: self.rules.notices_for(name.as_str()).into(),
            unlisted: rule.unlisted,
            whole_index: rule.whole_index,
            needs_identity: source.credentials.is_some(),
            has_closed_name: self.has_closed_name(&judges.names),
            label: name.as_str().into(),
            series: OnceLock::new(),
            path,
            judges,
        })))
    }

    /// The rules have been checked for circles, so this ends.
    fn resolve_virtual(
        &self,
        name: &ChannelName,
        rule: &ChannelRule,
        made_of: &Arc<VirtualRule>,
    ) -> Option<VirtualChannel> {
        let members = made_of.members.iter().map(|asked| {
            let place = self.place(&asked.name)?;
            Some(Member { asked: asked.clone(), place })
        });
        let members = members.collect::<Option<Vec<_>>>()?;
        let notices = self.rules.notices_for(name.as_str()).into();
        VirtualChannel::new(name, rule, Arc::clone(made_of), members, notices)
    }

    /// The channel that `name` means on the upstream `host` stands for. Where the rules send this name to that same
    /// upstream anyway, it is the same channel with the same settings; otherwise it has the defaults.
    #[must_use]
    pub fn channel_on(&self, host: &HostTarget, name: &ChannelName) -> Option<Arc<Channel>> {
        if let Some(channel) = self
            .channel(name)
            .filter(|c| c.upstream.name() == host.upstream.name() && *c.path == *name.as_str())
        {
            return Some(channel);
        }
        let identity = ChannelName::parse(&format!("{}/{name}", host.upstream.name()))?;
        let judges = self.judges(host.upstream.name(), name.as_str());
        let kept = audience::kept_as(&identity, judges.view());
        Some(Arc::new(Channel {
            upstream: Arc::clone(&host.upstream),
            path: name.as_str().into(),
            ttl: crate::policy::DEFAULT_TTL,
            notices: self.rules.notices_for(name.as_str()).into(),
            unlisted: Unlisted::Auto,
            whole_index: WholeIndex::Auto,
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
        let names = SourceNames::new(aliases.iter().map(String::as_str).chain([path]));
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
