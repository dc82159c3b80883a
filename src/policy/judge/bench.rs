//! The judge of one channel and subdir: which of its rules decides about a record.
//!
//! Rules are looked up by package name where they name packages, so a record meets only those that can mean it.
//!
//! Belongs here: order and time. Does not: whether a rule means a record ([`super::statement`]).

use std::sync::Arc;

use ahash::AHashMap;
use sha2::{Digest, Sha256};

use super::case::Case;
use super::explain::{Explained, explain};
use super::matcher::Matcher;
use super::statement::{Applies, Effect, Statement};
use crate::clock::UnixMillis;
use crate::policy::verdict::{Decision, Judge, Patch, RuleRef, Subject, Verdict};

/// Part of every revision: another number when the same rule comes to mean something else.
const LANGUAGE: u32 = 1;

/// The rules of one channel and subdir.
#[derive(Debug)]
pub struct Bench {
    rules: Vec<Arc<Statement>>,
    /// Package name in lower case → positions in `rules`, ascending.
    by_name: AHashMap<Box<str>, Vec<u32>>,
    /// Positions of rules that may mean any name, ascending.
    others: Vec<u32>,
    is_timed: bool,
    revision: u64,
}

/// What rules say at one moment, as positions.
#[derive(PartialEq, Eq, Debug, Default)]
struct Outcome {
    decided: Option<u32>,
    patches: Vec<u32>,
    trial: Vec<u32>,
}

impl Bench {
    /// The judge over `rules`, which all concern its channel and subdir, in the order written.
    #[must_use]
    pub fn new(rules: Vec<Arc<Statement>>) -> Self {
        let mut by_name: AHashMap<Box<str>, Vec<u32>> = AHashMap::new();
        let mut others = Vec::new();
        for (at, rule) in (0u32..).zip(&rules) {
            let names = match rule.effect {
                Effect::Hotfix(_) => None,
                _ => rule.matcher.only_names(),
            };
            match names {
                Some(names) => names.into_iter().for_each(|n| by_name.entry(n.into()).or_default().push(at)),
                None => others.push(at),
            }
        }
        let is_timed = rules.iter().any(|rule| rule.is_timed());
        let revision = revision(&rules);
        Self { rules, by_name, others, is_timed, revision }
    }

