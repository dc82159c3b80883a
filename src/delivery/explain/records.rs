//! The records of some packages in one index, each with who hides it.
//!
//! A virtual channel's rule is applied here to what its members show now, as `repodata::merge` does it to whole indexes.
//!
//! Belongs here: walking package tables. Does not: which indexes (`search`), versions of specs.

use std::collections::{HashMap, HashSet};

use super::values::{RuleNamed, deciding};
use super::{ExplainError, Explainer};
use crate::clock::UnixMillis;
use crate::conda::channel::ChannelRef;
use crate::conda::digest::{Md5, Sha256};
use crate::conda::spec::{Spec, SpecName};
use crate::conda::subdir::Subdir;
use crate::policy::notices::rfc3339;
use crate::policy::verdict::{Judge, Subject};
use crate::policy::{NameGlobs, Priority};
use crate::repodata::judging::KnownFile;
use crate::snapshot::{Channel, Place, VirtualChannel};

/// More records of one index are not looked at: each costs a read.
pub(super) const MOST: usize = 20_000;

/// Which records.
#[derive(Debug)]
pub(super) enum Names {
    /// Of this package, in lower case.
    Exact(String),
    /// Of packages with such names.
    Globs(NameGlobs),
}

impl Names {
    pub(super) fn of(spec: &Spec) -> Result<Self, ExplainError> {
        Ok(match spec.name() {
            SpecName::Exact(name) => Self::Exact(name.clone()),
            SpecName::Glob(glob) => {
                Self::Globs(NameGlobs::new(vec![glob.clone()]).map_err(ExplainError::Spec)?)
            }
        })
    }

    fn contains(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact.eq_ignore_ascii_case(name),
            Self::Globs(globs) => globs.contains(name),
        }
    }
}

/// A record.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub name: String,
    pub version: Option<String>,
    pub build: Option<String>,
    pub build_number: Option<u64>,
    pub file: String,
    pub md5: Option<Md5>,
    pub sha256: Option<Sha256>,
    pub first_seen: Option<UnixMillis>,
    pub until: Option<UnixMillis>,
    /// Place and name of the member it comes from.
    pub member: Option<(usize, String)>,
    /// Why it is not shown; `None`: it is.
    pub left: Option<Left>,
}

/// Why a record is not shown.
#[derive(Clone, Debug)]
pub(super) struct Left {
    /// The rule of `policy:` that says so.
    pub rule: Option<RuleNamed>,
    pub sentence: String,
}

impl Left {
    const fn because(sentence: String) -> Self {
        Self { rule: None, sentence }
    }
}

