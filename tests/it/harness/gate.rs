//! A gate inside the test process, with a clock moved by hand. The only file that knows how a gate is started.
//!
//! Belongs here: start, reload, stop, time. Does not: requests (`client`), directories (`home`), the real binary
//! (`process`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use condagate::app;
use condagate::clock::{Clock as _, ManualClock, UnixMillis};
use condagate::config::{self, AccessTarget, Flags, Sources, Variables};

use super::client::{Answer, Request};
use super::home::{Home, settle};
use super::secrets;
use super::upstream::Upstream;

/// When every test begins: 2026-11-04 00:00 UTC, a day after the upstream's files were made.
pub const START: UnixMillis = UnixMillis(1_793_750_400_000);

/// How a gate is started.
pub struct Setup {
    home: Home,
    gathered_shards: Option<usize>,
    cold_patience: Duration,
    patience: Option<Duration>,
    builds: Option<usize>,
    bz2: Option<u64>,
    at: UnixMillis,
    listen: Vec<String>,
}

/// How long clients wait for a first index before they get it while it grows: longer than any build takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

impl Setup {
    /// With these rules and the default configuration, in new directories.
    pub fn rules(text: &str) -> Self {
        let home = Home::new();
        home.write_rules(text);
        Self::again(home)
    }

    /// In directories that were used before, with the rules they have.
    pub fn again(home: Home) -> Self {
        Self {
            home,
            gathered_shards: None,
            cold_patience: PATIENCE,
            patience: None,
            builds: None,
            bz2: None,
            at: START,
            listen: local(),
        }
    }

    /// Where it will live.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Builds so many indexes at once, at most.
    pub fn builds(mut self, builds: usize) -> Self {
        self.builds = Some(builds);
        self
    }

    /// Makes a `.bz2` of documents up to so many bytes only.
    pub fn bz2_up_to(mut self, bytes: u64) -> Self {
        self.bz2 = Some(bytes);
        self
    }

    /// With a clock that stands at another moment: a second life goes on where the first one ended.
    pub fn at(mut self, moment: UnixMillis) -> Self {
        self.at = moment;
        self
    }

    /// Listening on these addresses.
    pub fn listen(mut self, addresses: &[&str]) -> Self {
        self.listen = addresses.iter().map(|&address| address.to_owned()).collect();
        self
    }

    /// Clients get a first index while it grows as soon as there is something of it.
    pub fn reading_along(mut self) -> Self {
        self.cold_patience = Duration::from_millis(50);
        self
    }

    /// Clients are told to come again as soon as what they wait for is not there.
    pub fn impatient(mut self) -> Self {
        self.patience = Some(Duration::from_millis(100));
        self
    }

    /// With another limit on the shards that an index is made of.
    pub fn gathering_at_most(mut self, shards: usize) -> Self {
        self.gathered_shards = Some(shards);
        self
    }

    /// With a configuration file.
    pub fn config(self, text: &str) -> Self {
        self.home.write_config(text);
        self
    }

    /// Starts the gate.
    pub fn start(self) -> Gate {
        secrets::log::listen();
        let Self { home, gathered_shards, cold_patience, patience, builds, bz2, at, listen } = self;
        let flags = Flags {
            config: Some(home.config()).filter(|file| file.exists()).into_iter().collect(),
            rules: Some(home.rules()),
            data: Some(home.data()),
            listen,
        };
        let sources =
            Sources { system: home.path("no-such-directory"), variables: Variables::of(&[]), flags };
        let mut config = config::load(&sources).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        config.log.access = AccessTarget::File(home.path("stdout"));
        // All tests of a process share its descriptors.
        config.limits.open_files = 0;
        let rules = config::rules::load(&config.rules, &sources.machine());
        let rules = rules.unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let clock = ManualClock::new(at);
        let options = app::GateOptions {
            config,
            rules,
            origin: app::Origin::default(),
            clock: clock.clone(),
            tuning: tuning(gathered_shards, cold_patience, patience, builds, bz2),
        };
        let running =
            app::Gate::start(options).unwrap_or_else(|error| panic!("the gate did not start: {error}"));
        home.listens_at(running.addresses());
        let mut address = *running.addresses().first().expect("an address");
        if address.ip().is_unspecified() {
            address.set_ip([127, 0, 0, 1].into());
            home.listens_at(&[address]);
        }
        Gate { running: Some(running), address, clock, home: Some(home) }
    }
}

fn local() -> Vec<String> {
    vec!["127.0.0.1:0".to_owned()]
}

/// The pauses between attempts are there for the sake of real upstreams; nothing else differs from a real gate.
fn tuning(
    gathered_shards: Option<usize>,
    cold_patience: Duration,
    patience: Option<Duration>,
    builds: Option<usize>,
    bz2: Option<u64>,
) -> app::Tuning {
    app::Tuning {
        cache: Some(Box::new(|cache| cache.retry_delay = Duration::from_millis(5))),
        delivery: Some(Box::new(move |delivery| {
            delivery.index.cold_patience = cold_patience;
            delivery.patience = patience.unwrap_or(delivery.patience);
            delivery.index.builds = builds.unwrap_or(delivery.index.builds);
            delivery.index.limits.bz2 = bz2.unwrap_or(delivery.index.limits.bz2);
            delivery.index.gathered_shards = gathered_shards.unwrap_or(delivery.index.gathered_shards);
        })),
        upstream: Some(Arc::new(|upstream| {
            upstream.retry.base_delay = Duration::from_millis(5);
            upstream.retry.max_delay = Duration::from_millis(20);
        })),
    }
}

/// A running gate.
pub struct Gate {
    running: Option<app::Gate>,
    address: SocketAddr,
    clock: Arc<ManualClock>,
    home: Option<Home>,
}

impl Gate {
    /// A gate that takes everything from one upstream.
    pub fn in_front_of(upstream: &Upstream) -> Self {
        Setup::rules(&super::rules::all_from(upstream)).start()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every address it listens on.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.running.as_ref().expect("a running gate").addresses()
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Its directories.
    pub fn home(&self) -> &Home {
        self.home.as_ref().expect("a home until stopped")
    }

    /// A GET.
    pub fn get(&self, path: &str) -> Answer {
        self.ask(&Request::get(path))
    }

    /// Any request.
    pub fn ask(&self, request: &Request) -> Answer {
        request.send(self.address())
    }

    /// Gets a file until it comes out of the cache: a client may have its last byte before the file is stored.
    pub fn settle(&self, path: &str) -> Answer {
        settle(self.home(), self.address(), path)
    }

    /// Moves the gate's clock.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Sets the gate's clock back.
    pub fn set_back(&self, by: Duration) {
        self.clock.set_back(by);
    }

    /// What its clock says.
    pub fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Replaces the rules and has them read; what the gate says about mistakes in them.
    pub fn set_rules(&self, text: &str) -> Result<(), String> {
        self.home().write_rules(text);
        self.running.as_ref().expect("a running gate").reload()
    }

    fn look_at_metrics(&self) {
        if self.running.is_some() && !std::thread::panicking() {
            super::client::look_at_metrics(self.address);
            secrets::log::must_be_clean();
        }
    }

    /// Stops it gracefully and leaves its directories.
    pub fn stop(mut self) -> Home {
        self.look_at_metrics();
        self.running.take().expect("a running gate").stop();
        self.home.take().expect("a home")
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.look_at_metrics();
        // Before the directories go.
        drop(self.running.take());
    }
}
