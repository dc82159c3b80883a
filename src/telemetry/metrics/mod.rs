//! The numbers behind `/-/metrics`: typed handles, named `condagate_<room>_<what>_<unit>[_total]`.
//!
//! Belongs here: the registry, every metric's name and help text, and handles that cost one atomic on the hot path.
//! Does not: measuring (each room), serving the page (`proxy`).

mod jobs;
mod limits;
mod policy;
mod series;
mod tally;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ahash::AHashMap;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::labels::RouteKind;
pub use jobs::JobSeries;
pub use limits::{Limit, LimitSeries};
pub use policy::{PolicySeries, RuleEffect};
pub use series::{ChannelSeries, Traffic, UpstreamSeries};
use series::{Tallies, UpstreamLabels};
pub use tally::{Level, Tally};

/// How many channels get a label of their own; the rest share [`OTHER`].
pub const MAX_CHANNELS: usize = 200;
/// The label of channels beyond [`MAX_CHANNELS`].
pub const OTHER: &str = "other";

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RequestLabels {
    kind: &'static str,
    status: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct StatusLabel {
    status: u16,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct MirrorLabels {
    upstream: String,
    mirror: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct CertificateLabel {
    certificate: String,
}

/// How a download from upstream into the cache ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FillResult {
    /// Verified and kept.
    Stored,
    /// Upstream said that it has not changed.
    NotModified,
    /// Upstream does not have it.
    NotFound,
    /// The bytes were not what the index promised; thrown away.
    Mismatch,
    /// Given up after retries.
    Failed,
}

impl FillResult {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::NotModified => "not_modified",
            Self::NotFound => "not_found",
            Self::Mismatch => "mismatch",
            Self::Failed => "failed",
        }
    }
}

/// Every metric of the gate.
pub struct Metrics {
    registry: Registry,
    requests: [[Tally; 6]; RouteKind::COUNT],
    /// Body bytes written to clients.
    pub sent_bytes: Tally,
    /// Requests being answered.
    pub in_flight: Level,
    /// Client connections open.
    pub connections: Gauge,
    /// Client connections accepted.
    pub accepted: Counter,
    /// Connections refused because too many were open.
    pub over_limit: Counter,
    /// Answers that were cut short, by the gate or by the client.
    pub cut: Counter,
    /// Panics while answering.
    pub panics: Counter,
    /// Downloads from hosted channels whose bytes were not here.
    pub hosted_missing: Counter,
    /// Rows of packages that were read to make indexes of hosted channels.
    hosted_rows: Counter,
    hosted_rows_seconds: Counter<f64, AtomicU64>,
    heads_refused: Family<StatusLabel, Counter>,
    /// TLS handshakes that came to nothing.
    pub handshakes_failed: Counter,
    certificate_expiry: Family<CertificateLabel, Gauge>,
    /// Access lines that could not be written.
    pub access_lines_lost: Counter,
    /// Spans that could not be sent.
    pub spans_lost: Counter,
    tallies: Tallies,
    channels: ArcSwap<AHashMap<String, Arc<ChannelSeries>>>,
    other: Arc<ChannelSeries>,
    channel_growth: Mutex<()>,
    /// Downloads from upstream running.
    pub fills_in_flight: Gauge,
    fills: Family<ResultLabel, Counter>,
    /// Bytes of cached files.
    pub disk_used: Gauge,
    /// Bytes free on the cache's volume.
    pub disk_free: Gauge,
    /// Bytes the cache may use.
    pub disk_budget: Gauge,
    /// Files in the cache.
    pub blobs: Gauge,
    /// 1 while the store of users and tokens answers, else 0.
    pub store_up: Gauge,
    builds: Family<ResultLabel, Counter>,
    build_seconds: Histogram,
    builds_running: Gauge,
    builds_at_once: Gauge,
    upstream_first_byte: Family<UpstreamLabels, Histogram>,
    upstream_results: Family<series::UpstreamResultLabels, Counter>,
    mirror_healthy: Family<MirrorLabels, Gauge>,
    /// What limits did.
    pub limits: LimitSeries,
    /// What rules did.
    pub policy: PolicySeries,
    /// What became of jobs.
    pub jobs: JobSeries,
}

