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

pub mod audience;
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
mod scope;
pub mod statement;

use std::fmt;
use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};

use self::audience::{AudienceSet, Audiences};
use self::bench::Bench;
use self::statement::{Effect, Statement};
use super::access::Caller;
use super::compiled::ChannelRule;
use super::mistake::{Mistake, Mistakes};
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
    by_place: AHashMap<Box<str>, AHashMap<Box<str>, Place>>,
    by_rules: AHashMap<Vec<u32>, Arc<Bench>>,
    places: usize,
}

/// A channel and subdir.
struct Place {
    /// The audiences of the rules about it.
    asked: AudienceSet,
    /// A judge for each set of them that somebody was in; the limit on views keeps them few.
    views: Vec<(AudienceSet, Arc<Bench>)>,
}

impl Place {
    fn find(&self, audience: AudienceSet) -> Option<&Arc<Bench>> {
        let there = audience.and(self.asked);
        self.views.iter().find(|(set, _)| *set == there).map(|(_, bench)| bench)
    }
}

impl Benches {
    fn find(&self, channel: &str, subdir: &str, audience: AudienceSet) -> Option<&Arc<Bench>> {
        self.by_place.get(channel)?.get(subdir)?.find(audience)
    }

    fn add(
        &mut self,
        channel: &str,
        subdir: &str,
        (asked, audience): (AudienceSet, AudienceSet),
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
        let subdirs = self.by_place.entry(channel.into()).or_default();
        let place = subdirs.entry(subdir.into()).or_insert_with(|| Place { asked, views: Vec::new() });
        if place.find(audience).is_none() {
            place.views.push((audience.and(asked), Arc::clone(&bench)));
        }
        bench
    }
}

/// All rules of `policy:`, compiled.
pub struct Policy {
    rules: Vec<Arc<Statement>>,
    notes: Vec<Mistake>,
    digest: [u8; 32],
    audiences: Audiences,
    /// Of each rule, in the same order.
    counts_for: Vec<AudienceSet>,
    /// Where those are in who show no credential.
    strangers: AudienceSet,
    benches: RwLock<Benches>,
}

impl Policy {
    fn new(rules: Vec<Arc<Statement>>, notes: Vec<Mistake>) -> Self {
        let digest = digest(&rules);
        let audiences = Audiences::new(&rules);
        let counts_for = rules.iter().map(|rule| audiences.set_of(rule)).collect();
        let strangers = audiences.of(&Caller::ANONYMOUS);
        Self { rules, notes, digest, audiences, counts_for, strangers, benches: RwLock::default() }
    }

    /// Who judges the records of a source channel (label excluded) and subdir for a caller without a credential. Idle when no
    /// rule is about them.
    #[must_use]
    pub fn judge(&self, channel: &str, subdir: &str) -> Arc<dyn Judge> {
        self.bench(&SourceNames::one(channel), subdir)
    }

    /// The same for a channel that has several names: a rule about any of them is about it.
    #[must_use]
    pub fn judge_of(&self, names: &SourceNames, subdir: &str) -> Arc<dyn Judge> {
        self.bench(names, subdir)
    }

    /// In which audiences of its rules a caller is.
    #[must_use]
    pub fn audience_of(&self, caller: &Caller<'_>) -> AudienceSet {
        self.audiences.of(caller)
    }

    /// The same as [`Policy::judge_of`] for callers who are in these audiences, and no others. Callers whom the same rules are
    /// about share a judge; the revisions of different ones differ.
    #[must_use]
    pub fn judge_of_audience(
        &self,
        names: &SourceNames,
        subdir: &str,
        audience: AudienceSet,
    ) -> Arc<dyn Judge> {
        self.bench_for(names, subdir, audience)
    }

    /// Under what a view of a channel is kept: the same for all callers who share it in every subdir, and the same after a
    /// change of rules that leaves the audiences. 0 for callers whom only rules for everybody are about.
    #[must_use]
    pub fn view_of(&self, names: &SourceNames, audience: AudienceSet) -> u64 {
        self.audiences.key(audience.and(self.asked_about(names)))
    }

    /// The audiences of all rules about a channel.
    #[must_use]
    pub fn asked_about(&self, names: &SourceNames) -> AudienceSet {
        let about = |rule: &Statement| names.iter().any(|name| rule.channels.is_match(name));
        let rules = self.rules.iter().zip(&self.counts_for).filter(|(rule, _)| about(rule));
        rules.fold(AudienceSet::default(), |asked, (_, set)| asked.or(*set))
    }

    /// The sets of some audiences in which there can be callers: at most [`audience::MAX_VIEWS`] for those of one channel.
    #[must_use]
    pub fn possible(&self, asked: AudienceSet) -> Vec<AudienceSet> {
        self.audiences.possible(asked)
    }

    /// Whether any rule counts for some callers only.
    #[must_use]
    pub fn has_audiences(&self) -> bool {
        self.counts_for.iter().any(|set| !set.is_empty())
    }

    /// Notes channels that would have too many views.
    pub fn check_views(&self, channels: &[Arc<ChannelRule>], mistakes: &mut Mistakes) {
        audience::check(&self.rules, channels, mistakes);
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
        self.bench_for(names, subdir, self.strangers)
    }

    fn bench_for(&self, names: &SourceNames, subdir: &str, audience: AudienceSet) -> Arc<Bench> {
        let channel = &names.key;
        if let Some(known) = self.benches.read().find(channel, subdir, audience) {
            return Arc::clone(known);
        }
        let concerns = |rule: &Statement| names.iter().any(|name| rule.concerns(name, subdir));
        let (mut asked, mut positions) = (AudienceSet::default(), Vec::new());
        for ((at, rule), counts_for) in (0_u32..).zip(&self.rules).zip(&self.counts_for) {
            if !concerns(rule) {
                continue;
            }
            asked = asked.or(*counts_for);
            if counts_for.is_empty() || !audience.and(*counts_for).is_empty() {
                positions.push(at);
            }
        }
        let rule = |at: &u32| self.rules.get(usize::try_from(*at).ok()?).cloned();
        self.benches.write().add(channel, subdir, (asked, audience), positions, |positions| {
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

    /// Every rule that denies packages, those on trial left out, each with a digest of what it says and whom and what it is about.
    pub fn denials(&self) -> impl Iterator<Item = (&Arc<RuleRef>, [u8; 32])> {
        let denies = |rule: &&Arc<Statement>| matches!(rule.effect, Effect::Deny) && !rule.dry_run;
        self.rules
            .iter()
            .filter(denies)
            .map(|rule| (&rule.source, std::array::from_fn(|n| rule.fingerprint[n] ^ rule.scope[n])))
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Notes what of it the rest of the rules makes pointless.
    pub(in crate::policy) fn note_scopes(&mut self, all: &super::Rules) {
        self.notes.extend(scope::find(&self.rules, all));
    }

    /// Places where one rule may weaken another, or is about no channel, for `check` and the log; not mistakes.
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

/// A digest of all that rules say, their channels, subdirs and audiences included.
fn digest(rules: &[Arc<Statement>]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for rule in rules {
        digest.update(rule.fingerprint);
        digest.update(rule.scope);
    }
    digest.finalize().into()
}
