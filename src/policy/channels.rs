//! One entry of `channels:`: its keys and its pattern.
//!
//! Belongs here: what `match` and `name` may be. Does not: which of several entries wins ([`super::matching`]).

use std::time::Duration;

use globset::{Glob, GlobBuilder};

use super::compiled::{Pattern, Unlisted, WholeIndex};
use super::mistake::Mistakes;
use super::node::{At, Node};
use super::read::{Fields, Located, boolean, choice, positive_duration, size, text};
use super::rule::{WrittenChannel, WrittenChannelSource};
use super::{hosted, virtuals};
use crate::conda::channel::ChannelName;

/// Path roots that belong to the control plane and to upload dialects; no channel can begin with one.
const RESERVED: &[&str] = &[
    "t",
    "user",
    "search",
    "get",
    "download",
    "dist",
    "api",
    "static",
    "label",
    "package",
    "release",
    "stage",
    "commit",
    "authentications",
    "authentication",
];

/// Keys of the language that this version does not have.
const LATER: &[&str] = &["policy", "access", "members"];

const UNLISTED: &[(&str, Unlisted)] =
    &[("allow", Unlisted::Allow), ("deny", Unlisted::Deny), ("auto", Unlisted::Auto)];

/// In one second.
const LEAST_BANDWIDTH: u64 = 64 << 10;

const WHOLE_INDEX: &[(&str, WholeIndex)] = &[("auto", WholeIndex::Auto), ("never", WholeIndex::Never)];

/// Whether the first component of a path is taken.
pub(super) fn is_reserved(path: &str) -> bool {
    let root = path.split('/').next().unwrap_or_default();
    root.starts_with('-') || RESERVED.contains(&root)
}

/// What goes with several kinds of channels.
#[derive(Clone, Copy)]
struct Shared {
    ttl: Option<Duration>,
    unlisted: Option<Unlisted>,
    bandwidth: Option<u64>,
}

impl Shared {
    fn read(fields: &mut Fields<'_>, mistakes: &mut Mistakes) -> Self {
        Self {
            ttl: fields.read("ttl", mistakes, positive_duration).map(|ttl| ttl.value),
            unlisted: fields.read("unlisted", mistakes, choice(UNLISTED)).map(|word| word.value),
            bandwidth: fields.read("bandwidth", mistakes, bandwidth).map(|rate| rate.value),
        }
    }
}

