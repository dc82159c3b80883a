//! Whether a record is one of a package, for every client.
//!
//! rattler gives up on a whole index, or on all versions of a package, for one record that its `PackageRecord` can't be read
//! from; conda reads more leniently. So what rattler reads is what passes. Its own reading costs as much as the rest of the scan,
//! and nearly every record is plain enough to see at a glance that it would succeed; only the others are tried.
//!
//! Belongs here: that glance, and the trial. Does not: what the gate itself needs of a record (`record`).

use rattler_conda_types::PackageRecord;

use super::record::{Flaw, Group, Record};
use super::value::Field;
use crate::repodata::members::Members;

/// Longest run of digits that fits every number clients read.
const DIGITS: usize = 18;
/// Digits of milliseconds that are certainly before the year 9999.
const MOMENT_DIGITS: usize = 14;

/// Without these no client knows what it is.
const NEEDED: [Field; 3] = [Field::Version, Field::Build, Field::BuildNumber];
/// Rare and of many forms: whether rattler reads them is tried.
const TRIED: [Field; 5] =
    [Field::RunExports, Field::AttestationsSha256, Field::ExtraDepends, Field::Flags, Field::Purls];

impl Record<'_> {
    /// Whether the record is one that every client can read as one of a package: it has what they all need, of the types they want
    /// (rattler's `PackageRecord`, conda's `PackageRecord`). What it says of `indexed_timestamp` does not count: the gate writes that.
    ///
    /// # Errors
    /// The first flaw found.
    pub fn check_package(&self) -> Result<(), Flaw> {
        if self.field(Field::Name).is_none() {
            return Err(Flaw::NoName);
        }
        if NEEDED.iter().any(|field| self.span(*field).is_none()) {
            return Err(Flaw::MissingField);
        }
        // rattler asks for the URL of a wheel; where others are it works out.
        let needs_url = matches!(self.group(), Group::PackagesWhl | Group::V3Whl);
        if needs_url && self.field(Field::Url).is_none() {
            return Err(Flaw::MissingField);
        }
        if self.is_plain() || self.is_read_by_rattler() { Ok(()) } else { Err(Flaw::WrongType) }
    }

    /// Whether every field that rattler reads is of a form that it certainly takes.
    fn is_plain(&self) -> bool {
        let all = |fields: &[Field], fits: fn(&[u8]) -> bool| {
            fields.iter().all(|field| self.raw(*field).is_none_or(fits))
        };
        all(&[Field::Name, Field::Build, Field::Subdir], is_text)
            && all(&[Field::Version], is_plain_version)
            && all(&[Field::BuildNumber], |raw| is_number(raw, DIGITS))
            && all(&[Field::Depends, Field::Constrains], is_list)
            && all(
                &[
                    Field::License,
                    Field::LicenseFamily,
                    Field::Features,
                    Field::Arch,
                    Field::Platform,
                    Field::SitePackages,
                ],
                |raw| raw == b"null" || is_text(raw),
            )
            && all(&[Field::Size, Field::LegacySize], |raw| raw == b"null" || is_number(raw, DIGITS))
            && all(&[Field::Timestamp], |raw| raw == b"null" || is_number(raw, MOMENT_DIGITS))
            && all(&[Field::Sha256], |raw| raw == b"null" || is_hex(raw, 64))
            && all(&[Field::Md5, Field::LegacyMd5], |raw| raw == b"null" || is_hex(raw, 32))
            && all(&[Field::Noarch], |raw| {
                matches!(raw, b"\"python\"" | b"\"generic\"" | b"null" | b"true" | b"false")
            })
            && all(&[Field::TrackFeatures], |raw| is_text(raw) || raw == b"[]")
            && all(&TRIED, |_| false)
    }

    /// A field's value as it stands, `null` included.
    fn raw(&self, field: Field) -> Option<&[u8]> {
        let (from, to) = self.span(field)?;
        self.value().get(from..to)
    }

    fn is_read_by_rattler(&self) -> bool {
        let Ok(mut members) = serde_json::from_slice::<Members<'_>>(self.value()) else { return false };
        members.remove("indexed_timestamp");
        let mut text = Vec::with_capacity(self.value().len());
        members.write(&mut text);
        serde_json::from_slice::<PackageRecord>(&text).is_ok()
    }
}

fn is_text(raw: &[u8]) -> bool {
    raw.starts_with(b"\"")
}

fn is_number(raw: &[u8], digits: usize) -> bool {
    (1..=digits).contains(&raw.len()) && raw.iter().all(u8::is_ascii_digit)
}

fn is_hex(raw: &[u8], digits: usize) -> bool {
    let inner = raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\""));
    inner.is_some_and(|inner| inner.len() == digits && inner.iter().all(u8::is_ascii_hexdigit))
}

/// `1.2.3`, `2024a.1rc1`: parts of digits and lower-case letters that begin with a digit.
fn is_plain_version(raw: &[u8]) -> bool {
    let Some(inner) = raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\"")) else { return false };
    inner.split(|b| *b == b'.').all(|part| {
        let rest = part.iter().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        part.len() <= DIGITS && part.first().is_some_and(u8::is_ascii_digit) && rest
    })
}

fn is_list(raw: &[u8]) -> bool {
    raw == b"[]" || serde_json::from_slice::<Vec<Text>>(raw).is_ok()
}

/// Any JSON string, which is not kept.
struct Text;

