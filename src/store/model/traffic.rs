//! How much channels were asked for, hour by hour and day by day.

use crate::clock::UnixMillis;
use crate::store::table::{Index, Record, Table, record};
use crate::store::value::field;

/// How long a row's period is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Span {
    /// An hour.
    Hour,
    /// A day, in UTC.
    Day,
}

impl Span {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// What was written.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        [Self::Hour, Self::Day].into_iter().find(|span| span.as_str() == text)
    }

    /// Milliseconds.
    #[must_use]
    pub const fn millis(self) -> i64 {
        match self {
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    /// Where the period begins that a moment lies in.
    #[must_use]
    pub const fn start_of(self, at: UnixMillis) -> UnixMillis {
        UnixMillis(at.0 - at.0.rem_euclid(self.millis()))
    }
}

field!(Span, Text, |v| v.as_str().to_owned(), |v| Self::read(&v));

record! {
    /// What a channel was asked for and sent within an hour, and once more within a day: each is written when it is counted and
    /// forgotten at its own age, so that no row has to be turned into another.
    Traffic in TRAFFIC {
        /// How long.
        span: Span,
        /// Since when; whole hours or days in UTC.
        start: UnixMillis,
        /// Its name, as metrics have it.
        channel: String,
        /// Requests for packages that the cache answered.
        hits: u64,
        /// Those whose bytes came from upstream.
        misses: u64,
        /// Those that were turned away.
        refused: u64,
        /// Requests for indexes and shards.
        indexes: u64,
        /// Body bytes of all answers.
        bytes: u64,
    }
}

impl Traffic {
    /// Requests for packages.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.hits.saturating_add(self.misses).saturating_add(self.refused)
    }
}

/// Of [`Traffic`].
pub static TRAFFIC: Table = Table {
    name: "traffic",
    what: "total",
    taken: "this total",
    key: &["span", "start", "channel"],
    columns: Traffic::COLUMNS,
    indexes: &[Index { name: "traffic_key", columns: &["span", "start", "channel"], unique: None }],
    tracked: false,
    queue: false,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_begin_at_whole_hours_and_days() {
        let at = UnixMillis(1_800_000_000_123);
        assert_eq!(Span::Hour.start_of(at), UnixMillis(1_800_000_000_000));
        assert_eq!(Span::Day.start_of(at).0 % 86_400_000, 0);
        assert_eq!(Span::Hour.start_of(UnixMillis(-1)), UnixMillis(-3_600_000));
        assert_eq!(
            [Span::Hour, Span::Day].map(|span| Span::read(span.as_str())),
            [Some(Span::Hour), Some(Span::Day)]
        );
        assert_eq!(Span::read("week"), None);
    }
}
