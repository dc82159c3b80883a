//! One file of a virtual channel: which member it comes from, and why the others don't answer.
//!
//! Belongs here: putting the members' explanations together. Does not: applying the rule to records (`records`).

use super::file::index_of;
use super::records::{Found, Names};
use super::values::{Download, FileExplained, IndexExplained, MemberExplained, Outcome, State};
use super::{ExplainError, Explainer};
use crate::conda::archive::ArchiveName;
use crate::conda::subdir::Subdir;
use crate::delivery::Refusal;
use crate::delivery::refusal::UNLISTED;
use crate::delivery::virtual_channels::left_out;
use crate::policy::Unlisted;
use crate::snapshot::VirtualChannel;

impl Explainer<'_> {
    pub(super) fn virtual_file(
        &self,
        channel: &VirtualChannel,
        subdir: &Subdir,
        archive: &ArchiveName,
    ) -> Result<FileExplained, ExplainError> {
        let mut files = Vec::with_capacity(channel.members.len());
        for member in &channel.members {
            files.push(self.file(&member.place, &member.asked, subdir, archive)?);
        }
        // Strict priority goes by all records of the name that the record gives itself.
        let names = files.iter().filter_map(|member| member.package.name.as_deref());
        let name = names.map(str::to_ascii_lowercase).next().unwrap_or_default();
        let mut records = self.virtual_records(channel, subdir, &Names::Exact(name))?;
        records.retain(|record| record.file == archive.as_str());
        let owner = records.iter().find(|record| record.left.is_none());
        let owner = owner.and_then(|record| record.member.as_ref()).map(|(place, _)| *place);
        let merged = self.store.look(&channel.stored_as(), subdir);
        let members = judged(channel, files, &records, owner, archive);
        let state = state_of(&members, owner.is_some(), merged.is_some());
        let index = merged.map(|merged| {
            let agrees = merged.shows(archive.as_str()) == owner.is_some();
            index_of(&merged, agrees && merged.rules_revision() == channel.fingerprint)
        });
        let download = download(channel, subdir, archive, &members, (owner, state));
        Ok(put_together(channel, subdir, archive, members, (owner, state, download, index)))
    }
}

type Verdict = (Option<usize>, State, Download, Option<IndexExplained>);

/// The whole answer. What a record says is taken from the member that the file comes from, else from the first that knows one.
fn put_together(
    channel: &VirtualChannel,
    subdir: &Subdir,
    archive: &ArchiveName,
    members: Vec<MemberExplained>,
    (owner, state, download, index): Verdict,
) -> FileExplained {
    let owner = owner.and_then(|owner| members.get(owner));
    let known = members.iter().find(|member| member.explanation.first_seen.is_some());
    let about = owner.or(known).or_else(|| members.first()).map(|member| &member.explanation);
    let place = format!("`{archive}` of `{}/{subdir}`", channel.label);
    let sentence = match (owner, download.outcome) {
        (Some(member), _) => {
            format!("{place} comes from `{}`: {}", member.channel, member.explanation.sentence)
        }
        (None, Outcome::Refused) => download.sentence.clone(),
        (None, _) => format!("no member's index shows {place}; {}", download.sentence),
    };
    FileExplained {
        sentence,
        channel: channel.label.to_string(),
        subdir: subdir.to_string(),
        file: archive.to_string(),
        state,
        download,
        package: about.map(|about| about.package.clone()).unwrap_or_default(),
        first_seen: about.and_then(|about| about.first_seen.clone()),
        until: about.and_then(|about| about.until.clone()),
        rules: about.map(|about| about.rules.clone()).unwrap_or_default(),
        patches: about.map(|about| about.patches.clone()).unwrap_or_default(),
        index,
        member: owner.map(|member| member.channel.clone()),
        members,
        access: Vec::new(),
    }
}

fn state_of(members: &[MemberExplained], has_owner: bool, has_index: bool) -> State {
    let any = |state| any(members, state);
    match has_owner {
        true => State::Shown,
        false if !has_index && any(State::NoIndex) => State::NoIndex,
        false if any(State::Shown) || any(State::Withheld) => State::Withheld,
        false if any(State::Departed) => State::Departed,
        false if any(State::Removed) => State::Removed,
        false => State::Unlisted,
    }
}

fn any(members: &[MemberExplained], state: State) -> bool {
    members.iter().any(|member| member.explanation.state == state)
}

/// The members with what they do about the file.
fn judged(
    channel: &VirtualChannel,
    members: Vec<FileExplained>,
    records: &[Found],
    owner: Option<usize>,
    archive: &ArchiveName,
) -> Vec<MemberExplained> {
    let judge = |(place, explanation): (usize, FileExplained)| {
        let of_it = |record: &&Found| record.member.as_ref().is_some_and(|(member, _)| *member == place);
        let left = records.iter().find(of_it).and_then(|record| record.left.as_ref());
        let answers = owner == Some(place);
        let sentence = match left {
            _ if answers => "the file comes from here.".to_owned(),
            Some(left) => match &left.rule {
                Some(rule) => format!("the rule `{}` {}", rule.id, left.sentence),
                None => left.sentence.clone(),
            },
            None if !channel.rule.may_answer_file(place, archive.as_str(), None) => {
                format!("`owns` of `{}` does not let it answer for this name.", channel.label)
            }
            None if explanation.state == State::NoIndex => "there is no index of it here yet.".to_owned(),
            None => "its index does not list the file.".to_owned(),
        };
        MemberExplained { channel: explanation.channel.clone(), answers, sentence, explanation }
    };
    members.into_iter().enumerate().map(judge).collect()
}

/// What the same request would come to in `virtual_channels::packages`.
fn download(
    channel: &VirtualChannel,
    subdir: &Subdir,
    archive: &ArchiveName,
    members: &[MemberExplained],
    (owner, state): (Option<usize>, State),
) -> Download {
    if let Some(member) = owner.and_then(|owner| members.get(owner)) {
        return member.explanation.download.clone();
    }
    if state == State::NoIndex {
        let sentence =
            "the first request for it fetches the members' indexes, and then their rules are asked";
        return Download::new(Outcome::Unknown, sentence);
    }
    let frozen = channel.rule.as_of.is_some() && channel.unlisted == Unlisted::Auto;
    let listed = any(members, State::Shown) && channel.unlisted != Unlisted::Allow;
    if channel.unlisted == Unlisted::Deny || frozen || listed {
        return Download::refused(left_out(channel, subdir, archive));
    }
    let nobody = format!("no member of `{}/{subdir}` may answer for `{archive}`", channel.label);
    let mut last = Download::refused(Refusal::NotFound(nobody));
    for (place, member) in members.iter().enumerate() {
        if !channel.rule.may_answer_file(place, archive.as_str(), None) {
            continue;
        }
        last = member.explanation.download.clone();
        // A member that only lists what it lists makes way for the next.
        if last.rule.as_deref() != Some(UNLISTED) {
            break;
        }
    }
    last
}
