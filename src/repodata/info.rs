//! The `info` object of an index document, made fit for clients.
//!
//! Belongs here: which of its members may pass. Does not: where it stands in the document (`rewrite`).

use serde_json::Value;

use super::error::BuildError;
use super::members::Members;
use super::scan::is_absolute;

/// What `info` must become; `None`: it may stay byte for byte.
///
/// - `base_url` is taken out whatever it is: conda sends its channel token to the host named there, and a relative one breaks
///   its classic solver (PROTOCOL 1.1).
/// - `channel_relations` (CEP 42) that name another server are taken out, relative ones stay.
/// - `subdir` must be `subdir`, because conda raises otherwise; a missing one is added.
///
/// # Errors
/// [`BuildError::NotThisSubdir`], or an `info` of a form no client reads.
pub(super) fn edit(info: &[u8], subdir: &str) -> Result<Option<Vec<u8>>, BuildError> {
    if info == b"null" {
        return Ok(Some(fresh(subdir)));
    }
    let mut members: Members<'_> = serde_json::from_slice(info)
        .map_err(|e| BuildError::Unknown { what: format!("its `info` is not an object: {e}") })?;
    let mut found = None;
    for (key, value) in &members.0 {
        if key == "subdir" {
            let text: String = serde_json::from_str(value)
                .map_err(|_| BuildError::Unknown { what: "its `info.subdir` is not a string".to_owned() })?;
            if found.replace(text).is_some() {
                return Err(BuildError::Unknown { what: "it has `info.subdir` twice".to_owned() });
            }
        }
    }
    if let Some(found) = &found
        && found != subdir
    {
        return Err(BuildError::NotThisSubdir {
            found: found.chars().take(64).collect(),
            wanted: subdir.to_owned(),
        });
    }
    let before = members.0.len();
    members.0.retain(|(key, value)| match key.as_ref() {
        "base_url" => false,
        "channel_relations" => !leads_away(value),
        _ => true,
    });
    if found.is_some() && members.0.len() == before {
        return Ok(None);
    }
    if found.is_none() {
        members.0.insert(0, ("subdir".into(), format!("\"{subdir}\"").into()));
    }
    let mut edited = Vec::with_capacity(info.len());
    members.write(&mut edited);
    Ok(Some(edited))
}

/// `base_url` as upstream wrote it (CEP 15), so that the gate itself finds the packages.
pub(super) fn base_url(info: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Info {
        base_url: Option<String>,
    }
    serde_json::from_slice::<Info>(info).ok()?.base_url
}

/// An `info` that says no more than the subdir.
pub(super) fn fresh(subdir: &str) -> Vec<u8> {
    format!("{{\"subdir\":\"{subdir}\"}}").into_bytes()
}

/// Whether any string in there is a URL that a client could follow to another server.
fn leads_away(value: &str) -> bool {
    fn any(value: &Value) -> bool {
        match value {
            Value::String(text) => is_absolute(text),
            Value::Array(items) => items.iter().any(any),
            Value::Object(members) => members.values().any(any),
            _ => false,
        }
    }
    serde_json::from_str(value).map_or(true, |value| any(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(info: &str) -> Result<Option<String>, BuildError> {
        edit(info.as_bytes(), "linux-64").map(|new| new.map(|bytes| String::from_utf8(bytes).unwrap()))
    }

    #[test]
    fn what_becomes_of_info() {
        for (before, after) in [
            (r#"{"subdir":"linux-64"}"#, None),
            (r#"{ "subdir": "linux-64", "x": 1.0e1 }"#, None),
            (r#"{"subdir":"linux-64","channel_relations":{"base":"../conda-forge"}}"#, None),
            (
                r#"{"base_url":"https://h/","subdir":"linux-64","x":1.50}"#,
                Some(r#"{"subdir":"linux-64","x":1.50}"#),
            ),
            (r#"{"subdir":"linux-64","base\u005furl":"../x"}"#, Some(r#"{"subdir":"linux-64"}"#)),
            (
                r#"{"subdir":"linux-64","channel_relations":{"base":"//h/x"}}"#,
                Some(r#"{"subdir":"linux-64"}"#),
            ),
            ("{}", Some(r#"{"subdir":"linux-64"}"#)),
            (r#"{"a":[]}"#, Some(r#"{"subdir":"linux-64","a":[]}"#)),
            ("null", Some(r#"{"subdir":"linux-64"}"#)),
        ] {
            assert_eq!(edited(before).unwrap().as_deref(), after, "{before}");
        }
    }

    #[test]
    fn what_is_refused() {
        assert!(matches!(edited(r#"{"subdir":"noarch"}"#), Err(BuildError::NotThisSubdir { .. })));
        for bad in ["[]", "1", r#"{"subdir":1}"#, r#"{"subdir":"linux-64","subdir":"noarch"}"#] {
            assert!(
                matches!(edited(bad), Err(BuildError::Unknown { .. } | BuildError::NotThisSubdir { .. })),
                "{bad}"
            );
        }
    }
}
