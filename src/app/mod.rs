//! The composition root: the only place that sees every room. It opens the engines, hands each its settings, and runs the front door.
//!
//! Belongs here: wiring, start and stop. Does not: decisions about requests (`proxy`), caches (`delivery`) or rules (`policy`).

mod chores;
pub(crate) mod convert;
pub mod data_dir;
mod doctor;
mod explain;
mod eyes;
mod fetch;
mod forgotten;
mod glance;
mod guards;
mod hosting;
mod line;
mod manage;
mod memory;
mod operator;
mod reload;
mod runtimes;
mod serve;
mod society;
mod systemd;
mod tell;
mod tend;
mod tls;
mod traces;
mod upgrade;
mod web;
mod work;

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Runtime;

use crate::api::dialects::Stages;
use crate::cache::{Cache, CacheError, CacheSettings, CacheStatus};
use crate::channel::Hosting;
use crate::clock::SharedClock;
use crate::config::Config;
use crate::delivery::{Delivery, DeliveryParts, DeliverySettings};
use crate::id::RequestIds;
use crate::policy::Rules;
use crate::proxy::listen::{self, Bound, ListenError};
use crate::proxy::server::{self, ServerError, ServerParts, Stop, Stopped, Stopper};
use crate::proxy::tls::{Tls, TlsError};
use crate::proxy::{Admission, ControlPages, Door, DoorSettings, Redirect};
use crate::repodata::store::GenerationStore;
use crate::snapshot::Live;
use crate::store::lazy::LazyStore;
use crate::telemetry::health::{CacheState, RulesState};
use crate::telemetry::{Eyes, Metrics};
use crate::upstream::{SettingsError, Upstreams};

pub use convert::UpstreamTuning;
use data_dir::DataDir;
pub use data_dir::DataError;
pub use doctor::probe;
pub use explain::explain_offline;
use runtimes::Runtimes;
pub use serve::{OfflineError, offline, serve};
pub use tell::try_notifying;
pub use tls::check_certificates;
pub use upgrade::Program;
use upgrade::Takeover;

/// Blocking threads of each front-door worker: small documents to compress.
const DOOR_BLOCKING_THREADS: usize = 4;

/// What a gate is started from.
pub struct GateOptions {
    /// The validated configuration.
    pub config: Config,
    /// The rules in force at start.
    pub rules: Rules,
    /// What was there before.
    pub origin: Origin,
    /// Where "now" comes from.
    pub clock: SharedClock,
    /// Changes to what the configuration gives, for tests: patience, hold-back, faults.
    pub tuning: Tuning,
}

/// What a process that starts a gate got from elsewhere.
#[derive(Default)]
pub struct Origin {
    /// Sockets that listen already; addresses of the configuration that they serve are not bound again.
    pub sockets: Vec<Bound>,
    /// Where the process that was here before passes requests on.
    pub inherited: Option<UnixListener>,
    /// What can be started anew to take over; `None` for a gate that is part of something else.
    pub program: Option<Program>,
}

/// Changes settings before they are used.
type Tune<T> = Box<dyn FnOnce(&mut T) + Send>;

/// Knobs that no user needs and tests do.
#[derive(Default)]
pub struct Tuning {
    /// Changes the cache's settings before it opens.
    pub cache: Option<Tune<CacheSettings>>,
    /// Changes the delivery's settings.
    pub delivery: Option<Tune<DeliverySettings>>,
    /// Changes every upstream's settings, now and at each reload.
    pub upstream: Option<convert::UpstreamTuning>,
}

