//! What keeps the gate from taking on more than it can carry: the limits, and the look at the process's own.
//!
//! Belongs here: making them from the settings, counting file descriptors, asking for memory (`memory`). Does not: turning anybody away
//! (`proxy`).

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::MissedTickBehavior;

use super::convert;
use super::memory::Memory;
use crate::clock::SharedClock;
use crate::config::Config;
use crate::proxy::server::Stop;
use crate::proxy::{Limits, Pressure};
use crate::telemetry::Metrics;

/// How often descriptors are counted.
const EVERY: Duration = Duration::from_secs(1);
/// After so many looks, callers who have not come for a while are forgotten.
const TIDY: u32 = 60;

/// See the module's description.
#[derive(Clone)]
pub(super) struct Guards {
    pub(super) limits: Arc<Limits>,
    pub(super) pressure: Arc<Pressure>,
}

impl Guards {
    pub(super) fn new(config: &Config, clock: &SharedClock, metrics: &Arc<Metrics>) -> Self {
        let limits = Limits::new(convert::shares(config), Arc::clone(clock), Arc::clone(metrics));
        let pressure = Pressure::new(convert::pressure(config), allowed(), Arc::clone(metrics));
        Self { limits: Arc::new(limits), pressure }
    }

    /// Looks again and again.
    pub(super) fn keep_looking(&self, runtime: &Runtime, stop: Stop) {
        let this = self.clone();
        runtime.spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut looks = 0_u32;
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = stop.requested() => return,
                }
                looks = looks.wrapping_add(1);
                let (guards, tidy) = (this.clone(), looks.is_multiple_of(TIDY));
                let looked = tokio::task::spawn_blocking(move || {
                    if let Some(open) = open() {
                        guards.pressure.counted(open);
                    }
                    if let Some(memory) = Memory::now() {
                        guards.pressure.weighed(memory.used());
                    }
                    if tidy {
                        guards.limits.tidy();
                    }
                });
                // The next look does better, or the runtime is going away.
                let _failed = looked.await;
            }
        });
    }
}

/// File descriptors that the process may have.
fn allowed() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// File descriptors that are open; `None` where the system does not tell.
fn open() -> Option<u64> {
    const OWN: &str = "/proc/self/fd";
    // Newer kernels say it as the directory's size, without a list of them all.
    let said = std::fs::metadata(OWN).ok()?.len();
    if said > 0 {
        return Some(said);
    }
    Some(std::fs::read_dir(OWN).ok()?.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_counted() {
        let (before, allowed) = (open().unwrap(), allowed().unwrap());
        let more: Vec<_> = (0..50).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        let after = open().unwrap();
        assert!(before >= 3 && after > before.saturating_sub(40) && after >= 50, "{before} {after}");
        assert!(after < allowed);
        drop(more);
    }
}
