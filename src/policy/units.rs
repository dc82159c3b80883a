//! Durations and sizes as people write them: `30s`, `1h30m`, `200GiB`, `5%`.
//!
//! Belongs here: parsing and printing of quantities with units. Does not: which key wants which.

use std::fmt::Write as _;
use std::time::Duration;

use crate::clock::UnixMillis;

/// Why a quantity was refused; the text completes "… must be …".
pub type Expectation = &'static str;

/// What a duration looks like.
pub const DURATION: Expectation = "a duration with a unit (ms, s, m, h, d), such as `30s`, `20m` or `1h30m`";
/// What a size looks like.
pub const SIZE: Expectation = "a size with a unit (B, KiB, MiB, GiB, TiB; KB, MB, GB, TB), such as `200GiB`";

/// Parses a duration: one or more numbers, each with its unit, no spaces; at most 10 years.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, behind) = split_number(rest)?;
        let unit_len = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, behind) = behind.split_at(unit_len);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = behind;
    }
    let in_range = !text.trim().is_empty() && total <= Duration::from_hours(24 * 3653);
    in_range.then_some(total)
}

/// Parses a size in bytes: a number and a unit, a space between them allowed.
#[must_use]
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text.trim())?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "number is finite and not negative; bounded below 2^53 before the cast"
    )]
    {
        let bytes = number * factor as f64;
        (bytes < 9e15).then_some(bytes as u64)
    }
}

/// A leading decimal number (no sign, no exponent) and what follows it.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let len = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, rest) = text.split_at(len);
    if number.starts_with('.') || number.ends_with('.') || number.len() > 16 {
        return None;
    }
    Some((number.parse().ok()?, rest))
}

/// What a moment looks like.
pub const MOMENT: Expectation = "a date such as `2026-01-31` or a moment such as `2026-01-31T12:00:00Z`";

/// Parses a moment of RFC 3339, with its offset, or a date, which means its last millisecond in UTC. From 1970 to 9999.
#[must_use]
pub fn moment(text: &str) -> Option<UnixMillis> {
    let text = text.trim();
    let millis = match text.parse::<jiff::Timestamp>() {
        Ok(moment) => moment.as_millisecond(),
        // The parser of dates also takes a time behind them, which without an offset says nothing.
        Err(_) if text.len() == "2026-01-31".len() => {
            let day = text.parse::<jiff::civil::Date>().ok()?;
            let noon = jiff::tz::Offset::UTC.to_timestamp(day.at(12, 0, 0, 0)).ok()?.as_millisecond();
            noon.checked_add(12 * 3_600_000 - 1)?
        }
        Err(_) => return None,
    };
    (millis >= 0).then_some(UnixMillis(millis))
}

/// Prints a duration so that [`duration`] reads it back: `1h30m`, `250ms`, `0s`.
#[must_use]
pub fn show_duration(value: Duration) -> String {
    let mut millis = value.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if millis >= size {
            let _ = write!(text, "{}{unit}", millis / size);
            millis %= size;
        }
    }
    text
}

/// Prints a size in the largest binary unit that divides it, so that [`size`] reads it back exactly.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    for (unit, factor) in [("TiB", 1u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes > 0 && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("30s", 30_000),
            ("20m", 1_200_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1500),
            ("7d", 604_800_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "30", "s", "-1s", "1 s", "1y", "1e3s", "99999999999d", "1.s", ".5s", "soon", "1s1"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("200GiB", 200 << 30), ("1 kb", 1000), ("1.5MiB", 1_572_864), ("0B", 0), ("10b", 10)]
        {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for bad in ["", "200", "200G", "-1GiB", "1e3B", "GiB", "99999999TiB", "1.2.3B"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn moments() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01", 86_399_999),
            ("2026-01-31", 1_769_903_999_999),
            ("2026-01-31T12:00:00+02:00", 1_769_853_600_000),
            ("2026-01-31 10:00:00.5Z", 1_769_853_600_500),
        ] {
            assert_eq!(moment(text), Some(UnixMillis(millis)), "{text}");
        }
        for bad in ["", "soon", "2026", "2026-02-30", "2026-01-31T12:00:00", "1969-12-31", "31.01.2026"] {
            assert_eq!(moment(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn printed_quantities_read_back(millis in 0u64..300_000_000_000, bytes in 0u64..(1 << 50)) {
            let value = Duration::from_millis(millis);
            prop_assert_eq!(duration(&show_duration(value)), Some(value));
            prop_assert_eq!(size(&show_size(bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_answered(text in "\\PC{0,40}") {
            let _ = (duration(&text), size(&text), moment(&text));
        }
    }
}
