//! `trail.forget`: old audit events, counters of downloads, tokens and sessions are removed, once an hour by one of all gates.
//!
//! Belongs here: the schedule. Does not: what is removed (`trail`).

use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::Mutex;

use crate::clock::SharedClock;
use crate::jobs::{Failure, Kind, Schedule};
use crate::store::StoreError;
use crate::store::lazy::LazyStore;
use crate::store::model::Job;
use crate::trail::{Keeper, Retention};

const NAME: &str = "trail.forget";
const EVERY: Duration = Duration::from_hours(1);

/// See the module's description.
pub struct ForgetOld {
    store: LazyStore,
    keeper: Mutex<Keeper>,
    clock: SharedClock,
}

impl ForgetOld {
    /// Out of this store.
    #[must_use]
    pub fn new(store: LazyStore, retention: Retention, clock: SharedClock) -> Self {
        Self { store, keeper: Mutex::new(Keeper::new(retention)), clock }
    }

    /// When it is done.
    #[must_use]
    pub fn schedule() -> Schedule {
        Schedule::new(NAME, "trail-forget", EVERY, json!({}))
    }
}

#[async_trait]
impl Kind for ForgetOld {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn run(&self, _job: &Job) -> Result<(), Failure> {
        let later = |error: StoreError| Failure::Later(error.to_string());
        let store = self.store.get().await.map_err(later)?;
        self.keeper.lock().await.forget_old(&store, self.clock.now()).await.map_err(later)
    }
}
