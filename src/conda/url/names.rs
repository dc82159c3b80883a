//! File names of index documents and channel documents, in both directions; which path roots no channel may take.

use std::borrow::Cow;

use super::{ChannelDoc, IndexFile, Packing, Route};
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;

/// The shard index; also what conda 26.5–26.7.1 puts before the subdir instead of behind it.
pub(super) const SHARD_INDEX: &str = "repodata_shards.msgpack.zst";

/// First path components that belong to the control plane, to upload dialects (`PROTOCOL` section 5) or to browsers.
const RESERVED: [&str; 22] = [
    "t",
    "label",
    "api",
    "static",
    "user",
    "search",
    "get",
    "download",
    "dist",
    "package",
    "release",
    "stage",
    "commit",
    "copy",
    "channels",
    "scopes",
    "authentication",
    "authentications",
    "authentication-type",
    "favicon.ico",
    "robots.txt",
    ".well-known",
];

/// Whether the first component of `path` (a channel name or a `files:` prefix, with or without a leading slash) is taken
/// by the gate itself: no hosted channel may be created there, and `check` refuses rules for it. Letter case does not
/// matter. [`super::parse()`] does not ask this: transparent callers may name any channel that upstream has.
#[must_use]
pub fn is_reserved_root(path: &str) -> bool {
    let root = path.strip_prefix('/').unwrap_or(path).split('/').next().unwrap_or("");
    root.is_empty() || root.starts_with('-') || RESERVED.iter().any(|taken| root.eq_ignore_ascii_case(taken))
}

impl Packing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Json, Self::Zst, Self::Bz2];

    /// The whole ending of a document's name: `.json`, `.json.zst` or `.json.bz2`.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Json => ".json",
            Self::Zst => ".json.zst",
            Self::Bz2 => ".json.bz2",
        }
    }

    /// Takes the ending off a document's name.
    fn split(file: &str) -> Option<(&str, Self)> {
        Self::ALL.into_iter().find_map(|packing| Some((file.strip_suffix(packing.suffix())?, packing)))
    }

    const fn pick(self, [json, zst, bz2]: [&'static str; 3]) -> &'static str {
        match self {
            Self::Json => json,
            Self::Zst => zst,
            Self::Bz2 => bz2,
        }
    }
}

/// `name.json`, `name.json.zst`, `name.json.bz2`.
macro_rules! packed {
    ($stem:literal) => {
        [concat!($stem, ".json"), concat!($stem, ".json.zst"), concat!($stem, ".json.bz2")]
    };
}

impl IndexFile {
    /// The file's name below its subdir.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Repodata(packing) => packing.pick(packed!("repodata")),
            Self::Current(packing) => packing.pick(packed!("current_repodata")),
            Self::FromPackages(packing) => packing.pick(packed!("repodata_from_packages")),
            Self::RunExports(packing) => packing.pick(packed!("run_exports")),
            Self::ShardIndex => SHARD_INDEX,
            Self::PatchInstructions => "patch_instructions.json",
        }
    }

    /// The opposite of [`IndexFile::file_name`]; `None` for any other name.
    #[must_use]
    pub fn from_file_name(file: &str) -> Option<Self> {
        if file == SHARD_INDEX {
            return Some(Self::ShardIndex);
        }
        match Packing::split(file)? {
            ("repodata", packing) => Some(Self::Repodata(packing)),
            ("current_repodata", packing) => Some(Self::Current(packing)),
            ("repodata_from_packages", packing) => Some(Self::FromPackages(packing)),
            ("run_exports", packing) => Some(Self::RunExports(packing)),
            ("patch_instructions", Packing::Json) => Some(Self::PatchInstructions),
            _ => None,
        }
    }
}

impl ChannelDoc {
    /// The file's name below its channel.
    #[must_use]
    pub fn file_name(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Channeldata(packing) => packing.pick(packed!("channeldata")),
            Self::Notices => "notices.json",
            Self::Terms => "terms.json",
            Self::Rss => "rss.xml",
            Self::KeyManager => "key_mgr.json",
            Self::TrustRoot(version) => return Cow::Owned(format!("{version}.root.json")),
        })
    }

    /// The opposite of [`ChannelDoc::file_name`]; `None` for any other name.
    #[must_use]
    pub fn from_file_name(file: &str) -> Option<Self> {
        match file {
            "notices.json" => return Some(Self::Notices),
            "terms.json" => return Some(Self::Terms),
            "rss.xml" => return Some(Self::Rss),
            "key_mgr.json" => return Some(Self::KeyManager),
            _ => {}
        }
        if let Some(version) = file.strip_suffix(".root.json") {
            // Only the canonical spelling, so that one document has one name: no sign, no leading zero.
            let canonical =
                version.bytes().all(|b| b.is_ascii_digit()) && (version == "0" || !version.starts_with('0'));
            return version.parse().ok().filter(|_| canonical).map(Self::TrustRoot);
        }
        match Packing::split(file)? {
            ("channeldata", packing) => Some(Self::Channeldata(packing)),
            _ => None,
        }
    }
}

