//! Changes to a record, as rules want them: `set`, then `remove_…`, then `add_…` (the order of conda's repodata patches).
//!
//! Belongs here: carrying a [`Patch`] out. Does not: which records it is for (`policy`).

use serde_json::Value;

use super::members::Members;
use crate::conda::spec::dependency_name;
use crate::policy::verdict::Patch;

/// The record with the changes made, one patch after the other; members that no patch names stay byte for byte.
///
/// # Errors
/// The record is no JSON object.
pub(super) fn apply<'a>(
    record: &'a [u8],
    patches: &[impl AsRef<Patch>],
) -> Result<Members<'a>, serde_json::Error> {
    let mut members: Members<'a> = serde_json::from_slice(record)?;
    for patch in patches.iter().map(AsRef::as_ref) {
        for (key, value) in &patch.set {
            match value {
                Value::Null => members.remove(key),
                value => members.set(key, value.to_string()),
            }
        }
        change(&mut members, "depends", &patch.remove_depends, &patch.add_depends);
        change(&mut members, "constrains", &patch.remove_constrains, &patch.add_constrains);
    }
    Ok(members)
}

fn change(members: &mut Members<'_>, key: &str, remove: &[String], add: &[String]) {
    if remove.is_empty() && add.is_empty() {
        return;
    }
    let raw = members.get(key).unwrap_or("[]");
    // What is no list can't be added to; clients read it as empty.
    let mut list: Vec<Value> = serde_json::from_str(raw).unwrap_or_default();
    let before = list.clone();
    list.retain(|entry| !entry.as_str().is_some_and(|entry| remove.iter().any(|r| takes_out(r, entry))));
    for new in add {
        if !list.iter().any(|entry| entry == new) {
            list.push(Value::from(new.as_str()));
        }
    }
    if list != before {
        members.set(key, Value::Array(list).to_string());
    }
}

/// A bare name takes out whatever the record wants of that package; anything else takes out what is exactly the same.
fn takes_out(remove: &str, entry: &str) -> bool {
    let name = dependency_name(remove);
    entry == remove || (name == remove && dependency_name(entry).eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Map, json};

    use super::*;
    use crate::policy::node::At;
    use crate::policy::verdict::RuleRef;

    fn patch(set: &Value, depends: (&[&str], &[&str]), constrains: (&[&str], &[&str])) -> Arc<Patch> {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        Arc::new(Patch {
            rule: Arc::new(RuleRef { id: "p".to_owned(), at: At::outside(""), reason: None }),
            set: set.as_object().cloned().unwrap_or_else(Map::new),
            remove_depends: texts(depends.0),
            add_depends: texts(depends.1),
            remove_constrains: texts(constrains.0),
            add_constrains: texts(constrains.1),
        })
    }

    fn applied(record: &str, patches: &[Arc<Patch>]) -> String {
        let mut out = Vec::new();
        apply(record.as_bytes(), patches).unwrap().write(&mut out);
        String::from_utf8(out).unwrap()
    }

    const NONE: (&[&str], &[&str]) = (&[], &[]);

    #[test]
    fn fields_are_set_and_taken_out_and_the_rest_stays() {
        let record = r#"{"a":1.50,"license":"X","z":{"b": 1},"features":"f"}"#;
        let set = json!({"license": "MIT", "features": null, "new": [1]});
        assert_eq!(
            applied(record, &[patch(&set, NONE, NONE)]),
            r#"{"a":1.50,"license":"MIT","z":{"b": 1},"new":[1]}"#
        );
    }

    #[test]
    fn dependencies_go_by_name_or_exactly_and_come_once() {
        let record = r#"{"depends":["numpy >=1","NumPy","numpy-base","zlib >=1.3","a"]}"#;
        let change = patch(&json!({}), (&["numpy", "zlib >=1.2"], &["numpy <2", "a"]), NONE);
        assert_eq!(applied(record, &[change]), r#"{"depends":["numpy-base","zlib >=1.3","a","numpy <2"]}"#);
        let exact = patch(&json!({}), (&["zlib >=1.3"], &[]), (&["x"], &["y >=1"]));
        assert_eq!(
            applied(r#"{"depends":["zlib >=1.3", "b"]}"#, &[exact]),
            r#"{"depends":["b"],"constrains":["y >=1"]}"#
        );
    }

    #[test]
    fn patches_follow_one_another_and_set_comes_first() {
        let first = patch(&json!({"depends": ["a", "b"]}), (&["a"], &["c"]), NONE);
        let second = patch(&json!({}), (&["c"], &[]), NONE);
        assert_eq!(applied(r#"{"depends":["x"]}"#, &[first, second]), r#"{"depends":["b"]}"#);
        let nothing = patch(&json!({}), (&["q"], &[]), NONE);
        assert_eq!(applied(r#"{"depends": [ "x" ]}"#, &[nothing]), r#"{"depends":[ "x" ]}"#);
    }
}
