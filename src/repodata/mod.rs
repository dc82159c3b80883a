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
mod encode;
mod error;
mod files;
pub mod frame;
pub mod generation;
mod gone;
mod info;
pub mod manifest;
mod map;
pub mod merge;
mod names;
mod rewrite;
pub mod scan;
pub mod shards;
pub mod store;
pub mod table;
mod unpack;

#[cfg(test)]
mod tests;

pub use error::BuildError;
pub use names::file_name;
pub use unpack::UnpackLimits;
