//! Moments as records have them.
//!
//! Belongs here: reading `timestamp` and `indexed_timestamp`. Does not: when the gate saw a file (`sightings`).

use crate::clock::UnixMillis;

/// Timestamps up to the year 9999 in seconds are seconds; conda's own are milliseconds since 2018.
const LARGEST_SECONDS: i64 = 253_402_300_799;

/// A JSON number of seconds or milliseconds, whole or (in old records) with a fraction; anything else is `None`.
pub(super) fn moment(number: &[u8]) -> Option<UnixMillis> {
    let number = std::str::from_utf8(number).ok()?;
    let whole = number.split_once('.').map_or(number, |(whole, _)| whole);
    let whole: i64 = whole.parse().ok().filter(|whole| *whole > 0)?;
    Some(UnixMillis(if whole <= LARGEST_SECONDS { whole.saturating_mul(1000) } else { whole }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_records() {
        let of = |text: &str| moment(text.as_bytes()).map(|m| m.0);
        assert_eq!(of("1760000000000"), Some(1_760_000_000_000));
        assert_eq!(of("1760000000"), Some(1_760_000_000_000));
        assert_eq!(of("1760000000.25"), Some(1_760_000_000_000));
        for none in ["0", "-5", "\"1760000000\"", "1e400", "null", "{}", "99999999999999999999"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
