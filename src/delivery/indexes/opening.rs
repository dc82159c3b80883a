//! Indexes that an earlier run of the gate left on disk: read and compared once, whoever asks for them first.
//!
//! Belongs here: that many wait for one reading, and what is told of damage. Does not: reading and comparing (`repodata`).

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::Key;
use crate::delivery::Delivery;
use crate::repodata::generation::Generation;

pub(super) type Opening = Shared<BoxFuture<'static, Option<Arc<Generation>>>>;

/// How much of a generation is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Depth {
    /// The maps by which everything else is found.
    Maps,
    All,
}

impl Delivery {
    /// The generation in force, its files being what was written. The first time in a run of the gate all of it is read, on a blocking
    /// thread, and everybody waits for that; one that a disk has changed is dropped, and then there is none.
    pub(in crate::delivery) async fn trusted(&self, key: &Key) -> Option<Arc<Generation>> {
        if let Some(current) = self.inner.generations.current(&key.0, &key.1) {
            return Some(current);
        }
        if !self.inner.generations.is_stored(&key.0, &key.1) {
            return None;
        }
        self.opening(key).await
    }

    /// The same for pages, which only tell what there is: where all of it would have to be read first, they go by its maps, which are read
    /// and compared in a tenth of the time, and the reading begins beside.
    pub(in crate::delivery) async fn shown(&self, key: &Key) -> Option<Arc<Generation>> {
        if let Some(current) = self.inner.generations.current(&key.0, &key.1) {
            return Some(current);
        }
        if !self.inner.generations.is_stored(&key.0, &key.1) {
            return None;
        }
        let (this, wanted) = (self.clone(), key.clone());
        let looked = self.joined((key.clone(), Depth::Maps), async move {
            let store = Arc::clone(&this.inner.generations);
            let look = this.inner.runtime.spawn_blocking(move || store.look(&wanted.0, &wanted.1));
            look.await.ok().flatten()
        });
        let looked = looked.await;
        drop(self.opening(key));
        looked
    }

    /// Joins the reading of a generation, or starts it.
    fn opening(&self, key: &Key) -> Opening {
        let (this, wanted) = (self.clone(), key.clone());
        self.joined((key.clone(), Depth::All), async move { this.open_now(&wanted).await })
    }

    /// Joins what others have begun for a key, or begins it. It runs to its end whoever waits.
    fn joined(
        &self,
        what: (Key, Depth),
        work: impl Future<Output = Option<Arc<Generation>>> + Send + 'static,
    ) -> Opening {
        let mut openings = self.inner.indexes.openings.lock();
        if let Some(running) = openings.get(&what) {
            return running.clone();
        }
        let (this, landing) = (self.clone(), what.clone());
        let task = self.inner.runtime.spawn(async move {
            let opened = work.await;
            this.inner.indexes.openings.lock().remove(&landing);
            opened
        });
        let opening = task.map(|joined| joined.ok().flatten()).boxed().shared();
        openings.insert(what, opening.clone());
        opening
    }

    async fn open_now(&self, key: &Key) -> Option<Arc<Generation>> {
        let (store, wanted) = (Arc::clone(&self.inner.generations), key.clone());
        let opened =
            self.inner.runtime.spawn_blocking(move || store.open_current(&wanted.0, &wanted.1)).await;
        match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => {
                self.inner.events.failed(&key.0.to_string());
                tracing::warn!(channel.name = %key.0, subdir = %key.1, %error, "an index on disk is not used; it is built anew");
                None
            }
            Err(_) => None,
        }
    }

    /// Drops a generation that turned out to be damaged.
    pub(in crate::delivery) fn discard(&self, key: &Key, id: &str, why: &str) {
        self.inner.events.failed(&key.0.to_string());
        if let Err(error) = self.inner.generations.discard(&key.0, &key.1, id, why) {
            tracing::error!(channel = %key.0, subdir = %key.1, %error, "a damaged index can't be dropped for good");
        }
    }
}
