//! One file of a channel with records of its own.
//!
//! Belongs here: its record, what the rules say of it, what would become of a download. Does not: virtual channels (`of_virtual`),
//! who refuses what (`rulings`).

use super::values::{
    Download, FileExplained, IndexExplained, Outcome, Package, PatchExplained, RuleExplained, State,
    deciding, moment,
};
use super::{ExplainError, Explainer};
use crate::clock::UnixMillis;
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;
use crate::delivery::rulings::{Wanted, against_unlisted, is_ruled, must_be_listed, refusal_of};
use crate::policy::notices::rfc3339;
use crate::policy::verdict::{Decision, Judge, Subject, Verdict};
use crate::policy::{Explained, Unlisted};
use crate::repodata::generation::Generation;
use crate::repodata::judging::KnownFile;
use crate::snapshot::Channel;

impl Explainer<'_> {
    pub(super) fn proxied_file(
        &self,
        channel: &Channel,
        asked: &ChannelRef,
        subdir: &Subdir,
        archive: &ArchiveName,
    ) -> Result<FileExplained, ExplainError> {
        let generation = self.store.look(&channel.stored_as(asked), subdir);
        let known = generation.as_ref().map_or(Ok(None), |found| found.known_file(archive.as_str()))?;
        let state = state_of(generation.is_some(), known.as_ref());
        let known = known.unwrap_or_else(|| KnownFile::unlisted(archive.as_str(), <_>::default(), false));
        let wanted = Wanted { channel, asked, subdir, archive };
        let judge = channel.judge(subdir);
        // Where there is no index, nobody can have seen it; and `unlisted: allow` does not ask for the age of what no index lists.
        let ageless = state == State::NoIndex || channel.unlisted == Unlisted::Allow;
        let ask = |subject: &Subject<'_>| {
            let said = match known.record {
                None if ageless => by_name_alone(&*judge, subject, self.now),
                _ => judge.explain(subject, self.now),
            };
            (judge.decide(subject, self.now), said, package_of(subject))
        };
        let (decision, said, package) = known.with_subject(channel.source(), subdir.as_str(), ask);
        let download = self.download(wanted, state, &known, &decision);
        let index = generation.map(|found| self.index(&found, channel, subdir));
        let patches: Vec<PatchExplained> = match decision.verdict {
            Verdict::Show => decision.patches.iter().map(|patch| (&**patch).into()).collect(),
            Verdict::Hide { .. } | Verdict::Deny { .. } => Vec::new(),
        };
        let sentence = sentence(wanted, state, &decision, &said, &download);
        let behind = behind(state, &decision, index.as_ref());
        Ok(FileExplained {
            sentence: format!("{sentence}{behind}"),
            channel: asked.to_string(),
            subdir: subdir.to_string(),
            file: archive.to_string(),
            state,
            download,
            package,
            first_seen: known.standing.seen.map(Into::into),
            until: moment(decision.until),
            rules: said.iter().map(RuleExplained::from).collect(),
            patches,
            index,
            member: None,
            members: Vec::new(),
            access: Vec::new(),
        })
    }

    /// What the same request would come to in `packages`, as far as that can be told without asking upstream or the cache.
    fn download(&self, wanted: Wanted<'_>, state: State, known: &KnownFile, decision: &Decision) -> Download {
        let served = |sentence: &str| Download::new(Outcome::Served, sentence);
        if state == State::NoIndex && wanted.channel.hosted().is_some() {
            return Download::new(Outcome::Unknown, "its row in the store says whether there is such a file");
        }
        if state == State::NoIndex {
            let sentence = "the first request for it fetches the index, and then the rules are asked";
            return Download::new(Outcome::Unknown, sentence);
        }
        let against = if known.record.is_some() {
            refusal_of(wanted, decision)
        } else {
            let bare = KnownFile::unlisted(&known.file, <_>::default(), known.standing.removed);
            against_unlisted(wanted, &bare, wanted.channel.unlisted == Unlisted::Allow, self.now)
        };
        if let Some(refusal) = against {
            return Download::refused(refusal);
        }
        match state {
            State::Shown | State::Withheld if decision.verdict.listed() => {
                return served("its file is served");
            }
            State::Shown | State::Withheld => return served("its file is served all the same"),
            State::Removed if wanted.channel.hosted().is_some() => {
                return served("its file is served all the same");
            }
            State::Departed | State::Removed | State::Unlisted | State::NoIndex => {}
        }
        if wanted.channel.hosted().is_some() {
            return Download::new(
                Outcome::Unknown,
                "the channel has no such file, unless it came a moment ago",
            );
        }
        if wanted.channel.unlisted == Unlisted::Deny && known.record.is_none() {
            return Download::refused(must_be_listed(wanted));
        }
        served("no rule is against it, so it is served if upstream or the cache has it")
    }

    fn index(&self, generation: &Generation, channel: &Channel, subdir: &Subdir) -> IndexExplained {
        index_of(generation, is_ruled(channel, subdir, generation, self.now))
    }
}

