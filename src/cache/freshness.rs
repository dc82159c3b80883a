//! How long a stored answer may be used: RFC 9111 and RFC 5861 as pure functions, for a shared cache.
//!
//! Belongs here: arithmetic on headers and moments. Does not: storing or asking (`fill`, services).

use std::time::Duration;

use crate::clock::UnixMillis;

/// How long an answer stays fresh, counted from the moment it was checked, and what may happen after.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Lifetime {
    /// Fresh for this long.
    pub fresh: Duration,
    /// Then served for this long while a refresh runs in the background.
    pub stale_while_revalidate: Duration,
    /// Then served for this long when upstream is in trouble; `None`: without limit, as a gate should
    /// (DESIGN: no error because upstream is down while the answer is in the cache).
    pub stale_if_error: Option<Duration>,
    /// Upstream forbids stale answers (`must-revalidate`, `proxy-revalidate`, `no-cache`): wait for the refresh.
    pub must_revalidate: bool,
}

/// The cache directives that matter here, already parsed (see `http::cache_control`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Directives {
    /// `s-maxage`, in seconds; beats `max_age` (RFC 9111, 5.2.2.10).
    pub s_maxage: Option<u64>,
    /// `max-age`, in seconds.
    pub max_age: Option<u64>,
    /// `no-cache`, `no-store` or `private`: every use must be checked first. (The gate still keeps a copy for
    /// when upstream is down; what it serves is public content.)
    pub no_cache: bool,
    /// `must-revalidate` or `proxy-revalidate`.
    pub must_revalidate: bool,
    /// `stale-while-revalidate`, in seconds (RFC 5861).
    pub stale_while_revalidate: Option<u64>,
    /// `stale-if-error`, in seconds (RFC 5861).
    pub stale_if_error: Option<u64>,
    /// `Expires` minus `Date`, when both are there and `max-age` is not.
    pub expires_in: Option<Duration>,
    /// `Date` minus `Last-Modified`, for the heuristic of RFC 9111, 4.2.2.
    pub unchanged_for: Option<Duration>,
    /// `Age`: time spent in caches before this one.
    pub age: Duration,
}

/// Longest lifetime the heuristic gives.
const HEURISTIC_MAX: Duration = Duration::from_hours(24);
/// Longest lifetime believed; larger numbers in headers are nonsense (and would overflow sums).
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

fn seconds(value: u64) -> Duration {
    Duration::from_secs(value).min(LONGEST)
}

/// The lifetime of an answer with `directives`. `ttl` is the channel's or file rule's own word and beats
/// upstream's freshness; upstream's `stale-*` extensions still count, and the gate's default for
/// `stale-while-revalidate` is as long as the answer was fresh.
#[must_use]
pub fn lifetime(directives: &Directives, ttl: Option<Duration>) -> Lifetime {
    let fresh = ttl.unwrap_or_else(|| upstream_lifetime(directives));
    let must_revalidate = ttl.is_none() && (directives.must_revalidate || directives.no_cache);
    let while_revalidate = match directives.stale_while_revalidate {
        _ if must_revalidate => Duration::ZERO,
        Some(value) => seconds(value),
        None => fresh,
    };
    Lifetime {
        fresh,
        stale_while_revalidate: while_revalidate,
        stale_if_error: directives.stale_if_error.map(seconds),
        must_revalidate,
    }
}

fn upstream_lifetime(directives: &Directives) -> Duration {
    if directives.no_cache {
        return Duration::ZERO;
    }
    let explicit = directives.s_maxage.or(directives.max_age).map(seconds).or(directives.expires_in);
    let whole = explicit.unwrap_or_else(|| {
        directives.unchanged_for.map_or(Duration::ZERO, |unchanged| (unchanged / 10).min(HEURISTIC_MAX))
    });
    whole.saturating_sub(directives.age).min(LONGEST)
}

/// What may be done with a stored answer now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// Serve it.
    Fresh {
        /// For this much longer.
        left: Duration,
    },
    /// It must be checked with upstream.
    Stale {
        /// Serve it meanwhile.
        while_revalidate: bool,
        /// Serve it if the check fails because upstream is in trouble.
        if_error: bool,
    },
}

