//! Rules whose `channels:` names nothing that rules can be about: never certainly a mistake, nearly always an oversight.
//!
//! Belongs here: the notes about it. Does not: what names mean to records ([`super::statement`]).

use std::sync::Arc;

use super::statement::Statement;
use crate::policy::compiled::{ChannelRule, ChannelSource, Pattern, Rules};
use crate::policy::mistake::{Mistake, did_you_mean};

/// What stands against the names that `rules` give. A pattern may mean channels that nobody has named.
pub fn find(rules: &[Arc<Statement>], all: &Rules) -> Vec<Mistake> {
    let mut notes = Vec::new();
    for rule in rules {
        let mut words: Vec<_> = rule.channels.words().collect();
        words.sort_unstable();
        notes.extend(words.into_iter().filter_map(|word| doubt(rule, word, all)));
    }
    notes
}

fn doubt(rule: &Statement, word: &str, all: &Rules) -> Option<Mistake> {
    let source = &rule.source;
    let named: Vec<_> = all.channels().iter().filter(|channel| is_named(channel, word)).collect();
    let members = named.iter().find_map(|channel| match &channel.source {
        ChannelSource::Virtual(made_of) => Some(&made_of.members),
        ChannelSource::Proxied { .. } | ChannelSource::Hosted(_) => None,
    });
    if let Some(members) = members {
        let members: Vec<_> = members.iter().map(|member| format!("`{}`", member.name)).collect();
        let what = format!(
            "the rule `{}` is about `{word}`, which is a virtual channel: it does nothing there",
            source.id
        );
        let hint = format!(
            "rules follow records from the channel they come from into every view; name the members: {}",
            members.join(", ")
        );
        return Some(Mistake::new(&source.at, what).hint(hint));
    }
    // A host stands for an upstream with all its channels.
    let is_placed = !named.is_empty() || !all.hosts.is_empty() || is_matched(all, word);
    if is_placed {
        return None;
    }
    let known = all.channels().iter().filter_map(|channel| match &channel.pattern {
        Pattern::Exact(name) => Some(name.as_str()),
        Pattern::Glob(_) | Pattern::Any => None,
    });
    let what = format!(
        "the rule `{}` is about the channel `{word}`, which no entry of `channels` places",
        source.id
    );
    Some(Mistake::new(&source.at, what).hint(did_you_mean(word, known.collect::<Vec<_>>())))
}

/// Whether a channel is judged under a name, which stands here in lower case: its own, or the one it has upstream.
fn is_named(channel: &ChannelRule, word: &str) -> bool {
    let Pattern::Exact(name) = &channel.pattern else { return false };
    let there = match &channel.source {
        ChannelSource::Proxied { path, .. } => path.as_deref(),
        ChannelSource::Virtual(_) | ChannelSource::Hosted(_) => None,
    };
    [Some(name.as_str()), there].into_iter().flatten().any(|name| name.eq_ignore_ascii_case(word))
}

/// Whether a pattern of `channels` takes the name, in whatever case.
fn is_matched(all: &Rules, word: &str) -> bool {
    let takes = |channel: &ChannelRule| match &channel.pattern {
        Pattern::Any => true,
        Pattern::Glob(text) => {
            let folded = crate::policy::channels::glob(&text.to_ascii_lowercase());
            folded.is_ok_and(|glob| glob.compile_matcher().is_match(word))
        }
        Pattern::Exact(_) => false,
    };
    all.channels().iter().any(|channel| takes(channel))
}
