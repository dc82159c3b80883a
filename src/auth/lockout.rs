//! How often somebody may try a password: back-off that stops guessing and can't be used to lock others out.
//!
//! Belongs here: counting attempts, the arithmetic of waiting, in memory only. Does not: waiting itself, what an attempt
//! is (tokens are too long to be guessed and are not counted), which address is the caller's (`proxy`).
//!
//! # What is counted
//!
//! - By user and network (`/32` of IPv4, `/64` of IPv6): after some free attempts each failure doubles the time until
//!   the next one is looked at. Failures from one network never refuse the user in another one.
//! - By network, all users together: a wide budget, against trying one password on many names. Users who logged in from
//!   the network before are not held back by it.
//! - By user, all networks together: many failures make attempts slower, by a few seconds at most. Networks from which
//!   the user logged in before are not held back at all.
//!
//! An attempt counts as failed when it begins, and [`Lockout::succeeded`] takes that back: a thousand attempts at the
//! same moment get no more than their share. (So callers remember for a while which password was right, instead of
//! asking for each of a client's requests.) Names that no user has count like others. Each table has a bounded number
//! of entries, of which the one least recently used goes first; failures can't push successes out.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;

use super::name::UserName;
use crate::clock::UnixMillis;

/// The numbers; the defaults suit people who mistype.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockoutSettings {
    /// Attempts of a user in a network before any waiting; 5.
    pub free: u32,
    /// The first wait, doubled by each further failure; 1 s.
    pub first: Duration,
    /// The longest wait; 15 min.
    pub longest: Duration,
    /// Without a failure for this long, a user and network start anew; 1 h.
    pub forget: Duration,
    /// Failures of a network at once, whoever is meant; 100.
    pub network_burst: u32,
    /// Time in which a network gets one of them back; 10 s.
    pub network_refill: Duration,
    /// Failures of a user, from anywhere, before its attempts get slower; 20.
    pub user_burst: u32,
    /// Time in which a user gets one of them back; 30 s.
    pub user_refill: Duration,
    /// The most that attempts get slower; 3 s.
    pub slowest: Duration,
    /// For how long a success makes a network known to be the user's; 90 days.
    pub known: Duration,
    /// Entries of each table; 50,000, some megabytes.
    pub entries: NonZeroUsize,
}

impl Default for LockoutSettings {
    fn default() -> Self {
        Self {
            free: 5,
            first: Duration::from_secs(1),
            longest: Duration::from_mins(15),
            forget: Duration::from_hours(1),
            network_burst: 100,
            network_refill: Duration::from_secs(10),
            user_burst: 20,
            user_refill: Duration::from_secs(30),
            slowest: Duration::from_secs(3),
            known: Duration::from_hours(90 * 24),
            // Computed, and so checked, when it is compiled.
            entries: const { NonZeroUsize::new(50_000).unwrap() },
        }
    }
}

/// What becomes of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attempt {
    /// Look at the password after this time, which is zero as a rule.
    Go(Duration),
    /// Don't look at it. Not before this time has passed (429, `Retry-After`).
    Wait(Duration, Reason),
}

/// Why an attempt has to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// This user failed too often in this network.
    User,
    /// This network failed too often, whoever was meant.
    Network,
}

impl Reason {
    /// For the caller; it is the same whether the user exists or not.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::User => {
                "this name was tried with wrong passwords too often from your network; wait, then try again"
            }
            Self::Network => "too many log-ins failed from your network; wait, then try again",
        }
    }
}

/// Counts attempts. One per gate; all methods are short and may be called on a worker.
pub struct Lockout {
    settings: LockoutSettings,
    tables: Mutex<Tables>,
}

type Pair = (Box<str>, Network);

struct Tables {
    pairs: LruCache<Pair, Failures>,
    networks: LruCache<Network, Debt>,
    users: LruCache<Box<str>, Debt>,
    known: LruCache<Pair, UnixMillis>,
}

/// An address without what one subscriber can choose freely.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Network {
    V4(Ipv4Addr),
    /// The upper 64 bits.
    V6(u128),
}

impl Network {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address.to_bits() >> 64),
        }
    }
}

/// Failures of a user in a network.
#[derive(Clone, Copy, Default)]
struct Failures {
    count: u32,
    last: UnixMillis,
}

impl Failures {
    fn wait(self, settings: &LockoutSettings, now: UnixMillis) -> Duration {
        let Some(doublings) = self.count.checked_sub(settings.free) else { return Duration::ZERO };
        let wait = settings.first.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
        // A clock that was set back must not make it longer.
        let last = self.last.min(now);
        last.plus(wait.min(settings.longest)).since(now)
    }

    fn add(&mut self, settings: &LockoutSettings, now: UnixMillis) {
        if now.since(self.last) >= settings.forget {
            self.count = 0;
        }
        *self = Self { count: self.count.saturating_add(1), last: now };
    }
}

