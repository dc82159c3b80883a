//! The few fields of a record that decide whether it is current, found without a tree.
//!
//! Belongs here: reading them out of a record's bytes, whatever types they have there. Does not: what follows from them
//! (`choose`).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Most dependencies of a record that are looked at; the largest honest ones have a few hundred.
const MOST_DEPENDS: usize = 10_000;

/// The values of a record's fields as they stand there. Where a key stands twice the last one counts, as in every client.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Fields<'a> {
    pub name: Option<&'a RawValue>,
    pub version: Option<&'a RawValue>,
    pub build: Option<&'a RawValue>,
    pub build_number: Option<&'a RawValue>,
    pub depends: Option<&'a RawValue>,
    pub features: Option<&'a RawValue>,
    pub track_features: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Key {
    Name,
    Version,
    Build,
    BuildNumber,
    Depends,
    Features,
    TrackFeatures,
    #[serde(other)]
    Other,
}

impl<'a> Fields<'a> {
    /// `None`: not a JSON object.
    pub fn read(record: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(record).ok()
    }

    /// `build_number`; 0 where it is missing or no whole number.
    pub fn number(&self) -> u64 {
        self.build_number.and_then(|raw| raw.get().parse().ok()).unwrap_or(0)
    }

    /// Whether it asks for or sets features, as the variants of packages did before there were build strings to depend on.
    pub fn is_featured(&self) -> bool {
        [self.features, self.track_features].into_iter().flatten().any(|raw| match text(raw) {
            Some(words) => !words.trim().is_empty(),
            None => serde_json::from_str::<Vec<IgnoredAny>>(raw.get()).is_ok_and(|list| !list.is_empty()),
        })
    }

    /// The specs it depends on; what is not a string is left out, and so is what is longer than `longest` bytes.
    pub fn depends(&self, longest: usize) -> Vec<Cow<'a, str>> {
        let list = self.depends.and_then(|raw| serde_json::from_str::<Depends<'a>>(raw.get()).ok());
        let specs = list.into_iter().flat_map(|list| list.0).filter_map(text);
        specs.filter(|spec| spec.len() <= longest).collect()
    }
}

/// A value's text; `None` when it is not a string.
pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(raw.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// A list's first [`MOST_DEPENDS`] values.
struct Depends<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Depends<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Depends<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut found = Vec::new();
                while found.len() < MOST_DEPENDS
                    && let Some(value) = list.next_element()?
                {
                    found.push(value);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Depends(found))
            }
        }
        from.deserialize_seq(Collect)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = Fields::default();
                while let Some(key) = map.next_key()? {
                    let place = match key {
                        Key::Name => &mut found.name,
                        Key::Version => &mut found.version,
                        Key::Build => &mut found.build,
                        Key::BuildNumber => &mut found.build_number,
                        Key::Depends => &mut found.depends,
                        Key::Features => &mut found.features,
                        Key::TrackFeatures => &mut found.track_features,
                        Key::Other => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *place = Some(map.next_value()?);
                }
                Ok(found)
            }
        }
        from.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_types_they_have() {
        let record = br#"{"x":{"name":1},"name":"a","name":"b\u0041","version":1.0,"build_number":7,"depends":["c",1,"d\n"],
            "track_features":[],"features":" "}"#;
        let fields = Fields::read(record).unwrap();
        assert_eq!(text(fields.name.unwrap()).unwrap(), "bA");
        assert_eq!(text(fields.version.unwrap()), None);
        assert_eq!((fields.number(), fields.is_featured()), (7, false));
        assert_eq!(fields.depends(2), ["c", "d\n"]);
        assert_eq!(fields.depends(1), ["c"]);
        let odd = Fields::read(br#"{"build_number":"1","depends":"c","features":["mkl"]}"#).unwrap();
        assert_eq!((odd.number(), odd.depends(9).len(), odd.is_featured()), (0, 0, true));
        assert!(Fields::read(br#"{"track_features":"mkl"}"#).unwrap().is_featured());
        assert!(!Fields::read(br#"{"track_features":null,"features":0}"#).unwrap().is_featured());
        assert!(Fields::read(b"[]").is_none());
        let many = format!("{{\"depends\":[{}\"a\"]}}", "\"a\",".repeat(MOST_DEPENDS + 5));
        assert_eq!(Fields::read(many.as_bytes()).unwrap().depends(9).len(), MOST_DEPENDS);
    }
}
