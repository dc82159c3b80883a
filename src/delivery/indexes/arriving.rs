//! Building the first index of a subdir while upstream's document is still arriving.
//!
//! Belongs here: a download as the source of a build. Does not: who reads along (`cold`), every later build, which waits for the whole
//! document (`refresh`).

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use parking_lot::Mutex;

use super::Key;
use super::cold::Cold;
use super::refresh::identity_of;
use crate::cache::{Fill, Follower, Object};
use crate::conda::url::Packing;
use crate::delivery::objects::{ObjectAsk, refusal_of_fill};
use crate::delivery::{Delivery, Refusal};
use crate::repodata::BuildError;
use crate::repodata::build::{Identity, RawDocument};
use crate::repodata::fitness;
use crate::repodata::generation::Generation;
use crate::snapshot::Channel;

impl Delivery {
    /// Builds from a document that is not here yet. `None`: it is here, or builds that wait for slow upstreams would leave none for
    /// documents that are here.
    pub(super) async fn build_arriving(
        &self,
        channel: &Channel,
        key: &Key,
        packing: Packing,
        ask: &ObjectAsk,
        cold: &Arc<Cold>,
    ) -> Option<Result<Arc<Generation>, Refusal>> {
        let known_absent = self.inner.objects.negative.get(&ask.key).is_some();
        if known_absent || self.inner.cache.find_object(&ask.key).await.is_some() {
            return None;
        }
        let builds = &self.inner.indexes.builds;
        let _build = (builds.available_permits() > 1).then(|| builds.try_acquire().ok()).flatten()?;
        let fill = self.start(ask, None);
        if let Err(error) = fill.head().await {
            return Some(Err(refusal_of_fill(&error)));
        }
        cold.arrives(fill.clone(), packing);
        let work = self.work(channel, key).await;
        let raw = Arriving {
            delivery: self.clone(),
            key: ask.key.clone(),
            fill: fill.clone(),
            name: PathBuf::from(&ask.path),
            object: Arc::default(),
        };
        let onlooker: Arc<dyn crate::repodata::onlooker::Onlooker> = Arc::clone(cold) as _;
        if cold.passes_through() && packing == Packing::Zst {
            self.look_through(raw.clone(), key, Arc::clone(cold));
        }
        let built =
            self.built(channel, key, &ask.key, move || work.run(&raw, packing, Some(&onlooker))).await;
        // A download that broke off is what was wrong, whatever the build made of it.
        match (built, fill.failure()) {
            (Err(_), Some(error)) => Some(Err(refusal_of_fill(&error))),
            (built, _) => Some(built),
        }
    }
}

impl Delivery {
    /// Finds out beside the build, which is slower than a fast line, whether clients may have upstream's bytes as they are.
    fn look_through(&self, raw: Arriving, key: &Key, cold: Arc<Cold>) {
        let (subdir, limits) = (key.1.clone(), self.inner.settings.index.limits);
        self.inner.runtime.spawn_blocking(move || {
            if let Err(error) = fitness::look_through(&raw, Packing::Zst, &subdir, &limits, &*cold) {
                // The build finds the same, and says so where it counts.
                tracing::debug!(%error, "a first index was not looked through to its end");
            }
        });
    }
}

/// A document that arrives.
#[derive(Clone)]
struct Arriving {
    delivery: Delivery,
    key: String,
    fill: Fill,
    name: PathBuf,
    /// Held until the build is over.
    object: Arc<Mutex<Option<Object>>>,
}

impl RawDocument for Arriving {
    fn path(&self) -> &Path {
        &self.name
    }

    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(Reader { arriving: self, follower: self.fill.follow(0, None), piece: Bytes::new() }))
    }

    fn identity(&self) -> Result<Identity, BuildError> {
        let lost = |why: String| BuildError::Io {
            action: "read",
            path: self.name.clone(),
            source: io::Error::other(why),
        };
        let inner = &self.delivery.inner;
        inner.runtime.block_on(self.fill.done()).map_err(|error| lost(error.to_string()))?;
        let object = inner.runtime.block_on(inner.cache.find_object(&self.key));
        let object = object.ok_or_else(|| lost("it is gone again; is the disk full?".to_owned()))?;
        let identity = identity_of(&object, inner.cache.path_of(&object.blob), false);
        *self.object.lock() = Some(object);
        Ok(identity)
    }
}

/// Reads a download, waiting for what is not here yet. Blocks.
struct Reader<'a> {
    arriving: &'a Arriving,
    follower: Follower,
    piece: Bytes,
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            match self.arriving.delivery.inner.runtime.block_on(self.follower.next()) {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => return Err(io::Error::other(error.to_string())),
                None => return Ok(0),
            }
        }
        let len = into.len().min(self.piece.len());
        self.piece.copy_to_slice(into.get_mut(..len).unwrap_or_default());
        Ok(len)
    }
}
