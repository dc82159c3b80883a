//! One entry of `files:`: its keys, its prefix and who has the files.
//!
//! Belongs here: what a prefix may be. Does not: which of several prefixes wins ([`super::matching`]).

use super::channels::is_reserved;
use super::mistake::Mistakes;
use super::node::Node;
use super::read::{Fields, boolean, positive_duration, text};
use super::rule::{WrittenFile, WrittenSource};

/// Reads one entry.
pub(super) fn read(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<WrittenFile> {
    let mut fields = Fields::open(node, path, mistakes)?;
    let has_prefix = fields.get("prefix").is_some();
    let prefix = fields.read("prefix", mistakes, prefix);
    let upstream = fields.read("upstream", mistakes, text);
    let below = fields.read("path", mistakes, base);
    let dir = fields.read("dir", mistakes, |n, p, m| Some(n.at.resolve(&text(n, p, m)?)));
    let listing = fields.read("listing", mistakes, boolean);
    let ttl = fields.read("ttl", mistakes, positive_duration);
    fields.finish(mistakes);
    if !has_prefix {
        mistakes.add(&node.at, format!("`{path}.prefix` is missing"));
    }
    let misplaced = |key: &str, with: &str| format!("`{path}.{key}` only goes with `{with}`");
    let source = match (upstream, dir) {
        (Some(upstream), None) => {
            if let Some(listing) = listing {
                mistakes.add(&listing.at, misplaced("listing", "dir"));
            }
            WrittenSource::Upstream(upstream, below.map(|b| b.value))
        }
        (None, Some(dir)) => {
            if let Some(below) = below {
                mistakes.add(&below.at, misplaced("path", "upstream"));
            }
            if let Some(ttl) = &ttl {
                mistakes.add(&ttl.at, misplaced("ttl", "upstream"));
            }
            WrittenSource::Dir(dir, listing.is_none_or(|l| l.value))
        }
        _ => {
            mistakes.add(&node.at, format!("`{path}` must have one of `upstream` and `dir`"));
            return None;
        }
    };
    Some(WrittenFile { prefix: prefix?, source, ttl: ttl.map(|t| t.value) })
}

/// `miniconda/`: one or more plain components, made to end with one slash.
fn prefix(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<String> {
    let prefix = base(node, path, mistakes)?;
    if prefix.is_empty() {
        mistakes.add(&node.at, format!("`{path}` can't be the root: channels stand there"));
        return None;
    }
    // Below `static/` the gate has nothing of its own, and that is where people put local files.
    if is_reserved(&prefix) && !(prefix.starts_with("static/") && prefix != "static/") {
        let root = prefix.split('/').next().unwrap_or_default();
        mistakes.add_hint(
            &node.at,
            format!("`{path}` can't begin with `{root}`: that path belongs to the gate itself"),
            "choose another one, such as `static/extras/`",
        );
        return None;
    }
    Some(prefix)
}

/// A directory part of a path: no leading slash; one trailing slash unless empty; no `.`, `..`, empty component or
/// control character.
fn base(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<String> {
    let text = text(node, path, mistakes)?;
    let inner = text.trim_matches('/');
    let is_plain = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && !part.contains(['\\', '%', '?', '#', '*'])
            && !part.chars().any(char::is_control)
    };
    if !inner.is_empty() && !inner.split('/').all(is_plain) {
        mistakes.add_hint(
            &node.at,
            format!("`{path}` must be a plain path, not `{}`", text.escape_debug()),
            "such as `miniconda/`: no `..`, no `%`, no pattern",
        );
        return None;
    }
    Some(if inner.is_empty() { String::new() } else { format!("{inner}/") })
}
