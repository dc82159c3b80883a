//! Where packages come from: a directory, or a channel at a URL.
//!
//! A directory is looked through to the bottom: `<subdir>/<file>` as conda-index has it, the package storage of quetz
//! (`channels/<channel>/<subdir>/<file>`) or of Anaconda Repository (`<owner>/<name>/<version>/…/<file>`). What counts is the name of the
//! file; which subdir it belongs to, the package itself says.
//!
//! Belongs here: finding and opening. Does not: sending (`gate`).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use sha2::Digest;

use crate::conda::archive::{ArchiveKind, ArchiveName};
use crate::conda::digest::{Expected, Md5, Sha256};
use crate::conda::subdir::{self, Subdir};
use crate::secret::SafeUrl;

const CONNECT: Duration = Duration::from_secs(20);
const STALL: Duration = Duration::from_mins(1);
/// How often a file is asked for before it is given up.
const TRIES: u32 = 3;

/// What can go wrong with the source as a whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    #[error("`{0}` is no directory and no http:// or https:// URL of a channel")]
    Neither(String),
    #[error("cannot read {}: {source}", path.display())]
    Disk { path: PathBuf, source: io::Error },
    #[error("there is no package below {}", .0.display())]
    Empty(PathBuf),
    #[error("{url} can't be read: {why}")]
    Remote { url: String, why: String },
    #[error("`{0}` is no subdir of a channel; subdirs are noarch, linux-64 and the like")]
    Subdir(String),
}

/// See the module's description.
pub(super) enum Source {
    Directory(PathBuf),
    Channel { base: SafeUrl, client: reqwest::Client },
}

/// One package.
pub(super) struct Item {
    pub(super) name: ArchiveName,
    /// Where it belongs, as far as that is known before it is opened.
    pub(super) subdir: Option<Subdir>,
    pub(super) expected: Expected,
    /// In the directory.
    path: Option<PathBuf>,
}

impl Item {
    pub(super) fn shown(&self) -> String {
        match (&self.path, &self.subdir) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(subdir)) => format!("{subdir}/{}", self.name),
            (None, None) => self.name.to_string(),
        }
    }

    pub(super) const fn size(&self) -> Option<u64> {
        self.expected.size
    }

    /// Its SHA-256: as its index says, or of the file.
    pub(super) fn sha256(&self) -> Option<Sha256> {
        self.expected.sha256.or_else(|| {
            let mut file = fs::File::open(self.path.as_ref()?).ok()?;
            let (mut hasher, mut piece) = (sha2::Sha256::new(), vec![0; 1 << 18]);
            loop {
                match file.read(&mut piece).ok()? {
                    0 => return Some(Sha256(hasher.finalize().into())),
                    count => hasher.update(&piece[..count]),
                }
            }
        })
    }
}

/// Bytes on their way.
pub(super) struct Opened {
    pub(super) body: reqwest::Body,
    pub(super) len: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Repodata {
    packages: BTreeMap<String, Entry>,
    #[serde(rename = "packages.conda")]
    conda: BTreeMap<String, Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    sha256: Option<String>,
    md5: Option<String>,
    size: Option<u64>,
}

impl Source {
    /// What was typed.
    pub(super) fn read(text: &str) -> Result<Self, SourceError> {
        if text.starts_with("http://") || text.starts_with("https://") {
            let base = SafeUrl::parse(&format!("{}/", text.trim_end_matches('/')))
                .map_err(|_| SourceError::Neither("this URL".to_owned()))?;
            let client = reqwest::Client::builder().connect_timeout(CONNECT).read_timeout(STALL).build();
            let client = client
                .map_err(|error| SourceError::Remote { url: base.to_string(), why: error.to_string() })?;
            return Ok(Self::Channel { base, client });
        }
        let path = PathBuf::from(text);
        if path.is_dir() { Ok(Self::Directory(path)) } else { Err(SourceError::Neither(text.to_owned())) }
    }

    /// All packages there are, in order.
    pub(super) async fn items(&self, subdirs: &[String]) -> Result<Vec<Item>, SourceError> {
        let wanted: Vec<Subdir> = subdirs
            .iter()
            .map(|text| Subdir::parse(text).ok_or_else(|| SourceError::Subdir(text.clone())))
            .collect::<Result<_, _>>()?;
        match self {
            Self::Directory(dir) => {
                let mut items = Vec::new();
                walk(dir, &mut items)?;
                items.retain(|item| {
                    wanted.is_empty() || item.subdir.as_ref().is_none_or(|subdir| wanted.contains(subdir))
                });
                if items.is_empty() { Err(SourceError::Empty(dir.clone())) } else { Ok(items) }
            }
            Self::Channel { base, client } => listed(base, client, wanted).await,
        }
    }

