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

/// A file that is to be in the directory, or not to be there any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Its name.
    pub name: String,
    /// What is to be in it; `None`: it is to be away.
    pub text: Option<String>,
}

/// Reads `*.yaml` and `*.yml` of a directory in name order and compiles them on top of the built-in rules. Hidden files
/// and subdirectories don't count. All or nothing: on any mistake there are no rules.
///
/// # Errors
/// Every mistake in every file.
pub fn load(dir: &RulesDir, machine: &Machine) -> Result<Rules, Vec<Mistake>> {
    load_edited(dir, machine, None)
}

/// The same with one file as it would be after an edit.
///
/// # Errors
/// As [`load`].
pub fn load_edited(dir: &RulesDir, machine: &Machine, edit: Option<&Edit>) -> Result<Rules, Vec<Mistake>> {
    let mut mistakes = Mistakes::new();
    let mut documents = Vec::new();
    match yaml_files(&dir.path) {
        Ok(mut files) => {
            let edited = edit.map(|edit| dir.path.join(&edit.name));
            files.retain(|file| Some(file) != edited.as_ref());
            files.extend(edited.clone().filter(|_| edit.is_some_and(|edit| edit.text.is_some())));
            files.sort();
            for file in files {
                let text =
                    edit.filter(|_| Some(&file) == edited.as_ref()).and_then(|edit| edit.text.as_deref());
                let read = match text {
                    Some(text) => tree(&file, text),
                    None => rules_of(&file, machine),
                };
                documents.extend(read.map_err(|mistake| mistakes.push(mistake)).ok());
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && dir.named.is_none() => {
            if let Some(edit) = edit {
                let read = edit.text.as_deref().map(|text| tree(&dir.path.join(&edit.name), text));
                documents.extend(read.and_then(|read| read.map_err(|mistake| mistakes.push(mistake)).ok()));
            }
        }
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

/// One file of rules as a tree. To read a pipe could take for ever; and a file without a byte is one that is being written, or whose
/// disk is full: taken as no rules it would open what it was meant to close.
fn rules_of(file: &Path, machine: &Machine) -> Result<Node, Mistake> {
    let at = At::outside(&file.display().to_string());
    if fs::metadata(file).is_ok_and(|meta| !meta.is_file()) {
        return Err(Mistake::new(
            &at,
            "this is no regular file; take it out of the rules directory".to_owned(),
        ));
    }
    tree(file, &text(file, machine)?)
}

fn tree(file: &Path, text: &str) -> Result<Node, Mistake> {
    if text.trim().is_empty() {
        let message =
            "the file is empty; write rules into it (a comment will do), or take it away".to_owned();
        return Err(Mistake::new(&At::outside(&file.display().to_string()), message));
    }
    yaml::parse(&file.display().to_string(), text)
}

/// One file as a tree.
pub(super) fn document(file: &Path, machine: &Machine) -> Result<Node, Mistake> {
    yaml::parse(&file.display().to_string(), &text(file, machine)?)
}

fn text(file: &Path, machine: &Machine) -> Result<String, Mistake> {
    let at = || At::outside(&file.display().to_string());
    machine.read(file).map_err(|why| Mistake::new(&at(), format!("the file can't be read: {why}")))
}

/// The YAML files of a directory, by name.
pub(crate) fn yaml_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
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
