//! Random hotfix files in the format of `patch_instructions.json`, and what conda-index makes of them.
//!
//! Belongs here: one such file. Does not: the rule that names it (`oracle`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::harness::digest::sha256_hex;

const TAR_BZ2: &str = ".tar.bz2";
const CONDA: &str = ".conda";

/// What is said of one file, which is one of many and named with its own ending or as `.tar.bz2`.
#[derive(Clone, Debug)]
struct Say {
    which: usize,
    as_tar_bz2: bool,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Fix(usize),
    Revoke,
    Remove,
}

/// A hotfix file.
#[derive(Clone, Debug, Default)]
pub struct Hotfix {
    said: Vec<Say>,
    fixes: BTreeMap<String, Value>,
    revoked: BTreeSet<String>,
    removed: BTreeSet<String>,
    pub keep: bool,
}

fn fix(which: usize) -> Value {
    match which {
        0 => json!({"license": null, "x_fix": 1}),
        1 => json!({"depends": ["dep-a >=2,<3", "fixed"]}),
        _ => json!({"constrains": [], "track_features": null, "x_fix": {"deep": [2]}}),
    }
}

/// Whether an entry means a file: `.tar.bz2` means `.conda` too.
fn means(entry: &str, file: &str) -> bool {
    let twin = || entry.strip_suffix(TAR_BZ2).map(|stem| format!("{stem}{CONDA}"));
    (entry.ends_with(TAR_BZ2) || entry.ends_with(CONDA))
        && (entry == file || twin().is_some_and(|twin| twin == file))
}

impl Hotfix {
    /// One to six statements about files that `name` gives.
    pub fn any() -> impl Strategy<Value = Self> {
        let what = prop_oneof![
            3 => (0..3_usize).prop_map(What::Fix),
            1 => Just(What::Revoke),
            2 => Just(What::Remove),
        ];
        let say = (0..1_000_usize, any::<bool>(), what);
        let say = say.prop_map(|(which, as_tar_bz2, what)| Say { which, as_tar_bz2, what });
        (proptest::collection::vec(say, 1..7), any::<bool>()).prop_map(|(said, keep)| Self {
            said,
            keep,
            ..Self::default()
        })
    }

    /// Says it of these files.
    pub fn name(&mut self, files: &[String]) {
        for say in &self.said {
            let file = &files[say.which % files.len()];
            let renamed = file.strip_suffix(CONDA).filter(|_| say.as_tar_bz2);
            let file = renamed.map_or_else(|| file.clone(), |stem| format!("{stem}{TAR_BZ2}"));
            match say.what {
                What::Fix(which) => drop(self.fixes.insert(file, fix(which))),
                What::Revoke => drop(self.revoked.insert(file)),
                What::Remove => drop(self.removed.insert(file)),
            }
        }
    }

    /// Puts it on disk, under a name of its own.
    pub fn write(&self) -> PathBuf {
        let of = |ending: &str| {
            let fixes = self.fixes.iter().filter(|(file, _)| file.ends_with(ending));
            fixes.map(|(file, fix)| (file.clone(), fix.clone())).collect::<Map<_, _>>()
        };
        let document = json!({
            "patch_instructions_version": 1, "packages": of(TAR_BZ2), "packages.conda": of(CONDA),
            "revoke": self.revoked, "remove": self.removed,
        });
        let text = document.to_string();
        let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("hotfixes");
        fs::create_dir_all(&dir).expect("a directory for hotfix files");
        let path = dir.join(format!("{}.json", &sha256_hex(text.as_bytes())[..32]));
        if !path.exists() {
            let whole = tempfile::NamedTempFile::new_in(&dir).expect("a hotfix file");
            fs::write(whole.path(), text).expect("a hotfix file");
            whole.persist(&path).expect("a hotfix file");
        }
        path
    }

    pub fn removes(&self, file: &str) -> bool {
        self.removed.iter().any(|entry| means(entry, file))
    }

    pub fn knows(&self, file: &str) -> bool {
        self.removes(file) || self.revokes(file) || self.fixes.keys().any(|entry| means(entry, file))
    }

    fn revokes(&self, file: &str) -> bool {
        self.revoked.iter().any(|entry| means(entry, file))
    }

    /// Changes the record of a file.
    pub fn apply(&self, file: &str, record: &mut Map<String, Value>) {
        // What is said of `.conda` wins.
        for ending in [TAR_BZ2, CONDA] {
            let about = self.fixes.iter().filter(|(entry, _)| entry.ends_with(ending) && means(entry, file));
            for (key, value) in about.flat_map(|(_, fix)| fix.as_object().expect("fields")) {
                if value.is_null() {
                    record.remove(key);
                } else {
                    record.insert(key.clone(), value.clone());
                }
            }
        }
        if self.revokes(file) {
            record.insert("revoked".to_owned(), json!(true));
            let depends = record["depends"].as_array_mut().expect("depends");
            if !depends.contains(&json!("package_has_been_revoked")) {
                depends.push(json!("package_has_been_revoked"));
            }
        }
    }
}
