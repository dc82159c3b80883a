//! A hotfix file: `patch_instructions.json` as conda's repodata-patches packages have it, with the meaning that conda-index
//! gives it.
//!
//! `packages` and `packages.conda` replace fields of the files they name; what is said of `x.tar.bz2` counts for `x.conda`
//! too, and what `packages.conda` says wins. `revoke` makes a file uninstallable (`revoked: true` and one more dependency),
//! `remove` takes it out of indexes; both mean `x.conda` where they name `x.tar.bz2`.
//!
//! Belongs here: reading and asking such a file. The fixes stay JSON text until one is asked for, so a file costs little
//! more than its length. Does not: finding it on disk ([`mod@crate::policy::compile`]).

use std::collections::HashMap;
use std::sync::Arc;

use ahash::{AHashMap, AHashSet};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::policy::verdict::{Patch, RuleRef};

/// The largest hotfix file, in bytes; conda-forge's largest are around half of it.
pub const MAX_BYTES: u64 = 32 << 20;
/// The longest fix of one file, in bytes.
const MAX_FIX: usize = 64 << 10;

/// What conda-index adds to the dependencies of a revoked package; nothing provides it.
const REVOKED: &str = "package_has_been_revoked";
const TAR_BZ2: &str = ".tar.bz2";
const CONDA: &str = ".conda";

/// Fields that no patch may touch: they say which file a record is about, or belong to the gate.
pub const UNTOUCHABLE: &[&str] = &[
    "name",
    "version",
    "build",
    "build_number",
    "subdir",
    "fn",
    "url",
    "size",
    "md5",
    "sha256",
    "legacy_bz2_md5",
    "legacy_bz2_size",
    "indexed_timestamp",
];

/// A hotfix file, read.
#[derive(Debug, Default)]
pub struct Hotfix {
    /// By file name without its ending: fixes for both formats, and for `.conda` alone.
    both: AHashMap<Box<str>, Box<RawValue>>,
    conda: AHashMap<Box<str>, Box<RawValue>>,
    revoked: Named,
    removed: Named,
    keep_download: bool,
    digest: [u8; 32],
}

/// Files named by a list.
#[derive(Debug, Default)]
struct Named {
    /// Stems of `.tar.bz2` names: both formats are meant.
    both: AHashSet<Box<str>>,
    /// Stems of `.conda` names.
    conda: AHashSet<Box<str>>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    patch_instructions_version: Option<u64>,
    #[serde(default)]
    packages: HashMap<String, Box<RawValue>>,
    #[serde(default, rename = "packages.conda")]
    packages_conda: HashMap<String, Box<RawValue>>,
    #[serde(default)]
    revoke: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
}

impl Hotfix {
    /// One that is not read yet.
    #[must_use]
    pub fn pending(keep_download: bool) -> Self {
        Self { keep_download, ..Self::default() }
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// A clause that completes "it …": where it stops being JSON of that shape, or which fix can't be used and why.
    pub fn read(text: &str, keep_download: bool) -> Result<Self, String> {
        // The library would take a list for the fields in their order.
        if !text.trim_start().starts_with('{') {
            return Err("is not a patch_instructions.json: it must be an object".to_owned());
        }
        let document: Document = serde_json::from_str(text)
            .map_err(|error| format!("is not a patch_instructions.json: {error}"))?;
        if let Some(version) = document.patch_instructions_version.filter(|version| *version != 1) {
            return Err(format!("has `patch_instructions_version: {version}`; only 1 is understood"));
        }
        let digest = Sha256::digest(text.as_bytes()).into();
        let mut hotfix = Self { keep_download, digest, ..Self::default() };
        for (file, fix) in document.packages {
            check(&file, &fix)?;
            if let Some(stem) = file.strip_suffix(TAR_BZ2) {
                hotfix.both.insert(stem.into(), fix);
            }
        }
        for (file, fix) in document.packages_conda {
            check(&file, &fix)?;
            if let Some(stem) = file.strip_suffix(CONDA) {
                hotfix.conda.insert(stem.into(), fix);
            }
        }
        hotfix.revoked = Named::of(&document.revoke);
        hotfix.removed = Named::of(&document.remove);
        Ok(hotfix)
    }

    /// Whether it says anything of a file.
    #[must_use]
    pub fn knows(&self, file: &str) -> bool {
        self.removes(file) || self.changes(file)
    }

    /// Whether a file is to leave the indexes.
    #[must_use]
    pub fn removes(&self, file: &str) -> bool {
        self.removed.has(file)
    }

    /// Whether a record's fields change.
    #[must_use]
    pub fn changes(&self, file: &str) -> bool {
        self.revoked.has(file)
            || file.strip_suffix(TAR_BZ2).is_some_and(|stem| self.both.contains_key(stem))
            || file
                .strip_suffix(CONDA)
                .is_some_and(|stem| self.both.contains_key(stem) || self.conda.contains_key(stem))
    }

    /// Whether files that it removes stay downloadable.
    #[must_use]
    pub const fn keep_download(&self) -> bool {
        self.keep_download
    }

    /// The SHA-256 of the file.
    #[must_use]
    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// What is to change in a record, if anything is.
    #[must_use]
    pub fn patch(&self, file: &str, rule: &Arc<RuleRef>) -> Option<Patch> {
        if !self.changes(file) {
            return None;
        }
        let (stem, is_conda) = match file.strip_suffix(CONDA) {
            Some(stem) => (stem, true),
            None => (file.strip_suffix(TAR_BZ2)?, false),
        };
        let own = is_conda.then(|| self.conda.get(stem)).flatten();
        let mut set = Map::new();
        for fix in [self.both.get(stem), own].into_iter().flatten() {
            // Checked when the file was read.
            set.extend(serde_json::from_str::<Map<_, _>>(fix.get()).unwrap_or_default());
        }
        let mut patch = Patch {
            rule: Arc::clone(rule),
            set,
            add_depends: Vec::new(),
            remove_depends: Vec::new(),
            add_constrains: Vec::new(),
            remove_constrains: Vec::new(),
        };
        if self.revoked.has(file) {
            patch.set.insert("revoked".to_owned(), Value::Bool(true));
            patch.add_depends.push(REVOKED.to_owned());
        }
        Some(patch)
    }
}

impl Named {
    fn of(files: &[String]) -> Self {
        let stems = |ending| files.iter().filter_map(move |f| f.strip_suffix(ending)).map(Into::into);
        Self { both: stems(TAR_BZ2).collect(), conda: stems(CONDA).collect() }
    }

