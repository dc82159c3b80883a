//! Whether a user may have what was explained.
//!
//! Belongs here: asking the access rules about every channel of an answer. Does not: who the user is (`snapshot`), the rules
//! (`policy::access`).

use std::collections::BTreeSet;

use super::values::{AccessExplained, Explanation};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::policy::access::{Caller, Verdict};
use crate::snapshot::{Need, View};

impl Explanation {
    /// Adds whether this user may have it, by the rules of `view`.
    pub fn add_access(&mut self, view: &View, name: &str, caller: &Caller<'_>) {
        let asked: BTreeSet<(&str, Option<String>)> = match self {
            Self::File(file) => {
                let archive = ArchiveName::parse(&file.file);
                let package = archive.and_then(|archive| Some(archive.parts()?.0.to_owned()));
                BTreeSet::from([(file.channel.as_str(), package)])
            }
            Self::Spec(spec) => {
                let record = |record: &'_ super::RecordExplained| Some(record.name.clone());
                spec.records.iter().map(|one| (one.channel.as_str(), record(one))).collect()
            }
        };
        let found: Vec<_> = asked
            .into_iter()
            .filter_map(|(channel, package)| explained(view, name, caller, channel, package.as_deref()))
            .collect();
        match self {
            Self::File(file) => file.access = found,
            Self::Spec(spec) => spec.access = found,
        }
    }
}

fn explained(
    view: &View,
    user: &str,
    caller: &Caller<'_>,
    channel: &str,
    package: Option<&str>,
) -> Option<AccessExplained> {
    let name = channel.split_once("/label/").map_or(channel, |(name, _)| name);
    let place = view.place(&ChannelRef { name: ChannelName::parse(name)?, label: None }.name)?;
    let needs = Need::of_place(&place, package);
    let decided = |need: &Need<'_>| (need.to_string(), need.decide(view.rules().access(), caller));
    let verdicts: Vec<_> = needs.iter().map(decided).collect();
    let denied = verdicts.iter().find(|(_, verdict)| !verdict.is_allowed());
    let (what, verdict) = denied.or_else(|| verdicts.first())?;
    let may = if matches!(verdict, Verdict::Allowed(_)) { "may" } else { "may not" };
    Some(AccessExplained {
        user: user.to_owned(),
        channel: channel.to_owned(),
        allowed: verdict.is_allowed(),
        sentence: format!("`{user}` {may} read {what}: {}", verdict.why().clause()),
        at: verdict.why().at().map(ToString::to_string),
    })
}
