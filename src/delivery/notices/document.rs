//! The bytes of `notices.json`: the gate's notices written out, the channels' own copied as they are.
//!
//! Belongs here: pure functions from notices and documents to a document. Does not: whose notices those are (`super`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::clock::UnixMillis;
use crate::policy::Notice;
use crate::policy::notices::rfc3339;

/// The most bytes a document has, one that is read and one that is made: what conda asks of a channel.
pub(super) const LARGEST: u64 = 1 << 20;

const START: &str = r#"{"notices":["#;
const END: &str = "]}";
const DAY: i64 = 24 * 60 * 60 * 1000;

/// A document as a channel has it; other keys are nobody's.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    notices: Vec<&'a RawValue>,
}

/// One of a channel's notices.
struct Entry<'a> {
    id: Option<String>,
    /// As the channel has it.
    text: &'a str,
}

/// One of the gate's notices. The CEP calls its end `expires_at`, conda reads `expired_at` (`conda/notices/types.py`).
#[derive(Serialize)]
struct Written<'a> {
    id: &'a str,
    message: &'a str,
    level: &'static str,
    created_at: String,
    expired_at: &'a str,
    expires_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<u64>,
}

/// A document under way.
struct Joining {
    text: String,
    ids: HashSet<String>,
}

impl Joining {
    /// Adds a notice, unless it has no room or its id is taken: clients show one per id.
    fn add(&mut self, id: Option<String>, notice: &str) {
        let is_first = self.text.len() == START.len();
        let room = usize::try_from(LARGEST).unwrap_or(usize::MAX) - END.len();
        if self.text.len() + usize::from(!is_first) + notice.len() > room
            || id.is_some_and(|id| !self.ids.insert(id))
        {
            return;
        }
        if !is_first {
            self.text.push(',');
        }
        self.text.push_str(notice);
    }
}

/// One document of the gate's notices and those of `documents`, in this order. What is no document, and entries that are no
/// objects, are left out.
pub(super) fn join(gate: &[Arc<Notice>], documents: &[Vec<u8>], now: UnixMillis) -> Bytes {
    let mut joining = Joining { text: START.to_owned(), ids: HashSet::new() };
    for notice in gate {
        if let Some(text) = write(notice, now) {
            joining.add(Some(notice.id.clone()), &text);
        }
    }
    for document in documents {
        for notice in entries(document) {
            joining.add(notice.id, notice.text);
        }
    }
    joining.text.push_str(END);
    joining.text.into()
}

/// Where the rule names no moments, the notice stands from day to day: its dates are always there, the same for a whole day on every
/// gate, and over soon. conda keeps a document until a notice in it is over, so one far away would be the last it ever asks for.
fn write(notice: &Notice, now: UnixMillis) -> Option<String> {
    let today = now.0.div_euclid(DAY) * DAY;
    let end = rfc3339(notice.expired_at.unwrap_or(UnixMillis(today.saturating_add(2 * DAY))));
    let written = Written {
        id: &notice.id,
        message: &notice.message,
        level: notice.level.as_str(),
        created_at: rfc3339(notice.created_at.unwrap_or(UnixMillis(today))),
        expired_at: &end,
        expires_at: &end,
        interval: notice.interval,
    };
    serde_json::to_string(&written).ok()
}

/// The entries of a channel's document; none where it is none.
fn entries(document: &[u8]) -> Vec<Entry<'_>> {
    let document = serde_json::from_slice::<Document>(document).ok();
    document.into_iter().flat_map(|document| document.notices).filter_map(entry).collect()
}

