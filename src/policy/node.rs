//! What a person wrote, as a tree in which every key and value knows its place.
//!
//! Belongs here: the tree. Does not: the syntax it came from (`config::yaml`), the meaning of keys ([`super::read`],
//! [`super::rule`]).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place in something a person wrote.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct At {
    /// A file's path, or the name of a variable or flag.
    pub file: Arc<str>,
    /// From 1; 0 where lines have no meaning.
    pub line: usize,
    /// In characters, from 1; 0 where columns have no meaning.
    pub column: usize,
}

impl At {
    /// A place that is not in a file: a variable, a flag, a default.
    #[must_use]
    pub fn outside(name: &str) -> Self {
        Self { file: name.into(), line: 0, column: 0 }
    }

    /// `path` as meant by who wrote it here: relative paths in a file are relative to that file's directory, elsewhere
    /// to the working directory.
    #[must_use]
    pub fn resolve(&self, path: &str) -> PathBuf {
        match Path::new(&*self.file).parent() {
            Some(dir) if self.line > 0 => dir.join(path),
            _ => PathBuf::from(path),
        }
    }
}

/// `file:line`, or the name of a variable or flag.
impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 { write!(f, ":{}", self.line) } else { Ok(()) }
    }
}

/// A value and its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it stands.
    pub at: At,
    /// What it is.
    pub value: Value,
}

/// The shapes a value can have.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing written behind the key.
    Null,
    /// Text, number or truth value, exactly as written (without quotes).
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order written; the same key may stand in it twice (the reader says so).
    Map(Vec<Entry>),
}

/// One key of a map and what belongs to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key as written.
    pub key: String,
    /// Where the key stands.
    pub at: At,
    /// What belongs to it.
    pub node: Node,
}

impl Node {
    /// A text that did not come from a file.
    #[must_use]
    pub fn scalar(at: At, text: impl Into<String>) -> Self {
        Self { at, value: Value::Scalar(text.into()) }
    }

    /// What kind of thing this is, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The same tree with `over` laid on it: maps are joined key by key, anything else is replaced.
    #[must_use]
    pub fn overlaid(self, over: Self) -> Self {
        match (self.value, over.value) {
            (Value::Map(mut below), Value::Map(above)) => {
                for entry in above {
                    match below.iter().position(|e| e.key == entry.key) {
                        Some(i) => {
                            let old = below.remove(i);
                            let node = old.node.overlaid(entry.node);
                            below.insert(i, Entry { key: entry.key, at: entry.at, node });
                        }
                        None => below.push(entry),
                    }
                }
                Self { at: over.at, value: Value::Map(below) }
            }
            (below, Value::Null) => Self { at: self.at, value: below },
            (_, above) => Self { at: over.at, value: above },
        }
    }
}

/// Only the shape: the values may be secrets in the wrong place.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}:{}", self.kind(), self.at, self.at.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_file_that_names_them() {
        let at = At { file: "/etc/condagate/a.yaml".into(), line: 1, column: 1 };
        assert_eq!(at.resolve("token"), PathBuf::from("/etc/condagate/token"));
        assert_eq!(at.resolve("/run/token"), PathBuf::from("/run/token"));
        assert_eq!(At::outside("flag --data").resolve("d"), PathBuf::from("d"));
    }

    #[test]
    fn debug_hides_values() {
        let node = Node::scalar(At::outside("variable X"), "hunter2");
        assert_eq!(format!("{node:?}"), "a single value at variable X:0");
    }
}
