//! `Cache-Control` of a response (RFC 9111, 5.2.2; RFC 5861).

use super::list::{quoted, trim};

/// The directives that matter to a shared cache. Durations are whole seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one directive of the RFC, independent of the others"
)]
pub struct CacheControl {
    /// `max-age`
    pub max_age: Option<u64>,
    /// `s-maxage`: beats `max-age` in a shared cache, which the gate is.
    pub s_maxage: Option<u64>,
    /// `no-cache`, with or without field names (both are taken as "revalidate always").
    pub no_cache: bool,
    /// `no-store`
    pub no_store: bool,
    /// `private`, with or without field names.
    pub private: bool,
    /// `public`
    pub public: bool,
    /// `must-revalidate`, or `proxy-revalidate`, which means the same to a shared cache.
    pub must_revalidate: bool,
    /// `immutable` (RFC 8246)
    pub immutable: bool,
    /// `stale-while-revalidate`
    pub stale_while_revalidate: Option<u64>,
    /// `stale-if-error`
    pub stale_if_error: Option<u64>,
}

/// Reads a `Cache-Control` value. Unknown directives are passed over; a repeated duration counts with its smallest
/// value, one that can't be read as 0 (RFC 9111, 4.2.1: treat it as stale), one too large as `u64::MAX`.
#[must_use]
pub fn parse(value: &str) -> CacheControl {
    let mut found = CacheControl::default();
    for directive in quoted(value) {
        let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
        let name = trim(name);
        let is = |directive: &str| name.eq_ignore_ascii_case(directive);
        let duration = |slot: &mut Option<u64>| {
            let given = seconds(trim(argument));
            *slot = Some(slot.map_or(given, |earlier| earlier.min(given)));
        };
        match name.len() {
            7 if is("max-age") => duration(&mut found.max_age),
            8 if is("s-maxage") => duration(&mut found.s_maxage),
            8 if is("no-cache") => found.no_cache = true,
            8 if is("no-store") => found.no_store = true,
            7 if is("private") => found.private = true,
            6 if is("public") => found.public = true,
            15 if is("must-revalidate") => found.must_revalidate = true,
            16 if is("proxy-revalidate") => found.must_revalidate = true,
            9 if is("immutable") => found.immutable = true,
            22 if is("stale-while-revalidate") => duration(&mut found.stale_while_revalidate),
            14 if is("stale-if-error") => duration(&mut found.stale_if_error),
            _ => {}
        }
    }
    found
}

/// Digits, quoted or not; senders quote although they must not.
fn seconds(argument: &str) -> u64 {
    let digits = argument.strip_prefix('"').and_then(|a| a.strip_suffix('"')).unwrap_or(argument);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return 0;
    }
    digits.parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_channels_send() {
        let none = CacheControl::default();
        for (value, found) in [
            ("", none),
            ("public, max-age=1200", CacheControl { public: true, max_age: Some(1200), ..none }),
            ("Max-Age = 30", CacheControl { max_age: Some(30), ..none }),
            ("max-age=\"60\",s-maxage=5", CacheControl { max_age: Some(60), s_maxage: Some(5), ..none }),
            ("no-cache=\"set-cookie, max-age=9\"", CacheControl { no_cache: true, ..none }),
            ("private, no-store", CacheControl { private: true, no_store: true, ..none }),
            ("proxy-revalidate", CacheControl { must_revalidate: true, ..none }),
            ("must-revalidate,immutable", CacheControl { must_revalidate: true, immutable: true, ..none }),
            (
                "stale-while-revalidate=10, stale-if-error=86400",
                CacheControl { stale_while_revalidate: Some(10), stale_if_error: Some(86_400), ..none },
            ),
            ("no-transform, x=1, ,=", none),
        ] {
            assert_eq!(parse(value), found, "{value}");
        }
    }

    #[test]
    fn doubtful_durations_err_on_the_stale_side() {
        for (value, seconds) in [
            ("max-age", 0),
            ("max-age=", 0),
            ("max-age=-1", 0),
            ("max-age=1.5", 0),
            ("max-age=abc", 0),
            ("max-age=60, max-age=30", 30),
            ("max-age=99999999999999999999999", u64::MAX),
        ] {
            assert_eq!(parse(value).max_age, Some(seconds), "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(value in "([a-z-]{0,8}[=\", ]{0,2}[0-9]{0,3}){0,5}|.{0,40}") {
            let _ = parse(&value);
        }
    }
}
