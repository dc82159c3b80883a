//! The conda domain as values: names, digests and THE grammar of channel URLs.
//!
//! Belongs here: pure parsing and naming rules of the conda ecosystem (CEP 26, CEP 36, CEP 16). Does not: any
//! I/O, any policy, HTTP semantics (`http`), repodata documents (`repodata`).

pub mod archive;
pub mod channel;
pub mod clients;
pub mod digest;
pub mod patches;
pub mod spec;
pub mod subdir;
pub mod url;
