//! From the entries of `access:` in all files to one [`Access`].
//!
//! Belongs here: limits, ids that are taken, entries about channels and prefixes that no rule has. Does not: what an entry
//! gives ([`super::who`]), what follows of all of them ([`super::Access`]).

use std::collections::HashMap;
use std::sync::Arc;

use super::read::{Draft, Listed};
use super::why::AccessRef;
use super::{Access, Entry, Globs};
use crate::conda::channel::ChannelName;
use crate::policy::channels;
use crate::policy::compiled::{ChannelRule, FileRule, Pattern};
use crate::policy::judge::patterns::is_glob;
use crate::policy::mistake::{Mistakes, did_you_mean, nearest};
use crate::policy::node::{At, Node};
use crate::policy::verdict::RuleRef;

/// Entries in all files together. A list in one entry takes thousands of names, so nobody needs more.
pub const MAX_ENTRIES: usize = 2000;

/// What entries may name.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// `channels:`
    pub channels: &'a [Arc<ChannelRule>],
    /// `files:`
    pub files: &'a [Arc<FileRule>],
    /// `policy:`, whose ids are taken: refusals quote both.
    pub policy: &'a [Arc<RuleRef>],
    /// Whether all entries of `channels:` and `files:` could be read; otherwise nobody can say what is not there.
    pub is_whole: bool,
}

/// Reads the entries of one file, `access[0]` and so on.
pub fn read<'n>(entries: impl IntoIterator<Item = (String, &'n Node)>, m: &mut Mistakes) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for (n, (path, node)) in entries.into_iter().enumerate() {
        if n >= MAX_ENTRIES {
            too_many(&node.at, m);
            break;
        }
        drafts.extend(super::read::read(node, &path, m));
    }
    drafts
}

fn too_many(at: &At, m: &mut Mistakes) {
    m.add_hint(
        at,
        format!("there are more than {MAX_ENTRIES} entries in `access`; those from here on were not read"),
        "put the channels and users of one decision into the lists of one entry",
    );
}

/// Makes the access rules out of the entries of all files. `anonymous`: whether strangers may read what is public.
pub fn compile(drafts: Vec<Draft>, anonymous: bool, world: World<'_>, m: &mut Mistakes) -> Access {
    let mut taken: HashMap<String, At> =
        world.policy.iter().map(|rule| (rule.id.clone(), rule.at.clone())).collect();
    let mut entries = Vec::new();
    for (n, draft) in drafts.into_iter().enumerate() {
        if n >= MAX_ENTRIES {
            too_many(&draft.at, m);
            break;
        }
        if let Some(id) = &draft.id
            && let Some(first) = taken.insert(id.value.clone(), draft.at.clone())
        {
            m.add_hint(
                &id.at,
                format!("the rule id `{}` is taken", id.value),
                format!("the other rule is at {first}; give each a name of its own"),
            );
        }
        if let Some(listed) = draft.channels.as_ref().filter(|_| world.is_whole) {
            check_channels(listed, world.channels, m);
        }
        if let Some(listed) = draft.files.as_ref().filter(|_| world.is_whole) {
            check_prefixes(listed, world.files, m);
        }
        entries.push(entry(draft, n));
    }
    Access::new(entries, anonymous)
}

fn entry(draft: Draft, n: usize) -> Entry {
    let id = draft.id.map_or_else(|| format!("access#{}", n + 1), |id| id.value);
    Entry {
        source: Arc::new(AccessRef { id, at: draft.at }),
        channels: draft.channels.map_or_else(|| Globs::channels(Vec::new()), |listed| listed.globs),
        files: draft.files.map_or_else(|| Globs::prefixes(Vec::new()), |listed| listed.globs),
        packages: draft.packages,
        given: draft.given,
    }
}

/// Notes channels that no rule places: the store may have them, now or later.
fn check_channels(listed: &Listed, rules: &[Arc<ChannelRule>], m: &mut Mistakes) {
    let names: Vec<&str> = rules
        .iter()
        .filter_map(|rule| match &rule.pattern {
            Pattern::Exact(name) => Some(name.as_str()),
            Pattern::Glob(_) | Pattern::Any => None,
        })
        .collect();
    let places_many = names.len() < rules.len();
    for (text, at) in listed.globs.texts().iter().zip(&listed.places) {
        let path = &listed.path;
        if channels::is_reserved(text) {
            let root = text.split('/').next().unwrap_or_default();
            m.add(
                at,
                format!("`{path}`: no channel begins with `{root}`: that path belongs to the gate itself"),
            );
        } else if is_glob(text) {
            let globs = Globs::channels(vec![text.clone()]);
            if !places_many && !names.iter().any(|name| globs.is_match(name)) {
                m.note(
                    at,
                    format!(
                        "`{path}`: no rule of `channels` places a channel that `{text}` matches; it is about hosted channels that are \
                         made with `condagate channel create`"
                    ),
                    did_you_mean(text, names.iter().copied()),
                );
            }
        } else if !rules.iter().any(|rule| places(rule, text)) {
            m.note(
                at,
                format!(
                    "`{path}`: no rule of `channels` places the channel `{text}`; it is about the hosted channel of this name, once it is \
                     made (`condagate channel create {text}`)"
                ),
                did_you_mean(text, names.iter().copied()),
            );
        }
    }
}

/// Whether a rule places a channel of this name; upper and lower case count as the same, as in [`Globs`].
fn places(rule: &ChannelRule, text: &str) -> bool {
    match &rule.pattern {
        Pattern::Any => true,
        Pattern::Exact(name) => name.as_str().eq_ignore_ascii_case(text),
        Pattern::Glob(glob) => {
            ChannelName::is_valid(text) && Globs::channels(vec![glob.clone()]).is_match(text)
        }
    }
}

/// Refuses prefixes that no rule has.
fn check_prefixes(listed: &Listed, rules: &[Arc<FileRule>], m: &mut Mistakes) {
    for (text, at) in listed.globs.texts().iter().zip(&listed.places) {
        let globs = Globs::prefixes(vec![text.clone()]);
        if rules.iter().any(|rule| globs.is_match(&rule.prefix)) {
            continue;
        }
        let said = format!("`{}`: no rule of `files` has a prefix that `{text}` matches", listed.path);
        let known = rules.iter().map(|rule| rule.prefix.as_str());
        let hint = nearest(text, known.clone()).map_or_else(
            || format!("prefixes here: {}", known.map(|p| format!("`{p}`")).collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        m.add_hint(at, said, hint);
    }
}