/// Why a gate did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Traces can't be sent as the settings say.
    #[error("traces can't be sent to `telemetry.otlp.endpoint`: {0}")]
    Traces(String),
    /// An address can't be listened on.
    #[error("{}", lines(.0))]
    Listen(Vec<ListenError>),
    /// The data directory can't be used.
    #[error("{0}")]
    Data(#[from] DataError),
    /// A directory can't be used.
    #[error("the directory `{}` can't be used: {source}; give another with --data or `data:`", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The package cache can't be opened.
    #[error("{0}")]
    Cache(#[from] CacheError),
    /// The index cache can't be opened.
    #[error("the index cache can't be opened: {0}")]
    Generations(String),
    /// Upstreams of the rules can't be used as written.
    #[error("{}", lines(.0))]
    Upstreams(Vec<SettingsError>),
    /// The access log can't be opened.
    #[error("{0}")]
    AccessLog(#[from] crate::telemetry::access::AccessError),
    /// The process that was here before did not hand over.
    #[error("this process can't take over: {0}")]
    TakeOver(String),
    /// The machine gives no threads.
    #[error("the threads for fetching and building can't be started: {0}")]
    Runtime(std::io::Error),
    /// Half of a backup is there.
    #[error(
        "a restore into `{}` was not finished, so half of what was hosted here may be missing; remove what is in that directory, and run \
         `condagate restore` again",
        .0.display()
    )]
    HalfRestored(PathBuf),
    /// The log's level can't be read.
    #[error("{0}")]
    Log(#[from] crate::telemetry::log::LogError),
    /// Certificates can't be used.
    #[error("{}", lines(.0))]
    Tls(Vec<TlsError>),
    /// The store of users and tokens must not be used.
    #[error("{0}")]
    Store(crate::store::StoreError),
    /// The front door did not start.
    #[error("the front door can't be started: {0}")]
    Door(String),
}

fn lines(errors: &[impl ToString]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A running gate on its own threads. Dropping it stops it.
pub struct Gate {
    addresses: Vec<SocketAddr>,
    core: Arc<Core>,
    stopper: Stopper,
    door: Option<JoinHandle<Result<Stopped, ServerError>>>,
    runtimes: Option<Runtimes>,
}

/// What a gate's parts share.
struct Core {
    config: Config,
    /// Let go last, when nothing writes there any more.
    data: Mutex<Option<DataDir>>,
    cache: Cache,
    delivery: Delivery,
    generations: Arc<GenerationStore>,
    live: Arc<Live>,
    /// Opened by whoever needs it first.
    store: LazyStore,
    /// None for what the command line does without a gate.
    society: Option<society::Society>,
    /// None there, too.
    hosting: Option<Hosting>,
    clock: SharedClock,
    upstreams: Arc<Upstreams>,
    eyes: Eyes,
    tune_upstream: Option<convert::UpstreamTuning>,
    /// None without certificates.
    tls: Option<Arc<Tls>>,
    chores: chores::Chores,
    takeover: Takeover,
    /// What the fill counters have been told so far.
    counted: Mutex<CacheStatus>,
    guards: guards::Guards,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
    work: work::Work,
}

impl Gate {
    /// Opens everything and listens; returns once requests are accepted.
    ///
    /// # Errors
    /// As [`StartError`].
    pub fn start(options: GateOptions) -> Result<Self, StartError> {
        let GateOptions { config, rules, origin, clock, tuning } = options;
        if crate::backup::unfinished(&config.data) {
            return Err(StartError::HalfRestored(config.data.clone()));
        }
        let bound = bind(origin.sockets, &config)?;
        let addresses = bound.iter().map(Bound::address).collect();
        let data = DataDir::claim(&config, &*clock)?;
        let runtimes = Runtimes::start().map_err(StartError::Runtime)?;
        let runtime = &runtimes.background;
        let pseudonym = convert::pseudonym();
        reload::tell_notes(&rules);
        let mut core = Core::open(config, rules, &clock, tuning, runtime, &pseudonym)?;
        (core.data, core.takeover.program) = (Mutex::new(Some(data)), origin.program);
        core.tls = tls::open(&core.config, &core.eyes, clock.now())?;
        let (store, live) = (core.store.clone(), Arc::clone(&core.live));
        let society =
            society::Society::open(&core.config, &clock, &runtimes, &pseudonym, store, &live, &core.eyes)?;
        core.hosting = Some(core.open_hosting(&society));
        core.society = Some(society);
        let core = Arc::new(core);
        let (stopper, stop) = server::stop_pair();
        core.attend(runtime, &stop);
        let door = core.open_door(bound, origin.inherited, &pseudonym, stop, &clock)?;
        Ok(Self { addresses, core, stopper, door: Some(door), runtimes: Some(runtimes) })
    }

    /// The addresses it listens on, as bound.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Reads the rules again; the old ones stay if the new ones have mistakes.
    ///
    /// # Errors
    /// Every mistake, as text.
    pub fn reload(&self) -> Result<(), String> {
        match &self.runtimes {
            Some(runtimes) => runtimes.background.block_on(self.core.reload()),
            None => Err("the gate is stopping".to_owned()),
        }
    }

    /// What eyes see: counters for tests and status pages.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.core.eyes.metrics
    }

    /// Stops accepting, lets requests under way finish (bounded), then stops downloads; nothing half-written is trusted afterwards.
    pub fn stop(mut self) {
        self.shut();
    }

    /// Returns when no client is connected any more.
    async fn empty(&self) {
        while self.core.eyes.metrics.connections.get() > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the front door has closed by itself or by a signal handler.
    fn shut(&mut self) {
        self.core.eyes.health.set_stopping();
        self.core.stop_chores();
        self.stopper.stop();
        match self.door.take().map(JoinHandle::join) {
            Some(Err(_)) => tracing::error!("the front door's thread ended by a panic"),
            Some(Ok(Err(error))) => tracing::error!(%error, "the front door ended with an error"),
            Some(Ok(Ok(_))) | None => {}
        }
        self.core.eyes.access.flush(Duration::from_secs(2));
        if let Some(Runtimes { background: runtime, pages }) = self.runtimes.take() {
            pages.shutdown_timeout(Duration::from_secs(2));
            runtime.block_on(self.core.end_work());
            if let Some(society) = &self.core.society {
                runtime.block_on(society.end());
            }
            if self.core.takeover.is_over() {
                runtime.block_on(self.core.write_rest());
                self.core.forget_heir();
            }
            runtime.block_on(self.core.cache.settle(Duration::from_secs(2)));
            self.core.cache.stop();
            runtime.block_on(traces::flush(&self.core.eyes.traces));
            runtime.shutdown_timeout(Duration::from_secs(2));
            drop(self.core.data.lock().take());
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if self.door.is_some() {
            self.shut();
        }
    }
}

/// What a gate listens on: the sockets it got, and those of its settings that they don't serve.
fn bind(sockets: Vec<Bound>, config: &Config) -> Result<Vec<Bound>, StartError> {
    let by_tls = if config.tls.certificates.is_empty() { &[][..] } else { &config.tls.listen };
    listen::complete(sockets, &config.listen, by_tls).map_err(StartError::Listen)
}

/// Where browsers are sent, if they are.
fn redirect(config: &Config, public: Option<&url::Url>, bound: &[Bound]) -> Option<Redirect> {
    let tls = bound.iter().find(|one| one.is_tls()).filter(|_| config.tls.redirect_browsers)?;
    let public = public.filter(|public| public.scheme() == "https");
    let public = public.map(|public| public.origin().ascii_serialization());
    Some(Redirect { port: tls.address().port(), public })
}

fn tuned<T>(mut settings: T, tune: Option<impl FnOnce(&mut T)>) -> T {
    if let Some(tune) = tune {
        tune(&mut settings);
    }
    settings
}

impl Core {
    fn open(
        config: Config,
        rules: Rules,
        clock: &SharedClock,
        tuning: Tuning,
        runtime: &Runtime,
        pseudonym: &str,
    ) -> Result<Self, StartError> {
        let upstreams = Arc::new(Upstreams::new(Arc::clone(clock), convert::egress(&config, pseudonym)));
        let eyes = eyes::open(&config, &upstreams, runtime)?;
        upstreams.set(convert::upstreams(&rules, tuning.upstream.as_ref())).map_err(StartError::Upstreams)?;
        let settings =
            CacheSettings { watcher: eyes::FillEyes::watcher(&eyes, clock), ..convert::cache(&config) };
        let settings = tuned(settings, tuning.cache);
        let cache = Cache::open(settings, Arc::clone(clock), runtime.handle().clone())?;
        eyes.health.set_cache(CacheState::Writable);
        let generations = GenerationStore::open(&explain::generations(&config))
            .map_err(|error| StartError::Generations(error.to_string()))?;
        let generations = Arc::new(generations);
        let store = society::lazy_store(&config, runtime.handle());
        let delivery = Delivery::new(DeliveryParts {
            store: store.clone(),
            opener: Arc::new(hosting::Opener),
            cache: cache.clone(),
            generations: Arc::clone(&generations),
            clock: Arc::clone(clock),
            runtime: runtime.handle().clone(),
            settings: tuned(convert::delivery(&config), tuning.delivery),
            events: Arc::new(eyes::DeliveryEyes(Arc::clone(&eyes.metrics))),
        });
        eyes.health.set_rules(RulesState::Current { revision: rules.revision() });
        let live = Arc::new(Live::new(Arc::new(rules), Arc::clone(&upstreams)));
        let guards = guards::Guards::new(&config, clock, &eyes.metrics);
        let work = work::Work::new(&config, &store, clock, runtime.handle());
        Ok(Self {
            config,
            data: Mutex::default(),
            cache,
            delivery,
            generations,
            live,
            store,
            society: None,
            hosting: None,
            clock: Arc::clone(clock),
            upstreams,
            eyes,
            tune_upstream: tuning.upstream,
            tls: None,
            chores: chores::Chores::default(),
            takeover: Takeover::default(),
            counted: Mutex::default(),
            guards,
            reloading: tokio::sync::Mutex::default(),
            work,
        })
    }

    /// What the gate says of itself, and its API.
    fn pages(self: &Arc<Self>, society: &society::Society, hosting: &Hosting) -> ControlPages {
        let refreshed = Arc::clone(self);
        let allowed = self.config.control.allow.clone();
        let stages = Stages::new(Arc::clone(&self.clock));
        let control = self.control(society, hosting, &stages);
        ControlPages {
            eyes: self.eyes.clone(),
            insider: Arc::new(move |ip| allowed.iter().any(|network| network.contains(ip))),
            refresh: Arc::new(move || refreshed.bring_gauges_up_to_date()),
            explain: self.explainer(),
            api: society.api(&self.config, &self.work.queue, control),
            pages: self.for_people(society, hosting),
            dialects: society.dialects(&self.config, self.sight(hosting), stages),
            receive_timeout: self.config.limits.receive_timeout,
        }
    }

    fn open_door(
        self: &Arc<Self>,
        bound: Vec<Bound>,
        inherited: Option<UnixListener>,
        pseudonym: &str,
        stop: Stop,
        clock: &SharedClock,
    ) -> Result<JoinHandle<Result<Stopped, ServerError>>, StartError> {
        let (Some(society), Some(hosting)) = (&self.society, &self.hosting) else {
            return Err(StartError::Door("nobody knows who may come in, or what is hosted".to_owned()));
        };
        let pages = self.pages(society, hosting);
        let public = self.config.public_url.as_ref().map(|public| public.url.reveal().clone());
        let redirect = redirect(&self.config, public.as_ref(), &bound);
        let succession = Arc::clone(&self.takeover.succession);
        let settings = DoorSettings { public, pseudonym: pseudonym.to_owned(), succession, redirect };
        let admission = Admission {
            identity: Arc::clone(&society.identity),
            trail: Arc::clone(&society.trail),
            transport: convert::transport(&self.config),
            limits: Arc::clone(&self.guards.limits),
        };
        let door = Door::new(Arc::clone(&self.live), self.delivery.clone(), pages, admission, settings)
            .map_err(|error| StartError::Door(error.to_string()))?;
        let (ready, accepting) = tokio::sync::oneshot::channel();
        let parts = ServerParts {
            bound,
            tls: self.tls.clone(),
            inherited,
            succession: Arc::clone(&self.takeover.succession),
            handler: Arc::new(door),
            front: convert::front(&self.config),
            threads: self.config.threads,
            blocking_threads: DOOR_BLOCKING_THREADS,
            grace: self.config.timeouts.stop,
            pressure: Arc::clone(&self.guards.pressure),
            stop,
            ready: Some(ready),
            eyes: self.eyes.clone(),
            clock: Arc::clone(clock),
            ids: Arc::new(RequestIds::new(convert::random())),
        };
        let door = std::thread::Builder::new()
            .name("gate-door".to_owned())
            .spawn(move || server::run(parts))
            .map_err(|error| StartError::Door(error.to_string()))?;
        match accepting.blocking_recv() {
            Ok(pulse) => {
                self.takeover.pulse.get_or_init(|| pulse);
                Ok(door)
            }
            Err(_) => Err(StartError::Door("it ended while starting; see the log".to_owned())),
        }
    }

    /// Starts what runs beside the front door: the control socket, and the chores.
    fn attend(self: &Arc<Self>, runtime: &Runtime, stop: &Stop) {
        let operator: Arc<dyn crate::api::Operator> = Arc::new(operator::GateOperator(Arc::clone(self)));
        let socket = self.config.control_socket();
        let (stopping, hosting) = (stop.clone(), self.hosting.clone());
        runtime.spawn(async move {
            let stopped = async move { stopping.requested().await };
            if let Err(error) = crate::api::serve(&socket, operator, hosting, stopped).await {
                tracing::error!(%error, "the command line can't reach this gate");
            }
        });
        self.guards.keep_looking(runtime, stop.clone());
        self.start_chores(runtime.handle());
    }
}
