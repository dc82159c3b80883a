//! The machine as rules and configuration see it: small files and environment variables.
//!
//! Belongs here: reading them, with reasons that never repeat their content. Does not: what they mean.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::policy::Outside;

/// Secrets and rules are small; a device or a huge file named by mistake must not fill memory.
const MAX_BYTES: u64 = 4 << 20;

/// The machine the process runs on, with the environment given to it.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    variables: Variables,
    /// Files with secrets that everybody on the machine can read; clones share it.
    open_secrets: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// A file that is taken to say this, whatever is on disk.
    as_if: Option<(PathBuf, String)>,
}

/// Environment variables; their values may be secrets, so they are not printed.
#[derive(Clone, Default)]
pub struct Variables(Vec<(String, String)>);

impl Variables {
    /// Those of this process; a variable that is not valid UTF-8 counts as absent.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// These and no others.
    #[must_use]
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// The value of one; an empty one counts as absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, value)| *known == name && !value.is_empty()).map(|(_, value)| value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} variables", self.0.len())
    }
}

impl Machine {
    /// The machine with the variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self::new(Variables::of_process())
    }

    /// A machine with these variables.
    #[must_use]
    pub fn new(variables: Variables) -> Self {
        Self { variables, open_secrets: Arc::default(), as_if: None }
    }

    /// The same machine, on which a file says `text`.
    #[must_use]
    pub fn as_if(self, file: &Path, text: String) -> Self {
        Self { as_if: Some((file.to_owned(), text)), ..self }
    }

    /// What should not stay as it is, as sentences; nothing that was read is in them.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let note = |file: &PathBuf| {
            let shown = file.display();
            format!("the secret in `{shown}` can be read by everybody on this machine; chmod o-rwx {shown}")
        };
        self.open_secrets.lock().iter().map(note).collect()
    }
}

impl Outside for Machine {
    fn read(&self, path: &Path) -> Result<String, String> {
        self.read_up_to(path, MAX_BYTES)
    }

    fn read_up_to(&self, path: &Path, limit: u64) -> Result<String, String> {
        if let Some((_, text)) = self.as_if.as_ref().filter(|(file, _)| file == path) {
            return Ok(text.clone());
        }
        let file = fs::File::open(path).map_err(|e| reason(&e))?;
        let mut text = String::new();
        let read = file.take(limit.saturating_add(1)).read_to_string(&mut text).map_err(|e| reason(&e))?;
        if u64::try_from(read).unwrap_or(u64::MAX) > limit {
            return Err(format!("it is larger than {} MiB", limit >> 20));
        }
        Ok(text)
    }

    fn read_secret(&self, path: &Path) -> Result<String, String> {
        if fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o004 != 0) {
            self.open_secrets.lock().insert(path.to_owned());
        }
        self.read(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(str::to_owned)
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn is_file(&self, path: &Path) -> bool {
        fs::File::open(path).and_then(|file| file.metadata()).is_ok_and(|meta| meta.is_file())
    }
}

/// Why reading failed, in words for people.
pub(super) fn reason(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "it is not there".to_owned(),
        ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        ErrorKind::IsADirectory => "it is a directory".to_owned(),
        ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}
