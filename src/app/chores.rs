//! What a gate does without being asked: it watches files, looks after indexes, sweeps, follows the store, does jobs.
//!
//! Belongs here: starting all of it, and ending it while the gate goes on (another process is to take over). Does not: what each chore does.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Core;
use crate::proxy::server::{self, Stopper};

/// Chores under way.
#[derive(Default)]
pub(super) struct Chores(Mutex<Option<(Stopper, Vec<JoinHandle<()>>)>>);

impl Core {
    /// Starts them, unless they run.
    pub(super) fn start_chores(self: &Arc<Self>, runtime: &Handle) {
        if self.chores.0.lock().is_some() {
            return;
        }
        let (stopper, stop) = server::stop_pair();
        let (delivery, stopping) = (self.delivery.clone(), stop.clone());
        let follow = async move { delivery.follow_hosted(stopping.requested()).await };
        let tasks = [
            Some(self.watch_rules(runtime, stop.clone())),
            self.watch_certificates(runtime, stop.clone()),
            Some(self.keep_tending(runtime, stop.clone())),
            Some(runtime.spawn(follow)),
            self.keep_sweeping(runtime, stop.clone()),
        ];
        self.keep_working(runtime, stop);
        *self.chores.0.lock() = Some((stopper, tasks.into_iter().flatten().collect()));
    }

    /// Ends them, each where it is between two turns; false when one does not come to that within `patience`.
    pub(super) async fn end_chores(&self, patience: Duration) -> bool {
        let Some((stopper, tasks)) = self.chores.0.lock().take() else { return true };
        stopper.stop();
        let ended = timeout(patience, join_all(tasks)).await.is_ok();
        self.end_work().await;
        ended
    }

    /// Has them end, for a gate that ends.
    pub(super) fn stop_chores(&self) {
        if let Some((stopper, _)) = self.chores.0.lock().take() {
            stopper.stop();
        }
    }
}
