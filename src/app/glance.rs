//! Gathers one look at the running gate.
//!
//! Belongs here: from what each room says to one value. Does not: showing it (`cli`).

use super::Core;
use crate::cache::RunningFill;
use crate::telemetry::glance::{FillGlance, Glance, MirrorGlance, UpstreamGlance};
use crate::upstream::{MirrorHealth, UpstreamSnapshot};

/// Downloads that are told of.
const MOST_FILLS: usize = 200;

impl Core {
    /// What is going on. Memory only.
    pub(super) fn glance(&self) -> Glance {
        let mut fills: Vec<_> = self.cache.running_fills().into_iter().map(fill).collect();
        fills.sort_by(|a, b| b.age_ms.cmp(&a.age_ms).then_with(|| a.file.cmp(&b.file)));
        fills.truncate(MOST_FILLS);
        let mut upstreams: Vec<_> = self.upstreams.snapshot().into_iter().map(upstream).collect();
        upstreams.sort_by(|a, b| a.name.cmp(&b.name));
        Glance {
            at_ms: self.clock.now().0,
            received_bytes: self.cache.bytes_in(),
            fills,
            upstreams,
            ..Glance::of(&self.eyes.metrics)
        }
    }
}

fn fill(running: RunningFill) -> FillGlance {
    FillGlance {
        file: running.key,
        bytes: running.bytes,
        total: running.total,
        age_ms: u64::try_from(running.age.as_millis()).unwrap_or(u64::MAX),
        mirror: running.from.as_deref().map(str::to_owned),
    }
}

fn upstream(snapshot: UpstreamSnapshot) -> UpstreamGlance {
    let mirror = |mirror: MirrorHealth| MirrorGlance {
        address: mirror.mirror,
        healthy: mirror.healthy,
        last_error: mirror.last_error.map(str::to_owned),
    };
    UpstreamGlance {
        name: snapshot.name,
        in_flight: snapshot.in_flight,
        max_concurrent: snapshot.max_concurrent,
        requests: snapshot.stats.requests,
        failures: snapshot.stats.failures.iter().map(|(_, count)| count).sum(),
        bytes: snapshot.stats.body_bytes,
        mirrors: snapshot.mirrors.into_iter().map(mirror).collect(),
    }
}
