//! From a request to a [`Plan`]: which host was meant, what the path asks for, what the rules say. Decides, does no I/O.

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;

use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelRef;
use crate::conda::digest::Sha256;
use crate::conda::subdir::Subdir;
use crate::conda::url::dialect::Dialect;
use crate::conda::url::{self, ChannelDoc, IndexFile, Own as OwnTarget, PathError, Route, Target};
use crate::http::problem::Problem;
use crate::policy::judge::audience::AudienceSet;
use crate::secret::Secret;
use crate::snapshot::{Channel, HostTarget, Place, PlainFile, View, VirtualChannel};
use crate::telemetry::RouteKind;

/// What to do with a request; one value, executed by the handler.
pub(super) enum Plan {
    /// Answer with a problem document.
    Problem(Problem),
    /// The landing page.
    Home,
    /// A page of the gate itself, behind `/-/`.
    Control(String),
    /// Something in an upload dialect.
    Dialect(Dialect),
    /// A package archive or a sidecar of one.
    Package { channel: Arc<Channel>, asked: ChannelRef, subdir: Subdir, archive: ArchiveName },
    /// A signature file beside a package.
    Sidecar { channel: Arc<Channel>, asked: ChannelRef, subdir: Subdir, file: Arc<str> },
    /// An index document of a generation.
    Index { channel: Arc<Channel>, asked: ChannelRef, subdir: Subdir, file: IndexFile },
    /// A shard.
    Shard { channel: Arc<Channel>, asked: ChannelRef, subdir: Subdir, digest: Sha256 },
    /// A document of a whole channel.
    Doc { channel: Arc<Channel>, asked: ChannelRef, doc: ChannelDoc },
    /// Anything of a channel that is made of others.
    Virtual { channel: Arc<VirtualChannel>, route: Route },
    /// A file by prefix.
    Plain(PlainFile),
    /// Straight from upstream, not kept: the caller's own upstream token is in the path.
    Pass { host: HostTarget, path: Secret<String>, channel: Option<Arc<Channel>> },
}

impl Plan {
    /// The name, for metrics, of the channel it is about, if any, and whether the gate reads that with credentials of its own.
    pub(super) fn channel(&self) -> Option<(&Arc<str>, bool)> {
        match self {
            Self::Package { channel, .. }
            | Self::Sidecar { channel, .. }
            | Self::Index { channel, .. }
            | Self::Shard { channel, .. }
            | Self::Doc { channel, .. } => Some((&channel.label, channel.needs_identity)),
            Self::Virtual { channel, .. } => Some((&channel.label, channel.needs_identity)),
            Self::Problem(_)
            | Self::Home
            | Self::Control(_)
            | Self::Dialect(_)
            | Self::Plain(_)
            | Self::Pass { .. } => None,
        }
    }

    /// The channel it is about, where an upstream has it.
    pub(super) const fn proxied(&self) -> Option<&Arc<Channel>> {
        match self {
            Self::Package { channel, .. }
            | Self::Sidecar { channel, .. }
            | Self::Index { channel, .. }
            | Self::Shard { channel, .. }
            | Self::Doc { channel, .. } => Some(channel),
            _ => None,
        }
    }

    /// The upstream that has it, where it is one alone.
    pub(super) fn upstream(&self) -> Option<&str> {
        match self {
            Self::Plain(PlainFile::Upstream { upstream, .. }) => Some(upstream.name()),
            other => other.proxied()?.remote().map(|remote| remote.upstream.name()),
        }
    }

    /// The channel that is asked for, and how many bytes a second it may send, where that is limited.
    pub(super) fn bandwidth(&self) -> Option<(&str, u64)> {
        let (label, rate) = match self {
            Self::Virtual { channel, .. } => (&channel.label, channel.bandwidth),
            other => other.proxied().map(|channel| (&channel.label, channel.bandwidth))?,
        };
        Some((label, rate?))
    }

    /// The package file it is about, as `channel/subdir/file`; the channel as it was asked for.
    pub(super) fn package_path(&self) -> Option<Box<str>> {
        let (asked, subdir, archive) = match self {
            Self::Package { asked, subdir, archive, .. } => (asked, subdir, archive),
            Self::Virtual { route: Route::Package { channel, subdir, archive }, .. } => {
                (channel, subdir, archive)
            }
            _ => return None,
        };
        // By hand: a formatter takes ten times as long, and every download passes here.
        let (name, label) = (asked.name.as_str(), asked.label.as_deref());
        let parts: &[&str] = match label {
            None => &[name, "/", subdir.as_str(), "/", archive.as_str()],
            Some(label) => &[name, "/label/", label, "/", subdir.as_str(), "/", archive.as_str()],
        };
        Some(parts.concat().into())
    }

