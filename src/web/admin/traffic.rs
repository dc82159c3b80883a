//! How much was asked for, over time and by channel: a part of the page of downloads.
//!
//! Belongs here: from totals to charts and tables. Does not: counting (`telemetry`, `trail`).

use std::collections::BTreeMap;

use crate::clock::UnixMillis;
use crate::http::date::rfc3339;
use crate::store::model::{Span, Traffic};
use crate::store::repo::TrafficFilter;
use crate::trail::OTHERS;
use crate::web::chart::{Bars, top_of, top_of_bytes};
use crate::web::desk::Desk;
use crate::web::show::{count, size};
use crate::web::sorry::Sorry;

/// Channels that are listed.
const MOST: usize = 100;
const DAY: i64 = Span::Day.millis();
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// How far the page looks back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Range {
    Day,
    Month,
    Year,
}

impl Range {
    pub(super) const ALL: [Self; 3] = [Self::Day, Self::Month, Self::Year];

    /// What an address says; a day for everything else.
    pub(super) fn read(text: &str) -> Self {
        Self::ALL.into_iter().find(|range| range.word() == text).unwrap_or(Self::Day)
    }

    /// In addresses.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// For people: the last …
    pub(super) const fn said(self) -> &'static str {
        match self {
            Self::Day => "24 hours",
            Self::Month => "30 days",
            Self::Year => "52 weeks",
        }
    }

    /// What a bar is.
    const fn unit(self) -> &'static str {
        match self {
            Self::Day => "hour",
            Self::Month => "day",
            Self::Year => "week",
        }
    }

    const fn span(self) -> Span {
        match self {
            Self::Day => Span::Hour,
            Self::Month | Self::Year => Span::Day,
        }
    }

    /// How many bars there are, how long each is, and how many stand above one label.
    const fn bars(self) -> (u8, i64, usize) {
        match self {
            Self::Day => (24, Span::Hour.millis(), 6),
            Self::Month => (30, DAY, 6),
            Self::Year => (52, 7 * DAY, 13),
        }
    }

    /// Where the first bar begins: the last one has `now` in it.
    fn first(self, now: UnixMillis) -> UnixMillis {
        let (bars, long, _) = self.bars();
        let end = self.span().start_of(now).0.saturating_add(self.span().millis());
        UnixMillis(end.saturating_sub(i64::from(bars) * long))
    }

    /// The beginning of a bar below the chart.
    fn label(self, at: UnixMillis) -> String {
        let date = Date::of(at);
        match self {
            Self::Day => date.time,
            Self::Month => date.day_and_month(),
            Self::Year => format!("{} {}", date.month, date.year),
        }
    }

    /// A bar in a sentence or a table.
    fn named(self, at: UnixMillis) -> String {
        let date = Date::of(at);
        match self {
            Self::Day => format!("{}, {}", date.day_and_month(), date.time),
            Self::Month => date.day_and_month(),
            Self::Year => format!("{} {}", date.day_and_month(), date.year),
        }
    }
}

/// A moment in UTC, in pieces.
struct Date {
    year: String,
    month: &'static str,
    day: String,
    time: String,
}

impl Date {
    fn of(at: UnixMillis) -> Self {
        let text = rfc3339(at);
        let piece = |from: usize, to: usize| text.get(from..to).unwrap_or_default().to_owned();
        let month = piece(5, 7).parse().ok().and_then(|month: usize| MONTHS.get(month.wrapping_sub(1)));
        Self {
            year: piece(0, 4),
            month: month.copied().unwrap_or_default(),
            day: piece(8, 10).trim_start_matches('0').to_owned(),
            time: piece(11, 16),
        }
    }

    fn day_and_month(&self) -> String {
        format!("{} {}", self.day, self.month)
    }
}

#[derive(Clone, Copy, Default)]
struct Sum {
    hits: u64,
    misses: u64,
    refused: u64,
    indexes: u64,
    bytes: u64,
}

impl Sum {
    const fn add(&mut self, row: &Traffic) {
        self.hits = self.hits.saturating_add(row.hits);
        self.misses = self.misses.saturating_add(row.misses);
        self.refused = self.refused.saturating_add(row.refused);
        self.indexes = self.indexes.saturating_add(row.indexes);
        self.bytes = self.bytes.saturating_add(row.bytes);
    }

    const fn requests(&self) -> u64 {
        self.hits.saturating_add(self.misses).saturating_add(self.refused)
    }
}

/// A line of a table, or the totals of all.
pub(super) struct Line {
    /// A channel or a period.
    pub(super) name: String,
    /// Whether it leads to the channel's page.
    pub(super) is_link: bool,
    pub(super) requests: String,
    pub(super) hits: String,
    pub(super) misses: String,
    pub(super) refused: String,
    pub(super) indexes: String,
    pub(super) sent: String,
    /// Of what was delivered, how much came out of the cache.
    pub(super) ratio: String,
}

