//! A matcher: what stands behind `hide:`, `deny:`, `allow:`, `unless:` and `patch: {match: …}`.
//!
//! All conditions that are given must hold; a list holds when any entry does. A condition about something that the record
//! lacks does not hold, with two exceptions, both on the safe side:
//!
//! * a file that nobody has seen in an index counts as young (`younger_than` holds);
//! * a spec whose version can't be compared, because the record has none or one that is no version, holds in a `deny` when
//!   all the rest of the spec fits. Elsewhere it does not hold.
//!
//! Belongs here: the conditions and their answers. Does not: reading them ([`super::read`]), relating two matchers
//! ([`super::conflicts`]).

use std::time::Duration;

use super::case::Case;
use super::licenses::Licenses;
use super::lists::{Dependencies, Digests, Specs};
use super::patterns::Patterns;
use crate::clock::UnixMillis;
use crate::conda::spec::Fit;
use crate::policy::units::{show_duration, show_size};

/// The conditions; those that are absent hold for every record.
#[derive(Debug, Default)]
pub struct Matcher {
    /// `names`
    pub names: Option<Patterns>,
    /// `specs`
    pub specs: Option<Specs>,
    /// `files`
    pub files: Option<Patterns>,
    /// `digests`
    pub digests: Option<Digests>,
    /// `licenses`
    pub licenses: Option<Licenses>,
    /// `license_families`
    pub families: Option<Patterns>,
    /// `depends_on`
    pub depends_on: Option<Dependencies>,
    /// `larger_than`, bytes
    pub larger_than: Option<u64>,
    /// `smaller_than`, bytes
    pub smaller_than: Option<u64>,
    /// `younger_than`
    pub younger_than: Option<Duration>,
    /// `older_than`
    pub older_than: Option<Duration>,
    /// `removed`
    pub removed: Option<bool>,
}

impl Matcher {
    /// Whether it goes by digests.
    #[must_use]
    pub const fn asks_digest(&self) -> bool {
        self.digests.is_some()
    }

    /// Whether the record matches at `now`. `strict` says what becomes of a version that can't be compared.
    #[must_use]
    pub fn is_match(&self, case: &Case<'_>, now: UnixMillis, strict: bool) -> bool {
        let subject = case.subject;
        // Cheap ones first.
        self.removed.is_none_or(|removed| removed == subject.removed)
            && self.larger_than.is_none_or(|limit| subject.size.is_some_and(|size| size > limit))
            && self.smaller_than.is_none_or(|limit| subject.size.is_some_and(|size| size < limit))
            && self.younger_than.is_none_or(|age| case.first_seen().is_none_or(|seen| now < seen.plus(age)))
            && self.older_than.is_none_or(|age| case.first_seen().is_some_and(|seen| now >= seen.plus(age)))
            && self.digests.as_ref().is_none_or(|digests| digests.is_match(subject))
            && self.names.as_ref().is_none_or(|names| case.name.as_deref().is_some_and(|n| names.is_match(n)))
            && self.files.as_ref().is_none_or(|files| files.is_match(subject.file))
            && self
                .families
                .as_ref()
                .is_none_or(|list| subject.license_family.as_deref().is_some_and(|f| list.is_match(f)))
            && self
                .licenses
                .as_ref()
                .is_none_or(|list| subject.license.as_deref().is_some_and(|l| list.is_match(l)))
            && self.depends_on.as_ref().is_none_or(|list| list.find(subject).is_some())
            && self.specs.as_ref().is_none_or(|specs| match specs.fit(case) {
                Fit::Yes => true,
                Fit::Unknown => strict,
                Fit::No => false,
            })
    }

    /// The moments at which a condition on age turns, for a record first seen at `seen`.
    pub fn turns(&self, seen: UnixMillis) -> impl Iterator<Item = UnixMillis> {
        [self.younger_than, self.older_than].into_iter().flatten().map(move |age| seen.plus(age))
    }

    /// Whether the passing of time can change the answer.
    #[must_use]
    pub const fn is_timed(&self) -> bool {
        self.younger_than.is_some() || self.older_than.is_some()
    }

    /// The only package names, in lower case, that can match; `None` when they can't be told.
    #[must_use]
    pub fn only_names(&self) -> Option<Vec<&str>> {
        let words = self.names.as_ref().and_then(Patterns::only_words);
        let by_names = words.map(|words| words.iter().map(|word| &**word).collect());
        by_names.or_else(|| self.specs.as_ref().and_then(Specs::only_names).map(Iterator::collect))
    }

