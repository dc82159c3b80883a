//! Packages that hold repodata patches: how they are called, and where in them the instructions are.
//!
//! conda's own channels have them (`conda-forge-repodata-patches`); conda-index takes one as its patch generator, quetz finds a channel's by
//! its name.
//!
//! Belongs here: names and paths. Does not: what instructions mean (`policy::judge::hotfix`).

use super::archive::ArchiveName;
use super::subdir::Subdir;

const ENDING: &str = "-repodata-patches";
const FILE: &str = "patch_instructions.json";

/// What the package with the patches of a channel is called: by the last part of the channel's name, in lower case as all packages.
#[must_use]
pub fn package_of(channel: &str) -> String {
    let last = channel.rsplit('/').next().unwrap_or(channel);
    format!("{}{ENDING}", last.to_ascii_lowercase())
}

/// Whether a package of this name holds patches, of whatever channel.
#[must_use]
pub fn is_patches(name: &str) -> bool {
    name.ends_with(ENDING)
}

/// Whether a file is such a package.
#[must_use]
pub fn is_patches_file(file: &str) -> bool {
    ArchiveName::parse(file).is_some_and(|file| file.parts().is_some_and(|(name, _, _)| is_patches(name)))
}

/// Where in such a package the instructions for a subdir are.
#[must_use]
pub fn path_of(subdir: &Subdir) -> String {
    format!("{subdir}/{FILE}")
}

/// The subdir whose instructions are at a path in such a package.
#[must_use]
pub fn subdir_at(path: &str) -> Option<Subdir> {
    Subdir::parse(path.strip_suffix(FILE)?.strip_suffix('/')?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths() {
        assert_eq!(package_of("conda-forge"), "conda-forge-repodata-patches");
        assert_eq!(package_of("org/Team"), "team-repodata-patches");
        assert!(is_patches_file("team-repodata-patches-2026.11.27-0.conda"));
        assert!(!is_patches_file("team-repodata-patches.conda") && !is_patches_file("team-1-0.conda"));
        assert_eq!(path_of(&Subdir::noarch()), "noarch/patch_instructions.json");
        assert_eq!(subdir_at("noarch/patch_instructions.json"), Some(Subdir::noarch()));
        for path in [
            "patch_instructions.json",
            "a/b/patch_instructions.json",
            "noarch/other.json",
            "/patch_instructions.json",
        ] {
            assert_eq!(subdir_at(path), None, "{path}");
        }
    }
}