impl Line {
    fn new(name: String, is_link: bool, sum: &Sum) -> Self {
        let delivered = u128::from(sum.hits) + u128::from(sum.misses);
        let percent = (u128::from(sum.hits) * 100).checked_div(delivered);
        Self {
            name,
            is_link,
            requests: count(sum.requests()),
            hits: count(sum.hits),
            misses: count(sum.misses),
            refused: count(sum.refused),
            indexes: count(sum.indexes),
            sent: size(sum.bytes),
            ratio: percent.map_or_else(|| "–".to_owned(), |percent| format!("{percent} %")),
        }
    }
}

/// A chart: what is drawn, and what is read.
pub(super) struct Chart<const PARTS: usize> {
    pub(super) bars: Bars<PARTS>,
    /// At the upper edge, in the middle.
    pub(super) scale: [String; 2],
    /// What it is about, and what it shows: for who can't see it, too.
    pub(super) title: String,
    pub(super) said: String,
}

/// See the module's description.
pub(super) struct Shown {
    pub(super) range: Range,
    pub(super) total: Line,
    pub(super) requests: Chart<3>,
    pub(super) bytes: Chart<1>,
    /// Below both charts, for as many bars each.
    pub(super) labels: Vec<String>,
    pub(super) periods: Vec<Line>,
    pub(super) channels: Vec<Line>,
    /// Channels that are not listed.
    pub(super) more: usize,
    pub(super) is_empty: bool,
}

/// What there was.
pub(super) async fn look(desk: &Desk, range: Range) -> Result<Shown, Sorry> {
    let (now, people) = (desk.now(), desk.people().await?);
    let first = range.first(now);
    let before = UnixMillis(now.0.saturating_add(1));
    let filter = TrafficFilter { span: range.span(), from: first, before, channel: None };
    let mut sums = Sums::new(range, first);
    people.each_traffic(&filter, |row| sums.add(row)).await?;
    Ok(sums.shown())
}

struct Sums {
    range: Range,
    first: UnixMillis,
    total: Sum,
    periods: Vec<Sum>,
    channels: BTreeMap<String, Sum>,
}

impl Sums {
    fn new(range: Range, first: UnixMillis) -> Self {
        let periods = vec![Sum::default(); usize::from(range.bars().0)];
        Self { range, first, total: Sum::default(), periods, channels: BTreeMap::new() }
    }

    fn add(&mut self, row: &Traffic) {
        let place = (row.start.0 - self.first.0) / self.range.bars().1;
        let Some(period) = usize::try_from(place).ok().and_then(|place| self.periods.get_mut(place)) else {
            return;
        };
        period.add(row);
        self.total.add(row);
        if let Some(channel) = self.channels.get_mut(&row.channel) {
            channel.add(row);
        } else {
            self.channels.entry(row.channel.clone()).or_default().add(row);
        }
    }

    fn start(&self, bar: usize) -> UnixMillis {
        UnixMillis(self.first.0 + self.range.bars().1 * i64::try_from(bar).unwrap_or(0))
    }

    fn shown(self) -> Shown {
        let range = self.range;
        let labels = (0..self.periods.len()).step_by(range.bars().2).map(|bar| range.label(self.start(bar)));
        let of_period = |(bar, sum)| Line::new(range.named(self.start(bar)), false, sum);
        let mut channels: Vec<_> = self.channels.iter().collect();
        channels.sort_by_key(|(_, sum)| std::cmp::Reverse((sum.requests(), sum.bytes)));
        let of_channel = |(name, sum): &(&String, &Sum)| Line::new((*name).clone(), *name != OTHERS, sum);
        Shown {
            range,
            total: Line::new(String::new(), false, &self.total),
            requests: self.requests(),
            bytes: self.bytes(),
            labels: labels.collect(),
            periods: self.periods.iter().enumerate().map(of_period).collect(),
            channels: channels.iter().take(MOST).map(of_channel).collect(),
            more: channels.len().saturating_sub(MOST),
            is_empty: channels.is_empty(),
        }
    }

    /// The bar with most of something, in words.
    fn most(&self, of: impl Fn(&Sum) -> u64, shown: impl Fn(u64) -> String) -> (u64, String) {
        let all = self.periods.iter().map(of).enumerate();
        // Of equal ones the first.
        let (bar, most) = all.rev().max_by_key(|(_, n)| *n).unwrap_or_default();
        let (unit, at) = (self.range.unit(), self.range.named(self.start(bar)));
        let at = match self.range {
            Range::Day => format!("{at} UTC"),
            Range::Month => at,
            Range::Year => format!("from {at}"),
        };
        (most, format!("Most in one {unit}: {} ({at}).", shown(most)))
    }

