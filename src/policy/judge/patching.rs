//! `patch:`, read.
//!
//! Belongs here: its keys, the types of fields that a patch sets. Does not: applying a patch (`repodata`).

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Number, Value as Json};

use super::conditions::{self, refuse_nothing};
use super::hotfix::{Hotfix, UNTOUCHABLE};
use super::matcher::Matcher;
use super::statement::Effect;
use crate::conda::spec::dependency_name;
use crate::policy::mistake::Mistakes;
use crate::policy::node::{At, Node, Value};
use crate::policy::read::{Fields, Located, list, text};
use crate::policy::verdict::{Patch, RuleRef};

const MAX_TEXT: usize = 1024;
const MAX_ENTRIES: usize = 1000;
const CHANGES: &[&str] = &["set", "add_depends", "remove_depends", "add_constrains", "remove_constrains"];
/// Fields of a record that are text even where their value looks like a number or a truth value.
const TEXTS: &[&str] = &[
    "license",
    "license_family",
    "noarch",
    "track_features",
    "features",
    "arch",
    "platform",
    "namespace",
    "python_site_packages_path",
    "preferred_env",
];

/// What `patch:` says.
pub struct Patching {
    /// A patch, or a hotfix that is still empty.
    pub effect: Effect,
    /// Which records it means.
    pub matcher: Matcher,
    /// The hotfix file.
    pub instructions: Option<Located<PathBuf>>,
}

/// Reads what stands behind `patch`.
pub fn read(node: &Node, path: &str, keep_download: bool, m: &mut Mistakes) -> Option<Patching> {
    let mut fields = Fields::open(node, path, m)?;
    refuse_nothing(&fields, m);
    let file = fields.read("instructions", m, |node, path, m| Some(node.at.resolve(&text(node, path, m)?)));
    let matcher = fields.read("match", m, conditions::read);
    let set = fields.read("set", m, set).map(|set| set.value);
    let add_depends = dependencies(&mut fields, "add_depends", m);
    let remove_depends = dependencies(&mut fields, "remove_depends", m);
    let add_constrains = dependencies(&mut fields, "add_constrains", m);
    let remove_constrains = dependencies(&mut fields, "remove_constrains", m);
    let said = |keys: &[&str]| fields.entries().iter().any(|e| keys.contains(&e.key.as_str()));
    let (has_match, has_changes, has_file) = (said(&["match"]), said(CHANGES), said(&["instructions"]));
    fields.finish(m);
    if has_file {
        if has_match || has_changes {
            m.add_hint(
                &node.at,
                format!("`{path}.instructions` stands alone: the file says what is meant and what changes"),
                "write a rule of its own for the rest",
            );
            return None;
        }
        let effect = Effect::Hotfix(Box::new(Hotfix::pending(keep_download)));
        return Some(Patching { effect, matcher: Matcher::default(), instructions: Some(file?) });
    }
    if !has_match || !has_changes {
        m.add_hint(
            &node.at,
            format!("`{path}` must have `match` and at least one change, or `instructions`"),
            "changes are `set`, `add_depends`, `remove_depends`, `add_constrains`, `remove_constrains`",
        );
        return None;
    }
    let changes = Patch {
        // Which rule it belongs to is known one level up.
        rule: Arc::new(RuleRef { id: String::new(), at: At::outside(""), reason: None }),
        set: set.unwrap_or_default(),
        add_depends,
        remove_depends,
        add_constrains,
        remove_constrains,
    };
    Some(Patching { effect: Effect::Patch(Arc::new(changes)), matcher: matcher?.value, instructions: None })
}

/// `set:`, as JSON. A key without a value takes the field out.
fn set(node: &Node, path: &str, m: &mut Mistakes) -> Option<Map<String, Json>> {
    let fields = Fields::open(node, path, m)?;
    let mut map = Map::new();
    for entry in fields.entries() {
        let path = fields.path_of(&entry.key);
        if UNTOUCHABLE.contains(&entry.key.as_str()) {
            m.add_hint(
                &entry.at,
                format!("`{path}` can't be set: it says which file the record is about"),
                "hide or deny the record instead",
            );
        }
        let value = if TEXTS.contains(&entry.key.as_str()) {
            match &entry.node.value {
                Value::Null => Json::Null,
                Value::Scalar(text) => Json::String(text.clone()),
                Value::List(_) | Value::Map(_) => {
                    m.add(&entry.node.at, format!("`{path}` must be a text, not {}", entry.node.kind()));
                    continue;
                }
            }
        } else if matches!(entry.key.as_str(), "depends" | "constrains") {
            match list(dependency)(&entry.node, &path, m) {
                Some(texts) => texts.into_iter().map(|l| Json::String(l.value)).collect(),
                None => continue,
            }
        } else {
            json(&entry.node)
        };
        map.insert(entry.key.clone(), value);
    }
    if map.is_empty() {
        m.add(&node.at, format!("`{path}` must set at least one field"));
    }
    Some(map)
}

/// Numbers and truth values as JSON has them; all else is text.
fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Scalar(text) => match text.as_str() {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            number => number
                .parse::<i64>()
                .map_or_else(|_| Json::String(text.clone()), |n| Json::Number(Number::from(n))),
        },
        Value::List(nodes) => nodes.iter().map(json).collect(),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|entry| (entry.key.clone(), json(&entry.node))).collect())
        }
    }
}

fn dependencies(fields: &mut Fields<'_>, key: &'static str, m: &mut Mistakes) -> Vec<String> {
    let path = fields.path_of(key);
    let Some(found) = fields.read(key, m, list(dependency)) else { return Vec::new() };
    if found.value.is_empty() || found.value.len() > MAX_ENTRIES {
        m.add(&found.at, format!("`{path}` must have 1 to {MAX_ENTRIES} entries"));
    }
    found.value.into_iter().map(|l| l.value).collect()
}

/// A dependency as records have them. Its syntax is the clients' business, a name it must have.
fn dependency(node: &Node, path: &str, m: &mut Mistakes) -> Option<String> {
    let text = text(node, path, m)?;
    if text.len() > MAX_TEXT || text.chars().any(char::is_control) || dependency_name(&text).is_empty() {
        m.add(&node.at, format!("`{path}` must have dependencies such as `zlib >=1.3`"));
        return None;
    }
    Some(text)
}
