//! HTTP dates (RFC 9110, 5.6.7): whole seconds, always GMT; and moments as JSON has them (RFC 3339).

use std::time::Duration;

use super::list::trim;
use crate::clock::UnixMillis;

/// `Fri, 31 Dec 9999 23:59:59 GMT`: the last moment the format can say.
const LAST: i64 = 253_402_300_799_000;

/// Prints an IMF-fixdate such as `Sun, 06 Nov 1994 08:49:37 GMT`. Fractions of a second are cut off; moments before
/// 1970 or after 9999 become the nearest one in between.
#[must_use]
pub fn format(moment: UnixMillis) -> String {
    let millis = u64::try_from(moment.0.clamp(0, LAST)).unwrap_or(0);
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_millis(millis))
}

/// Reads any of the three formats RFC 9110 asks for (IMF-fixdate, RFC 850, asctime); `None` for everything else and
/// for moments before 1970.
#[must_use]
pub fn parse(value: &str) -> Option<UnixMillis> {
    httpdate::parse_http_date(trim(value)).ok().map(UnixMillis::from_system)
}

/// A moment as RFC 3339 has it, in UTC, always with milliseconds, so that texts sort as moments do: `2026-01-31T12:00:00.500Z`.
#[must_use]
pub fn rfc3339(moment: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(moment.0)
        .map_or_else(|_| "9999-12-31T23:59:59.999Z".to_owned(), |moment| format!("{moment:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_all_three_formats() {
        let moment = Some(UnixMillis(784_111_777_000));
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " Sun, 06 Nov 1994 08:49:37 GMT\t",
        ] {
            assert_eq!(parse(text), moment, "{text}");
        }
        for bad in
            ["", "0", "yesterday", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1894 08:49:37 GMT", "é"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn prints_the_ends_of_time() {
        assert_eq!(format(UnixMillis(784_111_777_999)), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(format(UnixMillis(i64::MIN)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(format(UnixMillis(i64::MAX)), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn moments_have_one_width() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_795_757_479_360, "2026-11-27T05:31:19.360Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(UnixMillis(millis)), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(millis in 0..=LAST) {
            let printed = format(UnixMillis(millis));
            prop_assert_eq!(printed.len(), 29);
            prop_assert_eq!(parse(&printed), Some(UnixMillis(millis - millis % 1000)));
        }

        #[test]
        fn reading_never_panics(text in ".{0,40}") {
            if let Some(moment) = parse(&text) {
                prop_assert_eq!(moment.0 % 1000, 0);
            }
        }
    }
}