/// Failures that are paid back one by one: the moment when all are (the generic cell rate algorithm of ATM).
#[derive(Clone, Copy, Default)]
struct Debt {
    paid: UnixMillis,
}

impl Debt {
    /// What is open now, as time; a clock that was set back must not make it longer than `most`.
    fn open(self, now: UnixMillis, most: Duration) -> Duration {
        self.paid.since(now).min(most)
    }

    fn add(&mut self, now: UnixMillis, one: Duration, most: Duration) {
        self.paid = now.plus((self.open(now, most) + one).min(most));
    }

    fn take_back(&mut self, now: UnixMillis, one: Duration, most: Duration) {
        self.paid = now.plus(self.open(now, most).saturating_sub(one));
    }
}

impl Lockout {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(settings: LockoutSettings) -> Self {
        let tables = Tables {
            pairs: LruCache::new(settings.entries),
            networks: LruCache::new(settings.entries),
            users: LruCache::new(settings.entries),
            known: LruCache::new(settings.entries),
        };
        Self { settings, tables: Mutex::new(tables) }
    }

    /// Somebody at `from` wants to log in as `user`. Unless the answer is to wait, this counts as a failure until
    /// [`Lockout::succeeded`] is called. Attempts that have to wait are not counted.
    #[must_use]
    pub fn begin(&self, user: &UserName, from: IpAddr, now: UnixMillis) -> Attempt {
        let settings = &self.settings;
        let network = Network::of(from);
        let pair: Pair = (user.key().into(), network);
        let mut tables = self.tables.lock();
        let tables = &mut *tables;

        let is_known = tables.known.get(&pair).is_some_and(|last| now.since(*last) < settings.known);
        let failures = tables.pairs.get(&pair).copied().unwrap_or_default();
        let wait = failures.wait(settings, now);
        if !wait.is_zero() {
            return Attempt::Wait(wait, Reason::User);
        }
        let (one, most) = settings.network();
        let network_debt = tables.networks.get_or_insert_mut(network, Debt::default);
        let wait = (network_debt.open(now, most) + one).saturating_sub(most);
        if !wait.is_zero() && !is_known {
            return Attempt::Wait(wait, Reason::Network);
        }
        network_debt.add(now, one, most);
        let (one, most) = settings.user();
        let user_debt = tables.users.get_or_insert_mut(user.key().into(), Debt::default);
        let slower = if is_known { Duration::ZERO } else { settings.slower(user_debt.open(now, most)) };
        user_debt.add(now, one, most);
        tables.pairs.get_or_insert_mut(pair, Failures::default).add(settings, now);
        Attempt::Go(slower)
    }

    /// The attempt that began was with the right password.
    pub fn succeeded(&self, user: &UserName, from: IpAddr, now: UnixMillis) {
        let network = Network::of(from);
        let pair: Pair = (user.key().into(), network);
        let mut tables = self.tables.lock();
        tables.pairs.pop(&pair);
        tables.known.put(pair, now);
        let (one, most) = self.settings.network();
        if let Some(debt) = tables.networks.get_mut(&network) {
            debt.take_back(now, one, most);
        }
        let (one, most) = self.settings.user();
        if let Some(debt) = tables.users.get_mut(user.key()) {
            debt.take_back(now, one, most);
        }
    }

    /// An administrator lets `user` try again from everywhere, or its password was changed.
    pub fn forgive(&self, user: &UserName) {
        let mut tables = self.tables.lock();
        tables.users.pop(user.key());
        let theirs: Vec<Pair> = tables
            .pairs
            .iter()
            .filter(|(pair, _)| &*pair.0 == user.key())
            .map(|(pair, _)| pair.clone())
            .collect();
        for pair in theirs {
            tables.pairs.pop(&pair);
        }
    }
}

impl LockoutSettings {
    /// One failure of a network and all that it may have open, as time.
    fn network(&self) -> (Duration, Duration) {
        (self.network_refill, self.network_refill.saturating_mul(self.network_burst))
    }

    /// The same for a user; what is more than the burst makes slower, up to twice the burst.
    fn user(&self) -> (Duration, Duration) {
        (self.user_refill, self.user_refill.saturating_mul(self.user_burst).saturating_mul(2))
    }

    /// Grows evenly from nothing, at the burst, to the slowest at twice the burst.
    fn slower(&self, open: Duration) -> Duration {
        let burst = self.user_refill.saturating_mul(self.user_burst);
        let beyond = open.saturating_sub(burst);
        if beyond.is_zero() {
            Duration::ZERO
        } else {
            self.slowest.mul_f64(beyond.div_duration_f64(burst).min(1.0))
        }
    }
}

#[cfg(test)]
mod tests;
