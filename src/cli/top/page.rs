//! A report as people read it: lines of text.
//!
//! Belongs here: words, columns, what is left out where there is little room. Does not: where the lines go ([`super`]).

use super::rates::{Asked, Busy, Filling, Report};
use crate::policy::units::show_size;

/// Rows of a part before it is cut.
const ROWS: usize = 10;

/// At most `rows` lines of at most `columns` characters.
pub(super) fn lines(report: &Report, rows: usize, columns: usize) -> Vec<String> {
    let mut lines = head(report);
    part(&mut lines, "downloads from upstream", report.fills.len(), report.fills.iter().map(fill));
    part(&mut lines, "upstreams", report.upstreams.len(), report.upstreams.iter().flat_map(upstream));
    part(
        &mut lines,
        "channels, by bytes since the start",
        report.channels.len(),
        report.channels.iter().map(channel),
    );
    lines.truncate(rows);
    lines.iter().map(|line| cut(line, columns)).collect()
}

fn head(report: &Report) -> Vec<String> {
    // The sum of nothing is a negative zero.
    let all = report.requests_per_second.values().fold(0.0, |all, one| all + one);
    let kinds: Vec<_> = report
        .requests_per_second
        .iter()
        .filter(|(_, rate)| **rate > 0.0)
        .map(|(kind, rate)| format!("{kind} {rate:.1}"))
        .collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!("  ({})", kinds.join(", ")) };
    vec![
        format!("requests/s   {all:.1}{kinds}"),
        format!(
            "from here    {}, since the start {}",
            percent(report.hit_ratio),
            percent(report.hit_ratio_altogether)
        ),
        format!(
            "bytes        {}/s to clients, {}/s from upstreams",
            size(report.sent_bytes_per_second),
            size(report.received_bytes_per_second)
        ),
        format!("under way    {} requests, {} connections", report.in_flight, report.connections),
    ]
}

fn part(lines: &mut Vec<String>, title: &str, count: usize, rows: impl Iterator<Item = String>) {
    let mut rows: Vec<_> = rows.collect();
    lines.push(String::new());
    lines.push(if count == 0 { format!("{title}: none") } else { format!("{title}: {count}") });
    let more = rows.len().saturating_sub(ROWS);
    rows.truncate(ROWS);
    lines.extend(rows);
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
}

fn fill(filling: &Filling) -> String {
    let fill = &filling.fill;
    let progress = match fill.total {
        Some(total) if total > 0 => {
            #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
            let done = fill.bytes as f64 / total as f64 * 100.0;
            format!("{done:3.0}% of {}", show_size_short(total))
        }
        _ => format!("{} so far", show_size_short(fill.bytes)),
    };
    let mirror = fill.mirror.as_deref().unwrap_or("waiting for an answer");
    format!(
        "  {progress:<18} {:>10}/s {:>5} s  {}  {mirror}",
        size(filling.bytes_per_second),
        fill.age_ms / 1000,
        fill.file
    )
}

fn upstream(asked: &Asked) -> Vec<String> {
    let upstream = &asked.upstream;
    let ill = upstream.mirrors.iter().filter(|mirror| !mirror.healthy);
    let health = if upstream.mirrors.iter().all(|mirror| mirror.healthy) { "well" } else { "ILL" };
    let mut lines = vec![format!(
        "  {:<20} {health:<4} {:>3} of {} places, {:.1} requests/s, {}/s, {} failures",
        upstream.name,
        upstream.in_flight,
        upstream.max_concurrent,
        asked.requests_per_second,
        size(asked.bytes_per_second),
        upstream.failures
    )];
    lines.extend(ill.map(|mirror| {
        format!(
            "    {} is avoided: {}",
            mirror.address,
            mirror.last_error.as_deref().unwrap_or("it asked to be")
        )
    }));
    lines
}

fn channel(busy: &Busy) -> String {
    let channel = &busy.channel;
    #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
    let from_here = (channel.answers > 0).then(|| channel.from_here as f64 / channel.answers as f64);
    format!(
        "  {:<24} {:>10} {:>10}/s {:>8.1} answers/s, {} from here",
        channel.name,
        show_size_short(channel.bytes),
        size(busy.bytes_per_second),
        busy.answers_per_second,
        percent(from_here)
    )
}

fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.1}%", ratio * 100.0))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is not negative; for people"
)]
fn size(rate: f64) -> String {
    show_size_short(rate as u64)
}

/// Three digits and a unit.
fn show_size_short(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return show_size(bytes);
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut left = bytes as f64;
    let mut unit = 0;
    while left >= 1024.0 && unit + 1 < UNITS.len() {
        left /= 1024.0;
        unit += 1;
    }
    let digits = if left < 10.0 { 2 } else { usize::from(left < 100.0) };
    format!("{left:.digits$}{}", UNITS[unit])
}

/// No longer than there is room, and nothing that a terminal would obey.
fn cut(line: &str, columns: usize) -> String {
    line.chars().map(|c| if c.is_control() { '?' } else { c }).take(columns).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::glance::{ChannelGlance, FillGlance, Glance, MirrorGlance, UpstreamGlance};

    fn glance(fills: usize) -> Glance {
        let fill = |n| FillGlance {
            file: format!("pkg:up/chan/noarch/a\u{1b}[31m-{n}.conda"),
            bytes: 1 << 20,
            total: Some(4 << 20),
            age_ms: 2500,
            mirror: Some("https://mirror.example.org/".into()),
        };
        let mirror = MirrorGlance {
            address: "https://ill.example.org/".into(),
            healthy: false,
            last_error: Some("timeout".into()),
        };
        Glance {
            at_ms: 1000,
            fills: (0..fills).map(fill).collect(),
            upstreams: vec![UpstreamGlance {
                name: "up".into(),
                mirrors: vec![mirror],
                ..UpstreamGlance::default()
            }],
            channels: vec![ChannelGlance { name: "chan".into(), answers: 4, from_here: 3, bytes: 1536 }],
            ..Glance::default()
        }
    }

    #[test]
    fn a_page_says_what_is_going_on() {
        let report = Report::between(&Glance::default(), &glance(1));
        let text = lines(&report, usize::MAX, usize::MAX).join("\n");
        for words in [
            "requests/s   0.0\n",
            "25% of 4.00MiB",
            "up                   ILL",
            "https://ill.example.org/ is avoided: timeout",
            "1.50KiB",
            "75.0% from here",
        ] {
            assert!(text.contains(words), "no `{words}` in:\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn it_keeps_to_the_room_there_is() {
        let report = Report::between(&Glance::default(), &glance(30));
        let small = lines(&report, 7, 20);
        assert!(small.len() == 7 && small.iter().all(|line| line.chars().count() <= 20), "{small:?}");
        assert!(lines(&report, 100, 200).iter().any(|line| line == "  and 20 more"));
    }

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, shown) in
            [(0, "0B"), (1023, "1023B"), (1024, "1.00KiB"), (10 << 20, "10.0MiB"), (500 << 30, "500GiB")]
        {
            assert_eq!(show_size_short(bytes), shown);
        }
    }
}
