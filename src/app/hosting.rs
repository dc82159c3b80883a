//! Puts the team's own channels together, and sweeps up behind them.
//!
//! Belongs here: wiring, the schedule. Does not: what is done (`channel`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Runtime;
use tokio::time::MissedTickBehavior;

use super::Core;
use super::society::Society;
use crate::channel::{Desk, Hosting, HostingParts, ReceiveSettings, Told};
use crate::conda::subdir::Subdir;
use crate::config::Config;
use crate::delivery::Delivery;
use crate::proxy::server::Stop;
use crate::snapshot::people::People;
use crate::store::model::Channel;

/// How often kept files that nobody needs are looked for.
const SWEEP: Duration = Duration::from_hours(6);

/// Carries word from who changes channels to who serves them.
struct Teller {
    delivery: Delivery,
    people: Arc<People>,
}

#[async_trait]
impl Told for Teller {
    fn changed(&self, channel: &Channel, subdir: &Subdir) {
        self.delivery.hosted_changed(&channel.id, subdir);
    }

    async fn channels_changed(&self) {
        // Where that takes too long, the snapshot follows within seconds by itself.
        let _known = self.people.catch_up().await;
    }
}

impl Core {
    pub(super) fn open_hosting(&self, society: &Society) -> Hosting {
        let told = Arc::new(Teller { delivery: self.delivery.clone(), people: Arc::clone(&society.people) });
        Hosting::new(HostingParts {
            desk: Desk::new(self.store.clone(), Arc::clone(&self.clock), Some(told)),
            cache: self.cache.clone(),
            live: Arc::clone(&self.live),
            receive: receive(&self.config),
        })
    }

    /// Sweeps at the start and from time to time.
    pub(super) fn keep_sweeping(&self, runtime: &Runtime, stop: Stop) {
        let Some(hosting) = self.hosting.clone() else { return };
        runtime.spawn(async move {
            let mut ticks = tokio::time::interval(SWEEP);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = ticks.tick() => match hosting.sweep().await {
                        Ok(swept) if swept == crate::channel::Swept::default() => {}
                        Ok(swept) => tracing::info!(
                            packages = swept.rows, files = swept.files,
                            "deleted what was taken out of hosted channels long ago"
                        ),
                        Err(error) => tracing::warn!(%error, "hosted channels can't be swept; it is tried again later"),
                    },
                    () = stop.requested() => return,
                }
            }
        });
    }
}

fn receive(config: &Config) -> ReceiveSettings {
    ReceiveSettings {
        longest: config.upload.max_size,
        at_once: config.upload.at_once,
        ..ReceiveSettings::default()
    }
}
