//! Looks after indexes that nobody asks for at the moment: what rules or the clock have changed is built again.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::Core;
use crate::proxy::server::Stop;

/// How often indexes in use are looked at; a look costs a few comparisons.
const EVERY: Duration = Duration::from_secs(1);

impl Core {
    /// Starts building what is due. `everywhere`: also what nobody has asked for since the start.
    pub(super) fn tend(&self, everywhere: bool) {
        self.delivery.tend(&self.live.view(), everywhere);
    }

    /// Does so again and again.
    pub(super) fn keep_tending(self: &Arc<Self>, runtime: &Handle, stop: Stop) -> JoinHandle<()> {
        let this = Arc::clone(self);
        runtime.spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut everywhere = true;
            loop {
                tokio::select! {
                    _ = ticks.tick() => {
                        if let Some(society) = &this.society {
                            society.report(&this.eyes);
                        }
                        this.tend(std::mem::take(&mut everywhere));
                        this.look_for_trouble();
                    }
                    () = stop.requested() => return,
                }
            }
        })
    }
}