impl Route {
    /// One word for logs and metrics: `home`, `control`, `index`, `shard`, `package`, `sidecar`, `doc`, `other`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::Control(_) => "control",
            Self::Index { .. } => "index",
            Self::Shard { .. } => "shard",
            Self::Package { .. } => "package",
            Self::Sidecar { .. } => "sidecar",
            Self::Doc { .. } => "doc",
            Self::Other => "other",
        }
    }

    /// The channel, where the route has one.
    #[must_use]
    pub const fn channel(&self) -> Option<&ChannelRef> {
        match self {
            Self::Index { channel, .. }
            | Self::Shard { channel, .. }
            | Self::Package { channel, .. }
            | Self::Sidecar { channel, .. }
            | Self::Doc { channel, .. } => Some(channel),
            Self::Home | Self::Control(_) | Self::Other => None,
        }
    }

    /// The same file of another channel; a route without a channel stays as it is.
    #[must_use]
    pub fn in_channel(mut self, other: &ChannelRef) -> Self {
        match &mut self {
            Self::Index { channel, .. }
            | Self::Shard { channel, .. }
            | Self::Package { channel, .. }
            | Self::Sidecar { channel, .. }
            | Self::Doc { channel, .. } => channel.clone_from(other),
            Self::Home | Self::Control(_) | Self::Other => {}
        }
        self
    }

    /// The subdir, where the route has one.
    #[must_use]
    pub const fn subdir(&self) -> Option<&Subdir> {
        match self {
            Self::Index { subdir, .. }
            | Self::Shard { subdir, .. }
            | Self::Package { subdir, .. }
            | Self::Sidecar { subdir, .. } => Some(subdir),
            Self::Home | Self::Control(_) | Self::Doc { .. } | Self::Other => None,
        }
    }

    /// The last part of the canonical URL, where the route names a file of a channel. A shard's is `<sha256>.msgpack.zst`,
    /// without the `shards/` before it.
    #[must_use]
    pub fn file_name(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Index { file, .. } => Some(Cow::Borrowed(file.file_name())),
            Self::Shard { digest, .. } => Some(Cow::Owned(format!("{digest}{}", super::parse::SHARD_SUFFIX))),
            Self::Package { archive, .. } => Some(Cow::Borrowed(archive.as_str())),
            Self::Sidecar { file, .. } => Some(Cow::Borrowed(file)),
            Self::Doc { doc, .. } => Some(doc.file_name()),
            Self::Home | Self::Control(_) | Self::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_names_go_both_ways() {
        let packed = Packing::ALL.into_iter().flat_map(|p| {
            [
                IndexFile::Repodata(p),
                IndexFile::Current(p),
                IndexFile::FromPackages(p),
                IndexFile::RunExports(p),
            ]
        });
        for file in packed.chain([IndexFile::ShardIndex, IndexFile::PatchInstructions]) {
            assert_eq!(IndexFile::from_file_name(file.file_name()), Some(file), "{file:?}");
        }
        assert_eq!(IndexFile::Current(Packing::Zst).file_name(), "current_repodata.json.zst");
        for other in [
            "",
            ".json",
            "repodata",
            "Repodata.json",
            "repodata.json.gz",
            "repodata.jlap",
            "repodata_shards_from_packages.msgpack.zst",
            "patch_instructions.json.zst",
            "xrepodata.json",
        ] {
            assert_eq!(IndexFile::from_file_name(other), None, "{other}");
        }
    }

    #[test]
    fn document_names_go_both_ways() {
        let packed = Packing::ALL.into_iter().map(ChannelDoc::Channeldata);
        let single = [ChannelDoc::Notices, ChannelDoc::Terms, ChannelDoc::Rss, ChannelDoc::KeyManager];
        let roots = [0, 1, 42, u32::MAX].map(ChannelDoc::TrustRoot);
        for doc in packed.chain(single).chain(roots) {
            assert_eq!(ChannelDoc::from_file_name(&doc.file_name()), Some(doc), "{doc:?}");
        }
        for other in
            ["", "01.root.json", "+1.root.json", ".root.json", "4294967296.root.json", "notices.json.zst"]
        {
            assert_eq!(ChannelDoc::from_file_name(other), None, "{other}");
        }
    }

    #[test]
    fn roots_of_the_gate_are_reserved() {
        for taken in
            ["t", "api", "API/v1", "/static/extras", "-", "-x", "", "/", "label", "authentication-type"]
        {
            assert!(is_reserved_root(taken), "{taken}");
        }
        for free in ["conda-forge", "pkgs/main", "apis", "team/api", "tt"] {
            assert!(!is_reserved_root(free), "{free}");
        }
    }
}
