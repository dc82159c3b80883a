//! What the engine needs to know about an upstream, independent of how rules are written.
//!
//! Belongs here: the settings values, their defaults and the mistakes they can contain. Does not: YAML,
//! files and variables (`config`, `policy`); reading secrets (they arrive already read).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::secret::{SafeUrl, Secret};

/// One upstream: a set of mirrors that carry the same content, and how to treat them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// The name rules refer to; unique within a registry.
    pub name: String,
    /// Base URLs of the mirrors, first choice first. User info in one becomes its Basic credential.
    pub urls: Vec<SafeUrl>,
    /// Sent to every mirror of this set, and to no other origin.
    pub credentials: Option<Credential>,
    /// Requests (their bodies included) that may run at once over all mirrors; at least 1.
    pub max_concurrent: usize,
    /// How long a request may wait for one of the `max_concurrent` places.
    pub queue_timeout: Duration,
    /// Name lookup, TCP and TLS together.
    pub connect_timeout: Duration,
    /// From the request being sent to the answer's headers.
    pub first_byte_timeout: Duration,
    /// The longest silence between two pieces of a body while somebody waits for one.
    pub stall_timeout: Duration,
    /// Redirects followed for one request; 0 refuses them.
    pub max_redirects: usize,
    /// When and how often a failed request is sent again.
    pub retry: RetrySettings,
    /// When a failing mirror is left alone, and for how long.
    pub health: HealthSettings,
    /// Whose "not here" counts.
    pub missing: Missing,
    /// The largest index body, after decoding, in bytes.
    pub max_index_bytes: u64,
    /// The largest body of anything else, after decoding, in bytes.
    pub max_file_bytes: u64,
    /// Overrides [`Egress::proxy`].
    pub proxy: Option<ProxyChoice>,
    /// PEM file with further roots, in addition to the usual ones and those of [`Egress::ca_file`].
    pub ca_file: Option<PathBuf>,
    /// Addresses to use instead of asking DNS. Port 0 means the scheme's usual one; a port in the URL wins.
    pub resolve: Vec<(String, SocketAddr)>,
}

impl UpstreamSettings {
    /// An upstream with these mirrors and the default for everything else.
    #[must_use]
    pub fn new(name: impl Into<String>, urls: Vec<SafeUrl>) -> Self {
        Self { name: name.into(), urls, ..Self::default() }
    }
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            urls: Vec::new(),
            credentials: None,
            max_concurrent: 32,
            queue_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            max_redirects: 5,
            retry: RetrySettings::default(),
            health: HealthSettings::default(),
            missing: Missing::default(),
            // conda-forge's largest repodata.json is 0.4 GB; the largest known package 1.65 GB.
            max_index_bytes: 8 << 30,
            max_file_bytes: 64 << 30,
            proxy: None,
            ca_file: None,
            resolve: Vec::new(),
        }
    }
}

/// What shows a mirror who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `/t/<token>/` right after the mirror's host (anaconda.org, quetz).
    TokenPath(Secret<String>),
    /// `Authorization: Basic`.
    Basic {
        /// The user name.
        user: String,
        /// The password, may be empty.
        password: Secret<String>,
    },
    /// `Authorization: Bearer`.
    Bearer(Secret<String>),
}

/// Retries: another request for the same thing to a mirror that was already asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySettings {
    /// Rounds over the mirror set beyond the first one.
    pub rounds: u32,
    /// Wait before the first retry; doubles with each round, with up to half of it added by chance.
    pub base_delay: Duration,
    /// The longest wait between rounds.
    pub max_delay: Duration,
    /// Retries earned by each request, in percent (20: one retry for five requests).
    pub budget_percent: u32,
    /// Retries in hand at the start, and the most that can be saved up.
    pub budget_burst: u32,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            rounds: 2,
            base_delay: Duration::from_millis(200),
            max_delay: Duration::from_secs(3),
            budget_percent: 20,
            budget_burst: 20,
        }
    }
}