/// Judges an answer checked at `checked_at`. A `checked_at` in the future (the clock was set back) counts as now.
#[must_use]
pub fn freshness(lifetime: &Lifetime, checked_at: UnixMillis, now: UnixMillis) -> Freshness {
    let age = now.since(checked_at);
    if age < lifetime.fresh {
        return Freshness::Fresh { left: lifetime.fresh.saturating_sub(age) };
    }
    let late = age.saturating_sub(lifetime.fresh);
    let within = |limit: Duration| late < limit;
    Freshness::Stale {
        while_revalidate: !lifetime.must_revalidate && within(lifetime.stale_while_revalidate),
        if_error: lifetime.stale_if_error.is_none_or(within),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(value: u64) -> Duration {
        Duration::from_secs(value)
    }

    #[test]
    fn lifetimes() {
        let none = Directives::default();
        let cases: &[(&str, Directives, Option<Duration>, Duration)] = &[
            ("nothing known", none, None, secs(0)),
            ("ttl beats headers", Directives { max_age: Some(5), ..none }, Some(secs(60)), secs(60)),
            ("max-age", Directives { max_age: Some(5), ..none }, None, secs(5)),
            (
                "s-maxage beats max-age",
                Directives { max_age: Some(5), s_maxage: Some(9), ..none },
                None,
                secs(9),
            ),
            (
                "max-age beats expires",
                Directives { max_age: Some(5), expires_in: Some(secs(9)), ..none },
                None,
                secs(5),
            ),
            ("expires", Directives { expires_in: Some(secs(9)), ..none }, None, secs(9)),
            ("age is taken off", Directives { max_age: Some(5), age: secs(3), ..none }, None, secs(2)),
            ("older than its lifetime", Directives { max_age: Some(5), age: secs(8), ..none }, None, secs(0)),
            (
                "a tenth of the unchanged time",
                Directives { unchanged_for: Some(secs(100)), ..none },
                None,
                secs(10),
            ),
            ("heuristic is capped", Directives { unchanged_for: Some(LONGEST), ..none }, None, HEURISTIC_MAX),
            ("no-cache", Directives { max_age: Some(5), no_cache: true, ..none }, None, secs(0)),
            ("absurd numbers", Directives { max_age: Some(u64::MAX), ..none }, None, LONGEST),
        ];
        for (name, directives, ttl, fresh) in cases {
            assert_eq!(lifetime(directives, *ttl).fresh, *fresh, "{name}");
        }
    }

    #[test]
    fn stale_answers() {
        let at = UnixMillis(1_000_000);
        let plain = lifetime(&Directives::default(), Some(secs(10)));
        assert_eq!(freshness(&plain, at, at.plus(secs(4))), Freshness::Fresh { left: secs(6) });
        assert_eq!(
            freshness(&plain, at, at.plus(secs(15))),
            Freshness::Stale { while_revalidate: true, if_error: true }
        );
        assert_eq!(
            freshness(&plain, at, at.plus(secs(20))),
            Freshness::Stale { while_revalidate: false, if_error: true }
        );
        let strict = Directives {
            max_age: Some(10),
            must_revalidate: true,
            stale_if_error: Some(5),
            ..Directives::default()
        };
        let strict = lifetime(&strict, None);
        assert_eq!(
            freshness(&strict, at, at.plus(secs(12))),
            Freshness::Stale { while_revalidate: false, if_error: true }
        );
        assert_eq!(
            freshness(&strict, at, at.plus(secs(15))),
            Freshness::Stale { while_revalidate: false, if_error: false }
        );
    }

    #[test]
    fn a_clock_set_back_does_not_make_an_answer_older() {
        let life = lifetime(&Directives::default(), Some(secs(10)));
        assert_eq!(
            freshness(&life, UnixMillis(9_000), UnixMillis(1_000)),
            Freshness::Fresh { left: secs(10) }
        );
    }
}
