//! Sharded repodata (CEP 16): reading upstream's, and making the gate's own.
//!
//! Belongs here: MessagePack under limits, the shard index, shards, and where made shards lie. Does not: fetching shards
//! (`refresh`), the JSON side (`scan`, `build`).
//!
//! Rules from PROTOCOL section 0: the index may be rewritten, because nobody hashes it; shards are content-addressed and must
//! stay byte for byte what their digest says; both groups of packages must be in every shard.

mod cursor;
mod error;
mod index;
mod inflate;
mod map;
mod record;
mod synth;
mod transcode;

#[cfg(test)]
mod tests;

pub use error::ShardError;
pub use index::{UpstreamIndex, rewrite_index};
pub use map::ShardAt;
pub(super) use map::{ShardMap, ShardMapBuilder};
pub use record::find_in_shard;
pub(super) use synth::{PACK, Previous, Records, Synthesised, pack_path, synthesise};