pub(super) fn index_of(generation: &Generation, current: bool) -> IndexExplained {
    IndexExplained {
        built_at: rfc3339(generation.built_at()),
        checked_at: rfc3339(generation.checked_at()),
        current,
    }
}

fn state_of(has_index: bool, known: Option<&KnownFile>) -> State {
    match known {
        _ if !has_index => State::NoIndex,
        None => State::Unlisted,
        Some(known) if known.standing.departed || known.record.is_none() => {
            if known.standing.removed {
                State::Removed
            } else {
                State::Departed
            }
        }
        Some(known) if known.shown => State::Shown,
        Some(_) => State::Withheld,
    }
}

/// What rules say of a file whatever its age is.
fn by_name_alone(judge: &dyn Judge, subject: &Subject<'_>, now: UnixMillis) -> Vec<Explained> {
    let young = judge.explain(subject, now);
    let mut old = judge.explain(&Subject { first_seen: Some(UnixMillis(0)), ..subject.clone() }, now);
    old.retain(|explained| young.iter().any(|other| other.rule == explained.rule));
    old
}

fn package_of(subject: &Subject<'_>) -> Package {
    let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
    Package {
        name: text(&subject.name),
        version: text(&subject.version),
        build: text(&subject.build),
        build_number: subject.build_number,
        license: text(&subject.license),
        size: subject.size,
        sha256: subject.sha256.map(|digest| digest.to_string()),
        md5: subject.md5.map(|digest| digest.to_string()),
    }
}

fn sentence(
    wanted: Wanted<'_>,
    state: State,
    decision: &Decision,
    said: &[Explained],
    download: &Download,
) -> String {
    let place = wanted.place();
    let then = &download.sentence;
    match (state, &decision.verdict) {
        (State::NoIndex, _) => format!(
            "there is no index of `{}/{}` here yet, so nothing sure can be said of `{}`: {then}",
            wanted.asked, wanted.subdir, wanted.archive
        ),
        _ if download.outcome == Outcome::Refused => then.clone(),
        (State::Removed, _) if wanted.channel.hosted().is_some() => {
            format!("{place} was yanked; {then}")
        }
        (State::Departed, _) => {
            format!("upstream's index listed {place} once and does not any more; {then}")
        }
        (State::Removed, _) => format!("upstream says that it removed {place}; {then}"),
        (State::Unlisted, _) => format!("the index does not list {place}; {then}"),
        (State::Shown | State::Withheld, Verdict::Hide { rule, .. } | Verdict::Deny { rule }) => {
            format!("{place} is hidden by the rule `{}`; {then}", rule.id)
        }
        (State::Shown | State::Withheld, Verdict::Show) => {
            let allowed = deciding(said).map(|by| format!(", allowed by the rule `{}`", by.rule.id));
            let changed: Vec<_> = decision.patches.iter().map(|p| format!("`{}`", p.rule.id)).collect();
            let changed = match changed.len() {
                0 => String::new(),
                1 => format!(", changed by the rule {}", changed.concat()),
                _ => format!(", changed by the rules {}", changed.join(", ")),
            };
            format!("{place} is in the index{}{changed}; {then}", allowed.unwrap_or_default())
        }
    }
}

/// Where the index in force does not say yet what the rules say.
fn behind(state: State, decision: &Decision, index: Option<&IndexExplained>) -> &'static str {
    if index.is_none_or(|index| index.current) {
        return "";
    }
    match (state, decision.verdict.listed()) {
        (State::Shown, false) => ". The index in force was built before that and still lists it",
        (State::Withheld, true) => ". The index in force was built before that and does not list it yet",
        _ => "",
    }
}
