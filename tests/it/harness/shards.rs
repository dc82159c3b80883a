//! Reading sharded repodata (CEP 16) in tests, strictly.
//!
//! Belongs here: decoding what came over the wire. Does not: making shards for an upstream (`channel`).

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Any MessagePack as JSON; bytes as hex.
struct Tree(Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Tree;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("anything that repodata has")
            }

            fn visit_unit<E: Error>(self) -> Result<Tree, E> {
                Ok(Tree(Value::Null))
            }

            fn visit_bool<E: Error>(self, is: bool) -> Result<Tree, E> {
                Ok(Tree(is.into()))
            }

            fn visit_u64<E: Error>(self, n: u64) -> Result<Tree, E> {
                Ok(Tree(n.into()))
            }

            fn visit_i64<E: Error>(self, n: i64) -> Result<Tree, E> {
                Ok(Tree(n.into()))
            }

            fn visit_f64<E: Error>(self, n: f64) -> Result<Tree, E> {
                Ok(Tree(n.into()))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Tree, E> {
                Ok(Tree(text.into()))
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Tree, E> {
                Ok(Tree(hex::encode(bytes).into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(Tree(item)) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Tree(items.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut members = serde_json::Map::new();
                while let Some((key, Tree(value))) = map.next_entry::<String, Tree>()? {
                    members.insert(key, value);
                }
                Ok(Tree(members.into()))
            }
        }
        from.deserialize_any(Any)
    }
}

fn decode(bytes: &[u8]) -> Value {
    let raw = zstd::stream::decode_all(bytes).expect("one good zstd frame");
    rmp_serde::from_slice::<Tree>(&raw).expect("MessagePack").0
}

/// A shard index as JSON; digests as hex.
pub fn decode_index(bytes: &[u8]) -> Value {
    let index = decode(bytes);
    for digest in digests(&index) {
        assert_eq!(digest.len(), 64, "32 raw bytes");
    }
    index
}

/// A shard as JSON; digests as hex.
pub fn decode_shard(bytes: &[u8]) -> Value {
    decode(bytes)
}

/// The digests that an index names.
pub fn digests(index: &Value) -> Vec<String> {
    let shards = index["shards"].as_object().expect("a map of shards");
    shards.values().map(|digest| digest.as_str().expect("a digest").to_owned()).collect()
}
