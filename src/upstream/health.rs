//! The health of one mirror: a circuit that opens after failures in a row, and a rest it asked for.
//!
//! Belongs here: the two state machines, driven by the [`Clock`](crate::clock::Clock). Does not: choosing among
//! mirrors (`fetch`), timers.
//!
//! The circuit: closed → (failures in a row) → open → (time) → one probe → closed or open for twice as long.
//! A good head closes it, but only a complete body clears the count of failures: a mirror that always breaks off in the
//! middle must not look healthy at each start.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::settings::HealthSettings;
use crate::clock::{SharedClock, UnixMillis};

/// A period that began at `since`. If the clock is set back before its beginning, it is over: a wrong clock must
/// not keep a mirror out for long.
#[derive(Clone, Copy, Debug)]
struct Period {
    since: UnixMillis,
    length: Duration,
}

impl Period {
    fn left(self, now: UnixMillis) -> Option<Duration> {
        if now < self.since {
            return None;
        }
        self.length.checked_sub(now.since(self.since)).filter(|d| !d.is_zero())
    }

    fn end(self) -> UnixMillis {
        self.since.plus(self.length)
    }
}

#[derive(Clone, Copy, Debug)]
enum Circuit {
    Closed,
    Open(Period),
    Probing(Period),
}

#[derive(Debug)]
struct State {
    circuit: Circuit,
    failures: u32,
    rest: Option<Period>,
    last_error: Option<&'static str>,
}

/// The health of one mirror, shared by everything that talks to it.
pub(super) struct Health {
    clock: SharedClock,
    settings: HealthSettings,
    state: Mutex<State>,
}

/// What [`Health::admit`] says.
pub(super) enum Admission {
    /// Go ahead; report the outcome with the pass.
    Go(Pass),
    /// The circuit is open (or being probed by someone else) for this long.
    Open(Duration),
    /// The mirror asked for a pause of this length.
    Resting(Duration),
}

/// A snapshot for status pages and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HealthView {
    pub healthy: bool,
    pub failures: u32,
    pub open_until: Option<UnixMillis>,
    pub resting_until: Option<UnixMillis>,
    pub last_error: Option<&'static str>,
}

impl Health {
    pub(super) fn new(clock: SharedClock, settings: HealthSettings) -> Arc<Self> {
        let state = State { circuit: Circuit::Closed, failures: 0, rest: None, last_error: None };
        Arc::new(Self { clock, settings, state: Mutex::new(state) })
    }

    /// A fresh circuit that keeps the rest the mirror asked for: new settings may cure a failure, not a limit.
    pub(super) fn renewed(&self, settings: HealthSettings) -> Arc<Self> {
        let fresh = Self::new(Arc::clone(&self.clock), settings);
        fresh.state.lock().rest = self.state.lock().rest;
        fresh
    }

    /// Whether a request may go to this mirror now. The first one after an open period becomes the probe.
    pub(super) fn admit(self: &Arc<Self>) -> Admission {
        let now = self.clock.now();
        let mut state = self.state.lock();
        if let Some(left) = state.rest.and_then(|p| p.left(now)) {
            return Admission::Resting(left);
        }
        match state.circuit {
            Circuit::Closed => Admission::Go(self.pass(false)),
            Circuit::Open(period) => {
                if let Some(left) = period.left(now) {
                    return Admission::Open(left);
                }
                state.circuit = Circuit::Probing(period);
                Admission::Go(self.pass(true))
            }
            Circuit::Probing(_) => Admission::Open(Duration::ZERO),
        }
    }

    /// A pass although the circuit is open: when no mirror is better, asking beats failing.
    pub(super) fn last_resort(self: &Arc<Self>) -> Pass {
        self.pass(false)
    }

    fn pass(self: &Arc<Self>, probe: bool) -> Pass {
        Pass { health: Arc::clone(self), probe }
    }

    /// Time left of a rest the mirror asked for.
    pub(super) fn resting(&self) -> Option<Duration> {
        let now = self.clock.now();
        self.state.lock().rest.and_then(|p| p.left(now))
    }

    /// Leaves the mirror alone for `rest` (cut to the longest allowed); returns what was agreed.
    pub(super) fn rest(&self, rest: Option<Duration>) -> Duration {
        let length = rest.unwrap_or(self.settings.default_rest);
        let length = length.clamp(Duration::from_secs(1), self.settings.max_rest.max(Duration::from_secs(1)));
        let now = self.clock.now();
        let mut state = self.state.lock();
        // Answers to requests that ran at the same time must not shorten a longer rest.
        if state.rest.and_then(|p| p.left(now)).is_none_or(|left| left < length) {
            state.rest = Some(Period { since: now, length });
        }
        length
    }

    /// A failure after the head: in the body.
    pub(super) fn body_failed(&self, error: &'static str) {
        self.failed(false, error);
    }

    /// A complete exchange.
    pub(super) fn completed(&self) {
        let mut state = self.state.lock();
        if matches!(state.circuit, Circuit::Closed) {
            state.failures = 0;
            state.last_error = None;
        }
    }

    fn failed(&self, probe: bool, error: &'static str) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        state.last_error = Some(error);
        let length = match state.circuit {
            Circuit::Closed if state.failures >= self.settings.threshold => self.settings.base_open,
            Circuit::Probing(period) if probe => period.length.saturating_mul(2).min(self.settings.max_open),
            // An open period is not made longer by requests that began before it or were a last resort.
            Circuit::Closed | Circuit::Open(_) | Circuit::Probing(_) => return,
        };
        state.circuit = Circuit::Open(Period { since: now, length });
    }

    fn answered(&self) {
        let mut state = self.state.lock();
        if !matches!(state.circuit, Circuit::Closed) {
            state.circuit = Circuit::Closed;
            state.failures = self.settings.threshold.saturating_sub(1);
        }
    }

    fn abandoned(&self) {
        let mut state = self.state.lock();
        if let Circuit::Probing(period) = state.circuit {
            // Nothing was learnt: the period stays over, so the next request is the probe.
            state.circuit = Circuit::Open(period);
        }
    }

    /// The state now.
    pub(super) fn view(&self) -> HealthView {
        let now = self.clock.now();
        let state = self.state.lock();
        let open_until = match state.circuit {
            Circuit::Closed => None,
            Circuit::Open(p) | Circuit::Probing(p) => Some(p.end()),
        };
        let resting = state.rest.filter(|p| p.left(now).is_some());
        HealthView {
            healthy: open_until.is_none() && resting.is_none(),
            failures: state.failures,
            open_until,
            resting_until: resting.map(Period::end),
            last_error: state.last_error,
        }
    }
}

/// Leave to send one request; a probe that is dropped without a word gives the probe back.
pub(super) struct Pass {
    health: Arc<Health>,
    probe: bool,
}

impl Pass {
    /// The mirror gave a usable head.
    pub(super) fn answered(mut self) {
        self.probe = false;
        self.health.answered();
    }

    /// The mirror is to blame.
    pub(super) fn failed(mut self, error: &'static str) {
        let probe = std::mem::take(&mut self.probe);
        self.health.failed(probe, error);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.probe {
            self.health.abandoned();
        }
    }
}