/// `None` for what is no object.
fn entry(notice: &RawValue) -> Option<Entry<'_>> {
    let text = notice.get();
    let members: HashMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    let id = members.get("id").and_then(|id| match id.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str(id.get()).ok(),
        // conda makes text of it.
        Some(b'-' | b'0'..=b'9') => Some(id.get().to_owned()),
        _ => None,
    });
    Some(Entry { id, text })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::notices::Level;

    /// 2026-11-04 10:00 UTC.
    const NOW: UnixMillis = UnixMillis(1_793_750_400_000 + 36_000_000);

    fn notice(id: &str) -> Notice {
        let message = format!("says {id}");
        let (created_at, expired_at) = (Some(UnixMillis(0)), Some(UnixMillis(4_102_444_800_500)));
        Notice {
            id: id.to_owned(),
            message,
            level: Level::Warning,
            created_at,
            expired_at,
            interval: Some(36),
        }
    }

    fn joined(gate: &[Notice], documents: &[&str]) -> String {
        let gate: Vec<_> = gate.iter().cloned().map(Arc::new).collect();
        let documents: Vec<_> = documents.iter().map(|text| text.as_bytes().to_vec()).collect();
        String::from_utf8(join(&gate, &documents, NOW).to_vec()).unwrap()
    }

    #[test]
    fn a_notice_has_the_fields_that_clients_read() {
        let undated = Notice { created_at: None, expired_at: None, interval: None, ..notice("b") };
        let document: Value = serde_json::from_str(&joined(&[notice("a"), undated], &[])).unwrap();
        let expected = json!({"notices": [
            {"id": "a", "message": "says a", "level": "warning", "created_at": "1970-01-01T00:00:00+00:00",
             "expired_at": "2100-01-01T00:00:00+00:00", "expires_at": "2100-01-01T00:00:00+00:00", "interval": 36},
            {"id": "b", "message": "says b", "level": "warning", "created_at": "2026-11-04T00:00:00+00:00",
             "expired_at": "2026-11-06T00:00:00+00:00", "expires_at": "2026-11-06T00:00:00+00:00"},
        ]});
        assert_eq!(document, expected);
    }

    #[test]
    fn documents_of_channels_are_copied_as_they_are() {
        for (documents, expected) in [
            (&[][..], ""),
            (&["{\"notices\": []}"], ""),
            (&["", "[]", "<html>", "{}", "{\"notices\": {}}", "{\"notices\": null}", "{\"notices\": [1"], ""),
            (
                &["{\"notices\": [ {\"x\" : 1.0e2, \"id\":\"a\"} ], \"more\": [1]}"],
                "{\"x\" : 1.0e2, \"id\":\"a\"}",
            ),
            (&["{\"notices\": [null, 1, \"x\", [2], {}, {\"id\": null}]}"], "{},{\"id\": null}"),
            // One per id, whatever way it is written; those without one are all shown.
            (&["{\"notices\": [{\"id\":\"a\"},{\"id\":\"\\u0061\",\"x\":1},{},{}]}"], "{\"id\":\"a\"},{},{}"),
            (
                &["{\"notices\": [{\"id\":7}]}", "{\"notices\": [{\"id\":\"7\"},{\"id\":8}]}"],
                "{\"id\":7},{\"id\":8}",
            ),
        ] {
            assert_eq!(joined(&[], documents), format!("{{\"notices\":[{expected}]}}"), "{documents:?}");
        }
    }

    #[test]
    fn the_gates_come_first_and_keep_their_ids() {
        let theirs = "{\"notices\": [{\"id\": \"b\"}, {\"id\": \"a\", \"message\": \"theirs\"}]}";
        let document: Value = serde_json::from_str(&joined(&[notice("a"), notice("a")], &[theirs])).unwrap();
        let ids: Vec<_> = document["notices"].as_array().unwrap().iter().map(|n| n["id"].clone()).collect();
        assert_eq!(
            (ids, &document["notices"][0]["message"]),
            (vec![json!("a"), json!("b")], &json!("says a"))
        );
    }

    #[test]
    fn what_has_no_room_is_left_out() {
        let gate = joined(&[notice("a")], &[]);
        let room = usize::try_from(LARGEST).unwrap() - gate.len();
        for (spare, fits) in [(0, true), (1, false)] {
            let filler = format!("{{\"id\":\"{}\"}}", "x".repeat(room - ",{'id':''}".len() + spare));
            let text = joined(&[notice("a")], &[&format!("{{\"notices\":[{filler}]}}")]);
            assert_eq!(text.len(), if fits { 1 << 20 } else { gate.len() });
            let smaller = joined(&[notice("a")], &[&format!("{{\"notices\":[{filler},{{\"id\":1}}]}}")]);
            assert_eq!(smaller.ends_with("{\"id\":1}]}"), !fits, "what is smaller may still fit");
        }
        let many: Vec<_> =
            (0..300).map(|n| Notice { message: "\n".repeat(4000), ..notice(&n.to_string()) }).collect();
        assert!(joined(&many, &[]).len() <= 1 << 20);
    }
}
