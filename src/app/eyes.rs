//! Brings what the engines know into the metrics.

use std::sync::Arc;
use std::time::Duration;

use super::Core;
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
        let counts = self.cache.counts();
        metrics.set_cache(&counts_of(&counts));
        metrics.clear_mirrors();
        for upstream in self.upstreams.snapshot() {
            for mirror in &upstream.mirrors {
                metrics.set_mirror_health(&upstream.name, &mirror.mirror, mirror.healthy);
            }
        }
    }
}
