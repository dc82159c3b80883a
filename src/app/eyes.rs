//! Brings what the engines know into the metrics.

use std::sync::Arc;
use std::time::Duration;

use super::Core;
use crate::cache::CacheStatus;
use crate::delivery::IndexEvents;
use crate::telemetry::Metrics;

/// Counts builds and refreshes.
pub(super) struct IndexEyes(pub(super) Arc<Metrics>);

impl IndexEvents for IndexEyes {
    fn built(&self, _channel: &str, took: Duration) {
        self.0.build_ended(true, took);
    }

    fn failed(&self, _channel: &str) {
        self.0.build_ended(false, Duration::ZERO);
    }
}

impl Core {
    /// Gauges are read when somebody looks, not when they change.
    pub(super) fn bring_gauges_up_to_date(&self) {
        let metrics = &self.eyes.metrics;
        match self.cache.status() {
            Ok(status) => set_cache(metrics, &status),
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
