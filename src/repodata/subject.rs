//! A record of an index as rules see it.
//!
//! Belongs here: which field of a record is which fact. Does not: what rules say (`policy`), when they are asked (`judging`).

use std::borrow::Cow;

use serde::Deserialize;

use super::moment::moment;
use super::scan::{Field, Record};
use crate::clock::UnixMillis;
use crate::conda::archive::{self, ArchiveKind, ArchiveName};
use crate::conda::digest::Expected;
use crate::policy::verdict::Subject;

/// Which file a subject is.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The source channel under the name rules use, label excluded.
    pub channel: &'a str,
    /// `linux-64`
    pub subdir: &'a str,
    /// File name.
    pub file: &'a str,
    /// When the gate first saw it.
    pub seen: Option<UnixMillis>,
    /// Whether upstream lists it under `removed` only.
    pub removed: bool,
}

/// A file of which a record is known.
#[must_use]
pub fn of_record<'a>(about: About<'a>, record: &Record<'a>, expected: &Expected) -> Subject<'a> {
    let name = record.text(Field::Name).or_else(|| Some(parts(about.file)?.0.into()));
    Subject {
        channel: about.channel,
        subdir: about.subdir,
        file: about.file,
        name,
        version: record.text(Field::Version),
        build: record.text(Field::Build),
        build_number: whole(record, Field::BuildNumber),
        license: record.text(Field::License),
        license_family: record.text(Field::LicenseFamily),
        size: expected.size,
        sha256: expected.sha256,
        md5: expected.md5,
        depends: texts(record, Field::Depends),
        first_seen: about.seen,
        removed: about.removed,
    }
}

/// A file of which only the name is known, and what `expected` says.
#[must_use]
pub fn of_file<'a>(about: About<'a>, expected: &Expected) -> Subject<'a> {
    let parts = parts(about.file);
    Subject {
        channel: about.channel,
        subdir: about.subdir,
        file: about.file,
        name: parts.map(|(name, ..)| name.into()),
        version: parts.map(|(_, version, _)| version.into()),
        build: parts.map(|(.., build)| build.into()),
        size: expected.size,
        sha256: expected.sha256,
        md5: expected.md5,
        first_seen: about.seen,
        removed: about.removed,
        ..Subject::default()
    }
}

/// When its record says that upstream indexed it (CEP 47).
#[must_use]
pub fn indexed_at(record: &Record<'_>) -> Option<UnixMillis> {
    moment(record.field(Field::IndexedTimestamp)?)
}

/// When its record says that it was built.
#[must_use]
pub fn built_at(record: &Record<'_>) -> Option<UnixMillis> {
    moment(record.field(Field::Timestamp)?)
}

/// Name, version and build of a file name; of a wheel, name and version as far as they can be told.
fn parts(file: &str) -> Option<(&str, &str, &str)> {
    let kind = ArchiveKind::of(file)?;
    let stem = file.strip_suffix(kind.extension())?;
    if kind == ArchiveKind::Wheel {
        let mut words = stem.split('-');
        return Some((words.next()?, words.next()?, words.next_back()?));
    }
    ArchiveName::parse(file)?;
    archive::split(stem)
}

fn whole(record: &Record<'_>, field: Field) -> Option<u64> {
    std::str::from_utf8(record.field(field)?).ok()?.parse().ok()
}

/// The texts of a list; what is in it and no text is left out.
fn texts<'a>(record: &Record<'a>, field: Field) -> Vec<Cow<'a, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let Some(raw) = record.field(field) else { return Vec::new() };
    if let Ok(texts) = serde_json::from_slice::<Vec<Text<'a>>>(raw) {
        return texts.into_iter().map(|text| text.0).collect();
    }
    let any: Vec<serde_json::Value> = serde_json::from_slice(raw).unwrap_or_default();
    let text = |value| match value {
        serde_json::Value::String(text) => Some(Cow::Owned(text)),
        _ => None,
    };
    any.into_iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repodata::scan::Group;

    const ABOUT: About<'_> = About {
        channel: "c",
        subdir: "noarch",
        file: "x-y-1.0-b_2.conda",
        seen: Some(UnixMillis(7)),
        removed: false,
    };

    fn with(json: &str, check: impl FnOnce(Subject<'_>, &Record<'_>)) {
        let record = Record::alone(Group::PackagesConda, json.as_bytes()).unwrap();
        check(of_record(ABOUT, &record, &record.expected().unwrap()), &record);
    }

    #[test]
    fn every_fact_has_its_field() {
        let json = r#"{"name":"x-y","version":"1.0","build":"b_2","build_number":2,"license":"MIT","license_family":"B\u0053D","size":9,
            "depends":["a >=1","b\u0031"],"timestamp":1700000000,"indexed_timestamp":1700000000001}"#;
        with(json, |subject, record| {
            assert_eq!(subject.name.as_deref(), Some("x-y"));
            assert_eq!((subject.version.as_deref(), subject.build.as_deref()), (Some("1.0"), Some("b_2")));
            assert_eq!((subject.build_number, subject.size), (Some(2), Some(9)));
            assert_eq!(subject.license_family.as_deref(), Some("BSD"));
            assert_eq!(subject.depends, ["a >=1", "b1"]);
            assert_eq!(subject.first_seen, Some(UnixMillis(7)));
            assert_eq!(built_at(record), Some(UnixMillis(1_700_000_000_000)));
            assert_eq!(indexed_at(record), Some(UnixMillis(1_700_000_000_001)));
        });
    }

    #[test]
    fn what_has_another_type_is_absent() {
        let json = r#"{"version":1,"build":null,"build_number":"2","license":["MIT"],"depends":["a",3],"timestamp":"x"}"#;
        with(json, |subject, record| {
            assert_eq!(subject.name.as_deref(), Some("x-y"), "from the file name");
            assert_eq!((subject.version, subject.build, subject.build_number), (None, None, None));
            assert_eq!((subject.license, subject.depends), (None, vec!["a".into()]));
            assert_eq!(built_at(record), None);
        });
        with(r#"{"depends":"a"}"#, |subject, _| assert!(subject.depends.is_empty()));
    }

    #[test]
    fn names_tell_what_they_can() {
        let of = |file| of_file(About { file, ..ABOUT }, &Expected::default());
        assert_eq!(of("x-y-1.0-b_2.conda").version.as_deref(), Some("1.0"));
        assert_eq!(of("some_wheel-2.0-py3-none-any.whl").name.as_deref(), Some("some_wheel"));
        assert_eq!(of("nonsense").name, None);
    }
}
