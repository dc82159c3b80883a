//! Rules ready for use: immutable values that other rooms hold in `Arc`s.
//!
//! Belongs here: the types, their defaults, small questions about one of them. Does not: how they come to be
//! ([`mod@super::compile`]), finding the right one ([`super::matching`]).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use globset::GlobMatcher;

use super::access::Access;
use super::hosted::HostedRule;
use super::judge::Policy;
use super::mistake::Mistake;
use super::notices::{self, Notice, NoticeRule};
use super::virtual_rule::VirtualRule;
use crate::conda::channel::ChannelName;
use crate::secret::{SafeUrl, Secret};

/// How long an index or file counts as fresh where no rule says so.
pub const DEFAULT_TTL: Duration = Duration::from_mins(20);

/// A place the gate fetches from: one or more mirrors with the same content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpstreamRule {
    /// Its key under `upstreams:`; a single path component that is safe in file names.
    pub name: String,
    /// The mirrors, best first: http or https, no credentials, no query, path ends with `/`. Never empty.
    pub urls: Vec<SafeUrl>,
    /// Host names that mean this upstream in a `Host` header or an absolute-form request: lower case, no port.
    pub hosts: Vec<String>,
    /// What the gate shows it.
    pub credentials: Option<Credentials>,
    /// At most this many requests to it at once, from 1.
    pub max_concurrent: usize,
    /// For a connection, TLS included.
    pub connect_timeout: Duration,
    /// From the request sent to the first byte of the answer.
    pub first_byte_timeout: Duration,
    /// Between two pieces of a body.
    pub stall_timeout: Duration,
    /// How often a failed request is tried again, over all mirrors together.
    pub retries: u32,
    /// The proxy to go through instead of the one of the configuration or environment.
    pub proxy: Option<SafeUrl>,
    /// Certificates (PEM) trusted beside the usual ones.
    pub ca_file: Option<PathBuf>,
    /// Addresses to use instead of asking DNS: host name, address; port 0 means the URL's own.
    pub resolve: Vec<(String, SocketAddr)>,
    /// Whether a token that a transparent caller carries in the path is passed on, uncached, instead of taken out.
    pub pass_foreign_tokens: bool,
}

impl UpstreamRule {
    /// Whether the gate reads it with credentials of its own: then it is not for anonymous callers off loopback.
    #[must_use]
    pub const fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// Who may read what comes from it.
    #[must_use]
    pub const fn anonymous(&self) -> Anonymous {
        if self.has_credentials() { Anonymous::Loopback } else { Anonymous::Anywhere }
    }
}

/// What the gate shows an upstream; read from a file or variable, prints as `***`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Credentials {
    /// `/t/<token>/` at the start of the path; one path segment.
    TokenPath(Secret<String>),
    /// `Authorization: Basic`.
    Basic {
        /// The user name; no colon.
        user: String,
        /// The password.
        password: Secret<String>,
    },
    /// `Authorization: Bearer`; visible ASCII.
    Bearer(Secret<String>),
}

/// Where a caller without an identity may stand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Anonymous {
    /// Anywhere.
    Anywhere,
    /// Only on this machine.
    Loopback,
    /// Nowhere, unless the channel was made public: it is hosted.
    Nowhere,
}

/// What happens to a package that the channel's index does not list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Unlisted {
    /// It is served.
    Allow,
    /// It is refused.
    Deny,
    /// It is served unless a rule needs metadata that nobody has.
    #[default]
    Auto,
}

/// Whether clients get `repodata.json` of an upstream that has shards only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WholeIndex {
    /// It is made of the shards.
    #[default]
    Auto,
    /// There is none: 404, so that nobody downloads gigabytes without need.
    Never,
}

/// Where the channels that match one pattern come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelRule {
    /// The pattern, as a person would quote it: `conda-forge`, `pkgs/*`.
    pub id: String,
    /// Which channels it means.
    pub pattern: Pattern,
    /// Who answers.
    pub source: ChannelSource,
    /// How long an index answer counts as fresh; never zero.
    pub ttl: Duration,
    /// What happens to packages that the index does not list.
    pub unlisted: Unlisted,
    /// Whether a whole index is made where upstream has shards only.
    pub whole_index: WholeIndex,
    /// Bytes a second that everybody who downloads from one of these channels gets together; never zero.
    pub bandwidth: Option<u64>,
    /// Who may read it without an identity.
    pub anonymous: Anonymous,
}

impl ChannelRule {
    /// The upstream it comes from; `None` for a channel that is hosted or made of others.
    #[must_use]
    pub const fn upstream(&self) -> Option<&Arc<UpstreamRule>> {
        match &self.source {
            ChannelSource::Proxied { upstream, .. } => Some(upstream),
            ChannelSource::Virtual(_) | ChannelSource::Hosted(_) => None,
        }
    }
}

