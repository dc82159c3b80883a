//! Opens the store and puts what knows callers around it: the snapshot, the trail, identities.
//!
//! Belongs here: wiring of `store`, `snapshot::people`, `trail` and `identity`, and their end. Does not: what they do.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::runtimes::Runtimes;
use super::{StartError, convert, fetch, forgotten};
use crate::api::accounts::{self, Accounts};
use crate::api::channels;
use crate::api::dialects::{self, Dialects, Stages};
use crate::api::in_process::{self, Threads};
use crate::api::v1::{self, Control};
use crate::auth;
use crate::auth::password::Passwords;
use crate::clock::{SharedClock, UnixMillis};
use crate::config::Config;
use crate::identity::{Identity, IdentityParts};
use crate::jobs::Queue;
use crate::people;
use crate::proxy::Api;
use crate::proxy::server::{self, Stopper};
use crate::sight::Sight;
use crate::snapshot::people::disk::Disk;
use crate::snapshot::people::follow::Follower;
use crate::snapshot::people::{People, State, full};
use crate::snapshot::{HostedChannels, Live};
use crate::store::lazy::LazyStore;
use crate::store::mongo::Mongo;
use crate::store::sqlite::Sqlite;
use crate::store::{Store, StoreError};
use crate::telemetry::Eyes;
use crate::telemetry::health::StoreState;
use crate::trail::Trail;

/// How long a start waits for a database before it goes on with what was saved.
const START_PATIENCE: Duration = Duration::from_secs(5);
/// How long a stop waits for what is to be written.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// All that knows callers.
pub(super) struct Society {
    pub(super) people: Arc<People>,
    pub(super) identity: Arc<Identity>,
    pub(super) trail: Arc<Trail>,
    store: LazyStore,
    clock: SharedClock,
    runtime: Handle,
    pages: Handle,
    stopper: Stopper,
    ending: Mutex<Vec<JoinHandle<()>>>,
}

impl Society {
    /// Opens the store or, where a MongoDB can't be reached, goes on with what was saved.
    ///
    /// # Errors
    /// A store that must not be used: damaged, of a newer version, not set up.
    pub(super) fn open(
        config: &Config,
        clock: &SharedClock,
        runtimes: &Runtimes,
        pseudonym: &str,
        store: LazyStore,
        live: &Arc<Live>,
        eyes: &Eyes,
    ) -> Result<Self, StartError> {
        let runtime = &runtimes.background;
        runtime.block_on(first_opened(&store))?;
        let dir = config.data.join("people");
        let disk = Disk::open(&dir, &place(config))
            .map_err(|source| StartError::Directory { path: dir.clone(), source })?;
        let saved = disk.load().unwrap_or_else(|error| {
            tracing::warn!(%error, "the saved users and tokens can't be used; they are read anew");
            None
        });
        let saved = with_channels(&store, saved, live, runtime);
        let (people, asked) = People::new(saved, Arc::clone(clock), config.auth.snapshot_max_age);
        let live = Arc::clone(live);
        people.watch(move |state| live.set_hosted(HostedChannels::of(state)));
        let trail = Trail::new(
            convert::trail(config),
            Arc::clone(&eyes.metrics),
            Arc::clone(clock),
            dir.join("waiting.json"),
        );
        let (stopper, stop) = server::stop_pair();
        let follower = Follower::new(store.clone(), Arc::clone(&people), disk, Arc::clone(clock), asked);
        let stopping = stop.clone();
        let following = runtime.spawn(follower.run(async move { stopping.requested().await }));
        let writing = {
            let (trail, store) = (Arc::clone(&trail), store.clone());
            runtime.spawn(trail.write_down(store, async move { stop.requested().await }))
        };
        let passwords =
            Passwords::new(convert::argon2(config)).map_err(|error| StartError::Door(error.to_string()))?;
        let identity = Identity::new(IdentityParts {
            people: Arc::clone(&people),
            store: store.clone(),
            passwords: Arc::new(passwords),
            trail: Arc::clone(&trail),
            runtime: runtime.handle().clone(),
            clock: Arc::clone(clock),
            settings: convert::identity(config),
            fetch: fetch::fetch(Arc::clone(clock), convert::egress(config, pseudonym)),
        });
        let ending = Mutex::new(vec![following, writing]);
        let (clock, runtime) = (Arc::clone(clock), runtime.handle().clone());
        let pages = runtimes.pages.handle().clone();
        let this = Self { people, identity, trail, store, clock, runtime, pages, stopper, ending };
        this.offer_set_up(config);
        Ok(this)
    }