/// Bytes a second, enough that no client gives up between two pieces.
fn bandwidth(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<u64> {
    let rate = size(node, path, mistakes)?;
    if rate < LEAST_BANDWIDTH {
        mistakes.add(&node.at, format!("`{path}` must be at least 64KiB, which is in one second"));
        return None;
    }
    Some(rate)
}

/// Reads one entry.
pub(super) fn read(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<WrittenChannel> {
    let mut fields = Fields::open(node, path, mistakes)?;
    fields.refuse_later(LATER, mistakes);
    // An entry for a kind of channel that is not there yet has no `upstream`; one mistake about it is enough.
    let is_later = fields.entries().iter().any(|e| LATER.contains(&e.key.as_str()));
    let is_hosted = fields.read("hosted", mistakes, boolean).is_some_and(|hosted| hosted.value);
    let name = fields.read("name", mistakes, text);
    let glob = fields.read("match", mistakes, text);
    let upstream = fields.read("upstream", mistakes, text);
    let rename = fields.read("path", mistakes, |node, path, mistakes| {
        let name = text(node, path, mistakes)?;
        channel_name(&name, &node.at, path, mistakes)
    });
    let shared = Shared::read(&mut fields, mistakes);
    let has_upstream = fields.get("upstream").is_some();
    let is_virtual = fields.get("virtual").is_some();
    let whole_index = whole_index(&mut fields, path, is_virtual, mistakes);
    let is_only_hosted = is_hosted && !has_upstream && !is_virtual;
    let hosted = is_only_hosted.then(|| hosted::read(&mut fields, mistakes));
    if let Some(upload) = fields.get("upload").filter(|_| !is_only_hosted) {
        let path = fields.path_of("upload");
        mistakes.add(&upload.at, format!("`{path}` only goes with `hosted: true`"));
    }
    let members = virtuals::read(&mut fields, is_later, is_only_hosted, mistakes);
    fields.finish(mistakes);

    let (key, pattern) = key_of(name, glob, node, path, mistakes)?;
    let sources = [has_upstream, is_virtual, is_hosted].into_iter().filter(|is| *is).count();
    if sources != 1 && !is_later {
        mistakes.add(&node.at, format!("`{path}` must have one of `upstream`, `virtual` and `hosted: true`"));
        return None;
    }
    let pattern = pattern?;
    if let Some(hosted) = hosted {
        hosted::check_entry(&pattern, &key.at, path, mistakes);
        let source = WrittenChannelSource::Hosted(hosted);
        let shared = Shared { ttl: None, unlisted: None, ..shared };
        return Some(entry(key, pattern, source, shared, whole_index));
    }
    if is_virtual {
        virtuals::check_entry(&pattern, &key, path, rename.as_ref(), mistakes);
        let source = WrittenChannelSource::Virtual(members?);
        return Some(entry(key, pattern, source, shared, whole_index));
    }
    if let Some(rename) = rename.as_ref().filter(|_| !matches!(pattern, Pattern::Exact(_))) {
        mistakes.add_hint(
            &rename.at,
            format!("`{path}.path` can't stand beside `match`: it would send every channel to one"),
            "use `name:`, or put a longer path into the URLs of an upstream",
        );
    }
    let path = rename.map(|r| r.value.to_string());
    Some(entry(key, pattern, WrittenChannelSource::Proxied(upstream?, path), shared, whole_index))
}

/// The entry's `name` or `match`, and what it means.
fn key_of(
    name: Option<Located<String>>,
    glob: Option<Located<String>>,
    node: &Node,
    path: &str,
    mistakes: &mut Mistakes,
) -> Option<(Located<String>, Option<Pattern>)> {
    match (name, glob) {
        (Some(name), None) => {
            let pattern = one_name(&name.value, &name.at, &format!("{path}.name"), mistakes);
            Some((name, pattern))
        }
        (None, Some(glob)) => {
            let pattern = pattern(&glob.value, &glob.at, &format!("{path}.match"), mistakes);
            Some((glob, pattern))
        }
        _ => {
            mistakes.add(&node.at, format!("`{path}` must have one of `name` and `match`"));
            None
        }
    }
}

fn whole_index(fields: &mut Fields<'_>, path: &str, is_virtual: bool, mistakes: &mut Mistakes) -> WholeIndex {
    let Some(found) = fields.read("whole_index", mistakes, choice(WHOLE_INDEX)) else {
        return WholeIndex::default();
    };
    if is_virtual {
        mistakes.add(&found.at, format!("`{path}.whole_index` goes with `upstream`, not with `virtual`"));
    }
    found.value
}

fn entry(
    key: Located<String>,
    pattern: Pattern,
    source: WrittenChannelSource,
    shared: Shared,
    whole_index: WholeIndex,
) -> WrittenChannel {
    WrittenChannel {
        key,
        pattern,
        source,
        ttl: shared.ttl,
        unlisted: shared.unlisted.unwrap_or_default(),
        whole_index,
        bandwidth: shared.bandwidth,
    }
}

/// Whether it may mean several channels.
pub(super) const fn is_pattern(pattern: &Pattern) -> bool {
    !matches!(pattern, Pattern::Exact(_))
}

fn pattern(text: &str, at: &At, path: &str, mistakes: &mut Mistakes) -> Option<Pattern> {
    if text == "*" || text == "**" {
        return Some(Pattern::Any);
    }
    if !text.contains(['*', '?', '[', '{', '\\']) {
        return exact(text, at, path, mistakes);
    }
    if let Err(error) = glob(text) {
        mistakes.add(at, format!("`{path}` is not a valid pattern: {}", error.kind()));
        return None;
    }
    if is_reserved(text) {
        reserved(text, at, path, mistakes);
        return None;
    }
    Some(Pattern::Glob(text.to_owned()))
}

/// The one way a pattern is compiled: `*` and `?` stay within one component.
pub(super) fn glob(text: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(text).literal_separator(true).build()
}

fn one_name(text: &str, at: &At, path: &str, mistakes: &mut Mistakes) -> Option<Pattern> {
    if text.contains(['*', '?', '[', '{']) {
        mistakes.add_hint(
            at,
            format!("`{path}` must be one name, not a pattern"),
            format!("write `match: \"{text}\"`"),
        );
        return None;
    }
    exact(text, at, path, mistakes)
}

fn exact(text: &str, at: &At, path: &str, mistakes: &mut Mistakes) -> Option<Pattern> {
    let name = channel_name(text, at, path, mistakes)?;
    if is_reserved(text) {
        reserved(text, at, path, mistakes);
        return None;
    }
    Some(Pattern::Exact(name))
}

fn channel_name(text: &str, at: &At, path: &str, mistakes: &mut Mistakes) -> Option<ChannelName> {
    let name = ChannelName::parse(text);
    if name.is_none() {
        mistakes.add_hint(
            at,
            format!("`{path}` must be a channel name, not `{}`", text.escape_debug()),
            "letters, digits, `_`, `-` and `.`, parts joined by `/`; no part is `label` or a subdir such as `noarch`",
        );
    }
    name
}

fn reserved(text: &str, at: &At, path: &str, mistakes: &mut Mistakes) {
    let root = text.split('/').next().unwrap_or_default();
    mistakes.add_hint(
        at,
        format!("`{path}` can't begin with `{root}`: that path belongs to the gate itself"),
        format!("reserved are {}, and all that begins with `-`", RESERVED.join(", ")),
    );
}

/// The key that decides whether two entries are about the same thing.
pub(super) fn same_thing(a: &Located<String>, b: &Located<String>) -> bool {
    let key = |text: &str| if text == "**" { "*".to_owned() } else { text.to_owned() };
    key(&a.value) == key(&b.value)
}
