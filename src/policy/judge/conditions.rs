//! The keys of a matcher.
//!
//! Belongs here: which key takes what, limits on lists. Does not: what conditions mean ([`super::matcher`]).

use super::licenses::Licenses;
use super::lists::{Dependencies, Digests, Specs};
use super::matcher::Matcher;
use super::patterns::{Kind, Patterns};
use crate::policy::mistake::Mistakes;
use crate::policy::node::{Node, Value};
use crate::policy::read::{Fields, boolean, list, positive_duration, size, text};

/// Entries of one list.
const MAX_ENTRIES: usize = 10_000;

/// Reads a matcher. An empty one is a mistake: it would mean every record.
pub fn read(node: &Node, path: &str, m: &mut Mistakes) -> Option<Matcher> {
    let mut fields = Fields::open(node, path, m)?;
    refuse_nothing(&fields, m);
    if fields.entries().is_empty() {
        m.add_hint(
            &node.at,
            format!("`{path}` has no condition"),
            "write `names: [\"*\"]` if all records are meant",
        );
    }
    let f = &mut fields;
    let matcher = Matcher {
        names: patterns(f, "names", Kind::AnyCase, m),
        specs: compiled(f, "specs", m, Specs::compile),
        files: patterns(f, "files", Kind::Exact, m),
        digests: compiled(f, "digests", m, Digests::compile),
        licenses: compiled(f, "licenses", m, Licenses::compile),
        families: patterns(f, "license_families", Kind::AnyCase, m),
        depends_on: compiled(f, "depends_on", m, Dependencies::compile),
        larger_than: f.read("larger_than", m, size).map(|l| l.value),
        smaller_than: f.read("smaller_than", m, size).map(|l| l.value),
        younger_than: f.read("younger_than", m, positive_duration).map(|l| l.value),
        older_than: f.read("older_than", m, positive_duration).map(|l| l.value),
        removed: f.read("removed", m, boolean).map(|l| l.value),
    };
    fields.finish(m);
    Some(matcher)
}

/// Refuses keys without a value: elsewhere they count as absent, but a condition that is left out widens a rule.
pub fn refuse_nothing(fields: &Fields<'_>, m: &mut Mistakes) {
    for entry in fields.entries().iter().filter(|e| e.node.value == Value::Null) {
        m.add_hint(
            &entry.at,
            format!("`{}` has no value", fields.path_of(&entry.key)),
            "take the key out if it is not meant",
        );
    }
}

/// A list of names and globs.
pub fn patterns(
    fields: &mut Fields<'_>,
    key: &'static str,
    kind: Kind,
    m: &mut Mistakes,
) -> Option<Patterns> {
    compiled(fields, key, m, |texts| Patterns::compile(kind, texts))
}

/// A list, compiled as a whole; `compile` says which entry is wrong and why.
fn compiled<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    m: &mut Mistakes,
    compile: impl FnOnce(&[String]) -> Result<T, (usize, String)>,
) -> Option<T> {
    let path = fields.path_of(key);
    let entries = fields.read(key, m, list(text))?;
    if entries.value.is_empty() || entries.value.len() > MAX_ENTRIES {
        let found = entries.value.len();
        m.add(&entries.at, format!("`{path}` must have 1 to {MAX_ENTRIES} entries, not {found}"));
        return None;
    }
    let (places, texts): (Vec<_>, Vec<_>) = entries.value.into_iter().map(|l| (l.at, l.value)).unzip();
    match compile(&texts) {
        Ok(compiled) => Some(compiled),
        Err((which, why)) => {
            let shown: String = texts
                .get(which)
                .into_iter()
                .flat_map(|t| t.chars())
                .take(60)
                .flat_map(char::escape_debug)
                .collect();
            m.add(places.get(which).unwrap_or(&entries.at), format!("`{path}`: `{shown}` {why}"));
            None
        }
    }
}
