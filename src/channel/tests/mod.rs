//! Publishing on a real store and a real directory.

mod crash;
mod publish;
mod retract;
mod search;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use parking_lot::Mutex;
use serde_json::json;
use tokio::runtime::Handle;

use super::inspect::tests::build::{Entry, tar_bz2};
use super::*;
use crate::cache::{CacheSettings, Faults, KeepFree};
use crate::clock::{ManualClock, UnixMillis};
use crate::conda::archive::ArchiveName;
use crate::conda::digest::Expected;
use crate::conda::subdir::Subdir;
use crate::policy::Rules;
use crate::store::lazy::LazyStore;
use crate::store::model::{AuditEvent, Channel, Package};
use crate::store::repo::AuditFilter;
use crate::store::sqlite::Sqlite;
use crate::store::{Store, StoreError};
use crate::upstream::{Egress, Upstreams};

pub(super) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// Hosting in a directory of its own.
pub(super) struct Lab {
    pub(super) hosting: Hosting,
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Store,
    pub(super) told: Arc<Ear>,
    /// What the store says instead of answering.
    pub(super) down: Arc<Mutex<Option<StoreError>>>,
    dir: Arc<tempfile::TempDir>,
}

/// Remembers what it was told.
#[derive(Default)]
pub(super) struct Ear(pub(super) Mutex<Vec<String>>);

#[async_trait::async_trait]
impl Told for Ear {
    async fn channels_changed(&self) {}

    fn changed(&self, channel: &Channel, subdir: &Subdir) {
        self.0.lock().push(format!("{}/{subdir}", channel.name));
    }

    fn changed_everywhere(&self, channel: &Channel) {
        self.0.lock().push(format!("{}/*", channel.name));
    }
}

impl Lab {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self::within(Arc::new(dir.unwrap()), |_| {}).unwrap()
    }

    pub(super) fn within(
        dir: Arc<tempfile::TempDir>,
        change: impl FnOnce(&mut CacheSettings),
    ) -> Result<Self, crate::cache::CacheError> {
        let clock = ManualClock::new(NOW);
        let mut settings = CacheSettings {
            housekeeping: Duration::ZERO,
            keep_free: KeepFree::Bytes(0),
            ..CacheSettings::new(dir.path().join("packages"))
        };
        change(&mut settings);
        let cache = Cache::open(settings, clock.clone(), Handle::current())?;
        let store = Store::new(Sqlite::open(&dir.path().join("store.db"), Handle::current()).unwrap());
        let down: Arc<Mutex<Option<StoreError>>> = Arc::default();
        let (opened, trouble) = (store.clone(), Arc::clone(&down));
        let lazy = LazyStore::new(Arc::new(move || {
            let (store, trouble) = (opened.clone(), Arc::clone(&trouble));
            async move { trouble.lock().clone().map_or(Ok(store), Err) }.boxed()
        }));
        let told = Arc::new(Ear::default());
        let upstreams = Arc::new(Upstreams::new(clock.clone(), Egress::new("test")));
        let live = Arc::new(Live::new(Arc::new(Rules::builtin()), upstreams));
        let desk = Desk::new(lazy, clock.clone(), Some(told.clone()));
        let hosting = Hosting::new(HostingParts { desk, cache, live, receive: ReceiveSettings::default() });
        Ok(Self { hosting, clock, store, told, down, dir })
    }

    pub(super) fn faulty(dir: Arc<tempfile::TempDir>, faults: Faults) -> Option<Self> {
        Self::within(dir, |settings| settings.faults = Some(faults)).ok()
    }

    pub(super) async fn channel(&self, name: &str, new: NewChannel) -> ChannelName {
        let name = ChannelName::parse(name).unwrap();
        self.hosting.desk().create_channel(&author(), &name, new).await.unwrap();
        name
    }

    /// Sends these bytes under this name, `main`, nothing said about them.
    pub(super) async fn send(
        &self,
        channel: &ChannelName,
        file: &str,
        bytes: &[u8],
    ) -> Result<Published, HostError> {
        self.send_as(upload(channel, file), bytes).await
    }

    pub(super) async fn send_as(&self, upload: Upload, bytes: &[u8]) -> Result<Published, HostError> {
        let pieces: Vec<_> = bytes.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let received = self.hosting.receive(stream::iter(pieces), Some(bytes.len() as u64)).await?;
        self.hosting.publish_as(&author(), upload, received).await
    }

    pub(super) async fn row(&self, channel: &ChannelName, subdir: &str, file: &str) -> Option<Package> {
        let place = (Subdir::parse(subdir).unwrap(), ArchiveName::parse(file).unwrap());
        self.hosting.desk().package(channel, &place.0, &place.1).await.unwrap()
    }

    pub(super) async fn kinds(&self) -> Vec<String> {
        let events: Vec<AuditEvent> =
            self.store.audit().list(&AuditFilter::default(), None, 1000).await.unwrap();
        let mut kinds: Vec<_> = events.into_iter().map(|event| event.kind).collect();
        kinds.sort();
        kinds
    }

    pub(super) fn cache(&self) -> &Cache {
        &self.hosting.0.cache
    }

    pub(super) fn files(&self, below: &str) -> usize {
        std::fs::read_dir(self.dir.path().join("packages").join(below)).map_or(0, Iterator::count)
    }
}

pub(super) fn author() -> Author {
    Author::command_line("ada").unwrap()
}

pub(super) fn upload(channel: &ChannelName, file: &str) -> Upload {
    Upload {
        channel: channel.clone(),
        file: ArchiveName::parse(file).unwrap(),
        subdir: None,
        labels: Vec::new(),
        expected: Expected::default(),
        force: false,
        attestation: None,
    }
}

/// A package; `payload` makes its bytes others.
pub(super) fn package(name: &str, version: &str, payload: &str) -> (String, Vec<u8>) {
    let index = json!({
        "name": name, "version": version, "build": "0", "build_number": 0, "depends": [], "subdir": "noarch",
        "license": "MIT", "noarch": "generic",
    });
    let members = [
        Entry::file("info/index.json", index.to_string().as_bytes()),
        Entry::file("share/payload", payload.as_bytes()),
    ];
    (format!("{name}-{version}-0.tar.bz2"), tar_bz2(&members))
}
