//! Entries of `channels:` with `hosted: true`: channels whose packages this gate has itself.
//!
//! Belongs here: what may stand beside `hosted`, the compiled rule. Does not: channels that are made in the store (`snapshot`), what
//! owned names mean in a virtual channel ([`super::virtual_rule`]).

use super::channels::is_pattern;
use super::compiled::Pattern;
use super::mistake::Mistakes;
use super::node::At;
use super::read::{Fields, Located, list, text};
use super::rule::{WrittenChannel, WrittenChannelSource, WrittenFile};
use super::upload_rules::UploadRules;
use super::virtual_rule::{MAX_GLOBS, NameGlobs};

/// What only makes sense where an upstream answers.
const OF_UPSTREAMS: [&str; 4] = ["path", "ttl", "unlisted", "whole_index"];

/// A channel that the gate hosts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HostedRule {
    /// Names of packages that no upstream answers for in any virtual channel with this member; may be empty.
    pub owns: NameGlobs,
    /// What uploads must be; `None` leaves that to the channel's owner.
    pub upload: Option<UploadRules>,
}

/// Reads `owns` and `upload`, and refuses what can't stand beside `hosted`.
pub(super) fn read(fields: &mut Fields<'_>, mistakes: &mut Mistakes) -> HostedRule {
    for key in OF_UPSTREAMS {
        if let Some(entry) = fields.get(key) {
            let path = fields.path_of(key);
            mistakes.add(&entry.at, format!("`{path}` goes with `upstream`, not with `hosted`"));
        }
    }
    let owns = fields.read("owns", mistakes, list(text));
    let path = fields.path_of("owns");
    let owns = owns.and_then(|owns| globs(&path, owns, mistakes)).unwrap_or_default();
    HostedRule { owns, upload: fields.read("upload", mistakes, UploadRules::read).map(|upload| upload.value) }
}

/// Patterns over names of packages, as `owns` has them.
pub(super) fn globs(
    path: &str,
    owns: Located<Vec<Located<String>>>,
    mistakes: &mut Mistakes,
) -> Option<NameGlobs> {
    if owns.value.is_empty() || owns.value.len() > MAX_GLOBS {
        let count = owns.value.len();
        mistakes.add(&owns.at, format!("`{path}` must have 1 to {MAX_GLOBS} patterns, not {count}"));
        return None;
    }
    for glob in &owns.value {
        if let Err(why) = NameGlobs::new(vec![glob.value.clone()]) {
            mistakes.add(&glob.at, format!("`{path}` has a pattern that is not valid: {why}"));
        }
    }
    NameGlobs::new(owns.value.into_iter().map(|glob| glob.value).collect()).ok()
}

/// A hosted channel is one channel.
pub(super) fn check_entry(pattern: &Pattern, at: &At, path: &str, mistakes: &mut Mistakes) {
    if is_pattern(pattern) {
        mistakes.add_hint(
            at,
            format!("`{path}.hosted` can't stand beside a pattern: a hosted channel is one channel"),
            "use `name:` with one name",
        );
    }
}

/// Refuses hosted channels whose files a prefix of `files:` would take.
pub(super) fn check_prefixes(channels: &[WrittenChannel], files: &[WrittenFile], mistakes: &mut Mistakes) {
    for channel in channels {
        let (WrittenChannelSource::Hosted(_), Pattern::Exact(name)) = (&channel.source, &channel.pattern)
        else {
            continue;
        };
        let root = format!("{name}/");
        for file in files.iter().filter(|file| root.starts_with(&file.prefix.value)) {
            mistakes.add_hint(
                &channel.key.at,
                format!(
                    "the hosted channel `{name}` lies below the prefix `{}` of `files`",
                    file.prefix.value
                ),
                format!(
                    "the prefix stands at {} and would answer for it; rename one of them",
                    file.prefix.at
                ),
            );
        }
    }
}
