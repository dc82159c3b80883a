//! Why a record is as it is: every rule that has something to say about it, in words.
//!
//! Belongs here: sentences for `rules explain` and the API. Does not: finding records, printing.

use std::sync::Arc;

use super::Policy;
use super::SourceNames;
use super::bench::Bench;
use super::case::Case;
use super::matcher::Matcher;
use super::statement::{Applies, Effect, Statement};
use crate::clock::UnixMillis;
use crate::policy::verdict::{RuleRef, Subject};

/// A rule that matches a record, or would but for its `unless`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explained {
    /// Which: id, file and line, reason.
    pub rule: Arc<RuleRef>,
    /// Its effect, by its key: `hide`, `deny`, `allow` or `patch`.
    pub effect: &'static str,
    /// What came of it.
    pub standing: Standing,
    /// All of that as a sentence, without id and place.
    pub sentence: String,
}

/// What came of a rule that has something to say about a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It decides: exactly one rule does, or none.
    Decides,
    /// It changes the record.
    Changes,
    /// A rule before it decides, or one that it would have changed the record for is hidden.
    Outranked,
    /// Its own `unless` takes the record out.
    Excepted,
    /// It is on trial.
    Trial,
}

impl Standing {
    /// One lower-case word, for JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Decides => "decides",
            Self::Changes => "changes",
            Self::Outranked => "outranked",
            Self::Excepted => "excepted",
            Self::Trial => "trial",
        }
    }
}

impl Policy {
    /// Every rule that matches a record, or is kept from it by its `unless`, in order. Empty: the record is shown, and no rule
    /// has anything to do with it.
    #[must_use]
    pub fn explain(&self, subject: &Subject<'_>, now: UnixMillis) -> Vec<Explained> {
        explain(&self.bench(&SourceNames::one(subject.channel), subject.subdir), subject, now)
    }
}

/// See [`Judge::explain`](crate::policy::verdict::Judge::explain).
pub(super) fn explain(bench: &Bench, subject: &Subject<'_>, now: UnixMillis) -> Vec<Explained> {
    let case = Case::new(subject);
    let decided = bench.decided_by(&case, now);
    let by = decided.and_then(|at| bench.rules().get(at));
    let hidden = by.is_some_and(|rule| !matches!(rule.effect, Effect::Allow));
    let tell = |(at, rule): (usize, &Arc<Statement>)| {
        let standing = match rule.applies(&case, now) {
            Applies::No => return None,
            Applies::Excepted => Standing::Excepted,
            Applies::Yes if decided == Some(at) => Standing::Decides,
            Applies::Yes if rule.dry_run => Standing::Trial,
            Applies::Yes if rule.changes(subject.file) && !hidden => Standing::Changes,
            Applies::Yes => Standing::Outranked,
        };
        let what = describe(rule, &case, now, standing);
        let instead = match (standing, by) {
            (Standing::Outranked, Some(first)) => format!("; `{}` decides", first.source.id),
            _ => String::new(),
        };
        Some(Explained {
            rule: Arc::clone(&rule.source),
            effect: rule.effect.word(),
            standing,
            sentence: format!("{what}{instead}."),
        })
    };
    bench.rules().iter().enumerate().filter_map(tell).collect()
}

fn describe(rule: &Statement, case: &Case<'_>, now: UnixMillis, standing: Standing) -> String {
    let file = case.subject.file;
    let because = |matcher: &Matcher| {
        let clauses = matcher.because(case, now);
        if clauses.is_empty() { String::new() } else { format!(": {}", clauses.join(", ")) }
    };
    let why = match &rule.effect {
        Effect::Hotfix(hotfix) if hotfix.removes(file) => ": its hotfix file removes it".to_owned(),
        Effect::Hotfix(_) => ": its hotfix file changes it".to_owned(),
        _ => because(&rule.matcher),
    };
    let does = match &rule.effect {
        Effect::Hide { keep_download: true } => "hides it from indexes and keeps the file downloadable",
        Effect::Hide { keep_download: false } => "hides it and refuses the file",
        Effect::Deny => "denies it",
        Effect::Allow => "allows it",
        Effect::Hotfix(hotfix) if hotfix.removes(file) => "hides it",
        Effect::Patch(_) | Effect::Hotfix(_) => "changes it",
    };
    match standing {
        Standing::Decides | Standing::Changes => format!("{does}{why}"),
        Standing::Outranked => format!("matches without effect{why}"),
        Standing::Trial => format!("is on trial; in force it {does}, unless a rule before it decides{why}"),
        Standing::Excepted => {
            let unless = rule.unless.as_ref().map_or_else(String::new, because);
            format!("does not count here, its `unless` matches{unless}")
        }
    }
}
