//! Reading typed values out of a [`Node`], noting every mistake on the way.
//!
//! Belongs here: shapes (map, list, text, number, duration, size, URL) and unknown keys. Does not: what any key means.

use std::net::SocketAddr;
use std::time::Duration;

use super::mistake::{Mistakes, did_you_mean};
use super::node::{At, Entry, Node, Value};
use super::units;
use crate::secret::{SafeUrl, mask_path};

/// A value and where it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Located<T> {
    /// Where.
    pub at: At,
    /// What.
    pub value: T,
}

/// The keys of one map. Every key that is asked for is known; [`Fields::finish`] complains about the others.
pub struct Fields<'a> {
    path: String,
    node: &'a Node,
    entries: &'a [Entry],
    known: Vec<&'static str>,
    later: &'static [&'static str],
}

impl<'a> Fields<'a> {
    /// The keys of `node`, which stands at the key path `path` (empty for a whole document). `None`, with a mistake, when
    /// it is no map; nothing at all counts as an empty map. Keys that stand there twice are mistakes.
    pub fn open(node: &'a Node, path: impl Into<String>, mistakes: &mut Mistakes) -> Option<Self> {
        let path = path.into();
        let entries: &[Entry] = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            Value::Scalar(_) | Value::List(_) => {
                let what = if path.is_empty() { "the document".to_owned() } else { format!("`{path}`") };
                mistakes
                    .add(&node.at, format!("{what} must be a map of keys and values, not {}", node.kind()));
                return None;
            }
        };
        for (i, entry) in entries.iter().enumerate() {
            if let Some(first) = entries[..i].iter().find(|e| e.key == entry.key) {
                mistakes.add_hint(
                    &entry.at,
                    format!("`{}` is written twice", join(&path, &entry.key)),
                    format!("the other one is at {}; keep one of them", first.at),
                );
            }
        }
        Some(Self { path, node, entries, known: Vec::new(), later: &[] })
    }

    /// Where the map begins.
    #[must_use]
    pub const fn at(&self) -> &'a At {
        &self.node.at
    }

    /// The key path of `key` in this map.
    #[must_use]
    pub fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Every key, known or not, in the order written.
    #[must_use]
    pub const fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// What belongs to `key`; a key without a value counts as absent.
    pub fn get(&mut self, key: &'static str) -> Option<&'a Entry> {
        self.known.push(key);
        self.entries.iter().find(|e| e.key == key).filter(|e| e.node.value != Value::Null)
    }

    /// The keys of the map behind `key`.
    pub fn section(&mut self, key: &'static str, mistakes: &mut Mistakes) -> Option<Fields<'a>> {
        let path = self.path_of(key);
        Fields::open(&self.get(key)?.node, path, mistakes)
    }

    /// What `read` makes of the value behind `key`, with its place.
    pub fn read<T>(
        &mut self,
        key: &'static str,
        mistakes: &mut Mistakes,
        read: impl FnOnce(&Node, &str, &mut Mistakes) -> Option<T>,
    ) -> Option<Located<T>> {
        let path = self.path_of(key);
        let entry = self.get(key)?;
        let value = read(&entry.node, &path, mistakes)?;
        Some(Located { at: entry.node.at.clone(), value })
    }

    /// Refuses, by name, keys that a later version has: ignoring one could open what it was meant to close.
    pub fn refuse_later(&mut self, keys: &'static [&'static str], mistakes: &mut Mistakes) {
        self.later = keys;
        for entry in self.entries.iter().filter(|e| keys.contains(&e.key.as_str())) {
            mistakes.add_hint(
                &entry.at,
                format!("`{}` is not there yet in this version", self.path_of(&entry.key)),
                "take it out: it would not be obeyed",
            );
        }
    }

    /// Refuses keys that nobody asked for.
    pub fn finish(self, mistakes: &mut Mistakes) {
        for entry in self.entries {
            let key = entry.key.as_str();
            if !self.known.contains(&key) && !self.later.contains(&key) {
                let place = if self.path.is_empty() { String::new() } else { format!(" in `{}`", self.path) };
                mistakes.add_hint(
                    &entry.at,
                    format!("unknown key `{key}`{place}"),
                    did_you_mean(key, self.known.iter().copied()),
                );
            }
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Notes that the value at `path` is not what it must be; says what was found only where that cannot be a secret.
fn wrong(node: &Node, path: &str, expected: &str, quote: bool, mistakes: &mut Mistakes) {
    let found = match &node.value {
        Value::Scalar(text) if quote && text.len() <= 60 => format!("`{}`", text.escape_debug()),
        Value::Scalar(_) => "this".to_owned(),
        _ => node.kind().to_owned(),
    };
    mistakes.add(&node.at, format!("`{path}` must be {expected}, not {found}"));
}

/// Any single value, as text; not empty.
pub fn text(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<String> {
    match &node.value {
        Value::Scalar(text) if !text.is_empty() => Some(text.clone()),
        _ => {
            wrong(node, path, "a text", false, mistakes);
            None
        }
    }
}

/// One of `choices`.
pub fn choice<T: Copy>(
    choices: &'static [(&'static str, T)],
) -> impl Fn(&Node, &str, &mut Mistakes) -> Option<T> {
    move |node, path, mistakes| {
        let found = match &node.value {
            Value::Scalar(text) => choices.iter().find(|(name, _)| text == name),
            _ => None,
        };
        if found.is_none() {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
            wrong(node, path, &format!("one of {}", names.join(", ")), true, mistakes);
        }
        found.map(|(_, value)| *value)
    }
}

/// A whole number within `range`.
pub fn integer(range: std::ops::RangeInclusive<u64>) -> impl Fn(&Node, &str, &mut Mistakes) -> Option<u64> {
    move |node, path, mistakes| {
        let number = match &node.value {
            Value::Scalar(text) => text.parse().ok().filter(|n| range.contains(n)),
            _ => None,
        };
        if number.is_none() {
            let expected = format!("a whole number from {} to {}", range.start(), range.end());
            wrong(node, path, &expected, true, mistakes);
        }
        number
    }
}

/// `true` or `false`.
pub fn boolean(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<bool> {
    choice(&[("true", true), ("false", false)])(node, path, mistakes)
}

/// A duration with a unit.
pub fn duration(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<Duration> {
    let value = scalar(node).and_then(units::duration);
    if value.is_none() {
        wrong(node, path, units::DURATION, true, mistakes);
    }
    value
}

/// A duration with a unit that is longer than nothing.
pub fn positive_duration(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<Duration> {
    let value = duration(node, path, mistakes)?;
    if value.is_zero() {
        mistakes.add(&node.at, format!("`{path}` must be longer than nothing"));
        return None;
    }
    Some(value)
}

/// A size with a unit.
pub fn size(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<u64> {
    let value = scalar(node).and_then(units::size);
    if value.is_none() {
        wrong(node, path, units::SIZE, true, mistakes);
    }
    value
}

/// One value or a list of values. In a variable or flag, commas part the values.
pub fn list<T>(
    mut each: impl FnMut(&Node, &str, &mut Mistakes) -> Option<T>,
) -> impl FnMut(&Node, &str, &mut Mistakes) -> Option<Vec<Located<T>>> {
    move |node, path, mistakes| {
        let outside = node.at.line == 0;
        let parted: Vec<Node>;
        let nodes = match &node.value {
            Value::List(nodes) => nodes.as_slice(),
            Value::Scalar(text) if outside => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                parted = parts.map(|part| Node::scalar(node.at.clone(), part)).collect();
                parted.as_slice()
            }
            _ => std::slice::from_ref(node),
        };
        let values: Vec<_> = nodes
            .iter()
            .filter_map(|n| Some(Located { at: n.at.clone(), value: each(n, path, mistakes)? }))
            .collect();
        (values.len() == nodes.len()).then_some(values)
    }
}

/// An absolute URL with one of `schemes` and a host; no query, no fragment. The message never repeats it.
pub fn url(schemes: &'static [&'static str]) -> impl FnMut(&Node, &str, &mut Mistakes) -> Option<SafeUrl> {
    move |node, path, mistakes| {
        let names: Vec<_> = schemes.iter().map(|s| format!("`{s}://`")).collect();
        let expected = format!("an absolute URL that begins with {}", names.join(" or "));
        let parsed = scalar(node).and_then(|text| SafeUrl::parse(text).ok());
        let Some(url) =
            parsed.filter(|url| schemes.contains(&url.reveal().scheme()) && url.reveal().has_host())
        else {
            wrong(node, path, &expected, false, mistakes);
            return None;
        };
        if url.reveal().query().is_some() || url.reveal().fragment().is_some() {
            mistakes.add(&node.at, format!("`{path}` must be a URL without `?` and `#`"));
            return None;
        }
        Some(url)
    }
}

/// Like [`url()`], but without a user, a password or a `/t/<token>/`; the path ends with `/`.
pub fn bare_url(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<SafeUrl> {
    let found = url(&["http", "https"])(node, path, mistakes)?;
    let mut url = found.reveal().clone();
    if !url.username().is_empty() || url.password().is_some() || mask_path(url.path()) != url.path() {
        mistakes.add_hint(
            &node.at,
            format!("`{path}` must be a URL without credentials"),
            "put them under `credentials:`, from a file or a variable",
        );
        return None;
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Some(SafeUrl::new(url))
}

/// An IP address and a port.
pub fn socket_address(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<SocketAddr> {
    let text = scalar(node).unwrap_or_default();
    let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address = local.as_deref().unwrap_or(text).parse().ok();
    if address.is_none() {
        wrong(node, path, "an IP address and a port, such as `127.0.0.1:8080` or `[::]:80`", true, mistakes);
    }
    address
}

/// The text of a single value.
#[must_use]
pub const fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(text) => Some(text.as_str()),
        _ => None,
    }
}
