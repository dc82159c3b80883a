//! Setting one key in a file of settings, so that comments, order and everything else stay as they are.
//!
//! The editor of YAML is not trusted: what it wrote is parsed again, and must say what the old text said but for the one key.
//!
//! Belongs here: text in, text out. Does not: files, and whether the value is right ([`super::load_as_if`]).

use std::fmt::Write as _;
use std::str::FromStr as _;

use yaml_edit::path::YamlPath as _;
use yaml_edit::{SequenceBuilder, YamlFile};

use super::keys::{Key, Shape};
use super::yaml;
use crate::policy::node::{Entry, Value};
use crate::policy::{At, Node};

/// Why a key can't be set in a text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is not YAML.
    #[error("{0}")]
    Syntax(String),
    /// The value has no form on a command line.
    #[error("`{0}` is a list of maps; write it into the file")]
    Maps(&'static str),
    /// The text is written in a way that can't be edited without loss.
    #[error(
        "the file is written in a way that can't be changed here without changing more (anchors, several documents, …); set `{0}` in it by hand"
    )]
    Unsafe(&'static str),
}

/// `text` with `key` set to `value`, which is written as in a variable: lists are parted by commas, or in brackets.
///
/// # Errors
/// As [`EditError`]; nothing is lost, the text is as it was.
pub fn set(text: &str, key: &'static Key, value: &str) -> Result<String, EditError> {
    if key.is_list_of_maps() {
        return Err(EditError::Maps(key.path));
    }
    let parse = |text: &str| yaml::parse("", text).map_err(|mistake| EditError::Syntax(mistake.message));
    let before = parse(text)?;
    let wanted = wanted(key, value);
    let expected = with(before, key.path, &wanted);
    let refuse = || EditError::Unsafe(key.path);
    let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
    let edited = if is_without_keys(bare) {
        appended(bare, key, &wanted)
    } else {
        edited(bare, key, &wanted).ok_or_else(refuse)?
    };
    let is_right =
        parse(&edited).is_ok_and(|after| same(&after, &expected)) && keeps_comments(text, &edited, value);
    if is_right { Ok(edited) } else { Err(refuse()) }
}

fn edited(text: &str, key: &Key, wanted: &Value) -> Option<String> {
    let file = YamlFile::from_str(text).ok()?;
    let document = file.document()?;
    match wanted {
        Value::List(nodes) => {
            let items = nodes.iter().filter_map(crate::policy::read::scalar);
            let list = items.fold(SequenceBuilder::new(), SequenceBuilder::item).build_document();
            document.try_set_path(key.path, list.as_sequence()?).ok()?;
        }
        Value::Scalar(text) => match text.parse::<u64>() {
            Ok(number) if matches!(key.shape, Shape::Number(..)) => {
                document.try_set_path(key.path, number).ok()?;
            }
            _ if key.shape == Shape::Flag => document.try_set_path(key.path, text == "true").ok()?,
            _ => document.try_set_path(key.path, text.as_str()).ok()?,
        },
        Value::Null | Value::Map(_) => return None,
    }
    Some(file.to_string())
}

/// Only comments: the keys go behind them.
fn appended(text: &str, key: &Key, wanted: &Value) -> String {
    let mut text = text.trim_end().to_owned();
    if !text.is_empty() {
        text.push('\n');
    }
    let parts: Vec<_> = key.path.split('.').collect();
    for (depth, part) in parts.iter().enumerate() {
        let _infallible = write!(text, "{}{part}:", "  ".repeat(depth));
        text.push(if depth + 1 == parts.len() { ' ' } else { '\n' });
    }
    let written = match wanted {
        Value::Scalar(value) => value.clone(),
        Value::List(nodes) => {
            nodes.iter().filter_map(crate::policy::read::scalar).collect::<Vec<_>>().join(",")
        }
        Value::Null | Value::Map(_) => String::new(),
    };
    text.push_str(&key.as_yaml(&written));
    text.push('\n');
    text
}

