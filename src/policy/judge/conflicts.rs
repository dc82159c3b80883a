//! Rules that stand in each other's way. The first rule that matches decides, so a rule can be dead without looking so.
//!
//! What is certain is a mistake: a rule that never acts because one before it takes all that it means, and a `hide` that takes
//! its records away from a `deny` that means them too. What is only possible is a note: an `allow`, or a `hide` that keeps
//! downloads, before a `deny` that may mean the same records.
//!
//! Belongs here: relating two rules by what they say. Does not: records.

use std::sync::Arc;

use ahash::AHashSet;

use super::audience;
use super::licenses::Licenses;
use super::lists::{Dependencies, Digests};
use super::matcher::Matcher;
use super::patterns::Patterns;
use super::statement::{Effect, Statement};
use crate::policy::mistake::{Mistake, Mistakes};

/// One rule that decides, prepared for comparison.
struct Decider<'s> {
    rule: &'s Statement,
    names: Option<AHashSet<&'s str>>,
}

/// Notes what is certain as mistakes and returns what is possible.
pub fn find(rules: &[Arc<Statement>], mistakes: &mut Mistakes) -> Vec<Mistake> {
    let deciders: Vec<_> = rules.iter().filter_map(|rule| Decider::of(rule)).collect();
    let mut notes = Vec::new();
    for (at, later) in deciders.iter().enumerate() {
        let mut doubtful: Vec<&Statement> = Vec::new();
        let earlier = deciders.iter().take(at).filter(|earlier| !earlier.rule.dry_run);
        for earlier in earlier.filter(|earlier| earlier.meets(later)) {
            if covers(earlier.rule, later.rule) {
                mistakes.push(shadowed(earlier.rule, later.rule));
                break;
            }
            let weaker = matches!(earlier.rule.effect, Effect::Hide { .. }) && denies(later.rule);
            if weaker && covers(later.rule, earlier.rule) {
                mistakes.push(weakened(earlier.rule, later.rule));
            } else if earlier.lets_pass() && denies(later.rule) && !earlier.is_apart(later) {
                doubtful.push(earlier.rule);
            }
        }
        notes.extend(doubt(&doubtful, later.rule));
    }
    notes
}

impl<'s> Decider<'s> {
    fn of(rule: &'s Statement) -> Option<Self> {
        let decides = matches!(rule.effect, Effect::Hide { .. } | Effect::Deny | Effect::Allow);
        let names = || rule.matcher.only_names().map(|names| names.into_iter().collect());
        decides.then(|| Self { rule, names: names() })
    }

    /// Whether there may be a channel, a subdir and a caller that both are about.
    fn meets(&self, other: &Self) -> bool {
        !self.rule.channels.is_apart(&other.rule.channels)
            && !self.rule.subdirs.is_apart(&other.rule.subdirs)
            && !audience::are_apart(self.rule, other.rule)
    }

    const fn lets_pass(&self) -> bool {
        matches!(self.rule.effect, Effect::Allow | Effect::Hide { keep_download: true })
    }

    /// Whether certainly no record is meant by both.
    fn is_apart(&self, other: &Self) -> bool {
        let misses = |names: &AHashSet<&str>, other: &Self| match (&other.names, &other.rule.matcher.names) {
            (Some(others), _) => names.is_disjoint(others),
            (None, Some(patterns)) => !names.iter().any(|name| patterns.is_match(name)),
            (None, None) => false,
        };
        let (a, b) = (&self.rule.matcher, &other.rule.matcher);
        self.names.as_ref().is_some_and(|names| misses(names, other))
            || other.names.as_ref().is_some_and(|names| misses(names, self))
            || matches!((a.removed, b.removed), (Some(a), Some(b)) if a != b)
            || matches!((a.younger_than, b.older_than), (Some(young), Some(old)) if young <= old)
            || matches!((a.older_than, b.younger_than), (Some(old), Some(young)) if young <= old)
    }
}

const fn denies(rule: &Statement) -> bool {
    matches!(rule.effect, Effect::Deny)
}