    /// Lays down a code for the first administrator where there is none.
    fn offer_set_up(&self, config: &Config) {
        let (open, data) = (self.open_people(config), config.data.clone());
        drop(self.runtime.spawn(async move {
            let Ok(people) = open().await else { return };
            match people::setup::offer(&people, &data).await {
                Ok(Some(offer)) => tracing::info!(
                    file = %offer.file.display(),
                    "there is no superuser yet: `condagate user create --superuser` makes one, or who has the code in this file, for an hour"
                ),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "no set-up code could be laid down"),
            }
        }));
    }

    /// The API behind the front door.
    pub(super) fn api(&self, config: &Config, queue: &Queue, control: Control) -> Api {
        let accounts = Accounts {
            identity: Arc::clone(&self.identity),
            people: self.open_people(config),
            data: config.data.clone(),
            send_code: forgotten::sender(config, queue, &self.clock),
        };
        let router = accounts::router(accounts).merge(channels::router(control.sight.clone()));
        in_process::call(v1::router(control, router), self.threads())
    }

    /// What answers in upload dialects.
    pub(super) fn dialects(&self, config: &Config, sight: Sight, stages: Stages) -> Api {
        let dialects = Dialects::new(sight, self.open_people(config), stages);
        in_process::call(dialects::router(dialects), Threads::same(&self.runtime))
    }

    /// Where pages are made and the API answers.
    pub(super) fn threads(&self) -> Threads {
        Threads { usual: self.pages.clone(), uploads: self.runtime.clone() }
    }

    /// What makes users, once the store is open.
    pub(super) fn open_people(&self, config: &Config) -> accounts::Open {
        let (store, clock) = (self.store.clone(), Arc::clone(&self.clock));
        let (argon2, life) = (convert::argon2(config), config.auth.token_ttl);
        Arc::new(move || {
            let (store, clock, argon2) = (store.clone(), Arc::clone(&clock), argon2);
            async move {
                let unusable =
                    |error: auth::password::PasswordError| StoreError::Unavailable { why: error.to_string() };
                let passwords = Passwords::new(argon2).map_err(unusable)?;
                Ok(people::People::new(store.get().await?, passwords, clock, life))
            }
            .boxed()
        })
    }

    /// Tells the eyes whether the store answers.
    pub(super) fn report(&self, eyes: &Eyes) {
        let trouble = self.people.trouble();
        eyes.metrics.store_up.set(i64::from(trouble.is_none()));
        eyes.health.set_store(match (trouble, self.people.is_usable()) {
            (None, true) => StoreState::Current,
            (None, false) => StoreState::Opening,
            (Some(why), true) => StoreState::Degraded(why),
            (Some(why), false) => StoreState::Unknown(why),
        });
    }

    /// Writes what is to be written; to be called when the last request has ended.
    pub(super) async fn end(&self) {
        self.stopper.stop();
        let mut ending = std::mem::take(&mut *self.ending.lock());
        if timeout(END_PATIENCE, futures_util::future::join_all(&mut ending)).await.is_err() {
            tracing::warn!("the store did not take the last events in time");
            ending.iter().for_each(JoinHandle::abort);
        }
    }
}

