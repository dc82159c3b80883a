//! The answers: plain values, the same as JSON for the API and for the command line.
//!
//! Moments are RFC 3339 in UTC. Belongs here: shapes. Does not: how they are found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::UnixMillis;
use crate::delivery::Refusal;
use crate::policy::notices::rfc3339;
use crate::policy::verdict::{Patch, RuleRef};
use crate::policy::{Explained, Standing};
use crate::repodata::sightings::{Origin, Sighting};

/// An answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Explanation {
    /// About one file.
    File(Box<FileExplained>),
    /// About all records that a spec fits.
    Spec(SpecExplained),
}

impl Explanation {
    pub(super) fn file(file: FileExplained) -> Self {
        Self::File(Box::new(file))
    }
}

/// One file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FileExplained {
    /// All of it in a sentence.
    pub sentence: String,
    /// The channel as asked, label included.
    pub channel: String,
    /// `linux-64`
    pub subdir: String,
    /// File name.
    pub file: String,
    /// Where it stands in the index in force.
    pub state: State,
    /// What would happen to a download now.
    pub download: Download,
    /// What its record says; of a file without one, what its name says.
    pub package: Package,
    /// When the gate first saw it; `None` for a file that no index listed.
    pub first_seen: Option<FirstSeen>,
    /// When time alone changes what the rules say.
    pub until: Option<String>,
    /// Every rule that has something to say about it, in order.
    pub rules: Vec<RuleExplained>,
    /// How its record is changed, in the order in which it is.
    pub patches: Vec<PatchExplained>,
    /// The index in force; `None`: there is none here.
    pub index: Option<IndexExplained>,
    /// In a virtual channel: the member that it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// In a virtual channel: every member, in the order of the rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberExplained>,
    /// Whether the user that was asked about may have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<AccessExplained>,
}

/// Whether a user may read a channel, or a package of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccessExplained {
    /// The user's name.
    pub user: String,
    /// The channel.
    pub channel: String,
    /// Whether it may be read.
    pub allowed: bool,
    /// In a sentence.
    pub sentence: String,
    /// File and line of the access rule that gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// Where a file stands in the index in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is listed.
    Shown,
    /// Upstream lists it, and a rule keeps it out.
    Withheld,
    /// Upstream listed it once and does not any more.
    Departed,
    /// Upstream names it under `removed`.
    Removed,
    /// Nobody ever listed it.
    Unlisted,
    /// There is no index here yet.
    NoIndex,
}

/// What would happen to a download.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Download {
    /// In a word.
    pub outcome: Outcome,
    /// The rule that refuses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Where that rule stands: file and line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// In a sentence.
    pub sentence: String,
}

/// What would happen to a download, in a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// No rule is against it; upstream may still not have it.
    Served,
    /// A rule is against it.
    Refused,
    /// It takes an index to say, and there is none here.
    Unknown,
}

impl Download {
    pub(super) fn new(outcome: Outcome, sentence: impl Into<String>) -> Self {
        Self { outcome, rule: None, at: None, sentence: sentence.into() }
    }

    pub(super) fn refused(refusal: Refusal) -> Self {
        let sentence = refusal.to_string();
        match refusal {
            Refusal::Rule { rule, at, .. } => {
                Self { outcome: Outcome::Refused, rule: Some(rule), at, sentence }
            }
            _ => Self::new(Outcome::Refused, sentence),
        }
    }
}

/// What a record says of its file.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Package {
    /// `name`
    pub name: Option<String>,
    /// `version`
    pub version: Option<String>,
    /// `build`
    pub build: Option<String>,
    /// `build_number`
    pub build_number: Option<u64>,
    /// `license`
    pub license: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// In hex.
    pub sha256: Option<String>,
    /// In hex.
    pub md5: Option<String>,
}

/// A first sighting.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FirstSeen {
    /// The moment.
    pub at: String,
    /// Who says so, in words.
    pub origin: String,
}

impl From<Sighting> for FirstSeen {
    fn from(seen: Sighting) -> Self {
        let origin = match seen.origin {
            Origin::Gate => "seen by the gate",
            Origin::Upstream => "upstream's indexed_timestamp",
            Origin::Build => "the record's timestamp",
            Origin::Meeting => "when the gate met the channel",
        };
        Self { at: rfc3339(seen.at), origin: origin.to_owned() }
    }
}

