//! Decisions against an evaluator that knows no index, no cache and no laziness.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::judging::{NOW, verdict, xz};
use super::rules;
use crate::clock::UnixMillis;
use crate::policy::Explained;
use crate::policy::verdict::{Decision, Subject};

const DAY: Duration = Duration::from_hours(24);
const NAMES: &[&str] = &["a", "ab", "b", "Zc"];
const AGES: &[u64] = &[1, 2, 3, 5];

/// A condition, as written and as a plain question.
#[derive(Clone, Debug)]
enum Condition {
    Names(Vec<&'static str>),
    Starts(&'static str),
    AtLeast(&'static str, u64),
    Larger(u64),
    Younger(u64),
    Older(u64),
    Removed,
}

#[derive(Clone, Debug)]
struct Rule {
    effect: &'static str,
    conditions: Vec<Condition>,
    unless: Option<Condition>,
    dry_run: bool,
    subdirs: bool,
}

impl Condition {
    fn key(&self) -> u8 {
        match self {
            Self::Names(_) | Self::Starts(_) => 0,
            Self::AtLeast(..) => 1,
            Self::Larger(_) => 2,
            Self::Younger(_) => 3,
            Self::Older(_) => 4,
            Self::Removed => 5,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Names(names) => format!("names: [{}]", names.join(", ")),
            Self::Starts(start) => format!("names: [\"{start}*\"]"),
            Self::AtLeast(name, version) => format!("specs: [\"{name} >={version}\"]"),
            Self::Larger(size) => format!("larger_than: {size}B"),
            Self::Younger(days) => format!("younger_than: {days}d"),
            Self::Older(days) => format!("older_than: {days}d"),
            Self::Removed => "removed: true".to_owned(),
        }
    }

    fn holds(&self, s: &Subject<'_>, now: UnixMillis) -> bool {
        let name = s.name.as_deref().unwrap().to_lowercase();
        let age = s.first_seen.map(|seen| now.since(seen));
        match self {
            Self::Names(names) => names.iter().any(|n| n.to_lowercase() == name),
            Self::Starts(start) => name.starts_with(start),
            Self::AtLeast(n, least) => {
                n.to_lowercase() == name && s.version.as_deref().unwrap().parse::<u64>().unwrap() >= *least
            }
            Self::Larger(size) => s.size.is_some_and(|has| has > *size),
            Self::Younger(days) => age.is_none_or(|age| age < DAY * u32::try_from(*days).unwrap()),
            Self::Older(days) => age.is_some_and(|age| age >= DAY * u32::try_from(*days).unwrap()),
            Self::Removed => s.removed,
        }
    }
}

impl Rule {
    fn text(&self, at: usize) -> String {
        let conditions: Vec<_> = self.conditions.iter().map(Condition::text).collect();
        let conditions = conditions.join(", ");
        let effect = match self.effect {
            "patch" => format!("patch: {{match: {{{conditions}}}, set: {{x: {at}}}}}"),
            effect => format!("{effect}: {{{conditions}}}"),
        };
        let unless = self.unless.as_ref().map_or_else(String::new, |c| format!(", unless: {{{}}}", c.text()));
        let subdirs = if self.subdirs { ", subdirs: [noarch]" } else { "" };
        format!("- {{id: r{at}, {effect}{unless}, dry_run: {}{subdirs}}}\n", self.dry_run)
    }

    fn means(&self, s: &Subject<'_>, now: UnixMillis) -> bool {
        !(self.subdirs && s.subdir != "noarch")
            && self.conditions.iter().all(|c| c.holds(s, now))
            && !self.unless.as_ref().is_some_and(|c| c.holds(s, now))
    }
}

/// Verdict, patches and trials, by the letter of the documentation.
fn naive(rules: &[Rule], s: &Subject<'_>, now: UnixMillis) -> (String, Vec<String>, Vec<String>) {
    let means = |(_, rule): &(usize, &Rule)| rule.means(s, now);
    let all = || rules.iter().enumerate().filter(means);
    let first = all().find(|(_, r)| !r.dry_run && r.effect != "patch");
    let shown = match first {
        Some((at, Rule { effect: "deny", .. })) => format!("denied by r{at}"),
        Some((at, Rule { effect: "hide", .. })) => format!("hidden by r{at}"),
        _ => "shown".to_owned(),
    };
    let end = first.map_or(rules.len(), |(at, _)| at);
    let ids = |at: usize| format!("r{at}");
    let patches = all().filter(|(_, r)| r.effect == "patch" && !r.dry_run && shown == "shown");
    let trial = all().filter(|(at, r)| match r.effect {
        "hide" | "deny" => r.dry_run && *at < end,
        "patch" => r.dry_run && shown == "shown",
        _ => false,
    });
    (shown.clone(), patches.map(|(at, _)| ids(at)).collect(), trial.map(|(at, _)| ids(at)).collect())
}

fn of(decision: &Decision) -> (String, Vec<String>, Vec<String>) {
    let patches = decision.patches.iter().map(|patch| patch.rule.id.clone()).collect();
    (verdict(decision), patches, decision.trial.iter().map(|rule| rule.id.clone()).collect())
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        subsequence(NAMES, 1..=2).prop_map(Condition::Names),
        select(&["a", "b", "z"][..]).prop_map(Condition::Starts),
        (select(NAMES), 1..4u64).prop_map(|(name, version)| Condition::AtLeast(name, version)),
        (0..3u64).prop_map(Condition::Larger),
        select(AGES).prop_map(Condition::Younger),
        select(AGES).prop_map(Condition::Older),
        Just(Condition::Removed),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let conditions = proptest::collection::vec(condition(), 1..3).prop_map(|mut conditions| {
        conditions.sort_by_key(Condition::key);
        conditions.dedup_by_key(|c| c.key());
        conditions
    });
    let effect = select(&["hide", "deny", "allow", "patch"][..]);
    (
        effect,
        conditions,
        proptest::option::weighted(0.3, condition()),
        proptest::bool::weighted(0.2),
        proptest::bool::weighted(0.2),
    )
        .prop_map(|(effect, conditions, unless, dry_run, subdirs)| Rule {
            effect,
            conditions,
            unless,
            dry_run,
            subdirs,
        })
}

fn subject() -> impl Strategy<Value = Subject<'static>> {
    let seen = proptest::option::weighted(0.9, 0..6i64);
    (
        select(NAMES),
        0..5u64,
        proptest::option::of(0..4u64),
        seen,
        any::<bool>(),
        select(&["noarch", "linux-64"][..]),
    )
        .prop_map(|(name, version, size, seen, removed, subdir)| Subject {
            subdir,
            name: Some(name.into()),
            version: Some(version.to_string().into()),
            size,
            first_seen: seen.map(|days| UnixMillis(NOW.0 - days * 24 * 3600 * 1000)),
            removed,
            ..xz()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn decisions_agree_with_a_naive_reading(
        written in proptest::collection::vec(rule(), 1..6),
        subjects in proptest::collection::vec(subject(), 1..8),
    ) {
        let text: String = written.iter().enumerate().map(|(at, rule)| rule.text(at)).collect();
        // Rules that stand in each other's way are refused; then there is nothing to decide.
        let Ok(compiled) = rules(&[&format!("policy:\n{text}")]) else { return Ok(()) };
        for s in &subjects {
            let judge = compiled.policy().judge(s.channel, s.subdir);
            let decision = judge.decide(s, NOW);
            prop_assert_eq!(&decision, &judge.decide(s, NOW));
            prop_assert_eq!(of(&decision), naive(&written, s, NOW), "{} {:?}", text, s);
            check_until(&written, s, &decision)?;
            let explained = compiled.policy().explain(s, NOW);
            let deciders = explained.iter().filter(|e: &&Explained| e.standing.word() == "decides").count();
            let shown_by_none = decision.verdict.listed() && deciders == 0;
            prop_assert!(deciders == 1 || shown_by_none, "{} {:?}", text, explained);
        }
    }
}

/// `until` is the first whole day at which the naive reading changes; ages are whole days.
fn check_until(written: &[Rule], s: &Subject<'_>, decision: &Decision) -> Result<(), TestCaseError> {
    let what = |now| {
        let (verdict, patches, _) = naive(written, s, now);
        (verdict, patches)
    };
    let days = (1..10u32).map(|days| NOW.plus(DAY * days));
    let change = days.into_iter().find(|moment| what(*moment) != what(NOW));
    prop_assert_eq!(decision.until, change);
    Ok(())
}