impl Metrics {
    /// All metrics at zero, registered under the `condagate_` prefix.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a registry is made on purpose, never by accident")]
    pub fn new() -> Self {
        let requests = Family::<RequestLabels, Tally>::default();
        let tallies = Tallies::default();
        let metrics = Self {
            registry: Registry::with_prefix("condagate"),
            requests: request_counters(&requests),
            sent_bytes: Tally::default(),
            in_flight: Level::default(),
            connections: Gauge::default(),
            accepted: Counter::default(),
            over_limit: Counter::default(),
            cut: Counter::default(),
            panics: Counter::default(),
            hosted_missing: Counter::default(),
            hosted_rows: Counter::default(),
            hosted_rows_seconds: Counter::default(),
            heads_refused: Family::default(),
            handshakes_failed: Counter::default(),
            certificate_expiry: Family::default(),
            access_lines_lost: Counter::default(),
            spans_lost: Counter::default(),
            other: Arc::new(ChannelSeries::shared(OTHER, &tallies)),
            tallies,
            channels: ArcSwap::default(),
            channel_growth: Mutex::new(()),
            fills_in_flight: Gauge::default(),
            fills: Family::default(),
            disk_used: Gauge::default(),
            disk_free: Gauge::default(),
            disk_budget: Gauge::default(),
            blobs: Gauge::default(),
            store_up: Gauge::default(),
            builds: Family::default(),
            build_seconds: Histogram::new([0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0]),
            builds_running: Gauge::default(),
            builds_at_once: Gauge::default(),
            upstream_first_byte: Family::new_with_constructor(series::first_byte_histogram),
            upstream_results: Family::default(),
            mirror_healthy: Family::default(),
            limits: LimitSeries::default(),
            policy: PolicySeries::default(),
            jobs: JobSeries::default(),
        };
        metrics.registered(requests)
    }

    fn registered(mut self, requests: Family<RequestLabels, Tally>) -> Self {
        let mut registry = std::mem::take(&mut self.registry);
        self.register_proxy(&mut registry, requests);
        self.limits.register(&mut registry);
        self.register_cache(&mut registry);
        self.register_services(&mut registry);
        self.registry = registry;
        self
    }

    fn register_proxy(&self, registry: &mut Registry, requests: Family<RequestLabels, Tally>) {
        let room = registry.sub_registry_with_prefix("proxy");
        room.register("requests", "Requests answered, by kind of route and class of status", requests);
        room.register("sent_bytes", "Body bytes written to clients", self.sent_bytes.clone());
        room.register("requests_in_flight", "Requests being read or answered", self.in_flight.clone());
        room.register("connections_open", "Client connections open", self.connections.clone());
        room.register("connections", "Client connections accepted", self.accepted.clone());
        room.register(
            "connections_over_limit",
            "Connections refused as too many were open",
            self.over_limit.clone(),
        );
        room.register("answers_cut", "Answers that ended before their last byte", self.cut.clone());
        room.register("handler_panics", "Panics while answering a request", self.panics.clone());
        room.register(
            "hosted_files_missing",
            "Downloads from hosted channels whose bytes were not here",
            self.hosted_missing.clone(),
        );
        let help = "Requests refused before they were understood, by status";
        room.register("heads_refused", help, self.heads_refused.clone());
        let room = registry.sub_registry_with_prefix("tls");
        let failed = self.handshakes_failed.clone();
        room.register("handshakes_failed", "TLS handshakes that came to nothing", failed);
        room.register(
            "certificate_expiry_timestamp_seconds",
            "When the certificates in use end, by their first name; seconds since 1970",
            self.certificate_expiry.clone(),
        );
        let room = registry.sub_registry_with_prefix("telemetry");
        room.register(
            "access_lines_lost",
            "Access lines that could not be written",
            self.access_lines_lost.clone(),
        );
        room.register("spans_lost", "Spans that could not be sent", self.spans_lost.clone());
    }

