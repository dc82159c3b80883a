//! Puts the team's own channels together, and sweeps up behind them.
//!
//! Belongs here: wiring, the schedule. Does not: what is done (`channel`).

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::society::Society;
use super::{Core, tell};
use crate::channel::{Desk, Hosting, HostingParts, Published, ReceiveSettings, Told, Written, inspect};
use crate::clock::SharedClock;
use crate::conda::archive::ArchiveName;
use crate::conda::subdir::Subdir;
use crate::config::Config;
use crate::delivery::{self, Delivery};
use crate::notify::Notifier;
use crate::proxy::server::Stop;
use crate::snapshot::people::People;
use crate::store::model::Channel;

/// How often kept files that nobody needs are looked for.
const SWEEP: Duration = Duration::from_hours(6);

/// Carries word from who changes channels to who serves them.
struct Teller {
    delivery: Delivery,
    people: Arc<People>,
    notifier: Option<Notifier>,
    clock: SharedClock,
}

#[async_trait]
impl Told for Teller {
    fn changed(&self, channel: &Channel, subdir: &Subdir) {
        self.delivery.hosted_changed(&channel.id, subdir);
    }

    fn changed_everywhere(&self, channel: &Channel) {
        self.delivery.hosted_changed_everywhere(&channel.id);
    }

    async fn published(&self, actor: &str, published: &Published) {
        if let Some(notifier) = &self.notifier {
            tell::of_publishing(notifier, &self.clock, actor, published).await;
        }
    }

    async fn channels_changed(&self) {
        // Where that takes too long, the snapshot follows within seconds by itself.
        let _known = self.people.catch_up().await;
    }
}

/// Looks into packages for who makes indexes.
pub(super) struct Opener;

impl delivery::Opener for Opener {
    fn file(
        &self,
        archive: &File,
        (name, size): (&ArchiveName, u64),
        (path, longest): (&str, u64),
    ) -> Result<Option<Vec<u8>>, String> {
        let picked =
            inspect::pick(archive, (name, size), (&inspect::Limits::of_known(), longest), &|at| at == path);
        let picked = picked.map_err(|error| error.to_string())?;
        Ok(picked.into_iter().next().map(|(_, bytes)| bytes))
    }
}

impl Core {
    pub(super) fn open_hosting(&self, society: &Society) -> Hosting {
        let told = Arc::new(Teller {
            delivery: self.delivery.clone(),
            people: Arc::clone(&society.people),
            notifier: self.work.notifier.clone(),
            clock: Arc::clone(&self.clock),
        });
        Hosting::new(HostingParts {
            desk: Desk::new(self.store.clone(), Arc::clone(&self.clock), Some(told)).under(self.written()),
            cache: self.cache.clone(),
            live: Arc::clone(&self.live),
            receive: receive(&self.config),
        })
    }

    /// What the rules say of hosted channels, at any moment.
    fn written(&self) -> Written {
        let live = Arc::clone(&self.live);
        Arc::new(move |name| live.view().rules().hosted(name))
    }

    /// Sweeps at the start and from time to time.
    pub(super) fn keep_sweeping(&self, runtime: &Handle, stop: Stop) -> Option<JoinHandle<()>> {
        let hosting = self.hosting.clone()?;
        Some(runtime.spawn(async move {
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
        }))
    }
}

fn receive(config: &Config) -> ReceiveSettings {
    let set = config.upload;
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    ReceiveSettings {
        longest: set.max_size,
        at_once: set.at_once,
        inspected_at_once: set.opened_at_once,
        inspection: inspect::Limits {
            unpacked: set.max_unpacked,
            ratio: number(set.max_ratio),
            members: number(set.max_members),
            ..inspect::Limits::default()
        },
    }
}
