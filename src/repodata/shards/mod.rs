//! Sharded repodata (CEP 16): reading upstream's, and making the gate's own.
//!
//! Belongs here: MessagePack under limits, the shard index, shards, and where made shards lie. Does not: fetching shards
//! (`refresh`), the JSON side (`scan`, `build`).
//!
//! Clients only ever get the gate's own index, which names shards of one generation. Upstream's is a source: of digests while
//! there is no generation, of whole shards that say the same, of everything where upstream has nothing but shards.
//!
//! Rules from PROTOCOL section 0: shards are content-addressed and must stay byte for byte what their digest says; both groups
//! of packages must be in every shard.

mod cursor;
mod direct;
mod document;
mod error;
mod grouping;
mod index;
mod inflate;
mod json;
mod maker;
mod map;
mod record;
mod same;
mod source;
mod synth;
mod transcode;
mod walk;

#[cfg(test)]
mod tests;

pub use document::{Head, Shard, write_document};
pub use error::ShardError;
pub use index::UpstreamIndex;
pub use maker::Theirs;
pub use map::ShardAt;
pub(super) use map::{ShardMap, ShardMapBuilder};
pub use record::{find_in_shard, record_in_shard};
#[cfg(test)]
pub(super) use synth::synthesise_on;
pub(super) use synth::{PACK, Previous, Records, Synthesised, pack_path, synthesise};
