//! Names on disk: of documents inside a generation, and of channels below the store's root.

use sha2::Digest as _;

use crate::conda::channel::ChannelRef;
use crate::conda::url::{IndexFile, Packing};

/// Every index document there is, with the file name clients ask for; also its name inside a generation.
pub(super) const DOCUMENTS: [(IndexFile, &str); 14] = [
    (IndexFile::Repodata(Packing::Json), "repodata.json"),
    (IndexFile::Repodata(Packing::Zst), "repodata.json.zst"),
    (IndexFile::Repodata(Packing::Bz2), "repodata.json.bz2"),
    (IndexFile::Current(Packing::Json), "current_repodata.json"),
    (IndexFile::Current(Packing::Zst), "current_repodata.json.zst"),
    (IndexFile::Current(Packing::Bz2), "current_repodata.json.bz2"),
    (IndexFile::FromPackages(Packing::Json), "repodata_from_packages.json"),
    (IndexFile::FromPackages(Packing::Zst), "repodata_from_packages.json.zst"),
    (IndexFile::FromPackages(Packing::Bz2), "repodata_from_packages.json.bz2"),
    (IndexFile::RunExports(Packing::Json), "run_exports.json"),
    (IndexFile::RunExports(Packing::Zst), "run_exports.json.zst"),
    (IndexFile::RunExports(Packing::Bz2), "run_exports.json.bz2"),
    (IndexFile::ShardIndex, "repodata_shards.msgpack.zst"),
    (IndexFile::PatchInstructions, "patch_instructions.json"),
];

/// The file name of an index document.
pub fn file_name(file: IndexFile) -> &'static str {
    DOCUMENTS.iter().find(|(known, _)| *known == file).map_or("", |(_, name)| name)
}

/// The index document of a file name.
pub(super) fn document(name: &str) -> Option<IndexFile> {
    DOCUMENTS.iter().find(|(_, known)| *known == name).map(|(file, _)| *file)
}

/// The index's own name inside a generation.
pub(super) const JSON: &str = "repodata.json";
/// The package table's name inside a generation.
pub(super) const TABLE: &str = "packages.table";
/// The manifest's name inside a generation.
pub(super) const MANIFEST: &str = "manifest.json";
/// The name, inside a generation, of the list of where its shards lie.
pub(super) const SHARD_MAP: &str = "shards.map";

/// The name, inside a generation, of the records that are not shown as upstream has them, one behind the other.
pub(super) const WITHHELD: &str = "withheld.json";

/// The name, inside a generation, of the map of its `repodata.json.zst`.
pub(super) const FRAME_MAP: &str = "repodata.json.zst.map";

/// A channel (and label) as one directory name: slashes become `%`, long ones are cut and told apart by a digest. Names of
/// channels have no `%`, so two channels never meet; they begin with a letter, a digit or `_`, so none is hidden.
pub(super) fn channel_dir(channel: &ChannelRef) -> String {
    const LONGEST: usize = 200;
    let flat = channel.path().replace('/', "%");
    if flat.len() <= LONGEST {
        return flat;
    }
    let digest = hex::encode(sha2::Sha256::digest(flat.as_bytes()));
    format!("{}%%{}", &flat[..LONGEST - 40], &digest[..32])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conda::channel::ChannelName;

    #[test]
    fn documents_have_different_names() {
        let names: std::collections::HashSet<_> = DOCUMENTS.iter().map(|(_, name)| name).collect();
        assert_eq!(names.len(), DOCUMENTS.len());
        for (file, name) in DOCUMENTS {
            assert_eq!((file_name(file), document(name)), (name, Some(file)));
        }
    }

    #[test]
    fn channels_do_not_meet() {
        let channel = |name: &str, label: Option<&str>| {
            channel_dir(&ChannelRef { name: ChannelName::parse(name).unwrap(), label: label.map(Into::into) })
        };
        assert_eq!(channel("pkgs/main", None), "pkgs%main");
        assert_eq!(channel("team", Some("rc/1")), "team%label%rc%1");
        let (long, other) = (format!("a{}", "b".repeat(120)), format!("a{}c", "b".repeat(119)));
        let label = format!("x{}", "y".repeat(110));
        assert_ne!(channel(&long, Some(&label)), channel(&other, Some(&label)));
        let twin = format!("{label}z");
        assert_ne!(channel(&long, Some(&label)), channel(&long, Some(&twin)));
        assert!(channel(&long, Some(&label)).len() < 240);
    }
}