fn is_without_keys(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

/// The value as it will stand in the tree.
fn wanted(key: &Key, value: &str) -> Value {
    if !key.is_list() {
        return Value::Scalar(value.to_owned());
    }
    if let Ok(Node { value: Value::List(nodes), .. }) = yaml::parse("", value) {
        return Value::List(nodes);
    }
    let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    Value::List(entries.map(|entry| Node::scalar(At::outside(""), entry)).collect())
}

/// The tree with a value at a path.
fn with(node: Node, path: &str, value: &Value) -> Node {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let mut entries = match node.value {
        Value::Map(entries) => entries,
        _ => Vec::new(),
    };
    let at = node.at;
    let position = entries.iter().position(|entry| entry.key == first).unwrap_or_else(|| {
        let empty = Node { at: at.clone(), value: Value::Null };
        entries.push(Entry { key: first.to_owned(), at: at.clone(), node: empty });
        entries.len() - 1
    });
    if let Some(entry) = entries.get_mut(position) {
        let old = std::mem::replace(&mut entry.node, Node { at: at.clone(), value: Value::Null });
        entry.node = match rest {
            Some(rest) => with(old, rest, value),
            None => Node { at: old.at, value: value.clone() },
        };
    }
    Node { at, value: Value::Map(entries) }
}

/// Whether two trees say the same, in the same order, wherever it stands.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.key == b.key && same(&a.node, &b.node))
        }
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (a, b) => a == b,
    }
}

/// Whether no comment was lost. A `#` inside of a value that went counts as one: better to refuse once too often.
fn keeps_comments(before: &str, after: &str, value: &str) -> bool {
    after.matches('#').count() >= before.matches('#').count() + value.matches('#').count()
}

#[cfg(test)]
mod tests {
    use super::super::keys::find;
    use super::*;

    #[test]
    fn one_key_changes_and_nothing_else() {
        for (before, key, value, after) in [
            ("", "cache.size", "1GiB", "cache:\n  size: 1GiB\n"),
            ("# only a comment\n", "threads", "3", "# only a comment\nthreads: 3\n"),
            (
                "# a\ncache:\n  # b\n  size: 1GiB   # c\n  # d\n\nlog: {level: info}  # e\n",
                "cache.size",
                "2GiB",
                "# a\ncache:\n  # b\n  size: 2GiB   # c\n  # d\n\nlog: {level: info}  # e\n",
            ),
            ("log: {level: info}  # e\n", "log.format", "json", "log: {level: info, format: json}  # e\n"),
            (
                "log: {level: info}\n",
                "log.level",
                "info,condagate::cache=debug",
                "log: {level: \"info,condagate::cache=debug\"}\n",
            ),
            ("cache:\n", "cache.size", "1GiB", "cache:\n  size: 1GiB\n"),
            (
                "security:\n  allow_plaintext: false # x\n",
                "security.allow_plaintext",
                "true",
                "security:\n  allow_plaintext: true # x\n",
            ),
            ("data: x\r\nthreads: 2 # y\r\n", "threads", "4", "data: x\r\nthreads: 4 # y\r\n"),
        ] {
            let edited =
                set(before, find(key).unwrap(), value).unwrap_or_else(|e| panic!("{before:?} {key}: {e}"));
            assert_eq!(edited, after, "{before:?}, {key}");
        }
    }

    #[test]
    fn lists_are_written_as_lists() {
        for before in [
            "",
            "# x\ndata: d\n",
            "listen: [127.0.0.1:1]\n",
            "listen:\n- 127.0.0.1:1\n- 127.0.0.1:2\ndata: d\n",
        ] {
            for value in ["127.0.0.1:5, [::]:80", "[\"127.0.0.1:5\", \"[::]:80\"]"] {
                let edited =
                    set(before, find("listen").unwrap(), value).unwrap_or_else(|e| panic!("{before:?}: {e}"));
                let tree = yaml::parse("f", &edited).unwrap();
                let Value::Map(entries) = &tree.value else { panic!("{edited}") };
                let Value::List(nodes) = &entries.iter().find(|e| e.key == "listen").unwrap().node.value
                else {
                    panic!("{edited}")
                };
                let texts: Vec<_> = nodes.iter().filter_map(crate::policy::read::scalar).collect();
                assert_eq!(texts, ["127.0.0.1:5", "[::]:80"], "{edited}");
            }
        }
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        let key = find("cache.size").unwrap();
        assert!(matches!(set("cache: [\n", key, "1GiB"), Err(EditError::Syntax(_))));
        assert!(matches!(set("a: 1\n---\ncache: {size: 1GiB}\n", key, "2GiB"), Err(EditError::Syntax(_))));
        assert_eq!(set("", find("auth.issuers").unwrap(), "x"), Err(EditError::Maps("auth.issuers")));
        let merged = "x: &c {memory: 1MiB}\ncache:\n  <<: *c\n  size: 1GiB\n";
        if let Ok(edited) = set(merged, key, "2GiB") {
            assert!(edited.contains("<<: *c") && edited.contains("size: 2GiB"), "{edited}");
        }
    }
}
