//! Brings what the engines know into the metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::{Core, StartError, convert, traces};
use crate::cache::{CacheStatus, FillReport, FillWatch, Watcher};
use crate::clock::SharedClock;
use crate::config::Config;
use crate::delivery::Events;
use crate::repodata::manifest::Judged;
use crate::telemetry::metrics::{FillResult, RuleEffect};
use crate::telemetry::slow::SlowFill;
use crate::telemetry::traces::FillSpan;
use crate::telemetry::{Eyes, Health, Metrics, Slow, Traces};
use crate::upstream::Upstreams;

/// All that requests report into.
///
/// # Errors
/// The access log can't be opened, or traces can't be sent as the settings say.
pub(super) fn open(config: &Config, upstreams: &Upstreams, runtime: &Runtime) -> Result<Eyes, StartError> {
    let metrics = Arc::new(Metrics::new());
    let access = convert::access_log(&config.log, &metrics)?;
    let traces = traces::open(&config.telemetry.otlp, upstreams, &metrics, runtime.handle())?;
    let (health, slow) = (Arc::new(Health::default()), convert::slow(&config.log));
    Ok(Eyes { access, metrics, health, slow, traces })
}

/// Counts what happens behind requests.
pub(super) struct DeliveryEyes(pub(super) Arc<Metrics>);

impl Events for DeliveryEyes {
    fn answered(&self, upstream: &str, first_byte: Duration) {
        self.0.upstream(upstream).answered(first_byte);
    }

    fn unanswered(&self, upstream: &str, limited: bool) {
        let series = self.0.upstream(upstream);
        if limited { series.rate_limited() } else { series.failed() }
    }

    fn building(&self) {
        self.0.build_begun();
    }

    fn over(&self) {
        self.0.build_over();
    }

    fn built(&self, _channel: &str, took: Duration) {
        self.0.build_ended(true, took);
    }

    fn judged(&self, channel: &str, subdir: &str, judged: &Judged) {
        let all = acted(RuleEffect::Withheld, &judged.withheld)
            .chain(acted(RuleEffect::Patched, &judged.patched))
            .chain(acted(RuleEffect::Trial, &judged.trial));
        self.0.policy.index_in_force(channel, subdir, all);
    }

    fn dropped(&self, channel: &str, subdir: &str, records: u64) {
        self.0.policy.left_out(channel, subdir, records);
    }

    fn failed(&self, _channel: &str) {
        self.0.build_ended(false, Duration::ZERO);
    }

    fn rows_read(&self, rows: u64, took: Duration) {
        self.0.hosted_rows_read(rows, took);
    }

    fn blob_missing(&self, _channel: &str) {
        self.0.hosted_missing.inc();
    }
}

/// Hears of downloads that are over.
pub(super) struct FillEyes {
    slow: Slow,
    traces: Traces,
    clock: SharedClock,
}

impl FillEyes {
    /// For the cache; nobody where nothing is to be told.
    pub(super) fn watcher(eyes: &Eyes, clock: &SharedClock) -> Watcher {
        let (slow, traces) = (eyes.slow, eyes.traces.clone());
        let wanted = !slow.fill.is_zero() || traces.is_on();
        let this = || Arc::new(Self { slow, traces, clock: Arc::clone(clock) }) as Arc<dyn FillWatch>;
        Watcher(wanted.then(this))
    }

    fn trace(&self, report: &FillReport<'_>) {
        let Some(span) = report.span else { return };
        self.traces.fill(&FillSpan {
            span,
            ended: self.clock.now(),
            took: report.took,
            file: report.key,
            from: report.from,
            bytes: report.bytes,
            queued: report.queued,
            asked_again: report.asked_again,
            stored: report.error.is_none(),
        });
    }
}

impl FillWatch for FillEyes {
    fn ended(&self, report: &FillReport<'_>) {
        self.trace(report);
        if !self.slow.is_slow_fill(report.took) {
            return;
        }
        SlowFill {
            request: report.request,
            file: report.key,
            from: report.from,
            bytes: report.bytes,
            queued: report.queued,
            first_byte: report.first_byte,
            took: report.took,
            asked_again: report.asked_again,
            stored: report.error.is_none(),
        }
        .log();
    }
}

fn acted(
    effect: RuleEffect,
    counts: &BTreeMap<String, u64>,
) -> impl Iterator<Item = (RuleEffect, &str, u64)> {
    counts.iter().map(move |(rule, n)| (effect, rule.as_str(), *n))
}

impl Core {
    /// Gauges are read when somebody looks, not when they change.
    pub(super) fn bring_gauges_up_to_date(&self) {
        let metrics = &self.eyes.metrics;
        match self.cache.status() {
            Ok(status) => {
                set_cache(metrics, &status);
                let before = std::mem::replace(&mut *self.counted.lock(), status);
                for _ in before.fills_completed..status.fills_completed {
                    metrics.fill_ended(FillResult::Stored);
                }
                for _ in before.fills_failed..status.fills_failed {
                    metrics.fill_ended(FillResult::Failed);
                }
            }
            Err(error) => tracing::warn!(%error, "the cache's numbers can't be read for metrics"),
        }
        metrics.clear_mirrors();
        for upstream in self.upstreams.snapshot() {
            for mirror in &upstream.mirrors {
                metrics.set_mirror_health(&upstream.name, &mirror.mirror, mirror.healthy);
            }
        }
    }
}

fn set_cache(metrics: &Metrics, status: &CacheStatus) {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    metrics.blobs.set(signed(status.blobs));
    metrics.disk_used.set(signed(status.bytes));
    metrics.disk_budget.set(signed(status.budget));
    metrics.disk_free.set(signed(status.free));
    metrics.fills_in_flight.set(signed(status.fills));
}
