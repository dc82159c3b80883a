//! Virtual channels over the random ones, and what their rules make of their members, by the letter of the documentation.
//!
//! Belongs here: which record is whose. Does not: what a member shows (the test itself).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::packages::DAY;
use crate::harness::Records;
use crate::harness::gate::START;

/// A virtual channel.
pub struct Union {
    pub name: &'static str,
    /// Its members, first one first.
    pub members: &'static [&'static str],
    strict: bool,
    /// What was seen later is not there.
    as_of: Option<i64>,
    /// Names that begin so come from this member only.
    owns: Option<(&'static str, &'static str)>,
}

pub const UNIONS: [Union; 4] = [
    Union { name: "all", members: &["one", "two"], strict: false, as_of: None, owns: None },
    Union { name: "first", members: &["two", "one"], strict: true, as_of: None, owns: None },
    // The end of 1 November.
    Union { name: "frozen", members: &["one"], strict: true, as_of: Some(START.0 - 2 * DAY - 1), owns: None },
    Union { name: "owned", members: &["one", "two"], strict: false, as_of: None, owns: Some(("alp", "two")) },
];

impl Union {
    /// Its entry in `channels:`.
    pub fn text(&self) -> String {
        let priority = if self.strict { "strict" } else { "flexible" };
        let as_of = self.as_of.map_or("", |_| ", as_of: 2026-11-01");
        let owns = self.owns.map_or_else(String::new, |(start, owner)| {
            format!(", owns: [\"{start}*\"], owned_by: [{owner}]")
        });
        let members = self.members.join(", ");
        format!("  - {{name: {}, virtual: [{members}], priority: {priority}{as_of}{owns}}}\n", self.name)
    }

    /// Every file that its index has, with its record and its member's place among the members.
    pub fn merged(&self, shown: &[Shown]) -> BTreeMap<String, (Value, usize)> {
        let mut merged = BTreeMap::new();
        let mut claims: BTreeMap<String, usize> = BTreeMap::new();
        for (place, member) in shown.iter().enumerate() {
            for (file, record) in &member.records {
                let name = record["name"].as_str().expect("a name").to_lowercase();
                let is_late = self.as_of.is_some_and(|as_of| member.seen[file] > as_of);
                let is_anothers = self
                    .owns
                    .is_some_and(|(start, owner)| name.starts_with(start) && self.members[place] != owner);
                if is_late || is_anothers || (self.strict && *claims.entry(name).or_insert(place) != place) {
                    continue;
                }
                merged.entry(file.clone()).or_insert_with(|| (record.clone(), place));
            }
        }
        merged
    }

    /// What its `run_exports.json` says, where there is one.
    pub fn exports(merged: &BTreeMap<String, (Value, usize)>, beside: &[Option<Records>]) -> Option<Records> {
        let of = |(file, (_, place)): (&String, &(Value, usize))| {
            let record = beside[*place].as_ref()?.get(file)?;
            Some((file.clone(), record.clone()))
        };
        beside.iter().any(Option::is_some).then(|| merged.iter().filter_map(of).collect())
    }
}

/// What a member shows, and since when the gate knows of it.
pub struct Shown {
    pub records: Records,
    pub seen: BTreeMap<String, i64>,
}

impl Shown {
    /// Whether a member has a file in its own index.
    pub fn any(shown: &[Self], file: &str) -> bool {
        shown.iter().any(|member| member.records.contains_key(file))
    }
}

/// The records alone.
pub fn records(merged: &BTreeMap<String, (Value, usize)>) -> Records {
    merged.iter().map(|(file, (record, _))| (file.clone(), record.clone())).collect()
}

/// Every file that any of them ever had.
pub fn files<'a>(members: impl Iterator<Item = &'a BTreeMap<String, Vec<u8>>>) -> BTreeSet<&'a String> {
    members.flat_map(BTreeMap::keys).collect()
}