    fn requests(&self) -> Chart<3> {
        let (most, said) = self.most(Sum::requests, count);
        let top = top_of(most);
        let bars: Vec<_> = self.periods.iter().map(|sum| [sum.hits, sum.misses, sum.refused]).collect();
        let Sum { hits, misses, refused, .. } = self.total;
        let [all, hits, misses, refused] = [self.total.requests(), hits, misses, refused].map(count);
        Chart {
            bars: Bars::new(&bars, top),
            scale: [top, top / 2].map(count),
            title: format!("Requests for packages, last {}", self.range.said()),
            said: format!(
                "{all} in all: {hits} out of the cache, {misses} fetched, {refused} refused. {said}"
            ),
        }
    }

    fn bytes(&self) -> Chart<1> {
        let (most, said) = self.most(|sum| sum.bytes, size);
        let top = top_of_bytes(most);
        let bars: Vec<_> = self.periods.iter().map(|sum| [sum.bytes]).collect();
        Chart {
            bars: Bars::new(&bars, top),
            scale: [top, top / 2].map(size),
            title: format!("Bytes sent, last {}", self.range.said()),
            said: format!("{} in all, indexes included. {said}", size(self.total.bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-04 13:20 UTC.
    const NOW: UnixMillis = UnixMillis(1_793_798_400_000);

    fn row(range: Range, ago: i64, channel: &str, hits: u64) -> Traffic {
        let (span, channel) = (range.span(), channel.to_owned());
        let start = UnixMillis(span.start_of(NOW).0 - ago * span.millis());
        Traffic { span, start, channel, hits, misses: 1, refused: 0, indexes: 2, bytes: 1 << 20 }
    }

    fn shown(range: Range, rows: &[Traffic]) -> Shown {
        let mut sums = Sums::new(range, range.first(NOW));
        for row in rows {
            sums.add(row);
        }
        sums.shown()
    }

    #[test]
    fn the_last_bar_has_this_moment_in_it() {
        let found = shown(Range::Day, &[row(Range::Day, 0, "a", 3), row(Range::Day, 23, "a", 0)]);
        assert_eq!(found.labels, ["14:00", "20:00", "02:00", "08:00"]);
        let named = |at: usize| (found.periods[at].name.as_str(), found.periods[at].requests.as_str());
        assert_eq!((named(0), named(23)), (("3 Nov, 14:00", "1"), ("4 Nov, 13:00", "4")));
        let said =
            "5 in all: 3 out of the cache, 2 fetched, 0 refused. Most in one hour: 4 (4 Nov, 13:00 UTC).";
        assert_eq!(found.requests.said, said);
        assert_eq!(
            found.bytes.said,
            "2.0 MiB in all, indexes included. Most in one hour: 1.0 MiB (3 Nov, 14:00 UTC)."
        );
        assert_eq!((&found.requests.scale, &*found.total.ratio), (&["4".to_owned(), "2".to_owned()], "60 %"));
        // What is older belongs to no bar.
        assert!(shown(Range::Day, &[row(Range::Day, 24, "a", 3)]).is_empty);
    }

    #[test]
    fn days_and_weeks_end_today() {
        let month = shown(Range::Month, &[row(Range::Month, 29, "a", 1)]);
        assert_eq!(month.labels, ["6 Oct", "12 Oct", "18 Oct", "24 Oct", "30 Oct"]);
        assert_eq!((month.periods.len(), &*month.periods[0].requests), (30, "2"));
        let year = shown(
            Range::Year,
            &[row(Range::Year, 0, "a", 1), row(Range::Year, 6, "a", 1), row(Range::Year, 7, "a", 4)],
        );
        assert_eq!(year.labels, ["Nov 2025", "Feb 2026", "May 2026", "Aug 2026"]);
        let last: Vec<_> = year.periods[50..].iter().map(|line| (&*line.name, &*line.requests)).collect();
        assert_eq!(last, [("22 Oct 2026", "5"), ("29 Oct 2026", "4")]);
    }

    #[test]
    fn channels_are_listed_by_what_they_were_asked_for() {
        let day = Range::Day;
        let rows = [row(day, 1, "a", 1), row(day, 2, OTHERS, 5), row(day, 3, "b", 2), row(day, 4, "a", 4)];
        let found = shown(day, &rows);
        let lines: Vec<_> = found
            .channels
            .iter()
            .map(|line| (&*line.name, &*line.requests, &*line.ratio, line.is_link))
            .collect();
        assert_eq!(lines, [("a", "7", "71 %", true), (OTHERS, "6", "83 %", false), ("b", "3", "66 %", true)]);
        let empty = shown(day, &[]);
        assert!(empty.is_empty && empty.total.ratio == "–");
        assert_eq!(["day", "year", "eon", ""].map(Range::read), [day, Range::Year, day, day]);
    }
}