    /// Whether a file that no index lists can't be judged by it: it asks for more than a file name tells.
    #[must_use]
    pub fn needs_metadata(&self) -> bool {
        self.digests.is_some()
            || self.licenses.is_some()
            || self.families.is_some()
            || self.depends_on.is_some()
            || self.larger_than.is_some()
            || self.smaller_than.is_some()
            || self.specs.as_ref().is_some_and(|specs| !specs.fit_file_names())
    }

    /// Whether a file of which little more than the name is known might match, were the rest known: what is known does not
    /// speak against it.
    #[must_use]
    pub fn might_match(&self, case: &Case<'_>, now: UnixMillis) -> bool {
        let subject = case.subject;
        let named = Self::named(case);
        let size = |holds: &dyn Fn(u64) -> bool| subject.size.is_none_or(holds);
        self.younger_than.is_none_or(|age| case.first_seen().is_none_or(|seen| now < seen.plus(age)))
            && self.older_than.is_none_or(|age| case.first_seen().is_some_and(|seen| now >= seen.plus(age)))
            && self.removed.is_none_or(|removed| removed == subject.removed)
            && self.larger_than.is_none_or(|limit| size(&|has| has > limit))
            && self.smaller_than.is_none_or(|limit| size(&|has| has < limit))
            && self.digests.as_ref().is_none_or(|list| list.might_match(subject))
            && self.names.as_ref().is_none_or(|names| named(&|name| names.is_match(name)))
            && self.specs.as_ref().is_none_or(|specs| {
                // A file name tells a version too, where that is all that is asked.
                if specs.fit_file_names() {
                    specs.fit(case) != Fit::No
                } else {
                    named(&|name| specs.name(name))
                }
            })
            && self.files.as_ref().is_none_or(|files| files.is_match(subject.file))
    }

    fn named<'c>(case: &'c Case<'_>) -> impl Fn(&dyn Fn(&str) -> bool) -> bool + 'c {
        |holds| case.name.as_deref().is_some_and(holds)
    }

    /// Why a record that matches does so: clauses such as "its name is `xz`".
    #[must_use]
    pub fn because(&self, case: &Case<'_>, now: UnixMillis) -> Vec<String> {
        let subject = case.subject;
        let mut clauses = Vec::new();
        if let (Some(_), Some(name)) = (&self.names, case.name.as_deref()) {
            clauses.push(format!("its name is `{}`", short(name)));
        }
        if let Some((fit, spec)) = self.specs.as_ref().and_then(|specs| specs.find(case)) {
            clauses.push(match (fit, subject.version.as_deref()) {
                (Fit::Unknown, Some(version)) => {
                    format!(
                        "`{}` may mean it: `{}` is no version that can be compared",
                        spec.text(),
                        short(version)
                    )
                }
                (Fit::Unknown, None) => format!("`{}` may mean it: its version is not known", spec.text()),
                _ => format!("`{}` means it", spec.text()),
            });
        }
        if self.files.is_some() {
            clauses.push(format!("its file name is `{}`", short(subject.file)));
        }
        if self.digests.is_some() {
            clauses.push("its digest is listed".to_owned());
        }
        if let (Some(_), Some(license)) = (&self.licenses, &subject.license) {
            clauses.push(format!("its license is `{}`", short(license)));
        }
        if let (Some(_), Some(family)) = (&self.families, &subject.license_family) {
            clauses.push(format!("its license family is `{}`", short(family)));
        }
        if let Some(depend) = self.depends_on.as_ref().and_then(|list| list.find(subject)) {
            clauses.push(format!("it depends on `{}`", short(depend)));
        }
        if let (true, Some(size)) = (self.larger_than.is_some() || self.smaller_than.is_some(), subject.size)
        {
            clauses.push(format!("its size is {}", show_size(size)));
        }
        clauses.extend(self.because_of_age(case, now));
        if let Some(removed) = self.removed {
            clauses
                .push(if removed { "upstream removed it" } else { "upstream has not removed it" }.to_owned());
        }
        clauses
    }

    fn because_of_age(&self, case: &Case<'_>, now: UnixMillis) -> Option<String> {
        if !self.is_timed() {
            return None;
        }
        let Some(seen) = case.first_seen() else { return Some("nobody has seen it in an index".to_owned()) };
        let mut age = now.since(seen);
        // To the minute: people compare it with days.
        if age.as_secs() >= 60 {
            age = Duration::from_mins(age.as_secs() / 60);
        }
        let limit = |word: &str, limit: Option<Duration>| {
            limit.map_or_else(String::new, |limit| format!(", {word} than {}", show_duration(limit)))
        };
        Some(format!(
            "it was first seen {} ago{}{}",
            show_duration(age),
            limit("younger", self.younger_than),
            limit("older", self.older_than)
        ))
    }
}

/// Text of a record, cut to what a sentence bears.
fn short(text: &str) -> String {
    let mut shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        shown.push('…');
    }
    shown
}
