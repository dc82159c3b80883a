//! What is told of a generation without opening it: when it has to be built again.
//!
//! Belongs here: small values out of its manifest. Nothing else is decided by them: an index on disk that nobody has read may be damaged.

use super::manifest::Manifest;
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;

/// By what is told whether rules or the clock have changed what is in a generation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// When it was built.
    pub built_at: UnixMillis,
    /// The rules revision that decided what is in it; for a virtual channel, the fingerprint of its rule.
    pub rules_revision: u64,
    /// When time alone first changes what the rules say of a record in it.
    pub next_turn: Option<UnixMillis>,
}

impl Timing {
    pub(super) fn of(manifest: &Manifest) -> Self {
        Self {
            built_at: UnixMillis(manifest.built_at),
            rules_revision: manifest.rules_revision,
            next_turn: manifest.judged.next_turn.map(UnixMillis),
        }
    }
}

/// A generation in few words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outline {
    /// Unique within its channel and subdir.
    pub id: String,
    /// When it has to be built again.
    pub timing: Timing,
    /// SHA-256 of the upstream document it was built from, or of what it was merged from.
    pub source: Option<Sha256>,
}

impl Outline {
    pub(super) fn of(id: &str, manifest: &Manifest) -> Self {
        let source = manifest.source.as_ref().and_then(|source| source.sha256.as_deref());
        Self { id: id.to_owned(), timing: Timing::of(manifest), source: source.and_then(Sha256::from_hex) }
    }
}
