//! Delivering files: joins the cache and the upstreams for packages, indexes, shards, documents and plain files.
//!
//! Belongs here: the use cases of a reader ("this package", "this index", "this installer"), each from cache when it is
//! there, else by a fill, with freshness and refusals decided. Does not: HTTP semantics (`proxy`), how bytes are stored
//! (`cache`) or fetched (`upstream`), how generations are built (`repodata`).

mod answer;
pub mod catalogue;
mod documents;
mod elsewhere;
pub mod explain;
mod hosted;
mod indexes;
mod local;
mod look_up;
mod negative;
mod noarch;
mod notices;
mod objects;
mod packages;
mod pass;
mod purge;
mod refusal;
mod rulings;
mod shards;
mod sidecars;
mod source;
mod tending;
mod upstream_shards;
mod virtual_channels;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

pub use answer::{Answer, Body, CacheFor, Facts, NamedBy, Outcome, place_etag};
pub use hosted::Opener;
pub use indexes::{ColdReader, Events, IndexSettings};
pub use local::{Entry, Listing};
pub use packages::package_etag;
pub use pass::{PassConditions, Passed};
pub use purge::Purged;
pub use refusal::Refusal;

use crate::cache::Cache;
use crate::clock::SharedClock;
use crate::http::traceparent::TraceSpan;
use crate::repodata::store::GenerationStore;
use crate::store::lazy::LazyStore;

/// What delivering needs from the wiring.
pub struct DeliverySettings {
    /// Index refreshes and builds.
    pub index: IndexSettings,
    /// How long "upstream has no such file" is believed.
    pub negative_ttl: Duration,
    /// How long a caller waits for something that is not there yet before it is told to come again.
    pub patience: Duration,
    /// Whether upstreams are told where in a trace a fetch stands.
    pub traces_to_upstreams: bool,
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self {
            index: IndexSettings::default(),
            negative_ttl: Duration::from_mins(1),
            // conda gives up after 60 s without a byte (`context.py`, `remote_read_timeout_secs`).
            patience: Duration::from_secs(50),
            traces_to_upstreams: false,
        }
    }
}

/// What delivering is made of.
pub struct DeliveryParts {
    /// Blobs, objects and fills.
    pub cache: Cache,
    /// Index generations.
    pub generations: Arc<GenerationStore>,
    /// Packages of hosted channels.
    pub store: LazyStore,
    /// Who looks into them.
    pub opener: Arc<dyn Opener>,
    /// Where "now" comes from.
    pub clock: SharedClock,
    /// Fills, refreshes and builds run here, never on a front-door worker.
    pub runtime: Handle,
    /// How it behaves.
    pub settings: DeliverySettings,
    /// Who counts refreshes.
    pub events: Arc<dyn Events>,
}

/// The use cases, behind one handle.
#[derive(Clone)]
pub struct Delivery {
    inner: Arc<Inner>,
    /// `Via` of the request that is being answered: upstream gets it too, so that gates in a circle notice.
    via: Option<Arc<str>>,
    /// The span of the request that is being answered, if it is traced.
    span: Option<TraceSpan>,
}

struct Inner {
    cache: Cache,
    generations: Arc<GenerationStore>,
    clock: SharedClock,
    runtime: Handle,
    settings: DeliverySettings,
    objects: objects::Objects,
    indexes: indexes::Indexes,
    shards: shards::ShardState,
    rulings: rulings::Rulings,
    hosted: hosted::HostedState,
    catalogues: catalogue::Catalogues,
    events: Arc<dyn Events>,
}

impl Delivery {
    /// Whether an index is being fetched or built.
    #[must_use]
    pub fn is_building(&self) -> bool {
        self.inner.indexes.is_building()
    }

    /// From now on nothing is built and no index fetched: another process is to have them. False when something is under way;
    /// then nothing has changed.
    #[must_use]
    pub fn cease(&self) -> bool {
        self.inner.indexes.cease()
    }

    /// Undoes [`Self::cease`].
    pub fn resume(&self) {
        self.inner.indexes.resume();
    }

    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: DeliveryParts) -> Self {
        let DeliveryParts { cache, generations, store, opener, clock, runtime, settings, events } = parts;
        let objects = objects::Objects::new(Arc::clone(&clock), settings.negative_ttl, settings.index.retry);
        let indexes = indexes::Indexes::new(&settings.index);
        let shards = shards::ShardState::new();
        let rulings = rulings::Rulings::new(20_000);
        let hosted = hosted::HostedState::new(store, opener);
        let inner = Inner {
            cache,
            generations,
            clock,
            runtime,
            settings,
            objects,
            indexes,
            shards,
            rulings,
            hosted,
            catalogues: catalogue::Catalogues::new(),
            events,
        };
        Self { inner: Arc::new(inner), via: None, span: None }
    }

    /// The same, fetching on behalf of a request that came through other proxies, or is traced.
    #[must_use]
    pub fn on_behalf_of(&self, via: Option<&str>, span: Option<TraceSpan>) -> Self {
        Self { inner: Arc::clone(&self.inner), via: via.map(Into::into), span }
    }

    /// The `Via` and `traceparent` of a request to upstream.
    fn handed_on(&self) -> (Option<String>, Option<String>) {
        let span = self.span.filter(|_| self.inner.settings.traces_to_upstreams);
        (self.via.as_deref().map(ToOwned::to_owned), span.map(|span| span.to_parent().to_string()))
    }
}
