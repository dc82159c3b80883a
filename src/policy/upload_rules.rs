//! What uploads into a hosted channel must be: `upload:` of its entry in the rules, or a setting that its owner has made.
//!
//! Belongs here: the rules as values, their keys in YAML. Does not: looking at an upload (`channel`).

use serde::{Deserialize, Serialize};

use super::hosted;
use super::mistake::Mistakes;
use super::node::Node;
use super::read::{Fields, Located, boolean, list, size, text};

/// Most entries of a list.
const MOST: usize = 256;

/// What uploads must be; nothing set, nothing asked.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UploadRules {
    /// Whether other bytes may take the place of a published file, for who asks for it (`force`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub overwrite: bool,
    /// The longest package, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    /// Names of packages that may come, as globs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Licences that packages may have, as they are written in them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// Fields of the record or of `about.json` that must say something.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
    /// Whether an attestation must come along.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub attestation: bool,
}

impl UploadRules {
    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the map behind `upload`. An empty one asks nothing, and is the rules' word all the same.
    pub(super) fn read(node: &Node, path: &str, mistakes: &mut Mistakes) -> Option<Self> {
        let mut fields = Fields::open(node, path, mistakes)?;
        let overwrite = fields.read("overwrite", mistakes, boolean).is_some_and(|set| set.value);
        let max_size = fields.read("max_size", mistakes, size).map(|set| set.value);
        let names = fields.read("names", mistakes, list(text));
        if let Some(names) = names.clone() {
            hosted::globs(&fields.path_of("names"), names, mistakes);
        }
        let licenses = some(&mut fields, "licenses", mistakes);
        let require = some(&mut fields, "require", mistakes);
        let attestation = fields.read("attestation", mistakes, boolean).is_some_and(|set| set.value);
        fields.finish(mistakes);
        let names = texts(names.map(|names| names.value).unwrap_or_default());
        Some(Self { overwrite, max_size, names, licenses, require, attestation })
    }

    /// One line for each thing that is asked, for people: what it is about, and what is said.
    pub fn lines(&self, show_size: impl Fn(u64) -> String) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        let mut add = |what, text: String| {
            if !text.is_empty() {
                lines.push((what, text));
            }
        };
        add("overwrite", if self.overwrite { "with `force`".to_owned() } else { String::new() });
        add("names", self.names.join(", "));
        add("licenses", self.licenses.join(", "));
        add("require", self.require.join(", "));
        add("max size", self.max_size.map_or_else(String::new, show_size));
        add("attestation", if self.attestation { "needed".to_owned() } else { String::new() });
        lines
    }
}

/// A list that is not empty where it is there: an empty one would let nothing in, or everything.
fn some(fields: &mut Fields<'_>, key: &'static str, mistakes: &mut Mistakes) -> Vec<String> {
    let path = fields.path_of(key);
    let Some(found) = fields.read(key, mistakes, list(text)) else { return Vec::new() };
    let count = found.value.len();
    if count == 0 || count > MOST {
        mistakes.add(&found.at, format!("`{path}` must have 1 to {MOST} entries, not {count}"));
    }
    texts(found.value)
}

fn texts(list: Vec<Located<String>>) -> Vec<String> {
    list.into_iter().map(|entry| entry.value).collect()
}
