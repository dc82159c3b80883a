//! Index documents: streaming scan, package tables, generations, shards, refresh.
//!
//! Belongs here: everything that knows what repodata is. Does not: fetching bytes (`upstream`), keeping package files (`cache`),
//! answering requests (`delivery`). All of it blocks, except lookups in what is already open.
//!
//! The road of a refresh: upstream's file → [`build::build`] (`unpack` → [`scan`] → `rewrite` → [`table`], `encode`) →
//! [`store::GenerationStore::publish`] → [`generation::Generation`].

pub mod attach;
pub mod build;
mod current;
mod departed;
mod edit;
mod encode;
mod error;
mod exports;
mod files;
pub mod fitness;
pub mod frame;
pub mod generation;
mod gone;
pub mod hosted;
pub mod hosted_patches;
mod info;
pub mod judging;
pub mod manifest;
mod map;
mod members;
pub mod merge;
mod moment;
mod names;
pub mod needs;
pub mod onlooker;
mod opening;
mod out;
pub mod outline;
mod patch;
mod read;
mod rewrite;
pub mod scan;
mod seal;
pub mod shards;
pub mod sightings;
pub mod store;
pub mod subject;
pub mod summary;
pub mod table;
mod unpack;

#[cfg(test)]
mod tests;

pub use error::BuildError;
pub use frame::{HEADER_LEN, STREAM_HEADER};
pub use names::file_name;
pub use unpack::UnpackLimits;