/// The circuit of each mirror, and how long a mirror rests that asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    /// Failures in a row that open the circuit; at least 1.
    pub threshold: u32,
    /// How long the circuit stays open the first time; doubles with each failed probe.
    pub base_open: Duration,
    /// The longest the circuit stays open.
    pub max_open: Duration,
    /// The rest after a 429 without Retry-After.
    pub default_rest: Duration,
    /// A Retry-After beyond this is cut to it.
    pub max_rest: Duration,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            threshold: 3,
            base_open: Duration::from_secs(2),
            max_open: Duration::from_mins(1),
            default_rest: Duration::from_secs(15),
            max_rest: Duration::from_mins(10),
        }
    }
}

/// Whose 401, 403, 404 and 410 is an answer.
///
/// A mirror further down the list may lag behind. What it lacks may exist, and a client that is told 404 may
/// remember it for good (rattler does for shard indexes), so it is better to say "unavailable" than "missing".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// What the first mirror lacks is looked for on the others; if none has it, or they can't be asked, the first mirror's word
    /// counts. A refusal of a later one counts as "unavailable" while the first could not be asked.
    #[default]
    FirstUnlessFound,
    /// The first mirror decides; a refusal of a later one counts as "unavailable" while an earlier one failed.
    PrimaryDecides,
    /// Whoever is asked decides: for sets of equal mirrors.
    AnyDecides,
    /// Missing means that every mirror says so: for sets whose mirrors carry different things.
    AllDecide,
}

/// How requests leave this machine, for all upstreams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    /// The egress proxy, if any.
    pub proxy: ProxyChoice,
    /// PEM file with further roots for every upstream.
    pub ca_file: Option<PathBuf>,
    /// The `User-Agent`.
    pub user_agent: String,
    /// This gate's name in `Via`; must be unlike that of any gate it fetches from.
    pub via_pseudonym: String,
}

impl Egress {
    /// The defaults, under this name in `Via`.
    #[must_use]
    pub fn new(via_pseudonym: impl Into<String>) -> Self {
        Self {
            proxy: ProxyChoice::FromEnvironment,
            ca_file: None,
            user_agent: concat!("condagate/", env!("CARGO_PKG_VERSION")).to_owned(),
            via_pseudonym: via_pseudonym.into(),
        }
    }
}

/// Where requests to upstreams are sent through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxyChoice {
    /// What `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` say (lower case before upper case).
    #[default]
    FromEnvironment,
    /// Straight to the upstream, whatever the environment says.
    Direct,
    /// Through this one: `http`, `https`, `socks4`, `socks4a`, `socks5` or `socks5h`, user info allowed.
    Url(SafeUrl),
}

/// A mistake in the settings, as a sentence that names the upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Two upstreams have one name.
    #[error("upstream '{0}' is defined twice; give one of them another name")]
    Duplicate(String),
    /// No mirror.
    #[error("upstream '{0}' has no URL; add at least one to `urls`")]
    NoUrl(String),
    /// A mirror URL that can't be a base.
    #[error("upstream '{name}': {url} can't be used as a mirror: {why}")]
    BadUrl {
        /// The upstream.
        name: String,
        /// The mirror, printable.
        url: String,
        /// The reason and the way out.
        why: &'static str,
    },
    /// A credential that can't be put into a request.
    #[error(
        "upstream '{name}': its {what} has characters that can't be sent in a header or path; check the file or variable it comes from"
    )]
    BadCredential {
        /// The upstream.
        name: String,
        /// Which part.
        what: &'static str,
    },
    /// A number out of range.
    #[error("upstream '{name}': `{setting}` must be at least 1")]
    Zero {
        /// The upstream.
        name: String,
        /// The setting.
        setting: &'static str,
    },
    /// The proxy can't be used.
    #[error("the proxy from {origin} can't be used: {why}")]
    BadProxy {
        /// The variable or setting.
        origin: String,
        /// The reason.
        why: &'static str,
    },
    /// The extra roots can't be read.
    #[error("the CA file {path} can't be used: {why}; it must hold PEM certificates", path = path.display())]
    BadCaFile {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// The name in `Via` or the user agent isn't allowed there.
    #[error("{what} may only have letters, digits and `-._` (user agent: visible ASCII)")]
    BadName {
        /// Which one.
        what: &'static str,
    },
    /// The HTTP client could not be made.
    #[error("upstream '{name}': the HTTP client can't be made: {why}")]
    Client {
        /// The upstream.
        name: String,
        /// The reason.
        why: String,
    },
}
