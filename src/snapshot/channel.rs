//! A channel with records of its own: who has them, and who judges them.
//!
//! Belongs here: what a request needs to know of it. Does not: what a name means ([`super::view`]), channels that are made of others
//! ([`super::virtual_channel`]).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::audience;
use super::hosted::Hosted;
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::conda::subdir::Subdir;
use crate::policy::judge::audience::AudienceSet;
use crate::policy::verdict::Judge;
use crate::policy::{Notice, Policy, SourceNames, Unlisted, WholeIndex};
use crate::telemetry::metrics::ChannelSeries;
use crate::upstream::Upstream;

/// The label of what is there without one.
const MAIN: &str = "main";

/// Who has the records and files of a channel.
#[derive(Clone)]
pub enum Origin {
    /// An upstream.
    Remote(Remote),
    /// This gate.
    Hosted(Hosted),
}

/// A channel of an upstream.
#[derive(Clone)]
pub struct Remote {
    /// Who answers.
    pub upstream: Arc<Upstream>,
    /// The channel's name there, label excluded: `conda-forge`, `pkgs/main`.
    pub path: Arc<str>,
}

impl Remote {
    /// The path of a file of this channel below the upstream's base, percent-encoded.
    #[must_use]
    pub fn path_of(&self, asked: &ChannelRef, rest: &str) -> String {
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
    pub fn path_of_raw(&self, asked: &ChannelRef, encoded: &str) -> String {
        let mut path = self.path_of(asked, "");
        path.push_str(encoded);
        path
    }
}

/// A channel with records of its own, as the rules place it: who has them, under which name, and how.
#[derive(Clone)]
pub struct Channel {
    /// Who answers.
    pub origin: Origin,
    /// How long an index answer counts as fresh.
    pub ttl: Duration,
    /// What the gate has to tell its users, expired notices too.
    pub notices: Arc<[Arc<Notice>]>,
    /// What happens to files that the index does not list.
    pub unlisted: Unlisted,
    /// Whether a whole index is made where upstream has shards only.
    pub whole_index: WholeIndex,
    /// Bytes a second that everybody who downloads from it under this name gets together.
    pub bandwidth: Option<u64>,
    /// Whether the gate uses credentials of its own to read it.
    pub needs_identity: bool,
    /// Whether access rules are about any of its names: then it is not for everybody under another one either.
    pub has_closed_name: bool,
    /// The name metrics and logs use.
    pub label: Arc<str>,
    /// What its requests report into, from the first answer on.
    pub series: OnceLock<Arc<ChannelSeries>>,
    /// The names it is judged under, by what, and for whom.
    pub(super) judges: Judges,
    /// `<upstream>/<name there>`
    pub(super) identity: ChannelName,
    /// Under which name the indexes are kept that its audience sees.
    pub(super) kept: ChannelName,
}

/// Who judges the records of a channel.
#[derive(Clone)]
pub(super) struct Judges {
    pub(super) names: SourceNames,
    pub(super) policy: Arc<Policy>,
    /// Whose rules count: those of strangers, unless [`Channel::for_audience`] was asked.
    pub(super) audience: AudienceSet,
}

impl Judges {
    pub(super) fn view(&self) -> u64 {
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
        ChannelRef { name: self.kept.clone(), label: self.label_of(asked) }
    }

    /// Under which name everything is kept that comes from upstream as it is, and what is known of it: files, documents, first
    /// sightings. The same for all callers.
    #[must_use]
    pub fn fetched_as(&self, asked: &ChannelRef) -> ChannelRef {
        ChannelRef { name: self.identity.clone(), label: self.label_of(asked) }
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

    /// Where an upstream has it; `None` for one that this gate hosts.
    #[must_use]
    pub const fn remote(&self) -> Option<&Remote> {
        match &self.origin {
            Origin::Remote(remote) => Some(remote),
            Origin::Hosted(_) => None,
        }
    }

    /// What is known of it where this gate hosts it.
    #[must_use]
    pub const fn hosted(&self) -> Option<&Hosted> {
        match &self.origin {
            Origin::Remote(_) => None,
            Origin::Hosted(hosted) => Some(hosted),
        }
    }

    /// The label that its records are asked for by; `main` of a hosted channel is what is there without one.
    fn label_of(&self, asked: &ChannelRef) -> Option<Arc<str>> {
        asked.label.clone().filter(|label| self.hosted().is_none() || &**label != MAIN)
    }
}