/// Who is in the store, for a command without a gate.
///
/// # Errors
/// When the store can't be read.
pub(super) fn people_in_store(config: &Config) -> Result<State, StartError> {
    if config.store.is_none() && !config.store_file().exists() {
        return Ok(State::default());
    }
    let runtime = Runtime::new().map_err(StartError::Runtime)?;
    let store = lazy_store(config, runtime.handle());
    runtime.block_on(async { full::read_people(&store.get().await?).await }).map_err(StartError::Store)
}

/// The hosted channels in the store, for a command without a gate. A store that can't be read leaves open which names it hosts.
pub(super) fn channels_in_store(config: &Config, runtime: &Runtime) -> HostedChannels {
    if config.store.is_none() && !config.store_file().exists() {
        return HostedChannels::none();
    }
    let store = lazy_store(config, runtime.handle());
    let read = async { full::read_channels(&store.get().await?).await };
    match runtime.block_on(async { timeout(START_PATIENCE, read).await }) {
        Ok(Ok(channels)) => HostedChannels::of(&State { channels: Arc::new(channels), ..State::default() }),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the store can't be read, so nobody knows which channels are hosted");
            HostedChannels::default()
        }
        Err(_) => {
            tracing::warn!("the store does not answer, so nobody knows which channels are hosted");
            HostedChannels::default()
        }
    }
}

/// The store that the settings name.
pub(super) fn lazy_store(config: &Config, runtime: &Handle) -> LazyStore {
    let (file, mongodb, runtime) = (config.store_file(), convert::mongodb(config), runtime.clone());
    LazyStore::new(Arc::new(move || {
        let (file, mongodb, runtime) = (file.clone(), mongodb.clone(), runtime.clone());
        async move {
            if let Some(settings) = mongodb {
                return Ok(Store::new(Mongo::open(&settings).await?));
            }
            let handle = runtime.clone();
            let opened = runtime.spawn_blocking(move || Sqlite::open(&file, handle)).await;
            let ended = |error| StoreError::Unavailable { why: format!("it was not opened: {error}") };
            Ok(Store::new(opened.map_err(ended)??))
        }
        .boxed()
    }))
}

/// What was saved, with the hosted channels that are in the store now, if it can be read: `live` knows them before the first request,
/// because no name of theirs may be answered from an upstream.
fn with_channels(
    store: &LazyStore,
    saved: Option<(State, UnixMillis)>,
    live: &Live,
    runtime: &Runtime,
) -> Option<(State, UnixMillis)> {
    let read = async { full::read_channels(&store.get().await?).await };
    let Ok(Ok(channels)) = runtime.block_on(async { timeout(START_PATIENCE, read).await }) else {
        return saved;
    };
    let channels = Arc::new(channels);
    live.set_hosted(HostedChannels::of(&State { channels: Arc::clone(&channels), ..State::default() }));
    saved.map(|(state, at)| (State { channels, ..state }, at))
}

async fn first_opened(store: &LazyStore) -> Result<(), StartError> {
    match timeout(START_PATIENCE, store.get()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error @ StoreError::Unavailable { .. })) => {
            tracing::warn!(%error, "the store can't be reached; known callers are served as before");
            Ok(())
        }
        Ok(Err(error)) => Err(StartError::Store(error)),
        Err(_) => {
            tracing::warn!("the store does not answer; known callers are served as before");
            Ok(())
        }
    }
}

/// What tells one store from another, without credentials.
fn place(config: &Config) -> String {
    match &config.store {
        None => format!("sqlite {}", config.store_file().display()),
        Some(mongodb) => {
            let uri = mongodb.uri.reveal();
            let rest = uri.split_once("://").map_or(uri.as_str(), |(_, rest)| rest);
            let hosts = rest.split(['/', '?']).next().unwrap_or_default();
            let hosts = hosts.rsplit('@').next().unwrap_or_default();
            format!("mongodb {hosts} {}", mongodb.database)
        }
    }
}
