//! Loading a rules directory.
//!
//! Belongs here: which files count and in which order. Does not: their meaning (`policy`).

use std::fs;
use std::path::{Path, PathBuf};

use super::outside::{Machine, reason};
use super::yaml;
use crate::policy::{At, Mistake, Mistakes, Node, Outside as _, Rules, compile};

#[cfg(test)]
mod tests;

/// Where rules are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesDir {
    /// The directory.
    pub path: PathBuf,
    /// Whether somebody named it; only then is its absence a mistake.
    pub named: Option<At>,
}

/// Reads `*.yaml` and `*.yml` of a directory in name order and compiles them on top of the built-in rules. Hidden files
/// and subdirectories don't count. All or nothing: on any mistake there are no rules.
///
/// # Errors
/// Every mistake in every file.
pub fn load(dir: &RulesDir, machine: &Machine) -> Result<Rules, Vec<Mistake>> {
    let mut mistakes = Mistakes::new();
    let mut documents = Vec::new();
    match yaml_files(&dir.path) {
        Ok(files) => {
            for file in files {
                documents.extend(document(&file, machine).map_err(|mistake| mistakes.push(mistake)).ok());
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && dir.named.is_none() => {}
        Err(error) => {
            let at = dir.named.clone().unwrap_or_else(|| At::outside(&dir.path.display().to_string()));
            let shown = dir.path.display();
            mistakes.add(&at, format!("the rules directory `{shown}` can't be read: {}", reason(&error)));
        }
    }
    match compile(&documents, machine) {
        Ok(rules) => mistakes.or(rules),
        Err(others) => {
            mistakes.extend(others);
            Err(mistakes.into_sorted())
        }
    }
}

/// One file as a tree.
pub(super) fn document(file: &Path, machine: &Machine) -> Result<Node, Mistake> {
    let shown = file.display().to_string();
    let text = machine
        .read(file)
        .map_err(|why| Mistake::new(&At::outside(&shown), format!("the file can't be read: {why}")))?;
    yaml::parse(&shown, &text)
}

/// The YAML files of a directory, by name.
pub(super) fn yaml_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let yaml = path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml");
        // Follows symbolic links: that is how mounted configuration arrives.
        if yaml && !hidden && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
