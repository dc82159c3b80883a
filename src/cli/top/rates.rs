//! What happened between two looks at a gate.
//!
//! Belongs here: differences and rates. Does not: how they are printed ([`super::page`]).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::telemetry::glance::{ChannelGlance, FillGlance, Glance, UpstreamGlance};

/// A look, with what happened since the one before.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Report {
    /// When, in milliseconds since 1970.
    pub(super) at_ms: i64,
    /// How long the looks are apart.
    pub(super) seconds: f64,
    /// Requests answered in one second, by kind.
    pub(super) requests_per_second: BTreeMap<String, f64>,
    /// The share of answers that waited for no upstream; `None` where there were none.
    pub(super) hit_ratio: Option<f64>,
    /// The same since the gate's start.
    pub(super) hit_ratio_altogether: Option<f64>,
    /// To clients.
    pub(super) sent_bytes_per_second: f64,
    /// From upstreams.
    pub(super) received_bytes_per_second: f64,
    pub(super) in_flight: i64,
    pub(super) connections: i64,
    pub(super) fills: Vec<Filling>,
    pub(super) upstreams: Vec<Asked>,
    pub(super) channels: Vec<Busy>,
}

/// A download from upstream.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Filling {
    #[serde(flatten)]
    pub(super) fill: FillGlance,
    pub(super) bytes_per_second: f64,
}

/// An upstream.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Asked {
    #[serde(flatten)]
    pub(super) upstream: UpstreamGlance,
    pub(super) requests_per_second: f64,
    pub(super) bytes_per_second: f64,
}

/// A channel.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Busy {
    #[serde(flatten)]
    pub(super) channel: ChannelGlance,
    pub(super) answers_per_second: f64,
    pub(super) bytes_per_second: f64,
}

impl Report {
    #[expect(clippy::cast_precision_loss, reason = "rates for people")]
    pub(super) fn between(before: &Glance, now: &Glance) -> Self {
        // A clock that was set back, or looks within its grain.
        let seconds = (now.at_ms.saturating_sub(before.at_ms)).max(1) as f64 / 1000.0;
        let per_second = |before: u64, now: u64| now.saturating_sub(before) as f64 / seconds;
        let of = |kinds: &BTreeMap<String, u64>, kind: &str| kinds.get(kind).copied().unwrap_or(0);
        let requests =
            now.requests.iter().map(|(kind, n)| (kind, per_second(of(&before.requests, kind), *n)));
        let fills = now.fills.iter().map(|fill| {
            let old = before.fills.iter().find(|old| old.file == fill.file && old.age_ms <= fill.age_ms);
            let bytes_per_second = per_second(old.map_or(0, |old| old.bytes), fill.bytes);
            Filling { fill: fill.clone(), bytes_per_second }
        });
        let upstreams = now.upstreams.iter().map(|upstream| {
            let old = before.upstreams.iter().find(|old| old.name == upstream.name).unwrap_or(upstream);
            Asked {
                upstream: upstream.clone(),
                requests_per_second: per_second(old.requests, upstream.requests),
                bytes_per_second: per_second(old.bytes, upstream.bytes),
            }
        });
        let nothing = ChannelGlance::default();
        let channels = now.channels.iter().map(|channel| {
            let old = before.channels.iter().find(|old| old.name == channel.name).unwrap_or(&nothing);
            Busy {
                channel: channel.clone(),
                answers_per_second: per_second(old.answers, channel.answers),
                bytes_per_second: per_second(old.bytes, channel.bytes),
            }
        });
        Self {
            at_ms: now.at_ms,
            seconds,
            requests_per_second: requests.map(|(kind, rate)| (kind.clone(), rate)).collect(),
            hit_ratio: now.hit_ratio_since(before),
            hit_ratio_altogether: now.hit_ratio_since(&Glance::default()),
            sent_bytes_per_second: per_second(before.sent_bytes, now.sent_bytes),
            received_bytes_per_second: per_second(before.received_bytes, now.received_bytes),
            in_flight: now.in_flight,
            connections: now.connections,
            fills: fills.collect(),
            upstreams: upstreams.collect(),
            channels: channels.collect(),
        }
    }

    /// One line.
    pub(super) fn json(&self) -> String {
        // Strings and finite numbers always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glance(at_ms: i64, packages: u64, sent: u64, on_disk: u64) -> Glance {
        let count = |word: &str, n| BTreeMap::from([(word.to_owned(), n)]);
        Glance {
            at_ms,
            requests: count("package", packages),
            outcomes: count("hit", packages),
            sent_bytes: sent,
            fills: vec![FillGlance {
                file: "a".into(),
                bytes: on_disk,
                age_ms: at_ms.unsigned_abs(),
                ..FillGlance::default()
            }],
            channels: vec![ChannelGlance {
                name: "c".into(),
                answers: packages,
                bytes: sent,
                ..ChannelGlance::default()
            }],
            ..Glance::default()
        }
    }

    #[test]
    fn rates_are_differences_by_time() {
        let report = Report::between(&glance(1000, 10, 500, 40), &glance(3000, 30, 2500, 140));
        assert!((report.seconds - 2.0).abs() < 1e-9);
        assert!((report.requests_per_second["package"] - 10.0).abs() < 1e-9);
        assert!((report.sent_bytes_per_second - 1000.0).abs() < 1e-9);
        assert!((report.fills[0].bytes_per_second - 50.0).abs() < 1e-9);
        assert!((report.channels[0].answers_per_second - 10.0).abs() < 1e-9);
        assert_eq!(report.hit_ratio, Some(1.0));
        let value: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!((&value["fills"][0]["file"], &value["channels"][0]["name"]), (&"a".into(), &"c".into()));
    }

    #[test]
    fn a_gate_that_was_started_anew_has_no_rates_below_nothing() {
        let report = Report::between(&glance(9000, 100, 900, 90), &glance(1000, 1, 2, 3));
        assert!(report.requests_per_second.values().all(|rate| *rate >= 0.0));
        assert!(report.sent_bytes_per_second.abs() < 1e-9 && report.seconds > 0.0);
    }
}
