//! The text of a record as clients get it.
//!
//! Belongs here: patches, `indexed_timestamp`, and taking out what would lead past the gate, in one value. Does not: deciding on any
//! of it (`judging`).

use std::io::Write as _;

use super::error::BuildError;
use super::judging::Ruling;
use super::moment::moment;
use super::patch;
use super::scan::{Field, Record, ScanError};
use super::sightings::{Origin, Sighting};
use super::subject;
use crate::clock::UnixMillis;

const INDEXED: &str = "indexed_timestamp";

/// Appends the record's value as clients get it, if that is another than upstream's; whether it is.
///
/// # Errors
/// A record to be patched that is no JSON after all.
pub(super) fn record(record: &Record<'_>, ruling: &Ruling, out: &mut Vec<u8>) -> Result<bool, BuildError> {
    let indexed = ruling.standing.seen.filter(|seen| !says_when(record, *seen)).map(|seen| seen.at);
    let value = record.value();
    if !ruling.patches.is_empty() {
        let without_url;
        let text = match record.foreign_url() {
            Some((from, to)) => {
                without_url = [&value[..from], &value[to..]].concat();
                &without_url[..]
            }
            None => value,
        };
        let patched = patch::apply(text, &ruling.patches);
        let mut members =
            patched.map_err(|_| BuildError::from(ScanError::NotRepodata { found: UNREADABLE }))?;
        if let Some(seen) = indexed {
            members.set(INDEXED, seen.0.to_string());
        }
        members.write(out);
        return Ok(true);
    }
    // What is taken out or replaced, from the back to the front, so that places stay right.
    let url = record.foreign_url().map(|(from, to)| (from, to, None));
    let old = record.span(Field::IndexedTimestamp).filter(|_| indexed.is_some());
    let stamp = old.map(|(from, to)| (from, to, indexed));
    let mut changes: Vec<_> = url.into_iter().chain(stamp).collect();
    changes.sort_unstable_by_key(|change| change.0);
    if changes.is_empty() && indexed.is_none() {
        return Ok(false);
    }
    let mut at = 0;
    for (from, to, new) in changes {
        out.extend_from_slice(value.get(at..from).unwrap_or_default());
        if let Some(seen) = new {
            number(out, seen);
        }
        at = to;
    }
    out.extend_from_slice(value.get(at..).unwrap_or_default());
    if let (Some(seen), None) = (indexed, old) {
        append(out, seen);
    }
    Ok(true)
}

const UNREADABLE: &str = "one of its records can't be read by every JSON parser";

/// Whether a record says itself when it was indexed, in the form of CEP 47, and may be believed: it was there when the gate met the
/// channel, and it does not say later than that. Of what the gate saw come, nobody else can say that it is older.
fn says_when(record: &Record<'_>, seen: Sighting) -> bool {
    let Some(raw) = record.field(Field::IndexedTimestamp) else { return false };
    let is_millis = moment(raw).is_some_and(|at| at.0.to_string().as_bytes() == raw);
    let believed = |at: UnixMillis| at == seen.at || (seen.origin != Origin::Gate && at <= seen.at);
    is_millis && subject::indexed_at(record).is_some_and(believed)
}

fn number(out: &mut Vec<u8>, moment: UnixMillis) {
    // Into memory: this can't fail.
    let _ = write!(out, "{}", moment.0);
}

/// Adds the member at the end of an object.
fn append(out: &mut Vec<u8>, seen: UnixMillis) {
    out.pop();
    let empty = out.iter().rev().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    let _ = write!(out, "{}\"{INDEXED}\":{}}}", if empty { "" } else { "," }, seen.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repodata::scan::Group;
    use crate::repodata::table::Standing;

    fn edited(value: &str, seen: Option<i64>) -> Option<String> {
        edited_as(value, seen, Origin::Build)
    }

    fn edited_as(value: &str, seen: Option<i64>, origin: Origin) -> Option<String> {
        let alone = Record::alone(Group::PackagesConda, value.as_bytes()).unwrap();
        let seen = seen.map(|at| Sighting { at: UnixMillis(at), origin });
        let ruling = Ruling { standing: Standing { seen, ..Standing::default() }, ..Ruling::default() };
        let mut out = Vec::new();
        let edited = record(&alone, &ruling, &mut out).unwrap();
        edited.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn indexed_timestamps_are_added_kept_or_mended() {
        let seen = Some(1_760_000_000_000);
        let stamp = "\"indexed_timestamp\":1760000000000}";
        assert_eq!(edited("{\"a\":1}", seen).unwrap(), format!("{{\"a\":1,{stamp}"));
        assert_eq!(edited("{ }", seen).unwrap(), format!("{{ {stamp}"));
        assert_eq!(edited("{\"a\":1}", None), None);
        let older = "{\"indexed_timestamp\":1759999999999}";
        assert_eq!(edited(older, seen), None, "upstream's word");
        let came = edited_as(older, seen, Origin::Gate);
        assert_eq!(came.as_deref(), Some("{\"indexed_timestamp\":1760000000000}"), "the gate saw it come");
        assert_eq!(edited_as("{\"indexed_timestamp\":1760000000000}", seen, Origin::Gate), None);
        for wrong in ["1760000000001", "1760000000", "null", "\"x\"", "-1", "1759999999999.0"] {
            let before = format!("{{\"indexed_timestamp\":{wrong},\"a\":1}}");
            let after = "{\"indexed_timestamp\":1760000000000,\"a\":1}";
            assert_eq!(edited(&before, seen).as_deref(), Some(after), "{wrong}");
        }
    }

    #[test]
    fn a_foreign_url_goes_whatever_else_changes() {
        let seen = Some(1_760_000_000_000);
        let value = "{\"indexed_timestamp\":0,\"url\":\"https://h/x\",\"a\":1}";
        assert_eq!(edited(value, seen).unwrap(), "{\"indexed_timestamp\":1760000000000,\"a\":1}");
        assert_eq!(edited(value, None).unwrap(), "{\"indexed_timestamp\":0,\"a\":1}");
        let last = "{\"a\":1,\"url\":\"https://h/x\"}";
        assert_eq!(edited(last, seen).unwrap(), "{\"a\":1,\"indexed_timestamp\":1760000000000}");
    }
}