impl Explainer<'_> {
    /// All records of some packages; none where there is no index.
    pub(super) fn records(
        &self,
        place: &Place,
        asked: &ChannelRef,
        subdir: &Subdir,
        names: &Names,
    ) -> Result<Vec<Found>, ExplainError> {
        match place {
            Place::Source(channel) => self.proxied_records(channel, asked, subdir, names),
            Place::Virtual(channel) => self.virtual_records(channel, subdir, names),
        }
    }

    fn proxied_records(
        &self,
        channel: &Channel,
        asked: &ChannelRef,
        subdir: &Subdir,
        names: &Names,
    ) -> Result<Vec<Found>, ExplainError> {
        let Some(generation) = self.store.look(&channel.stored_as(asked), subdir) else {
            return Ok(Vec::new());
        };
        let judge = channel.judge(subdir);
        let mut all = Vec::new();
        for entry in generation.table().iter() {
            if entry.name.is_some_and(|name| !names.contains(name)) {
                continue;
            }
            let known = generation.known(&entry)?;
            let found = known.with_subject(channel.source(), subdir.as_str(), |subject| {
                let name = subject.name.as_deref().filter(|name| names.contains(name))?;
                Some(self.found(name, subject, &*judge, &known, channel.hosted().is_some()))
            });
            all.extend(found);
            if all.len() > MOST {
                return Err(ExplainError::TooMany(MOST));
            }
        }
        Ok(all)
    }

    fn found(
        &self,
        name: &str,
        subject: &Subject<'_>,
        judge: &dyn Judge,
        known: &KnownFile,
        hosted: bool,
    ) -> Found {
        let decision = judge.decide(subject, self.now);
        let gone = known.standing.departed || known.record.is_none();
        let left = if !decision.verdict.listed() {
            let said = judge.explain(subject, self.now);
            deciding(&said).map(|by| Left { rule: Some((&*by.rule).into()), sentence: by.sentence.clone() })
        } else if gone && known.standing.removed {
            let sentence = if hosted { "it was yanked." } else { "upstream says that it removed it." };
            Some(Left::because(sentence.to_owned()))
        } else if gone {
            Some(Left::because("upstream's index listed it once and does not any more.".to_owned()))
        } else {
            None
        };
        Found {
            name: name.to_owned(),
            version: subject.version.as_deref().map(str::to_owned),
            build: subject.build.as_deref().map(str::to_owned),
            build_number: subject.build_number,
            file: subject.file.to_owned(),
            md5: subject.md5,
            sha256: subject.sha256,
            first_seen: subject.first_seen,
            until: decision.until,
            member: None,
            left,
        }
    }

    /// The members' records, with what the rule of the virtual channel leaves out.
    pub(super) fn virtual_records(
        &self,
        channel: &VirtualChannel,
        subdir: &Subdir,
        names: &Names,
    ) -> Result<Vec<Found>, ExplainError> {
        let mut choice = Choice { channel, claims: HashMap::new(), files: HashMap::new() };
        let mut all = Vec::new();
        for (place, member) in channel.members.iter().enumerate() {
            let mut found = self.records(&member.place, &member.asked, subdir, names)?;
            for record in &mut found {
                record.member = Some((place, member.asked.to_string()));
                if record.left.is_none() {
                    record.left = choice.leaves_out(place, record).map(Left::because);
                }
            }
            all.append(&mut found);
        }
        Ok(all)
    }

    /// Every package name in an index; of a virtual channel, in those of its members.
    pub(super) fn names_in(
        &self,
        place: &Place,
        asked: &ChannelRef,
        subdir: &Subdir,
        into: &mut HashSet<String>,
    ) {
        if let Place::Virtual(channel) = place {
            return channel.members.iter().for_each(|m| self.names_in(&m.place, &m.asked, subdir, into));
        }
        let stored = place.stored_as(asked);
        let Some(generation) = self.store.look(&stored, subdir) else { return };
        let mut last = None;
        for name in generation.table().iter().filter_map(|entry| entry.name) {
            // Sorted by file name, so most repetitions stand together.
            if last != Some(name) && !into.contains(name) {
                into.insert(name.to_owned());
            }
            last = Some(name);
        }
    }
}

/// What the members before have claimed.
struct Choice<'a> {
    channel: &'a VirtualChannel,
    /// Package name → the first member that shows any record of it.
    claims: HashMap<String, usize>,
    /// File name → the first member that shows it.
    files: HashMap<String, usize>,
}

impl Choice<'_> {
    /// Why the virtual channel leaves out a record that its member shows; claims what it does not leave out.
    fn leaves_out(&mut self, place: usize, record: &Found) -> Option<String> {
        let (rule, label) = (&self.channel.rule, &self.channel.label);
        let member = |place: usize| rule.members.get(place).map_or_else(String::new, ToString::to_string);
        if !rule.may_answer_file(place, &record.file, Some(&record.name)) {
            let owners = rule.owners_of(&record.name);
            let owners: Vec<_> = owners.into_iter().map(|place| format!("`{}`", member(place))).collect();
            let owners = owners.join(", ");
            let why = if rule.is_lookalike(&record.name) { ", which looks like one of theirs" } else { "" };
            return Some(format!("`owns` of `{label}` lets only {owners} answer for this name{why}."));
        }
        if let Some(as_of) = rule.as_of
            && record.first_seen.is_none_or(|seen| seen > as_of)
        {
            let as_of = rfc3339(as_of);
            return Some(format!("`as_of` of `{label}` shows only what was seen by {as_of}."));
        }
        if rule.priority == Priority::Strict {
            let first = *self.claims.entry(record.name.to_ascii_lowercase()).or_insert(place);
            if first != place {
                let first = member(first);
                return Some(format!(
                    "`priority: strict` of `{label}` takes this name from `{first}`, which has records of it."
                ));
            }
        }
        let first = *self.files.entry(record.file.clone()).or_insert(place);
        (first != place).then(|| format!("`{label}` takes the file of this name from `{}`.", member(first)))
    }
}
