//! `audience:` of policy rules: for whom a rule counts, and how many views of a channel that makes.
//!
//! A rule without one counts for everybody. With one it counts for the callers it names; `anonymous` are those who show no
//! credential, not everybody. Superusers pass no policy rule. Callers for whom the same rules count share a view of a
//! channel: its indexes are built and kept once per view, so there may only be a few.
//!
//! Belongs here: audiences of a policy, the views they make, the limit on views. Does not: reading the list
//! ([`crate::policy::access::who`]), keeping generations by view (`repodata`, `delivery`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::statement::Statement;
use crate::policy::access::Caller;
use crate::policy::access::who::Who;
use crate::policy::compiled::{ChannelRule, ChannelSource, Pattern};
use crate::policy::mistake::Mistakes;

/// Views of one channel.
pub const MAX_VIEWS: usize = 8;
/// Different audiences in all rules together: as many as [`AudienceSet`] has bits.
pub const MAX_AUDIENCES: usize = 64;

/// In which audiences of one policy a caller is. Means nothing to another policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct AudienceSet(u64);

impl AudienceSet {
    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn has(self, bit: u32) -> bool {
        self.0.checked_shr(bit).is_some_and(|bits| bits & 1 == 1)
    }

    fn of<'w>(audiences: impl IntoIterator<Item = &'w Who>, is_in: impl Fn(&Who) -> bool) -> Self {
        let bits = audiences.into_iter().zip(0..).filter(|(who, _)| is_in(who));
        Self(bits.fold(0, |set, (_, bit)| set | 1_u64.checked_shl(bit).unwrap_or(0)))
    }
}

/// The different audiences of a policy, in a fixed order.
#[derive(Debug, Default)]
pub(super) struct Audiences(Vec<Who>);

impl Audiences {
    /// Those of `rules`; which is whose is told by [`Audiences::set_of`].
    pub(super) fn new(rules: &[Arc<Statement>]) -> Self {
        Self(distinct(rules.iter().map(|rule| &**rule)).into_iter().cloned().collect())
    }

    /// Where a caller is in.
    pub(super) fn of(&self, caller: &Caller<'_>) -> AudienceSet {
        AudienceSet::of(&self.0, |who| who.means(caller))
    }

    /// The sets of these audiences in which there can be callers. None for more than a channel may have.
    pub(super) fn possible(&self, asked: AudienceSet) -> Vec<AudienceSet> {
        let places: Vec<_> = (0..).zip(&self.0).filter(|(bit, _)| asked.has(*bit)).collect();
        let few: Vec<_> = places.iter().map(|(_, who)| *who).collect();
        let sets = possible(&few, MAX_VIEWS).unwrap_or_default();
        // From places among the few to places among all.
        let spread = |set: AudienceSet| {
            let there = (0..).zip(&places).filter(|(bit, _)| set.has(*bit));
            AudienceSet(there.fold(0, |all, (_, (bit, _))| all | 1_u64.checked_shl(*bit).unwrap_or(0)))
        };
        sets.into_iter().map(spread).collect()
    }

    /// The one of a rule; empty for a rule that counts for everybody.
    pub(super) fn set_of(&self, rule: &Statement) -> AudienceSet {
        AudienceSet::of(&self.0, |who| rule.audience.as_ref() == Some(who))
    }

    /// A number made from what the audiences in `set` say, the same under other rules that have them too; 0 for none.
    pub(super) fn key(&self, set: AudienceSet) -> u64 {
        if set.is_empty() {
            return 0;
        }
        let mut digest = Sha256::new();
        for (at, who) in self.0.iter().enumerate() {
            if set.has(u32::try_from(at).unwrap_or(u32::MAX)) {
                digest.update(format!("{who:?}\n"));
            }
        }
        let digest: [u8; 32] = digest.finalize().into();
        // 53 bits, as revisions: it stands in JSON and names of files.
        (u64::from_be_bytes(std::array::from_fn(|i| digest[i])) >> 11).max(1)
    }
}

/// The different audiences of rules, sorted.
fn distinct<'s>(rules: impl IntoIterator<Item = &'s Statement>) -> Vec<&'s Who> {
    let all: BTreeSet<_> = rules.into_iter().filter_map(|rule| rule.audience.as_ref()).collect();
    all.into_iter().collect()
}

/// Whether the audience of `wide` certainly has all of that of `narrow`.
pub(super) fn covers(wide: &Statement, narrow: &Statement) -> bool {
    let Some(wide) = &wide.audience else { return true };
    let everybody = wide.anonymous && wide.authenticated;
    everybody || narrow.audience.as_ref().is_some_and(|narrow| wide.covers(narrow))
}

