//! THE grammar of every URL a conda client may ask for (`PROTOCOL` section 1, CEP 16, CEP 26, CEP 36).
//!
//! A request path goes in, a [`Target`] comes out. Pure; the only place where a path is taken apart. Belongs here: the
//! grammar, the names of index and channel documents, reserved roots. Does not: hosts and queries (`proxy`), which channel
//! comes from where and who may read it (`policy`), how long an answer stays fresh.

pub mod dialect;
mod names;
mod normal;
mod parse;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use names::is_reserved_root;
pub use parse::{Own, parse, parse_below, parse_own};

use super::archive::ArchiveName;
use super::channel::ChannelRef;
use super::digest::Sha256;
use super::subdir::Subdir;
use crate::secret::Secret;

/// How an index document is packed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Packing {
    /// `.json`
    Json,
    /// `.json.zst`
    Zst,
    /// `.json.bz2`
    Bz2,
}

/// An index document of one subdir.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IndexFile {
    /// `repodata.json[.zst|.bz2]`
    Repodata(Packing),
    /// `current_repodata.json[.zst|.bz2]`
    Current(Packing),
    /// `repodata_from_packages.json[.zst|.bz2]`
    FromPackages(Packing),
    /// `run_exports.json[.zst|.bz2]` (CEP 12)
    RunExports(Packing),
    /// `repodata_shards.msgpack.zst` (CEP 16), also asked as `repodata_shards.msgpack.zst/<subdir>` by conda 26.5–26.7.1
    ShardIndex,
    /// `patch_instructions.json`
    PatchInstructions,
}

/// A document of a whole channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ChannelDoc {
    /// `channeldata.json[.zst|.bz2]` (CEP 38)
    Channeldata(Packing),
    /// `notices.json` (CEP 6): asked without credentials by design
    Notices,
    /// `terms.json`: asked without credentials by design
    Terms,
    /// `rss.xml`
    Rss,
    /// `<N>.root.json` of conda content trust
    TrustRoot(u32),
    /// `key_mgr.json` of conda content trust
    KeyManager,
}

/// What a path asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Route {
    /// `/`
    Home,
    /// `/-/…`: the rest behind `/-/`, decoded and normalised, no leading slash.
    Control(String),
    /// `<channel>/<subdir>/<index document>`
    Index {
        /// whose
        channel: ChannelRef,
        /// which platform
        subdir: Subdir,
        /// which document
        file: IndexFile,
    },
    /// `<channel>/<subdir>/[shards/]<sha256>.msgpack.zst`
    Shard {
        /// whose
        channel: ChannelRef,
        /// which platform
        subdir: Subdir,
        /// SHA-256 of the compressed bytes
        digest: Sha256,
    },
    /// `<channel>/<subdir>/<archive>`
    Package {
        /// whose
        channel: ChannelRef,
        /// which platform
        subdir: Subdir,
        /// which file
        archive: ArchiveName,
    },
    /// `<channel>/<subdir>/<archive>.sigs[.<sha256>]` and `.v0.sigs` (CEP 50)
    Sidecar {
        /// whose
        channel: ChannelRef,
        /// which platform
        subdir: Subdir,
        /// the whole file name
        file: Arc<str>,
    },
    /// `<channel>/<document>`
    Doc {
        /// whose
        channel: ChannelRef,
        /// which document
        doc: ChannelDoc,
    },
    /// Any other path that is safe: `files:` prefixes, pages of a channel (`<channel>/`, `<channel>/<subdir>/`, `…/index.html`),
    /// unknown files. [`Target::path`] has it.
    Other,
}

/// A parsed request path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// What is asked.
    pub route: Route,
    /// The token of `/t/<token>/`, if the path had one; already taken out of `path`.
    pub token: Option<Secret<Arc<str>>>,
    /// The decoded, normalised path without token and base: begins with `/`, no empty, `.` or `..` segment, no control
    /// character; ends with `/` only for [`Route::Home`] and, where the request did, [`Route::Other`] (a directory). Of a
    /// swapped shard index it is the path that should have been asked. A second token may be in it: print it with
    /// [`crate::secret::mask_path`] only.
    pub path: String,
}

/// Why a path was refused. The message never repeats the path.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PathError {
    /// A `%` that is not followed by two hex digits.
    #[error("the path has a broken percent-escape")]
    BadEscape,
    /// Decodes to something that is not UTF-8 (overlong forms included).
    #[error("the path is not valid UTF-8 once percent-decoded")]
    NotUtf8,
    /// NUL or another control character, or a backslash.
    #[error("the path contains a control character or a backslash")]
    Forbidden,
    /// `%2F`: a slash that pretends to be part of a name.
    #[error("the path contains a percent-encoded slash")]
    EncodedSlash,
    /// `.` or `..`, percent-encoded or not.
    #[error("the path contains a `.` or `..` segment")]
    Traversal,
    /// Longer than [`MAX_PATH`].
    #[error("the path is longer than {MAX_PATH} bytes")]
    TooLong,
}

/// The longest path accepted, in bytes before decoding.
pub const MAX_PATH: usize = 4096;