    /// The same for callers in these audiences, for whom other rules may count.
    pub(super) fn for_audience(mut self, audience: AudienceSet) -> Self {
        match &mut self {
            Self::Package { channel, .. }
            | Self::Sidecar { channel, .. }
            | Self::Index { channel, .. }
            | Self::Shard { channel, .. }
            | Self::Doc { channel, .. } => *channel = channel.for_audience(audience),
            Self::Virtual { channel, .. } => *channel = channel.for_audience(audience),
            Self::Problem(_)
            | Self::Home
            | Self::Control(_)
            | Self::Dialect(_)
            | Self::Plain(_)
            | Self::Pass { .. } => {}
        }
        self
    }

    /// Whether it is a page that people look at in a browser.
    pub(super) fn is_for_people(&self) -> bool {
        match self {
            Self::Home => true,
            Self::Control(rest) => rest == "ui" || rest.starts_with("ui/"),
            _ => false,
        }
    }

    /// Whether a shard index was asked for, whose problems have rules of their own.
    pub(super) const fn is_shard_index(&self) -> bool {
        matches!(
            self,
            Self::Index { file: IndexFile::ShardIndex, .. }
                | Self::Virtual { route: Route::Index { file: IndexFile::ShardIndex, .. }, .. }
        )
    }

    /// The word for metrics.
    pub(super) const fn kind(&self) -> RouteKind {
        match self {
            Self::Virtual { route, .. } => match route {
                Route::Package { .. } | Route::Sidecar { .. } => RouteKind::Package,
                Route::Index { file: IndexFile::ShardIndex, .. } | Route::Shard { .. } => RouteKind::Shard,
                Route::Index { .. } => RouteKind::Index,
                Route::Doc { .. } | Route::Home | Route::Control(_) | Route::Other => RouteKind::Document,
            },
            Self::Package { .. } | Self::Sidecar { .. } => RouteKind::Package,
            Self::Index { file: IndexFile::ShardIndex, .. } | Self::Shard { .. } => RouteKind::Shard,
            Self::Index { .. } => RouteKind::Index,
            Self::Doc { .. } => RouteKind::Document,
            Self::Plain(_) | Self::Pass { .. } => RouteKind::File,
            Self::Home => RouteKind::Home,
            Self::Dialect(_) => RouteKind::Publish,
            Self::Control(_) => RouteKind::Control,
            Self::Problem(_) => RouteKind::Unknown,
        }
    }
}

/// What the request line and the connection say.
pub(super) struct Incoming<'a> {
    /// Lower-case host without port, if the request names one.
    pub(super) host: Option<&'a str>,
    /// Whether the target was in absolute form (a proxy request).
    pub(super) absolute: bool,
    /// What is to be done with it.
    pub(super) method: &'a Method,
    /// Path as sent, query taken off.
    pub(super) path: &'a str,
}

/// What `public_url` says of this gate: its host, which always means it, and its base path, which is taken off requests.
pub(super) struct Own<'a> {
    pub(super) host: Option<&'a str>,
    pub(super) base: &'a str,
}

/// A plan, and what of the request tells who is asking.
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// The token of `/t/<token>/`, if the path had one.
    pub(super) token: Option<Secret<Arc<str>>>,
    /// The request is meant for another host, whose own credentials it may carry.
    pub(super) foreign: bool,
}

/// Makes the plan.
pub(super) fn plan(view: &View, own: &Own<'_>, incoming: &Incoming<'_>) -> Planned {
    let own_host = own.host;
    let foreign = incoming.host.filter(|host| own_host != Some(*host)).and_then(|host| view.host(host));
    let is_foreign = foreign.is_some();
    // Another host's paths are that host's own.
    let base = if is_foreign { "" } else { own.base };
    let refused = |problem| Planned { plan: Plan::Problem(problem), token: None, foreign: is_foreign };
    let parsed = if is_foreign {
        url::parse_below(incoming.path, base).map(|target| OwnTarget { target, dialect: None })
    } else {
        url::parse_own(incoming.path, base)
    };
    let OwnTarget { target, dialect } = match parsed {
        Ok(parsed) => parsed,
        Err(error @ PathError::TooLong) => return refused(Problem::uri_too_long(error.to_string())),
        Err(error) => return refused(Problem::bad_path(error.to_string())),
    };
    let token = target.token.clone();
    let plan = match foreign {
        Some(host) => on_host(view, host, target, incoming.path),
        None if incoming.absolute && !means_this_gate(incoming.host, own_host) => {
            Plan::Problem(not_a_proxy_for())
        }
        None => match spoken(dialect, &target, incoming.method) {
            Some(dialect) => Plan::Dialect(dialect),
            None => here(view, target),
        },
    };
    Planned { plan, token, foreign: is_foreign }
}