/// Whether certainly every record that `narrow` means is meant by `wide`.
fn covers(wide: &Statement, narrow: &Statement) -> bool {
    let excepts_no_more = wide
        .unless
        .as_ref()
        .is_none_or(|ours| narrow.unless.as_ref().is_some_and(|theirs| takes_all_of(theirs, ours)));
    excepts_no_more
        && wide.channels.covers(&narrow.channels)
        && wide.subdirs.covers(&narrow.subdirs)
        && audience::covers(wide, narrow)
        && takes_all_of(&wide.matcher, &narrow.matcher)
}

/// Whether each condition of `wide` follows from one of `narrow`.
fn takes_all_of(wide: &Matcher, narrow: &Matcher) -> bool {
    fn holds<T>(wide: Option<&T>, narrow: Option<&T>, follows: impl Fn(&T, &T) -> bool) -> bool {
        wide.is_none_or(|wide| narrow.is_some_and(|narrow| follows(wide, narrow)))
    }
    let names = wide.names.as_ref().is_none_or(|names| {
        narrow.names.as_ref().is_some_and(|theirs| names.covers(theirs))
            || narrow.specs.as_ref().is_some_and(|theirs| theirs.are_covered_by(names))
    });
    let specs = wide.specs.as_ref().is_none_or(|specs| {
        narrow.specs.as_ref().is_some_and(|theirs| specs.covers(theirs))
            || narrow.names.as_ref().is_some_and(|theirs| specs.cover_names(theirs))
    });
    names
        && specs
        && holds(wide.files.as_ref(), narrow.files.as_ref(), Patterns::covers)
        && holds(wide.digests.as_ref(), narrow.digests.as_ref(), Digests::covers)
        && holds(wide.licenses.as_ref(), narrow.licenses.as_ref(), Licenses::covers)
        && holds(wide.families.as_ref(), narrow.families.as_ref(), Patterns::covers)
        && holds(wide.depends_on.as_ref(), narrow.depends_on.as_ref(), Dependencies::covers)
        && holds(wide.larger_than.as_ref(), narrow.larger_than.as_ref(), |w, n| w <= n)
        && holds(wide.smaller_than.as_ref(), narrow.smaller_than.as_ref(), |w, n| w >= n)
        && holds(wide.younger_than.as_ref(), narrow.younger_than.as_ref(), |w, n| w >= n)
        && holds(wide.older_than.as_ref(), narrow.older_than.as_ref(), |w, n| w <= n)
        && holds(wide.removed.as_ref(), narrow.removed.as_ref(), |w, n| w == n)
}

fn shadowed(earlier: &Statement, later: &Statement) -> Mistake {
    let (first, second) = (&earlier.source, &later.source);
    Mistake::new(
        &second.at,
        format!(
            "the {} `{}` never acts: the {} `{}` stands before it and takes all that it means",
            later.effect.word(),
            second.id,
            earlier.effect.word(),
            first.id
        ),
    )
    .hint(format!(
        "the other rule is at {}; the first rule that matches decides, so change their order or narrow `{}`",
        first.at, first.id
    ))
}

fn weakened(hide: &Statement, deny: &Statement) -> Mistake {
    let (first, second) = (&hide.source, &deny.source);
    Mistake::new(
        &first.at,
        format!(
            "the hide `{}` takes its records away from the deny `{}`, which means them too",
            first.id, second.id
        ),
    )
    .hint(format!(
        "the deny is at {}; it hides what it denies, so take `{}` out or put it behind",
        second.at, first.id
    ))
}

fn doubt(earlier: &[&Statement], deny: &Statement) -> Option<Mistake> {
    let first = earlier.first()?;
    let more = match earlier.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let note = Mistake::new(
        &deny.source.at,
        format!(
            "the deny `{}` does not act on what the {} `{}` before it matches{more}",
            deny.source.id,
            first.effect.word(),
            first.source.id
        ),
    );
    Some(
        note.hint(format!(
            "that rule is at {}; put the deny before it unless this is meant",
            first.source.at
        )),
    )
}
