//! What one caller may take, so that others get their share.
//!
//! Where a limit is off, nothing is asked, locked or allocated for it. Time is a clock's that can't be set back.
//!
//! Belongs here: rates, and requests under way, by address and by user; the answers to who wants more. Does not: what all
//! callers together may take ([`pressure`]), bytes of a channel ([`pace`]), finding out who asks (`admit`).

mod at_once;
pub(super) mod pace;
pub(super) mod pressure;
mod rate;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use ahash::RandomState;

use crate::clock::{SharedClock, Steady};
use crate::http::problem::Problem;
use crate::snapshot::people::Principal;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Limit;
use at_once::{AtOnce, Held};
use rate::Rate;

/// What one caller may take; `None` for any amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Share {
    /// Requests a second.
    pub rate: Option<NonZeroU32>,
    /// Requests that may come at once after a pause; without it, those of a second.
    pub burst: Option<NonZeroU32>,
    /// Requests under way at one time.
    pub at_once: Option<NonZeroU32>,
}

/// What callers may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shares {
    /// Each address; of IPv6 each network of 64 bits, which is what one customer has.
    pub address: Share,
    /// Each user, whatever token they show.
    pub user: Share,
}

/// See the module's description.
pub struct Limits {
    address: Kind,
    user: Kind,
    hasher: RandomState,
    metrics: Arc<Metrics>,
}

/// Keeps a caller's place among those under way, until it is dropped.
#[derive(Default)]
pub(super) struct Places(Option<Held>, Option<Held>);

struct Kind {
    rate: Option<(Rate, u32)>,
    at_once: Option<(AtOnce, u32)>,
    over_rate: Limit,
    over_at_once: Limit,
}

impl Kind {
    fn new(share: Share, clock: &Arc<Steady>, over_rate: Limit, over_at_once: Limit) -> Self {
        Self {
            rate: share.rate.map(|rate| (Rate::new(rate, share.burst.unwrap_or(rate), clock), rate.get())),
            at_once: share.at_once.map(|most| (AtOnce::new(most), most.get())),
            over_rate,
            over_at_once,
        }
    }

    const fn is_off(&self) -> bool {
        self.rate.is_none() && self.at_once.is_none()
    }

    /// Takes a place; or says which limit there is and for how many seconds to wait.
    fn take(&self, key: u64) -> Result<Option<Held>, (Limit, u32, u64)> {
        if let Some((rate, most)) = &self.rate {
            rate.take(key).map_err(|wait| (self.over_rate, *most, wait))?;
        }
        let Some((at_once, most)) = &self.at_once else { return Ok(None) };
        at_once.take(key).map(Some).ok_or((self.over_at_once, *most, 1))
    }
}

impl Limits {
    /// Limits by a clock.
    #[must_use]
    pub fn new(shares: Shares, clock: SharedClock, metrics: Arc<Metrics>) -> Self {
        let clock = Arc::new(Steady::new(clock));
        Self {
            address: Kind::new(shares.address, &clock, Limit::AddressRate, Limit::AddressAtOnce),
            user: Kind::new(shares.user, &clock, Limit::UserRate, Limit::UserAtOnce),
            hasher: RandomState::new(),
            metrics,
        }
    }

    /// Forgets callers who have not come for a while.
    pub fn tidy(&self) {
        for kind in [&self.address, &self.user] {
            if let Some((rate, _)) = &kind.rate {
                rate.tidy();
            }
        }
    }

    /// Lets a request from an address in, or says why not.
    pub(super) fn of_address(
        &self,
        address: Option<IpAddr>,
        places: &mut Places,
    ) -> Result<(), Box<Problem>> {
        let (false, Some(address)) = (self.address.is_off(), address) else { return Ok(()) };
        let taken = self.address.take(self.hasher.hash_one(share_of(address)));
        places.0 = taken.map_err(|over| self.refused(over, &format!("the address {address}")))?;
        Ok(())
    }

    /// Lets a user's request in, or says why not.
    pub(super) fn of_user(&self, who: &Principal, places: &mut Places) -> Result<(), Box<Problem>> {
        if self.user.is_off() {
            return Ok(());
        }
        let taken = self.user.take(self.hasher.hash_one(who.actor()));
        places.1 = taken.map_err(|over| self.refused(over, &format!("the user `{}`", who.name)))?;
        Ok(())
    }

    fn refused(&self, (limit, most, wait): (Limit, u32, u64), who: &str) -> Box<Problem> {
        self.metrics.limits.refused(limit);
        let setting = limit.setting();
        let sentence = match limit {
            Limit::AddressRate | Limit::UserRate => format!(
                "{who} sends more than {most} requests a second, and more are not taken (`{setting}` in the gate's settings); \
                 go on in {wait} s, with fewer at a time"
            ),
            _ => format!(
                "{who} has {most} requests under way, and more are not taken at one time (`{setting}` in the gate's settings); \
                 go on when one of them has ended"
            ),
        };
        Box::new(Problem::too_many_requests(sentence).with_retry_after(wait))
    }
}

/// The part of an address that one limit is about.
fn share_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits() >> 64 << 64 | 1 << 63,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_caller() {
        let share = |text: &str| share_of(text.parse().unwrap());
        assert_eq!(share("2001:db8::1"), share("2001:db8::ffff:1"));
        assert_ne!(share("2001:db8::1"), share("2001:db8:0:1::1"));
        assert_ne!(share("192.0.2.1"), share("192.0.2.2"));
        assert_ne!(share("::"), share("0.0.0.0"));
    }
}
