//! The team's own channels: what is published in them, and how.
//!
//! Belongs here: opening packages and saying what is in them ([`inspect`]). Does not: the index made of it (`repodata`), what an upload
//! looks like on the wire (`api`).

pub mod inspect;