    fn has(&self, file: &str) -> bool {
        file.strip_suffix(TAR_BZ2).is_some_and(|stem| self.both.contains(stem))
            || file
                .strip_suffix(CONDA)
                .is_some_and(|stem| self.both.contains(stem) || self.conda.contains(stem))
    }
}

/// Whether a fix can be used: an object, its lists of dependencies lists of texts, nothing that says which file it is.
fn check(file: &str, fix: &RawValue) -> Result<(), String> {
    let shown: String = file.chars().take(120).flat_map(char::escape_debug).collect();
    if fix.get().len() > MAX_FIX {
        return Err(format!("has a fix of more than 64 KiB for `{shown}`"));
    }
    let fields: Map<String, Value> = serde_json::from_str(fix.get())
        .map_err(|_| format!("has something other than an object of fields for `{shown}`"))?;
    if let Some(field) = UNTOUCHABLE.iter().find(|field| fields.contains_key(**field)) {
        return Err(format!("sets `{field}` of `{shown}`, which a patch can't"));
    }
    for field in ["depends", "constrains"] {
        let is_texts = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
        if fields.get(field).is_some_and(|value| !value.is_null() && !is_texts(value)) {
            return Err(format!("has `{field}` of `{shown}` that is no list of texts"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::node::At;

    fn rule() -> Arc<RuleRef> {
        Arc::new(RuleRef { id: "h".into(), at: At::outside("test"), reason: None })
    }

    #[test]
    fn as_conda_index_does_it() {
        let text = r#"{"patch_instructions_version": 1,
            "packages": {"a-1-0.tar.bz2": {"depends": ["x"], "license": null}},
            "packages.conda": {"a-1-0.conda": {"license": "MIT"}, "b-1-0.conda": {"constrains": []}},
            "revoke": ["c-1-0.tar.bz2", "d-1-0.conda"], "remove": ["e-1-0.tar.bz2", "f-1-0.conda"], "other": 1}"#;
        let hotfix = Hotfix::read(text, false).unwrap();
        let set = |file: &str| hotfix.patch(file, &rule()).map(|p| Value::Object(p.set).to_string());
        assert_eq!(set("a-1-0.tar.bz2").unwrap(), r#"{"depends":["x"],"license":null}"#);
        assert_eq!(set("a-1-0.conda").unwrap(), r#"{"depends":["x"],"license":"MIT"}"#);
        assert_eq!(set("b-1-0.tar.bz2"), None);
        for (file, revoked) in
            [("c-1-0.tar.bz2", true), ("c-1-0.conda", true), ("d-1-0.conda", true), ("d-1-0.tar.bz2", false)]
        {
            let patch = hotfix.patch(file, &rule());
            assert_eq!(patch.is_some(), revoked, "{file}");
            assert!(patch.is_none_or(|p| p.set["revoked"] == true && p.add_depends == [REVOKED]));
        }
        for (file, removed) in
            [("e-1-0.tar.bz2", true), ("e-1-0.conda", true), ("f-1-0.conda", true), ("f-1-0.tar.bz2", false)]
        {
            assert_eq!(hotfix.removes(file), removed, "{file}");
        }
    }

    #[test]
    fn broken_files() {
        for (text, says) in [
            ("", "is not a patch_instructions.json"),
            ("[]", "is not a patch_instructions.json"),
            (r#"{"patch_instructions_version": 7}"#, "only 1"),
            (r#"{"packages": {"a-1-0.tar.bz2": 5}}"#, "other than an object"),
            (r#"{"packages": {"a-1-0.tar.bz2": {"sha256": ""}}}"#, "sets `sha256`"),
            (r#"{"packages.conda": {"a-1-0.conda": {"depends": "x"}}}"#, "no list of texts"),
            (r#"{"remove": "x"}"#, "is not a patch_instructions.json"),
        ] {
            let said = Hotfix::read(text, false).unwrap_err();
            assert!(said.contains(says), "{text}: {said}");
        }
        let deep = format!(r#"{{"packages": {{"a-1-0.tar.bz2": {}}}}}"#, "[".repeat(100_000));
        assert!(Hotfix::read(&deep, false).is_err());
        let long = format!(r#"{{"packages": {{"a-1-0.tar.bz2": {{"x": "{}"}}}}}}"#, "y".repeat(1 << 20));
        assert!(Hotfix::read(&long, false).unwrap_err().contains("64 KiB"));
    }
}
