//! The policy: which records are shown, hidden, denied or changed, and who says so.
//!
//! **Order.** Rules stand in the order written, files in name order. Of the `allow`, `hide` and `deny` rules the first one
//! that matches a record decides; where none matches, the record is shown. So an exception stands before the rule it is an
//! exception from, or inside it as `unless`. `patch` rules take no part in that: all that match change a record that is shown, in
//! their order. Every rule, a `patch` too, looks at the record as upstream has it, never at a patched one. A hotfix file counts
//! as a `hide` for files that it removes and as a `patch` for the others. Rules with `dry_run: true` decide and change nothing;
//! a `hide` or `deny` among them is reported for a record when it would have decided, were it not on trial.
//!
//! A `deny` that an earlier rule makes useless is a mistake, and one that an earlier rule may weaken is noted
//! ([`conflicts`]): a recall must not be undone by an older rule without anybody seeing it.
//!
//! **Scope.** `channels` are source channels under the names that rules use, labels excluded; a rule follows its records into
//! every view that contains them.
//!
//! Belongs here: everything about the `policy:` section. Does not: carrying decisions out (`repodata`, `delivery`).

pub mod bench;
pub mod case;
pub mod compile;
pub(super) mod conditions;
pub mod conflicts;
pub mod explain;
pub mod hotfix;
pub mod licenses;
pub mod lists;
pub mod matcher;
mod patching;
pub mod patterns;
pub mod read;
pub mod statement;

use std::fmt;
use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};

use self::bench::Bench;
use self::statement::{Effect, Statement};
use super::mistake::Mistake;
use super::verdict::{Judge, RuleRef, Subject};
use crate::clock::UnixMillis;

/// Channels with subdirs whose judges are remembered; when made-up names fill it, it starts anew.
const REMEMBERED: usize = 4096;

/// All the names that rules have for one channel of an upstream, label excluded: records are judged once, whatever name a caller
/// uses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceNames {
    key: Arc<str>,
}

impl SourceNames {
    /// A channel with these names; at least one.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names: Vec<&str> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        // No name of a channel has a line break.
        Self { key: names.join("\n").into() }
    }

    /// A channel with one name.
    #[must_use]
    pub fn one(name: &str) -> Self {
        Self { key: name.into() }
    }

    /// The names.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.key.split('\n')
    }

    /// The first of them.
    #[must_use]
    pub fn first(&self) -> &str {
        self.iter().next().unwrap_or_default()
    }
}

/// Judges made so far. Places with the same rules share one, so that names that callers make up cost little.
#[derive(Default)]
struct Benches {
    by_place: AHashMap<Box<str>, AHashMap<Box<str>, Arc<Bench>>>,
    by_rules: AHashMap<Vec<u32>, Arc<Bench>>,
    places: usize,
}

impl Benches {
    fn find(&self, channel: &str, subdir: &str) -> Option<&Arc<Bench>> {
        self.by_place.get(channel)?.get(subdir)
    }

    fn add(
        &mut self,
        channel: &str,
        subdir: &str,
        rules: Vec<u32>,
        make: impl FnOnce(&[u32]) -> Bench,
    ) -> Arc<Bench> {
        if self.places >= REMEMBERED {
            *self = Self::default();
        }
        self.places += 1;
        let bench = match self.by_rules.get(&rules) {
            Some(known) => Arc::clone(known),
            None => Arc::new(make(&rules)),
        };
        self.by_rules.insert(rules, Arc::clone(&bench));
        self.by_place.entry(channel.into()).or_default().insert(subdir.into(), Arc::clone(&bench));
        bench
    }
}

/// All rules of `policy:`, compiled.
pub struct Policy {
    rules: Vec<Arc<Statement>>,
    notes: Vec<Mistake>,
    digest: [u8; 32],
    benches: RwLock<Benches>,
}

impl Policy {
    fn new(rules: Vec<Arc<Statement>>, notes: Vec<Mistake>) -> Self {
        let digest = digest(&rules);
        Self { rules, notes, digest, benches: RwLock::default() }
    }

    /// Who judges the records of a source channel (label excluded) and subdir. Idle when no rule is about them.
    #[must_use]
    pub fn judge(&self, channel: &str, subdir: &str) -> Arc<dyn Judge> {
        self.bench(&SourceNames::one(channel), subdir)
    }

    /// The same for a channel that has several names: a rule about any of them is about it.
    #[must_use]
    pub fn judge_of(&self, names: &SourceNames, subdir: &str) -> Arc<dyn Judge> {
        self.bench(names, subdir)
    }

    /// Whether any rule can hide records of a channel, in whatever subdir.
    #[must_use]
    pub fn may_hide(&self, names: &SourceNames) -> bool {
        let hides = |rule: &Statement| match rule.effect {
            Effect::Hide { .. } | Effect::Deny | Effect::Hotfix(_) => !rule.dry_run,
            Effect::Allow | Effect::Patch(_) => false,
        };
        let about = |rule: &Statement| names.iter().any(|name| rule.channels.is_match(name));
        self.rules.iter().any(|rule| hides(rule) && about(rule))
    }

    fn bench(&self, names: &SourceNames, subdir: &str) -> Arc<Bench> {
        let channel = &names.key;
        if let Some(known) = self.benches.read().find(channel, subdir) {
            return Arc::clone(known);
        }
        let concerns = |rule: &Statement| names.iter().any(|name| rule.concerns(name, subdir));
        let concerned = (0..).zip(&self.rules).filter(|(_, rule)| concerns(rule));
        let positions: Vec<u32> = concerned.map(|(at, _)| at).collect();
        let rule = |at: &u32| self.rules.get(usize::try_from(*at).ok()?).cloned();
        self.benches.write().add(channel, subdir, positions, |positions| {
            Bench::new(positions.iter().filter_map(rule).collect())
        })
    }

    /// Whether some `hide` or `deny` there can't judge a file of which only the name is known. Age is not among what it may
    /// lack: a file that nobody has seen is young.
    #[must_use]
    pub fn needs_metadata(&self, channel: &str, subdir: &str) -> bool {
        self.bench(&SourceNames::one(channel), subdir).needs_metadata()
    }

    /// The rule that might refuse a file that no index lists, if more were known of it than `subject` says: its license, its
    /// size. `None` when what is known decides.
    #[must_use]
    pub fn undecidable(&self, subject: &Subject<'_>, now: UnixMillis) -> Option<Arc<RuleRef>> {
        self.bench(&SourceNames::one(subject.channel), subject.subdir).undecidable(subject, now)
    }

    /// Every rule as people are told about it, in order.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &Arc<RuleRef>> {
        self.rules.iter().map(|rule| &rule.source)
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Places where one rule may weaken another, for `check` and the log; not mistakes.
    #[must_use]
    pub fn notes(&self) -> &[Mistake] {
        &self.notes
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new(Vec::new(), Vec::new())
    }
}

/// Equal when the same rules stand at the same places: the places are part of what is told.
impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.rules().eq(other.rules())
    }
}

impl Eq for Policy {}

/// Enough to tell two policies apart by what they say.
impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rules {}", self.rules.len(), hex::encode(self.digest))
    }
}

/// A digest of all that rules say, their channels and subdirs included.
fn digest(rules: &[Arc<Statement>]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for rule in rules {
        digest.update(rule.fingerprint);
        digest.update(rule.scope);
    }
    digest.finalize().into()
}
