//! A gate for a test. The only file that knows how a gate is started.
//!
//! Belongs here: start, reload, stop, time. Does not: requests (`client`), directories (`home`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use condagate::clock::{ManualClock, UnixMillis};

use super::client::{Answer, Request};
use super::home::Home;
use super::process::Process;
use super::upstream::Upstream;

/// When every test begins: 2026-11-04 00:00 UTC, a day after the upstream's files were made.
const START: UnixMillis = UnixMillis(1_793_750_400_000);

/// How a gate is started.
pub struct Setup {
    home: Home,
}

impl Setup {
    /// With these rules and the default configuration, in new directories.
    pub fn rules(text: &str) -> Self {
        let home = Home::new();
        home.write_rules(text);
        Self { home }
    }

    /// In directories that were used before, with the rules they have.
    pub fn again(home: Home) -> Self {
        Self { home }
    }

    /// With a configuration file.
    pub fn config(self, text: &str) -> Self {
        self.home.write_config(text);
        self
    }

    /// Starts the gate.
    pub fn start(self) -> Gate {
        Gate { process: Process::serve(self.home), clock: ManualClock::new(START) }
    }
}

/// A running gate.
pub struct Gate {
    process: Process,
    clock: Arc<ManualClock>,
}

impl Gate {
    /// A gate that takes everything from one upstream.
    pub fn in_front_of(upstream: &Upstream) -> Self {
        Setup::rules(&super::rules::all_from(upstream)).start()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Its directories.
    pub fn home(&self) -> &Home {
        self.process.home()
    }

    /// A GET.
    pub fn get(&self, path: &str) -> Answer {
        self.ask(&Request::get(path))
    }

    /// Any request.
    pub fn ask(&self, request: &Request) -> Answer {
        request.send(self.address())
    }

    /// Moves the gate's clock.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Replaces the rules and has them read.
    pub fn set_rules(&self, text: &str) {
        self.home().write_rules(text);
        self.process.signal("HUP");
    }

    /// Stops it gracefully and leaves its directories.
    pub fn stop(self) -> Home {
        self.process.stop()
    }
}
