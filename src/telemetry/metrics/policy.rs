//! What rules did: records by rule in the indexes in force, and downloads refused.
//!
//! Labels are ids of rules, which whoever runs the gate has written, and channels and subdirs that upstream has.

use std::collections::HashMap;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RecordLabels {
    channel: String,
    subdir: String,
    rule: String,
    effect: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct IndexLabels {
    channel: String,
    subdir: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RuleLabel {
    rule: String,
}

/// What a rule did to a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleEffect {
    /// It is in no index.
    Withheld,
    /// It is shown with other fields.
    Patched,
    /// A rule on trial would have withheld or changed it.
    Trial,
}

impl RuleEffect {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Withheld => "withheld",
            Self::Patched => "patched",
            Self::Trial => "trial",
        }
    }
}

/// See the module's description.
#[derive(Default)]
pub struct PolicySeries {
    records: Family<RecordLabels, Gauge>,
    /// The labels that an index in force has, to be taken away with it.
    of_index: Mutex<HashMap<(String, String), Vec<RecordLabels>>>,
    refused: Family<RuleLabel, Counter>,
    malformed: Family<IndexLabels, Gauge>,
}

impl PolicySeries {
    pub(super) fn register(&self, registry: &mut Registry) {
        let room = registry.sub_registry_with_prefix("policy");
        let help = "Records of the index in force that a rule acts on";
        room.register("records", help, self.records.clone());
        room.register("refused", "Requests for files that a rule refused", self.refused.clone());
        let help = "Malformed records that are left out of the index in force";
        room.register("malformed_records", help, self.malformed.clone());
    }

    /// An index came into force in which rules acted on so many records.
    pub fn index_in_force<'a>(
        &self,
        channel: &str,
        subdir: &str,
        acted: impl Iterator<Item = (RuleEffect, &'a str, u64)>,
    ) {
        let mut labels = Vec::new();
        let mut of_index = self.of_index.lock();
        let key = (channel.to_owned(), subdir.to_owned());
        for old in of_index.remove(&key).unwrap_or_default() {
            self.records.remove(&old);
        }
        for (effect, rule, count) in acted {
            let label = RecordLabels {
                channel: channel.to_owned(),
                subdir: subdir.to_owned(),
                rule: rule.to_owned(),
                effect: effect.as_str(),
            };
            self.records.get_or_create_owned(&label).set(i64::try_from(count).unwrap_or(i64::MAX));
            labels.push(label);
        }
        if !labels.is_empty() {
            of_index.insert(key, labels);
        }
    }

    /// So many records of an index that came into force are malformed. Indexes without any have no series.
    pub fn left_out(&self, channel: &str, subdir: &str, records: u64) {
        let labels = IndexLabels { channel: channel.to_owned(), subdir: subdir.to_owned() };
        if records == 0 {
            self.malformed.remove(&labels);
        } else {
            let gauge = self.malformed.get_or_create_owned(&labels);
            gauge.set(i64::try_from(records).unwrap_or(i64::MAX));
        }
    }

    /// A rule refused a request.
    pub fn refused(&self, rule: &str) {
        self.refused.get_or_create_owned(&RuleLabel { rule: rule.to_owned() }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn an_index_takes_its_counts_away_with_it() {
        let metrics = Metrics::new();
        let has = |line: &str| metrics.encode().lines().any(|found| found == line);
        let counts = [(RuleEffect::Withheld, "cooldown", 3), (RuleEffect::Trial, "giants", 1)];
        metrics.policy.index_in_force("forge", "noarch", counts.into_iter());
        let line = |rule: &str, effect: &str, n: u64| {
            format!(
                "condagate_policy_records{{channel=\"forge\",subdir=\"noarch\",rule=\"{rule}\",effect=\"{effect}\"}} {n}"
            )
        };
        assert!(has(&line("cooldown", "withheld", 3)) && has(&line("giants", "trial", 1)));
        metrics.policy.index_in_force("forge", "noarch", [(RuleEffect::Withheld, "cooldown", 2)].into_iter());
        assert!(has(&line("cooldown", "withheld", 2)) && !has(&line("giants", "trial", 1)));
        let malformed = "condagate_policy_malformed_records{channel=\"forge\",subdir=\"noarch\"} 2";
        metrics.policy.left_out("forge", "noarch", 2);
        assert!(has(malformed));
        metrics.policy.left_out("forge", "noarch", 0);
        assert!(!has(malformed));
        metrics.policy.refused("recall-42");
        assert!(has("condagate_policy_refused_total{rule=\"recall-42\"} 1"));
    }
}
