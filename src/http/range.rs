//! `Range` with a single byte range (RFC 9110, 14).
//!
//! Several ranges, other units and malformed values are ignored, as RFC 9110 14.2 allows: the answer is then the whole
//! file with 200. No conda client asks for several ranges.

use std::fmt::Write as _;
use std::ops::Range;

use super::list::trim;

/// One requested range. Numbers too large for `u64` count as `u64::MAX`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ByteRange {
    /// `bytes=a-`
    From(u64),
    /// `bytes=a-b`, both inclusive, `a <= b`
    FromTo(u64, u64),
    /// `bytes=-n`: the last `n` bytes
    Suffix(u64),
}

/// Reads a `Range` header; `None` where it is to be ignored (malformed, another unit, several ranges, `b < a`).
#[must_use]
pub fn parse(value: &str) -> Option<ByteRange> {
    let (unit, spec) = value.split_once('=')?;
    if !trim(unit).eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = trim(spec).split_once('-')?;
    match (first, last) {
        ("", last) => number(last).map(ByteRange::Suffix),
        (first, "") => number(first).map(ByteRange::From),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::FromTo(first, last))
        }
    }
}

/// One or more digits and nothing else; saturates.
fn number(digits: &str) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

impl ByteRange {
    /// The bytes meant in a file of `len` bytes: never empty, never beyond the end. `None` means 416. Nothing can be
    /// satisfied in an empty file: `Content-Range` has no way to say "no bytes".
    #[must_use]
    pub fn resolve(self, len: u64) -> Option<Range<u64>> {
        let (start, end) = match self {
            Self::From(first) => (first, len),
            Self::FromTo(first, last) => (first, len.min(last.saturating_add(1))),
            Self::Suffix(count) => (len.saturating_sub(count), len),
        };
        (start < end).then_some(start..end)
    }
}

/// `Content-Range` of a 206: `bytes 0-9/200`. `range` is half-open and not empty, as [`ByteRange::resolve`] gives it.
#[must_use]
pub fn content_range(range: &Range<u64>, len: u64) -> String {
    let mut value = String::with_capacity(48);
    // Writing to a String can't fail.
    let _ = write!(value, "bytes {}-{}/{len}", range.start, range.end.saturating_sub(1));
    value
}

/// `Content-Range` of a 416: `bytes */200`.
#[must_use]
pub fn unsatisfied(len: u64) -> String {
    format!("bytes */{len}")
}

#[cfg(test)]
mod tests {
    use super::ByteRange::{From, FromTo, Suffix};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_three_forms() {
        for (value, range) in [
            ("bytes=0-", From(0)),
            ("bytes=7-", From(7)),
            ("bytes=0-0", FromTo(0, 0)),
            ("Bytes = 2-5 ", FromTo(2, 5)),
            ("bytes=-65536", Suffix(65_536)),
            ("bytes=-0", Suffix(0)),
            ("bytes=5-99999999999999999999999", FromTo(5, u64::MAX)),
            ("bytes=99999999999999999999999-", From(u64::MAX)),
            ("bytes=-99999999999999999999999", Suffix(u64::MAX)),
            ("bytes=000000000000000000000000000001-", From(1)),
        ] {
            assert_eq!(parse(value), Some(range), "{value}");
        }
    }

    #[test]
    fn everything_else_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=1--2",
            "bytes=--1",
            "bytes=0-1,5-6",
            "bytes=0-1,",
            "bytes=1 - 2",
            "items=0-1",
            "0-1",
            "bytes:0-1",
            "bytes=0x1-",
            "bytes=1-2-3",
            "bytes=\u{0661}-",
        ] {
            assert_eq!(parse(value), None, "{value}");
        }
    }

    #[test]
    fn resolves_at_the_edges() {
        for (range, len, meant) in [
            (From(0), 10, Some(0..10)),
            (From(9), 10, Some(9..10)),
            (From(10), 10, None),
            (From(u64::MAX), u64::MAX, None),
            (From(0), 0, None),
            (FromTo(2, 3), 10, Some(2..4)),
            (FromTo(2, 99), 10, Some(2..10)),
            (FromTo(0, u64::MAX), u64::MAX, Some(0..u64::MAX)),
            (FromTo(10, 12), 10, None),
            (FromTo(0, 0), 0, None),
            (Suffix(3), 10, Some(7..10)),
            (Suffix(99), 10, Some(0..10)),
            (Suffix(0), 10, None),
            (Suffix(1), 0, None),
        ] {
            assert_eq!(range.resolve(len), meant, "{range:?} of {len}");
        }
        assert_eq!(content_range(&(2..4), 10), "bytes 2-3/10");
        assert_eq!(unsatisfied(10), "bytes */10");
    }

    /// Byte by byte: which positions of a file of `len` bytes does the range name?
    fn oracle(range: ByteRange, len: u64) -> Vec<u64> {
        let named = |at: &u64| match range {
            From(a) => *at >= a,
            FromTo(a, b) => (a..=b).contains(at),
            Suffix(n) => len - at <= n,
        };
        (0..len).filter(named).collect()
    }

    proptest! {
        #[test]
        fn agrees_with_counting_bytes(form in 0..3, a in 0_u64..60, b in 0_u64..60, len in 0_u64..50) {
            let value = match form {
                0 => format!("bytes={a}-"),
                1 => format!("bytes={}-{}", a.min(b), a.max(b)),
                _ => format!("bytes=-{a}"),
            };
            let range = parse(&value).unwrap();
            prop_assert_eq!(range.resolve(len).map(Iterator::collect).unwrap_or(vec![]), oracle(range, len));
        }

        #[test]
        fn never_leaves_the_file(value in "(bytes|items| )=?[0-9]{0,24}-?[0-9]{0,24}[,x]?", len: u64) {
            if let Some(meant) = parse(&value).and_then(|range| range.resolve(len)) {
                prop_assert!(meant.start < meant.end && meant.end <= len);
            }
        }

        #[test]
        fn parsing_never_panics(value in ".{0,40}") {
            let _ = parse(&value);
            let _ = parse(&format!("bytes={value}"));
        }
    }
}
