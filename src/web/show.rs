//! Sizes, numbers and moments as people read them.
//!
//! Belongs here: writing them. Does not: where they come from.

use std::fmt;

use askama::filters::{Html, HtmlSafe, escape};

use crate::clock::UnixMillis;
use crate::http::date::rfc3339;

/// `1.5 GiB`
pub(super) fn size(bytes: u64) -> String {
    let (mut unit, mut tenths) = ("B", u128::from(bytes) * 10);
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = next;
    }
    if unit == "B" || tenths >= 1000 {
        return format!("{} {unit}", tenths / 10);
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// `12,345`
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A moment as an element: how long ago (or ahead) it is, the whole of it on hover.
#[derive(Clone)]
pub(super) struct When {
    said: String,
    whole: String,
}

impl When {
    pub(super) fn new(at: UnixMillis, now: UnixMillis) -> Self {
        Self { said: relative(at, now), whole: rfc3339(at) }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (said, whole) = (&self.said, &self.whole);
        let shown = whole.replace('T', " ").replace('Z', " UTC");
        write!(f, "<time datetime=\"{whole}\" title=\"{shown}\">{said}</time>")
    }
}

// Digits, letters and marks of dates only.
impl HtmlSafe for When {}

/// A sentence as services write it: what stands in backticks becomes an element, all else is text.
pub(super) struct Prose<'a>(pub(super) &'a str);

impl fmt::Display for Prose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((before, code, after)) = ticked(rest) {
            let (Ok(before), Ok(code)) = (escape(before, Html), escape(code, Html));
            write!(f, "{before}<code>{code}</code>")?;
            rest = after;
        }
        let Ok(rest) = escape(rest, Html);
        write!(f, "{rest}")
    }
}

// Every part is escaped.
impl HtmlSafe for Prose<'_> {}

/// What stands before the first pair of backticks, within it and behind it.
fn ticked(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('`')?;
    let (code, after) = rest.split_once('`')?;
    Some((before, code, after))
}

fn relative(at: UnixMillis, now: UnixMillis) -> String {
    let millis = now.0.saturating_sub(at.0);
    let minutes = millis.unsigned_abs() / 60_000;
    let (n, unit) = match minutes {
        0 => return "just now".to_owned(),
        1..60 => (minutes, "minute"),
        60..1_440 => (minutes / 60, "hour"),
        1_440..86_400 => (minutes / 1_440, "day"),
        86_400..1_051_200 => (minutes / 43_800, "month"),
        _ => (minutes / 525_600, "year"),
    };
    let s = if n == 1 { "" } else { "s" };
    if millis < 0 { format!("in {n} {unit}{s}") } else { format!("{n} {unit}{s} ago") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_are_readable() {
        let sizes = [0, 1023, 1024, 1536, 1_048_576, 250 << 20, 3 << 40].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "250 MiB", "3.0 TiB"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn names_in_backticks_become_elements_and_nothing_else_does() {
        let shown = |text| Prose(text).to_string();
        assert_eq!(shown("rule `a<b>` says: <i>"), "rule <code>a&#60;b&#62;</code> says: &#60;i&#62;");
        assert_eq!(shown("a lone ` stays"), "a lone ` stays");
        assert_eq!(shown("`x``y`"), "<code>x</code><code>y</code>");
    }

    #[test]
    fn moments_are_told_from_now() {
        let now = UnixMillis(1_800_000_000_000);
        let ago = |minutes: i64| relative(UnixMillis(now.0 - minutes * 60_000), now);
        assert_eq!(ago(0), "just now");
        assert_eq!(ago(1), "1 minute ago");
        assert_eq!(ago(60 * 3), "3 hours ago");
        assert_eq!(ago(60 * 24 * 70), "2 months ago");
        assert_eq!(ago(-60 * 24 * 5), "in 5 days");
    }
}