/// Whether certainly nobody is in both audiences.
pub(super) fn are_apart(a: &Statement, b: &Statement) -> bool {
    let (Some(a), Some(b)) = (&a.audience, &b.audience) else { return false };
    let strangers_only = |who: &Who| *who == Who { anonymous: true, ..Who::default() };
    (strangers_only(a) && !b.anonymous) || (strangers_only(b) && !a.anonymous)
}

/// How many sets of `audiences` there can be callers for, counted up to one more than `most`.
fn views(audiences: &[&Who], most: usize) -> usize {
    possible(audiences, most).map_or(most + 1, |sets| sets.len())
}

/// The sets of `audiences` that there can be callers for; `None`: more than `most`.
fn possible(audiences: &[&Who], most: usize) -> Option<BTreeSet<AudienceSet>> {
    let mut sets = BTreeSet::from([AudienceSet::of(audiences.iter().copied(), |who| who.anonymous)]);
    let users: BTreeSet<_> = audiences.iter().flat_map(|who| &who.users).collect();
    let groups: BTreeSet<_> = audiences.iter().flat_map(|who| &who.groups).collect();
    // Each named user, and somebody else.
    let users = users.into_iter().map(Some).chain([None]);
    let alone: BTreeSet<_> = users
        .map(|user| {
            let named = |who: &Who| user.is_some_and(|user| who.users.contains(user));
            AudienceSet::of(audiences.iter().copied(), |who| who.authenticated || named(who))
        })
        .collect();
    let groups: BTreeSet<_> = groups
        .into_iter()
        .map(|group| AudienceSet::of(audiences.iter().copied(), |who| who.groups.contains(group)))
        .collect();
    for user in alone {
        // Anybody may be in any groups.
        let mut reached = BTreeSet::from([user]);
        for group in &groups {
            let more: Vec<_> = reached.iter().map(|set| set.or(*group)).collect();
            reached.extend(more);
            if reached.len() > most {
                return None;
            }
        }
        sets.extend(reached);
        if sets.len() > most {
            return None;
        }
    }
    Some(sets)
}

/// Refuses rules that give a channel more than [`MAX_VIEWS`] views, and too many audiences.
pub(in crate::policy) fn check(rules: &[Arc<Statement>], channels: &[Arc<ChannelRule>], m: &mut Mistakes) {
    let limited: Vec<&Statement> =
        rules.iter().map(|rule| &**rule).filter(|rule| rule.audience.is_some()).collect();
    if let Some(last) = limited.last().filter(|_| distinct(limited.iter().copied()).len() > MAX_AUDIENCES) {
        let said = format!("there are more than {MAX_AUDIENCES} different `audience` lists in `policy`");
        m.add_hint(&last.source.at, said, "let rules share an audience: put people into groups");
        return;
    }
    // Fewer rules never make more views.
    if views(&distinct(limited.iter().copied()), MAX_VIEWS) <= MAX_VIEWS {
        return;
    }
    let mut told: BTreeSet<Vec<&str>> = BTreeSet::new();
    for together in meetings(&limited, channels) {
        let last =
            together.last().filter(|_| views(&distinct(together.iter().copied()), MAX_VIEWS) > MAX_VIEWS);
        let ids: Vec<_> = together.iter().map(|rule| rule.source.id.as_str()).collect();
        if let Some(last) = last.filter(|_| told.insert(ids.clone())) {
            let shown: Vec<_> = ids.iter().take(10).map(|id| format!("`{id}`")).collect();
            let more = ids.len().checked_sub(10).filter(|more| *more > 0);
            let more = more.map_or_else(String::new, |more| format!(" and {more} more"));
            m.add_hint(
                &last.source.at,
                format!(
                    "the audiences of {}{more} give one channel more than {MAX_VIEWS} views, each with indexes of its own",
                    shown.join(", ")
                ),
                "let rules share an audience: put people into groups",
            );
        }
    }
}

/// Sets of rules that may be about one channel; every set that is about one lies in one of these.
fn meetings<'s>(rules: &[&'s Statement], channels: &[Arc<ChannelRule>]) -> Vec<Vec<&'s Statement>> {
    let about =
        |is: &dyn Fn(&Statement) -> bool| rules.iter().copied().filter(|rule| is(rule)).collect::<Vec<_>>();
    let mut all: Vec<_> = one_channel(channels)
        .into_iter()
        .map(|names| about(&|rule| names.iter().any(|name| rule.channels.is_match(name))))
        .collect();
    let words: BTreeSet<_> = rules.iter().flat_map(|rule| rule.channels.words()).collect();
    all.extend(words.into_iter().map(|word| about(&|rule| rule.channels.is_match(word))));
    // A name that a glob takes begins with the glob's letters; of all globs that take one name, the longest beginning has the others.
    let heads = |rule: &Statement| {
        let any = rule.channels.is_any().then(String::new);
        rule.channels.heads().chain(any).collect::<Vec<_>>()
    };
    let longest: BTreeSet<_> = rules.iter().flat_map(|rule| heads(rule)).collect();
    all.extend(
        longest.iter().map(|head| about(&|rule| heads(rule).iter().any(|shorter| head.starts_with(shorter)))),
    );
    all
}