/// What is asked in a dialect. A package is put where it is got.
fn spoken(dialect: Option<Dialect>, target: &Target, method: &Method) -> Option<Dialect> {
    dialect.or_else(|| match &target.route {
        Route::Package { channel, subdir, archive } if matches!(*method, Method::PUT | Method::DELETE) => {
            let (channel, subdir) = (channel.clone(), subdir.clone());
            Some(Dialect::File { channel, subdir, archive: archive.clone() })
        }
        _ => None,
    })
}

/// In absolute form, a loopback name or address is this gate even where no `public_url` says so.
fn means_this_gate(host: Option<&str>, own_host: Option<&str>) -> bool {
    host.is_none_or(|host| {
        Some(host) == own_host
            || host == "localhost"
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

fn not_a_proxy_for() -> Problem {
    Problem::forbidden(
        "this gate is not a proxy for that host; it stands only for the hosts in the `hosts` of its upstreams",
    )
}

fn here(view: &View, target: Target) -> Plan {
    if let Some(file) = view.plain_file(&target.path) {
        return Plan::Plain(file);
    }
    let place = target.route.channel().and_then(|asked| view.place(&asked.name));
    match (target.route, place) {
        (Route::Home, _) => Plan::Home,
        (Route::Control(rest), _) => Plan::Control(rest),
        (route, Some(Place::Virtual(channel))) => Plan::Virtual { channel, route },
        (route, Some(Place::Source(channel))) => of_channel(route, |_| Some(channel)),
        (route, None) => match route.channel().filter(|asked| view.waits_for_store(&asked.name)) {
            Some(asked) => Plan::Problem(not_known_yet(asked)),
            None => of_channel(route, |_| None),
        },
    }
}

/// No upstream may answer for a name that could be hosted here.
fn not_known_yet(asked: &ChannelRef) -> Problem {
    Problem::unavailable(format!(
        "which channels this gate hosts is not known before its store was read, so nobody answers for `{}` yet; ask again shortly",
        asked.name
    ))
    .with_retry_after(5)
}

/// A request that names a host this gate stands for: the same paths as there, and any token is that host's.
fn on_host(view: &View, host: HostTarget, target: Target, raw_path: &str) -> Plan {
    if let Some(asked) = target.route.channel() {
        if view.waits_for_store(&asked.name) {
            return Plan::Problem(not_known_yet(asked));
        }
        if view.is_hosted(&asked.name) {
            return Plan::Problem(Problem::not_found(format!(
                "the channel `{}` is hosted by this gate and never taken from another host; ask for it at the gate's own address",
                asked.name
            )));
        }
    }
    if host.pass_tokens && target.token.is_some() {
        // Nothing is known of what only the caller may see, so rules could not be asked about it.
        let channel = target.route.channel().and_then(|asked| view.channel_on(&host, &asked.name));
        if channel.as_ref().is_some_and(|channel| channel.may_be_hidden()) {
            return Plan::Problem(Problem::denied_by_rule(PASSED_BY));
        }
        let path = raw_path.trim_start_matches('/').to_owned();
        return Plan::Pass { host, path: Secret::new(path), channel };
    }
    if let Some(file) = view.plain_file_on(&host, &target.path) {
        return Plan::Plain(file);
    }
    of_channel(target.route, |asked| view.channel_on(&host, &asked.name))
}

const PASSED_BY: &str = "rules of this gate are about packages of this channel, and they can't be asked about what is passed through \
                         with a caller's own upstream token; ask without the token, or those who run this gateway";

fn of_channel(route: Route, find: impl FnOnce(&ChannelRef) -> Option<Arc<Channel>>) -> Plan {
    let missing = |asked: &ChannelRef| {
        Plan::Problem(Problem::not_found(format!(
            "no rule of this gate places the channel `{asked}`; add it under `channels:` in the rules"
        )))
    };
    match route {
        Route::Package { channel: asked, subdir, archive } => match find(&asked) {
            Some(channel) => Plan::Package { channel, asked, subdir, archive },
            None => missing(&asked),
        },
        Route::Index { channel: asked, subdir, file } => match find(&asked) {
            Some(channel) => Plan::Index { channel, asked, subdir, file },
            None => missing(&asked),
        },
        Route::Shard { channel: asked, subdir, digest } => match find(&asked) {
            Some(channel) => Plan::Shard { channel, asked, subdir, digest },
            None => missing(&asked),
        },
        Route::Sidecar { channel: asked, subdir, file } => match find(&asked) {
            Some(channel) => Plan::Sidecar { channel, asked, subdir, file },
            None => missing(&asked),
        },
        Route::Doc { channel: asked, doc } => match find(&asked) {
            Some(channel) => Plan::Doc { channel, asked, doc },
            None => missing(&asked),
        },
        Route::Home | Route::Control(_) | Route::Other => Plan::Problem(Problem::not_found(
            "this path is neither a file of a conda channel (`<channel>/<subdir>/<file>`) nor under a prefix of `files:`",
        )),
    }
}