impl<'de> serde::Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl serde::de::Visitor<'_> for Any {
            type Value = Text;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, _: &str) -> Result<Text, E> {
                Ok(Text)
            }
        }
        from.deserialize_str(Any)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    /// Keys that rattler knows, with values that it takes and values that it may not.
    const FIELDS: [(&str, &[&str]); 28] = [
        ("name", &["\"a\"", "\"a\"", "\"A_b\"", "null", "1", "\"\""]),
        (
            "version",
            &[
                "\"1.2\"",
                "\"1.2\"",
                "\"1!2.0+cu1\"",
                "\"1.0_1\"",
                "\"2024a.1rc1\"",
                "\"\"",
                "\"not a version\"",
                "1.0",
                "null",
                "\"1..2\"",
                "\"1.\"",
                "\"9999999999999999999999\"",
                "\"1.RC1\"",
                "\"a\"",
                "\"1-2\"",
                "\"0.a\"",
            ],
        ),
        ("build", &["\"0\"", "\"py39_0\"", "\"py39_0\"", "\"\"", "null", "0", "\"a b\""]),
        (
            "build_number",
            &["0", "7", "18446744073709551615", "18446744073709551616", "-1", "1.0", "\"0\"", "null"],
        ),
        ("depends", &["[]", "[\"b >=1\"]", "null", "\"b\"", "[1]", "{}"]),
        ("constrains", &["[]", "[\"b >=1\"]", "null", "\"b\"", "[null]"]),
        ("license", &["\"MIT\"", "null", "[\"MIT\"]", "1"]),
        ("license_family", &["\"MIT\"", "null", "{}"]),
        ("md5", &["\"d41d8cd98f00b204e9800998ecf8427e\"", "null"]),
        ("sha256", &["\"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855\"", "null"]),
        ("legacy_bz2_md5", &["\"d41d8cd98f00b204e9800998ecf8427e\"", "\"x\"", "null", "1", "\"\""]),
        ("legacy_bz2_size", &["1", "null", "\"1\"", "-1"]),
        ("size", &["0", "1234", "null"]),
        (
            "timestamp",
            &[
                "1700000000000",
                "1700000000",
                "0",
                "-1",
                "1e12",
                "\"x\"",
                "null",
                "1700000000000.5",
                "99999999999999999",
            ],
        ),
        ("indexed_timestamp", &["1700000000000", "1700000000", "\"x\"", "-1", "null"]),
        ("noarch", &["\"python\"", "\"generic\"", "true", "false", "null", "\"\"", "\"other\"", "1"]),
        ("subdir", &["\"noarch\"", "\"\"", "null", "1"]),
        ("track_features", &["\"\"", "\"a b\"", "[]", "[\"a\"]", "null", "1", "[1]"]),
        ("features", &["\"\"", "null", "[]"]),
        ("arch", &["\"x86_64\"", "null", "1"]),
        ("platform", &["\"linux\"", "null", "1"]),
        ("python_site_packages_path", &["\"lib\"", "null", "1"]),
        ("run_exports", &["{}", "{\"weak\":[\"a\"]}", "null", "\"x\"", "[]", "{\"weak\":\"a\"}"]),
        (
            "attestations_sha256",
            &["null", "\"x\"", "\"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855\""],
        ),
        ("extra_depends", &["{}", "{\"a\":[\"b\"]}", "null", "[]"]),
        ("flags", &["[]", "[\"a\"]", "null", "1"]),
        ("purls", &["null", "[]", "[\"pkg:pypi/a\"]", "[\"x\"]", "1"]),
        ("unknown", &["1", "{\"name\":1}"]),
    ];

    /// A record: nearly always the good value of each field, sometimes another, none, or two.
    fn record() -> impl Strategy<Value = String> {
        let fields: Vec<_> = FIELDS
            .iter()
            .map(|(key, values)| {
                let needed = ["name", "version", "build", "build_number"].contains(key);
                let absent = if needed { 2 } else { 120 };
                let one = prop_oneof![
                    absent => Just(Vec::new()),
                    160 => Just(vec![values[0]]),
                    30 => select(*values).prop_map(|value| vec![value]),
                    1 => (select(*values), select(*values)).prop_map(|(a, b)| vec![a, b]),
                ];
                one.prop_map(move |values| {
                    values.into_iter().map(|value| format!("\"{key}\":{value}")).collect::<Vec<_>>()
                })
            })
            .collect();
        fields.prop_map(|members| format!("{{{}}}", members.concat().join(",")))
    }

    /// The record as it is handed out, which has the gate's own `indexed_timestamp`.
    fn as_shown(text: &str) -> String {
        let mut members: Members<'_> = serde_json::from_str(text).unwrap();
        members.remove("indexed_timestamp");
        members.set("indexed_timestamp", "1700000000000".to_owned());
        let mut out = Vec::new();
        members.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn what_passes_is_what_rattler_reads(text in record()) {
            let record = Record::alone(Group::PackagesConda, text.as_bytes()).unwrap();
            // The scan finds what stands twice before it comes to this.
            prop_assume!(!record.repeated);
            let read = serde_json::from_str::<PackageRecord>(&as_shown(&text));
            let passes = record.check_package();
            prop_assert_eq!(passes.is_ok(), read.is_ok(), "{:?} {:?}: {}", passes, read.err(), text);
        }
    }

    #[test]
    fn ordinary_records_are_seen_at_a_glance() {
        for text in [
            r#"{"build":"h1_0","build_number":0,"constrains":[],"depends":["b"],"license":"MIT","license_family":null,
                "md5":"d41d8cd98f00b204e9800998ecf8427e","name":"a","noarch":"python","size":5,"subdir":"noarch",
                "timestamp":1700000000000,"track_features":"","version":"2024.1.0rc1"}"#,
            r#"{"arch":null,"build":"0","build_number":0,"depends":[],"features":"x","name":"a","platform":null,"version":"1"}"#,
        ] {
            assert!(Record::alone(Group::Packages, text.as_bytes()).unwrap().is_plain(), "{text}");
        }
    }
}