/// The names that are judged as one: those of one channel at one upstream, and those of all members of a virtual channel.
fn one_channel(channels: &[Arc<ChannelRule>]) -> Vec<Vec<String>> {
    let mut there: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    let mut virtuals: HashMap<&str, Vec<&str>> = HashMap::new();
    for rule in channels {
        let Pattern::Exact(name) = &rule.pattern else { continue };
        match &rule.source {
            ChannelSource::Proxied { upstream, path } => {
                let path = path.as_deref().unwrap_or(name.as_str());
                let names = there.entry((&upstream.name, path)).or_insert_with(|| vec![path.to_owned()]);
                names.push(name.as_str().to_owned());
            }
            ChannelSource::Virtual(made_of) => {
                let members = made_of.members.iter().map(|member| member.name.as_str());
                virtuals.insert(name.as_str(), members.collect());
            }
            // It has one name.
            ChannelSource::Hosted(_) => {}
        }
    }
    let proxied: Vec<_> = there.into_values().collect();
    let mut all = proxied.clone();
    for members in virtuals.values() {
        // Rules have been checked for circles, so this ends.
        let mut waiting = members.clone();
        let mut names = Vec::new();
        while let Some(member) = waiting.pop() {
            match virtuals.get(member) {
                Some(deeper) => waiting.extend(deeper),
                None => match proxied.iter().find(|names| names.iter().any(|name| name == member)) {
                    Some(aliases) => names.extend(aliases.iter().cloned()),
                    None => names.push(member.to_owned()),
                },
            }
        }
        all.push(names);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(words: &str) -> Who {
        let mut who = Who::default();
        for word in words.split_whitespace() {
            match word.split_once(':') {
                Some(("user", name)) => drop(who.users.insert(name.into())),
                Some((_, name)) => drop(who.groups.insert(name.into())),
                None if word == "anonymous" => who.anonymous = true,
                None => who.authenticated = true,
            }
        }
        who
    }

    #[test]
    fn views_are_those_that_somebody_can_have() {
        for (audiences, expected) in [
            (&[][..], 1),
            (&["authenticated"][..], 2),
            (&["authenticated", "anonymous"], 2),
            (&["anonymous authenticated"], 1),
            (&["group:a"], 2),
            (&["authenticated", "group:a"], 3),
            (&["group:a", "group:b"], 4),
            (&["group:a", "group:a group:b"], 3),
            (&["user:u", "user:v"], 3),
            (&["user:u", "user:v", "user:w", "user:x"], 5),
            (&["group:a", "group:b", "group:c"], 8),
            (&["group:a", "group:b", "group:c", "anonymous"], 9),
            (&["group:a", "group:b", "group:c", "group:d"], 9),
        ] {
            let audiences: Vec<_> = audiences.iter().map(|words| who(words)).collect();
            assert_eq!(views(&audiences.iter().collect::<Vec<_>>(), MAX_VIEWS), expected, "{audiences:?}");
        }
        let many: Vec<_> = (0..64).map(|n| who(&format!("group:g{n}"))).collect();
        assert_eq!(views(&many.iter().collect::<Vec<_>>(), MAX_VIEWS), MAX_VIEWS + 1);
    }

    #[test]
    fn possible_sets_keep_their_places() {
        let audiences = Audiences(["group:a", "group:b", "group:c"].map(who).into());
        let [a, b, c] = [1, 2, 4].map(AudienceSet);
        assert_eq!(audiences.possible(a.or(c)), [AudienceSet(0), a, c, a.or(c)]);
        assert_eq!(audiences.possible(b), [AudienceSet(0), b]);
        assert_eq!(audiences.possible(AudienceSet(0)), [AudienceSet(0)]);
    }

    #[test]
    fn who_covers_whom() {
        for (wide, narrow, expected) in [
            ("authenticated", "user:a group:b", true),
            ("authenticated", "anonymous", false),
            ("anonymous authenticated", "anonymous user:a", true),
            ("user:a user:b", "user:a", true),
            ("user:a", "user:a group:b", false),
        ] {
            assert_eq!(who(wide).covers(&who(narrow)), expected, "{wide} {narrow}");
        }
    }
}
