//! Eyes: the log, one access line per request, metrics, and readiness.
//!
//! Belongs here: formats, registries and writers that other rooms report into. Does not: deciding what an answer was
//! (`delivery`, `proxy`) or who may see it (`proxy`).

pub mod access;
pub mod glance;
pub mod health;
pub mod labels;
pub mod log;
pub mod metrics;
pub mod shard;
pub mod slow;
pub mod traces;

use std::sync::Arc;

pub use access::AccessLog;
pub use health::Health;
pub use labels::{Outcome, RouteKind};
pub use metrics::Metrics;
pub use slow::Slow;
pub use traces::Traces;

/// What every request reports into, in one cheap handle.
#[derive(Clone)]
pub struct Eyes {
    /// One line per request.
    pub access: AccessLog,
    /// Counters and gauges behind `/-/metrics`.
    pub metrics: Arc<Metrics>,
    /// What `/-/readyz` answers from.
    pub health: Arc<Health>,
    /// From when on something is told as slow.
    pub slow: Slow,
    /// Requests and downloads as spans.
    pub traces: Traces,
}
