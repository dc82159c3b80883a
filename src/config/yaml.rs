//! YAML text to a [`Node`] tree with places.
//!
//! The tree keeps every scalar as it was typed (`on`, `0755`, `1_000` stay text), so that each key decides what its value
//! means, and one pass over the tree can tell every mistake at once. Only broken syntax ends after the first.
//!
//! Belongs here: the one use of the YAML library. Does not: the meaning of keys.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, Spanned};

use crate::policy::node::{Entry, Value};
use crate::policy::{At, Mistake, Node};

/// Longer documents are refused; rules and configuration are written by hand.
const MAX_BYTES: usize = 4 << 20;

/// Parses one document; an empty one is [`Value::Null`].
///
/// # Errors
/// Where the syntax breaks.
pub fn parse(file: &str, text: &str) -> Result<Node, Mistake> {
    let file: Arc<str> = file.into();
    let start = At { file: Arc::clone(&file), line: 1, column: 1 };
    if text.len() > MAX_BYTES {
        return Err(Mistake::new(&start, "the file is longer than 4 MiB"));
    }
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
    };
    let parsed: Result<Option<Spanned<Raw>>, _> = serde_saphyr::from_str_with_options(text, options);
    match parsed {
        Ok(None) => Ok(Node { at: start, value: Value::Null }),
        Ok(Some(raw)) => Ok(Source { file, text }.node(raw)),
        Err(error) => {
            let error = error.without_snippet();
            let place = error.location().filter(|l| *l != Location::UNKNOWN);
            let at = place.map_or(start, |l| at(&file, l));
            let said = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            let said = said.lines().next().unwrap_or_default();
            let said = said.split(" at line ").next().unwrap_or(said).trim_end_matches(',');
            Err(Mistake::new(&at, format!("this is not valid YAML: {said}"))
                .hint("everything behind this place was not read"))
        }
    }
}

fn at(file: &Arc<str>, location: Location) -> At {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    At { file: Arc::clone(file), line: number(location.line()), column: number(location.column()) }
}

/// What the library hands over: shapes, and scalars by the type it guessed.
enum Raw {
    Null,
    /// Text that was quoted or could be nothing else.
    Text(String),
    /// A number or truth value; what was typed has to be looked up in the source.
    Guessed(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

struct Source<'a> {
    file: Arc<str>,
    text: &'a str,
}

impl Source<'_> {
    fn node(&self, raw: Spanned<Raw>) -> Node {
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Text(text) => Value::Scalar(text),
            Raw::Guessed(guess) => Value::Scalar(self.typed(raw.defined).unwrap_or(guess)),
            Raw::List(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            Raw::Map(entries) => Value::Map(entries.into_iter().map(|(k, v)| self.entry(k, v)).collect()),
        };
        Node { at: at(&self.file, raw.referenced), value }
    }

    fn entry(&self, key: Spanned<String>, value: Spanned<Raw>) -> Entry {
        Entry { at: at(&self.file, key.referenced), key: key.value, node: self.node(value) }
    }

    /// The plain scalar at a place, as typed; `None` when something else stands there too (a tag, an anchor).
    fn typed(&self, place: Location) -> Option<String> {
        let span = place.span();
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
        let text = self.text.get(start..end)?.trim();
        let is_plain =
            !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "!&*\"'".contains(c));
        is_plain.then(|| text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }
    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }
    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Guessed(value.to_string()))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Guessed(value.to_string()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Guessed(value.to_string()))
    }
    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Guessed(value.to_string()))
    }
    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Guessed(value.to_string()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Guessed(value.to_string()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::read::scalar;
    use proptest::prelude::*;

    fn show(node: &Node) -> String {
        let place = format!("{}:{}", node.at.line, node.at.column);
        match &node.value {
            Value::Null => format!("null@{place}"),
            Value::Scalar(text) => format!("{text}@{place}"),
            Value::List(items) => {
                format!("[{}]@{place}", items.iter().map(show).collect::<Vec<_>>().join(" "))
            }
            Value::Map(entries) => {
                let show = |e: &Entry| format!("{}@{}:{}={}", e.key, e.at.line, e.at.column, show(&e.node));
                format!("{{{}}}@{place}", entries.iter().map(show).collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[test]
    fn scalars_stay_as_typed_and_know_their_place() {
        let text = "# c\na: on\nb: [0755, 1_000, 'x y', 1.50, true, ~, \"5\"]\nc: {d: é, e: }\n1: z\n";
        assert_eq!(
            show(&parse("f", text).unwrap()),
            "{a@2:1=on@2:4 b@3:1=[0755@3:5 1_000@3:11 x y@3:18 1.50@3:25 true@3:31 null@3:37 5@3:40]@3:4 \
             c@4:1={d@4:5=é@4:8 e@4:11=null@4:12}@4:4 1@5:1=z@5:4}@2:1"
        );
    }

    #[test]
    fn anchors_merges_and_repeated_keys() {
        let text = "x: &a {n: 007}\ny: *a\nz: {<<: *a, m: 1}\nx: 2\n";
        assert_eq!(
            show(&parse("f", text).unwrap()),
            "{x@1:1={n@1:8=007@1:11}@1:7 y@2:1={n@2:4=007@2:4}@2:4 z@3:1={m@3:13=1@3:16 n@3:9=007@3:9}@3:4 \
             x@4:1=2@4:4}@1:1"
        );
    }

    #[test]
    fn empty_documents() {
        for text in ["", "\n# only a comment\n", "---\n"] {
            assert!(parse("f", text).unwrap().value == Value::Null, "{text:?}");
        }
    }

    #[test]
    fn broken_syntax_is_placed() {
        for (text, line) in
            [("a: [1\nb: 2\n", 2), ("a: 1\n b: 2\n", 2), ("a: \"x\n", 1), ("a: 1\n---\nb: 2\n", 3)]
        {
            let mistake = parse("f", text).unwrap_err();
            assert_eq!(mistake.line, line, "{text:?}: {mistake}");
            assert!(mistake.message.starts_with("this is not valid YAML: "), "{mistake}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "[a-z0-9:\\[\\]{}&*!<>|'\"#\\n ,-]{0,60}") {
            let _ = parse("f", &text);
        }

        #[test]
        fn quoted_text_survives(text in "[ -~é]{1,40}") {
            let quoted = format!("k: '{}'\n", text.replace('\'', "''"));
            let node = parse("f", &quoted).unwrap();
            let Value::Map(entries) = &node.value else { panic!("a map") };
            prop_assert_eq!(scalar(&entries[0].node), Some(text.as_str()));
        }
    }
}