    fn register_cache(&self, registry: &mut Registry) {
        let room = registry.sub_registry_with_prefix("cache");
        room.register(
            "answers",
            "Answers by channel and by where their bytes came from",
            self.tallies.answers.clone(),
        );
        room.register(
            "sent_bytes",
            "Body bytes by channel and by where they came from",
            self.tallies.bytes.clone(),
        );
        room.register("fills_in_flight", "Downloads from upstream running", self.fills_in_flight.clone());
        room.register("fills", "Downloads from upstream, by how they ended", self.fills.clone());
        room.register("disk_used_bytes", "Bytes of cached files", self.disk_used.clone());
        room.register("disk_free_bytes", "Bytes free on the volume of the cache", self.disk_free.clone());
        room.register("disk_budget_bytes", "Bytes the cache may use", self.disk_budget.clone());
        room.register("blobs", "Files in the cache", self.blobs.clone());
    }

    fn register_services(&self, registry: &mut Registry) {
        let room = registry.sub_registry_with_prefix("repodata");
        room.register("builds", "Index generations built, by result", self.builds.clone());
        room.register("build_seconds", "How long building a generation took", self.build_seconds.clone());
        room.register("builds_running", "Index generations being built", self.builds_running.clone());
        room.register(
            "builds_most_at_once",
            "Most index generations that were built at one time since the start",
            self.builds_at_once.clone(),
        );
        self.policy.register(registry);
        self.jobs.register(registry);
        let room = registry.sub_registry_with_prefix("hosted");
        let help = "Rows of packages read from the store to make indexes of hosted channels";
        room.register("rows_read", help, self.hosted_rows.clone());
        let help = "Time it took to read them and to keep what they say";
        room.register("rows_read_seconds", help, self.hosted_rows_seconds.clone());
        let room = registry.sub_registry_with_prefix("store");
        room.register("up", "1 while the store of users and tokens answers, else 0", self.store_up.clone());
        let room = registry.sub_registry_with_prefix("upstream");
        let help = "Time from asking upstream to the first byte of its answer";
        room.register("first_byte_seconds", help, self.upstream_first_byte.clone());
        room.register("requests", "Requests to upstream, by result", self.upstream_results.clone());
        room.register(
            "mirror_healthy",
            "1 while a mirror is used, 0 while it is avoided",
            self.mirror_healthy.clone(),
        );
    }

    /// One request was answered. `status` 0 counts as a client that left before there was one.
    pub fn request(&self, kind: RouteKind, status: u16, bytes: u64) {
        self.requests[kind as usize][class(status)].inc();
        self.sent_bytes.inc_by(bytes);
    }

    /// A head was refused with `status`.
    pub fn head_refused(&self, status: u16) {
        self.heads_refused.get_or_create_owned(&StatusLabel { status }).inc();
    }

    /// The certificates in use: name and end, in seconds since 1970. Of several with one name the first to end counts.
    pub fn set_certificates(&self, ends: impl Iterator<Item = (String, i64)>) {
        let mut all = BTreeMap::new();
        for (name, end) in ends {
            all.entry(name).and_modify(|known: &mut i64| *known = end.min(*known)).or_insert(end);
        }
        self.certificate_expiry.clear();
        for (certificate, end) in all {
            self.certificate_expiry.get_or_create_owned(&CertificateLabel { certificate }).set(end);
        }
    }

