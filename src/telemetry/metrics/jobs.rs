//! Numbers about jobs.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Kinds are named in the source, so there are few.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Ended {
    kind: String,
    result: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OfKind {
    kind: String,
}

/// What the runner counts.
#[derive(Clone)]
pub struct JobSeries {
    running: Gauge,
    ended: Family<Ended, Counter>,
    panicked: Family<OfKind, Counter>,
    seconds: Histogram,
}

impl Default for JobSeries {
    fn default() -> Self {
        Self {
            running: Gauge::default(),
            ended: Family::default(),
            panicked: Family::default(),
            seconds: Histogram::new([0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 3600.0]),
        }
    }
}

impl JobSeries {
    /// An attempt begins.
    pub fn begun(&self) {
        self.running.inc();
    }

    /// An attempt ended: `done`, `failed`, `dead`, `lost` or `released`.
    pub fn ended(&self, kind: &str, result: &'static str, took: Duration) {
        self.running.dec();
        self.ended.get_or_create(&Ended { kind: kind.to_owned(), result }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// An attempt ended by a panic.
    pub fn panicked(&self, kind: &str) {
        self.panicked.get_or_create(&OfKind { kind: kind.to_owned() }).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let room = registry.sub_registry_with_prefix("jobs");
        room.register("running", "Jobs being done here", self.running.clone());
        room.register("attempts", "Attempts at jobs, by how they ended", self.ended.clone());
        room.register("panics", "Attempts at jobs that ended by a panic", self.panicked.clone());
        room.register("seconds", "How long attempts at jobs took", self.seconds.clone());
    }
}