    /// The bytes of a package.
    pub(super) async fn open(&self, item: &Item) -> Result<Opened, SourceError> {
        match (self, &item.path) {
            (Self::Directory(_), Some(path)) => {
                let disk = |source| SourceError::Disk { path: path.clone(), source };
                let file = tokio::fs::File::open(path).await.map_err(disk)?;
                let len = file.metadata().await.map_err(disk)?.len();
                Ok(Opened { body: reqwest::Body::from(file), len: Some(len) })
            }
            (Self::Channel { base, client }, _) => {
                let subdir = item.subdir.as_ref().map_or("noarch", Subdir::as_str);
                let path = format!("{subdir}/{}", crate::upstream::encode_path(item.name.as_str()));
                let response = get(base, client, &path).await?;
                let len = response.content_length();
                Ok(Opened { body: reqwest::Body::from(response), len })
            }
            (Self::Directory(dir), None) => Err(SourceError::Empty(dir.clone())),
        }
    }
}

/// Packages below a directory, in the order of names; links are followed for files only.
fn walk(dir: &Path, items: &mut Vec<Item>) -> Result<(), SourceError> {
    let disk = |source| SourceError::Disk { path: dir.to_owned(), source };
    let mut entries: Vec<_> = fs::read_dir(dir).map_err(disk)?.collect::<io::Result<_>>().map_err(disk)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type().map_err(disk)?);
        if kind.is_dir() {
            walk(&path, items)?;
            continue;
        }
        let Some(name) = entry.file_name().to_str().and_then(ArchiveName::parse) else { continue };
        if name.kind() == ArchiveKind::Wheel || !path.is_file() {
            continue;
        }
        let above = dir.file_name().and_then(|above| above.to_str()).and_then(Subdir::parse);
        let size = entry.metadata().ok().map(|meta| meta.len());
        items.push(Item {
            name,
            subdir: above.filter(|above| Subdir::is_known(above.as_str())),
            expected: Expected { size, ..Expected::default() },
            path: Some(path),
        });
    }
    Ok(())
}

/// What a channel's indexes list; subdirs that it does not have are left out unless they were asked for.
async fn listed(
    base: &SafeUrl,
    client: &reqwest::Client,
    wanted: Vec<Subdir>,
) -> Result<Vec<Item>, SourceError> {
    let all = wanted.is_empty();
    let subdirs =
        if all { subdir::KNOWN.iter().copied().filter_map(Subdir::parse).collect() } else { wanted };
    let mut items = Vec::new();
    for subdir in subdirs {
        let path = format!("{subdir}/repodata.json");
        let index = match get(base, client, &path).await {
            Ok(index) => index,
            Err(Missing::NotThere(_)) if all && !subdir.is_noarch() => continue,
            Err(error) => return Err(error.into()),
        };
        let failed = |why: String| SourceError::Remote { url: format!("{base}{path}"), why };
        let bytes = index.bytes().await.map_err(|error| failed(error.without_url().to_string()))?;
        let index: Repodata =
            serde_json::from_slice(&bytes).map_err(|error| failed(format!("it is not repodata: {error}")))?;
        for (file, entry) in index.packages.into_iter().chain(index.conda) {
            let Some(name) = ArchiveName::parse(&file) else { continue };
            let expected = Expected {
                sha256: entry.sha256.as_deref().and_then(Sha256::from_hex),
                md5: entry.md5.as_deref().and_then(Md5::from_hex),
                size: entry.size,
            };
            items.push(Item { name, subdir: Some(subdir.clone()), expected, path: None });
        }
    }
    Ok(items)
}

/// Why there is no answer.
enum Missing {
    NotThere(SourceError),
    Trouble(SourceError),
}

impl From<Missing> for SourceError {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::NotThere(error) | Missing::Trouble(error) => error,
        }
    }
}

async fn get(base: &SafeUrl, client: &reqwest::Client, path: &str) -> Result<reqwest::Response, Missing> {
    let failed = |why: String| SourceError::Remote { url: format!("{base}{path}"), why };
    let mut last = failed("it was not asked".to_owned());
    for _ in 0..TRIES {
        match client.get(format!("{}{path}", base.reveal())).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(answer),
            Ok(answer) if answer.status().is_server_error() || answer.status().as_u16() == 429 => {
                last = failed(format!("it answers {}", answer.status()));
            }
            Ok(answer) if answer.status().as_u16() == 404 => {
                return Err(Missing::NotThere(failed("it is not there".to_owned())));
            }
            Ok(answer) => return Err(Missing::Trouble(failed(format!("it answers {}", answer.status())))),
            Err(error) => last = failed(error.without_url().to_string()),
        }
    }
    Err(Missing::Trouble(last))
}