    /// Every rule, in the order written.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Statement>] {
        &self.rules
    }

    /// Whether a hiding or denying rule can't judge a file of which only the name is known.
    #[must_use]
    pub fn needs_metadata(&self) -> bool {
        let refuses =
            |rule: &Statement| matches!(rule.effect, Effect::Hide { keep_download: false } | Effect::Deny);
        self.rules.iter().any(|rule| !rule.dry_run && refuses(rule) && rule.matcher.needs_metadata())
    }

    /// The first hiding or denying rule that might refuse a file of which only the name is known, and that more would have to
    /// be known for. `None` when what is known decides.
    fn undecided(&self, case: &Case<'_>, now: UnixMillis) -> Option<&Statement> {
        for (_, rule) in self.meant(case).filter(|(_, rule)| !rule.dry_run) {
            let applies = rule.applies(case, now);
            if applies == Applies::Yes && rule.decides(case.subject.file) {
                return None;
            }
            let refuses = matches!(rule.effect, Effect::Hide { keep_download: false } | Effect::Deny);
            let excepted = rule.unless.as_ref().is_some_and(|unless| unless.is_match(case, now, false));
            if refuses && !excepted && rule.matcher.needs_metadata() && rule.matcher.might_match(case, now) {
                return Some(rule);
            }
        }
        None
    }

    /// The positions of rules that can mean a record, ascending.
    fn candidates(&self, case: &Case<'_>) -> impl Iterator<Item = u32> + '_ {
        let named = case.name.as_deref().and_then(|name| self.by_name.get(name));
        let mut named = named.map_or(&[][..], Vec::as_slice).iter().copied().peekable();
        let mut others = self.others.iter().copied().peekable();
        std::iter::from_fn(move || match (named.peek(), others.peek()) {
            (Some(a), Some(b)) if a < b => named.next(),
            (Some(_), None) => named.next(),
            _ => others.next(),
        })
    }

    /// The candidates as rules.
    fn meant<'b>(&'b self, case: &Case<'_>) -> impl Iterator<Item = (u32, &'b Statement)> + 'b {
        self.candidates(case).filter_map(|at| Some((at, &**self.rules.get(usize::try_from(at).ok()?)?)))
    }

    fn outcome(&self, case: &Case<'_>, now: UnixMillis) -> Outcome {
        let file = case.subject.file;
        let mut outcome = Outcome::default();
        for (at, rule) in self.meant(case) {
            if outcome.decided.is_some()
                && matches!(rule.effect, Effect::Hide { .. } | Effect::Deny | Effect::Allow)
            {
                continue;
            }
            if rule.applies(case, now) != Applies::Yes {
                continue;
            }
            if outcome.decided.is_none() && rule.decides(file) {
                match (rule.dry_run, &rule.effect) {
                    (false, _) => outcome.decided = Some(at),
                    (true, Effect::Allow) => {}
                    (true, _) => outcome.trial.push(at),
                }
            }
            if rule.changes(file) {
                if !rule.dry_run {
                    outcome.patches.push(at);
                } else if outcome.trial.last() != Some(&at) {
                    outcome.trial.push(at);
                }
            }
        }
        if self.refuser(&outcome).is_some() {
            // Nobody sees what would be changed.
            outcome.patches = Vec::new();
            let decides = |at: u32| self.rules.get(usize::try_from(at).ok()?).map(|rule| rule.decides(file));
            outcome.trial.retain(|at| decides(*at).unwrap_or(true));
        }
        outcome
    }

    /// When time alone will next change what becomes of the record.
    fn until(&self, case: &Case<'_>, now: UnixMillis, outcome: &Outcome) -> Option<UnixMillis> {
        let seen = case.first_seen().filter(|_| self.is_timed)?;
        let turns = |matcher: &Matcher| matcher.turns(seen).filter(|turn| *turn > now).collect::<Vec<_>>();
        let mut moments: Vec<_> = self
            .meant(case)
            .filter(|(_, rule)| !rule.dry_run)
            .flat_map(|(_, rule)| std::iter::once(&rule.matcher).chain(&rule.unless).flat_map(turns))
            .collect();
        moments.sort_unstable();
        moments.dedup();
        moments.into_iter().find(|moment| {
            let later = self.outcome(case, *moment);
            self.refuser(&later) != self.refuser(outcome) || later.patches != outcome.patches
        })
    }

    /// The rule that hides or denies; which `allow` shows a record, if one does, changes nothing.
    fn refuser(&self, outcome: &Outcome) -> Option<u32> {
        let allows = |at: &u32| self.rule(*at).is_some_and(|rule| matches!(rule.effect, Effect::Allow));
        outcome.decided.filter(|at| !allows(at))
    }

    fn rule(&self, at: u32) -> Option<&Statement> {
        self.rules.get(usize::try_from(at).ok()?).map(|rule| &**rule)
    }

    /// The position of the rule that decides about a record; `None` when none does.
    #[must_use]
    pub fn decided_by(&self, case: &Case<'_>, now: UnixMillis) -> Option<usize> {
        self.outcome(case, now).decided.and_then(|at| usize::try_from(at).ok())
    }
}

impl Judge for Bench {
    fn is_idle(&self) -> bool {
        self.rules.is_empty()
    }

    fn asks_digest(&self) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.matcher.asks_digest() || rule.unless.as_ref().is_some_and(Matcher::asks_digest))
    }

    fn decide(&self, subject: &Subject<'_>, now: UnixMillis) -> Decision {
        let case = Case::new(subject);
        let outcome = self.outcome(&case, now);
        let until = self.until(&case, now, &outcome);
        let file = subject.file;
        let verdict = outcome.decided.and_then(|at| self.rule(at)?.verdict(file));
        let patches: Vec<Arc<Patch>> =
            outcome.patches.iter().filter_map(|at| self.rule(*at)?.patch(file)).collect();
        let trial: Vec<Arc<RuleRef>> =
            outcome.trial.iter().filter_map(|at| Some(Arc::clone(&self.rule(*at)?.source))).collect();
        Decision { verdict: verdict.unwrap_or(Verdict::Show), until, patches, trial }
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn undecidable(&self, subject: &Subject<'_>, now: UnixMillis) -> Option<Arc<RuleRef>> {
        self.undecided(&Case::new(subject), now).map(|rule| Arc::clone(&rule.source))
    }

    fn explain(&self, subject: &Subject<'_>, now: UnixMillis) -> Vec<Explained> {
        explain(self, subject, now)
    }
}

/// A digest of what the rules say, in their order; 0 for no rules.
fn revision(rules: &[Arc<Statement>]) -> u64 {
    if rules.is_empty() {
        return 0;
    }
    let mut digest = Sha256::new();
    digest.update(LANGUAGE.to_be_bytes());
    for rule in rules {
        digest.update(rule.fingerprint);
    }
    let digest: [u8; 32] = digest.finalize().into();
    // 53 bits: it stands in JSON, where many readers know no larger integers. Never that of no rules.
    (u64::from_be_bytes(std::array::from_fn(|i| digest[i])) >> 11).max(1)
}