/// Who answers for a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChannelSource {
    /// An upstream.
    Proxied {
        /// Which.
        upstream: Arc<UpstreamRule>,
        /// The channel's name there, where it differs; only exact names have one.
        path: Option<String>,
    },
    /// Other channels, merged into one.
    Virtual(Arc<VirtualRule>),
    /// This gate.
    Hosted(Arc<HostedRule>),
}

/// Which channels a rule means. An exact name beats a glob, a glob beats "any".
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pattern {
    /// This one.
    Exact(ChannelName),
    /// A glob: `*` and `?` stay within one component, `**` crosses `/`, `[…]` and `{…}` as in shells.
    Glob(String),
    /// `*`: every channel, however many components its name has.
    Any,
}

/// Where files below one prefix come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileRule {
    /// `miniconda/`: no leading slash, one trailing slash.
    pub prefix: String,
    /// Who has them.
    pub source: FileSource,
    /// How long an answer counts as fresh; never zero. Without meaning for a directory.
    pub ttl: Duration,
    /// Who may read them without an identity.
    pub anonymous: Anonymous,
}

/// Who has the files of a prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileSource {
    /// An upstream.
    Upstream {
        /// Which.
        upstream: Arc<UpstreamRule>,
        /// What stands there in the place of the prefix: no leading slash; ends with `/` unless empty.
        path: String,
    },
    /// A directory of this machine.
    Dir {
        /// Which.
        dir: Arc<Path>,
        /// Whether asking for a directory answers with a page that lists it.
        listing: bool,
    },
}

/// A path and the prefix that it stands under.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileRoute {
    /// The rule.
    pub rule: Arc<FileRule>,
    /// The path behind the prefix: decoded, no leading slash; empty for the prefix itself.
    pub rest: String,
}

/// What a host name of the `hosts:` table means.
pub type HostRoute = Arc<UpstreamRule>;

/// One set of rules, compiled. Equal sets compare equal, secrets included.
#[derive(Clone, Debug)]
pub struct Rules {
    pub(super) revision: u64,
    pub(super) upstreams: Vec<Arc<UpstreamRule>>,
    pub(super) channels: Vec<Arc<ChannelRule>>,
    pub(super) files: Vec<Arc<FileRule>>,
    pub(super) hosts: Vec<(String, HostRoute)>,
    pub(super) access: Arc<Access>,
    pub(super) policy: Arc<Policy>,
    pub(super) notices: Vec<NoticeRule>,
    pub(super) notes: Vec<Mistake>,
    pub(super) exact: HashMap<ChannelName, Arc<ChannelRule>>,
    pub(super) globs: Vec<(GlobMatcher, Arc<ChannelRule>)>,
    pub(super) any: Option<Arc<ChannelRule>>,
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        // The lookup tables are made from these.
        self.upstreams == other.upstreams
            && self.channels == other.channels
            && self.files == other.files
            && self.hosts == other.hosts
            && self.access == other.access
            && self.policy == other.policy
            && self.notices == other.notices
    }
}

impl Eq for Rules {}

impl Rules {
    /// A number made from the content: equal rules have equal revisions, also in another process of the same version.
    ///
    /// Secrets have no part in it, so it may be shown and a rotated token changes nothing that was built under it.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// Every upstream, by name.
    #[must_use]
    pub fn upstreams(&self) -> &[Arc<UpstreamRule>] {
        &self.upstreams
    }

    /// Every channel rule: built-in ones first, then in the order written.
    #[must_use]
    pub fn channels(&self) -> &[Arc<ChannelRule>] {
        &self.channels
    }

    /// Every file rule, longest prefix first.
    #[must_use]
    pub fn files(&self) -> &[Arc<FileRule>] {
        &self.files
    }

    /// The `hosts:` table, by host.
    #[must_use]
    pub fn hosts(&self) -> &[(String, HostRoute)] {
        &self.hosts
    }

    /// Who may do what.
    #[must_use]
    pub const fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// What may be seen and fetched, and why not.
    #[must_use]
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// What the gate has to tell the users of a source channel (label excluded), in the order written; expired ones too
    /// ([`Notice::is_current`]).
    #[must_use]
    pub fn notices_for(&self, channel: &str) -> Vec<Arc<Notice>> {
        notices::for_channel(&self.notices, channel)
    }

    /// What may be meant and may be a mistake, for `check` and the log.
    pub fn notes(&self) -> impl Iterator<Item = &Mistake> {
        self.notes.iter().chain(self.policy.notes())
    }

    /// How many notices there are, for all channels.
    #[must_use]
    pub const fn notice_count(&self) -> usize {
        self.notices.len()
    }

    /// Whether any upstream is read with credentials of the gate's own.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        self.upstreams.iter().any(|u| u.has_credentials())
    }
}