    /// The series of a channel. Ask only for channels that exist (named in the rules, or upstream has them), so that nobody can
    /// fill the label set with made-up names; beyond [`MAX_CHANNELS`] all share [`OTHER`]. Two loads and a hash when known.
    #[must_use]
    pub fn channel(&self, name: &str) -> Arc<ChannelSeries> {
        if let Some(series) = self.channels.load().get(name) {
            return Arc::clone(series);
        }
        let _one_at_a_time = self.channel_growth.lock();
        let known = self.channels.load_full();
        if let Some(series) = known.get(name) {
            return Arc::clone(series);
        }
        if known.len() >= MAX_CHANNELS {
            return Arc::clone(&self.other);
        }
        let series = Arc::new(ChannelSeries::new(name, &self.tallies));
        let mut grown = AHashMap::clone(&known);
        grown.insert(name.to_owned(), Arc::clone(&series));
        self.channels.store(Arc::new(grown));
        series
    }

    /// The series of a channel that was asked for before: of names that nothing vouches for.
    #[must_use]
    pub fn known_channel(&self, name: &str) -> Option<Arc<ChannelSeries>> {
        self.channels.load().get(name).cloned()
    }

    /// The series of an upstream; keep the handle.
    #[must_use]
    pub fn upstream(&self, name: &str) -> UpstreamSeries {
        UpstreamSeries::new(name, &self.upstream_first_byte, &self.upstream_results)
    }

    /// Whether a mirror is being used. `mirror` is its printable address, without credentials.
    pub fn set_mirror_health(&self, upstream: &str, mirror: &str, healthy: bool) {
        let labels = MirrorLabels { upstream: upstream.to_owned(), mirror: mirror.to_owned() };
        self.mirror_healthy.get_or_create_owned(&labels).set(i64::from(healthy));
    }

    /// Forgets mirrors that the rules no longer name; call before setting those they do.
    pub fn clear_mirrors(&self) {
        self.mirror_healthy.clear();
    }

    /// A download from upstream into the cache ended.
    pub fn fill_ended(&self, result: FillResult) {
        self.fills.get_or_create_owned(&ResultLabel { result: result.as_str() }).inc();
    }

    /// A generation begins to be built.
    pub fn build_begun(&self) {
        let running = self.builds_running.inc() + 1;
        self.builds_at_once.inner().fetch_max(running, Ordering::Relaxed);
    }

    /// One is not being built any more, whatever came of it.
    pub fn build_over(&self) {
        self.builds_running.dec();
    }

    /// Building a generation ended.
    pub fn build_ended(&self, built: bool, took: Duration) {
        let result = if built { "built" } else { "failed" };
        self.builds.get_or_create_owned(&ResultLabel { result }).inc();
        self.build_seconds.observe(took.as_secs_f64());
    }

    /// Rows of packages were read to make the index of a hosted channel.
    pub fn hosted_rows_read(&self, rows: u64, took: Duration) {
        self.hosted_rows.inc_by(rows);
        self.hosted_rows_seconds.inc_by(took.as_secs_f64());
    }

    /// Requests of a kind that were answered.
    #[must_use]
    pub fn requests_of(&self, kind: RouteKind) -> u64 {
        self.requests[kind as usize].iter().map(Tally::get).sum()
    }

    /// Shows every channel that has a label, [`OTHER`] too.
    pub fn each_channel(&self, mut show: impl FnMut(&ChannelSeries)) {
        self.channels.load().values().for_each(|series| show(series));
        show(&self.other);
    }

    /// The page for a scraper, of [`CONTENT_TYPE`].
    #[must_use]
    pub fn encode(&self) -> String {
        let mut page = String::with_capacity(16 * 1024);
        // Writing into a String can't fail.
        let _infallible = text::encode(&mut page, &self.registry);
        page
    }
}

fn request_counters(family: &Family<RequestLabels, Tally>) -> [[Tally; 6]; RouteKind::COUNT] {
    const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
    RouteKind::ALL.map(|kind| {
        CLASSES.map(|status| family.get_or_create_owned(&RequestLabels { kind: kind.as_str(), status }))
    })
}

const fn class(status: u16) -> usize {
    let class = (status / 100) as usize;
    if class > 5 { 0 } else { class }
}

#[cfg(test)]
mod tests;
