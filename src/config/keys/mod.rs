//! The keys of the settings: what each is called, what it takes, what it is when nobody says, and one sentence about it.
//!
//! The table is the one source of the defaults that [`super::read`] uses, of the file that `condagate config init` writes, of the
//! JSON Schema for editors, and of the names that are suggested for a mistyped key.
//!
//! Belongs here: the shape of the table and how it is asked. Does not: its rows (`table`), reading values ([`super::read`]).

mod table;

pub use table::{KEYS, PROXIES, SECTIONS};

use crate::policy::node::Value;
use crate::policy::{At, Node};

/// One key of the settings.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its path: `cache.size`.
    pub path: &'static str,
    /// What it takes.
    pub shape: Shape,
    /// What holds when nobody says anything.
    pub default: Default,
    /// One sentence for people.
    pub says: &'static str,
}

/// What holds when nobody says anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Default {
    /// This, as it would be written; for a list, its entries parted by commas.
    Text(&'static str),
    /// It depends on the machine. First in words, then an example as it would be written.
    Depends(&'static str, &'static str),
    /// Nothing; the text is an example.
    Nothing(&'static str),
}

/// A section: keys that stand below one name.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its path: `auth.session`.
    pub path: &'static str,
    /// One sentence for people.
    pub says: &'static str,
    /// Whether it means something that it is there at all, so that nobody writes it for its defaults.
    pub is_switch: bool,
}

/// What a key takes. The words are those that mistakes are told with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Any text.
    Text,
    /// The path of a file or directory; relative ones are relative to the file that says it.
    Path,
    /// `true` or `false`.
    Flag,
    /// A duration with a unit.
    Duration,
    /// A size with a unit.
    Size,
    /// A whole number from … to ….
    Number(u64, u64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// An absolute URL with one of these schemes.
    Url(&'static [&'static str]),
    /// One or several of IP address and port.
    Addresses,
    /// Any number of networks or addresses.
    Networks,
    /// A size, or percent of a volume.
    Room,
    /// A level of the log, or several for parts of it.
    Level,
    /// `on`, `off`, or the path of a file.
    Access,
    /// The name of a database.
    Database,
    /// Others whose tokens are taken; a list of maps.
    Issuers,
    /// Where messages are posted to; a list of maps.
    Webhooks,
    /// Who gets mail; a list of maps.
    MailLists,
    /// Certificates and their keys; a list of maps.
    Certificates,
}

impl Key {
    /// The last part of its path.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// The section it stands in; empty for the top level.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// Whether it takes several values.
    #[must_use]
    pub const fn is_list(&self) -> bool {
        self.is_list_of_maps() || matches!(self.shape, Shape::Addresses | Shape::Networks)
    }

    /// Whether each of them has keys of its own.
    #[must_use]
    pub const fn is_list_of_maps(&self) -> bool {
        matches!(self.shape, Shape::Issuers | Shape::Webhooks | Shape::MailLists | Shape::Certificates)
    }

    /// Its default as a value that can be read like a written one; nothing where there is none.
    #[must_use]
    pub fn default_node(&self) -> Node {
        let at = At::outside("default");
        match self.default {
            Default::Text("") if self.is_list() => Node { at, value: Value::List(Vec::new()) },
            Default::Text(text) => Node::scalar(at, text),
            Default::Depends(..) | Default::Nothing(_) => Node { at, value: Value::Null },
        }
    }

    /// A value as a file of settings would have it: lists in brackets, quotes where YAML needs them.
    #[must_use]
    pub fn as_yaml(&self, text: &str) -> String {
        let quoted = |text: &str| {
            let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-%+ ".contains(c))
                || text.starts_with("http")
                || text.starts_with("mongodb:");
            if is_plain { text.to_owned() } else { format!("\"{text}\"") }
        };
        if self.is_list_of_maps() {
            return format!("[{text}]");
        }
        if !self.is_list() {
            return quoted(text);
        }
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        format!("[{}]", entries.map(quoted).collect::<Vec<_>>().join(", "))
    }
}

/// The row of a key.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Names of the top level: keys and sections.
pub fn top_level() -> impl Iterator<Item = &'static str> + Clone {
    let first = |path: &'static str| path.split('.').next().unwrap_or(path);
    KEYS.iter().map(move |key| first(key.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_complete_and_stand_together() {
        for (n, key) in KEYS.iter().enumerate() {
            assert!(key.says.ends_with('.') && !key.says.contains('\n'), "{}: one sentence", key.path);
            assert!(KEYS[..n].iter().all(|other| other.path != key.path), "{} stands twice", key.path);
            let mut section = key.section();
            while !section.is_empty() {
                assert!(SECTIONS.iter().any(|s| s.path == section), "{section} has no sentence");
                section = section.rsplit_once('.').map_or("", |(above, _)| above);
            }
        }
        for section in SECTIONS {
            let below = format!("{}.", section.path);
            let places: Vec<_> = (0..KEYS.len()).filter(|n| KEYS[*n].path.starts_with(&below)).collect();
            assert!(!places.is_empty(), "{} has no keys", section.path);
            assert!(places.windows(2).all(|pair| pair[1] == pair[0] + 1), "{} is torn", section.path);
        }
    }
}