/// A rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RuleNamed {
    /// Its `id`.
    pub id: String,
    /// File and line.
    pub at: String,
    /// Its `reason`.
    pub reason: Option<String>,
}

impl From<&RuleRef> for RuleNamed {
    fn from(rule: &RuleRef) -> Self {
        Self { id: rule.id.clone(), at: rule.at.to_string(), reason: rule.reason.clone() }
    }
}

/// A rule that has something to say about a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RuleExplained {
    /// Which.
    #[serde(flatten)]
    pub rule: RuleNamed,
    /// `hide`, `deny`, `allow` or `patch`.
    pub effect: String,
    /// `decides`, `changes`, `outranked`, `excepted` or `trial`.
    pub standing: String,
    /// What it says of the file.
    pub sentence: String,
}

impl From<&Explained> for RuleExplained {
    fn from(explained: &Explained) -> Self {
        Self {
            rule: (&*explained.rule).into(),
            effect: explained.effect.to_owned(),
            standing: explained.standing.word().to_owned(),
            sentence: explained.sentence.clone(),
        }
    }
}

/// Changes to a record; see `patch` in the rules.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PatchExplained {
    /// The rule's `id`.
    pub rule: String,
    /// Fields that are replaced; `null`: taken out.
    pub set: Map<String, Value>,
    /// Dependencies that are added.
    pub add_depends: Vec<String>,
    /// Dependencies that are taken out.
    pub remove_depends: Vec<String>,
    /// Constraints that are added.
    pub add_constrains: Vec<String>,
    /// Constraints that are taken out.
    pub remove_constrains: Vec<String>,
}

impl From<&Patch> for PatchExplained {
    fn from(patch: &Patch) -> Self {
        Self {
            rule: patch.rule.id.clone(),
            set: patch.set.clone(),
            add_depends: patch.add_depends.clone(),
            remove_depends: patch.remove_depends.clone(),
            add_constrains: patch.add_constrains.clone(),
            remove_constrains: patch.remove_constrains.clone(),
        }
    }
}

/// The index in force of a channel and subdir.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IndexExplained {
    /// When it was built.
    pub built_at: String,
    /// When upstream last said that this is what it has.
    pub checked_at: String,
    /// Whether it was built under the rules in force, and no cooldown has ended since.
    pub current: bool,
}

/// What a member of a virtual channel does about a file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MemberExplained {
    /// The member.
    pub channel: String,
    /// Whether the file comes from it.
    pub answers: bool,
    /// Why, or why not.
    pub sentence: String,
    /// The file in the member itself.
    pub explanation: FileExplained,
}

/// All records that a spec fits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SpecExplained {
    /// All of it in a sentence.
    pub sentence: String,
    /// The spec, without channel and subdir.
    pub spec: String,
    /// Where was looked: `<channel>/<subdir>`.
    pub searched: Vec<String>,
    /// How many there are.
    pub counts: Counts,
    /// Newest version first; at most a thousand.
    pub records: Vec<RecordExplained>,
    /// How many more there are than `records` has.
    pub more: usize,
    /// Names near the one that no index has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<String>,
    /// Whether the user that was asked about may have them, by channel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<AccessExplained>,
}

/// How many records there are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// All that the spec fits.
    pub records: usize,
    /// Those that indexes show.
    pub shown: usize,
    /// Those that they don't.
    pub hidden: usize,
    /// Those that a rule of `policy:` hides, by its id.
    pub by_rule: BTreeMap<String, usize>,
}

/// One record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecordExplained {
    /// The channel that was asked.
    pub channel: String,
    /// `linux-64`
    pub subdir: String,
    /// In a virtual channel: the member that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Package name.
    pub name: String,
    /// `version`
    pub version: Option<String>,
    /// `build`
    pub build: Option<String>,
    /// `build_number`
    pub build_number: Option<u64>,
    /// File name.
    pub file: String,
    /// Whether indexes show it.
    pub shown: bool,
    /// The rule of `policy:` that hides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_by: Option<RuleNamed>,
    /// Why it is not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
    /// When time alone changes that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// The sentence of the rule that decides.
pub(super) fn deciding(all: &[Explained]) -> Option<&Explained> {
    all.iter().find(|explained| explained.standing == Standing::Decides)
}

pub(super) fn moment(moment: Option<UnixMillis>) -> Option<String> {
    moment.map(rfc3339)
}
