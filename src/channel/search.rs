//! Finding packages of hosted channels: by name, by spec, by a file in them.
//!
//! Belongs here: questions and their answers. Does not: who may see what (the caller says which channels), files in packages on
//! disk (`cache::contents`).

use serde::Serialize;
use serde_json::{Value, json};

use super::inspect::Inspected;
use super::view::PackageView;
use super::{HostError, Hosting};
use crate::cache::FileQuery;
use crate::conda::digest::Sha256;
use crate::conda::spec::{Candidate, Fit, LazyVersion, Spec, SpecName};
use crate::policy::NameGlobs;
use crate::store::model::{Channel, Package, PackageState};
use crate::store::repo::LONGEST_PAGE;

/// Packages with a file that are looked up in the store for one question.
const FILES: u32 = 1000;

/// A question.
#[derive(Clone, Debug)]
pub enum Query {
    /// Part of a name, or a glob.
    Name(String),
    /// A spec as conda has it.
    Spec(Box<Spec>),
    /// A path in packages; a glob with `*`; without a slash, the name of a file.
    File(String),
}

impl Query {
    /// A spec, if it is one.
    ///
    /// # Errors
    /// [`HostError::Invalid`] with what is wrong with it.
    pub fn spec(text: &str) -> Result<Self, HostError> {
        let spec = Spec::parse(text).map_err(|why| {
            HostError::Invalid(format!("the spec `{}` can't be used: {why}", text.escape_debug()))
        })?;
        Ok(Self::Spec(Box::new(spec)))
    }
}

/// An answer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Found {
    /// Where.
    pub channel: String,
    /// Which.
    #[serde(flatten)]
    pub package: PackageView,
    /// The file in it that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Hosting {
    /// Listed packages of these channels that answer the question, at most `limit`: channel by channel, in the order of subdirs and
    /// file names; for files in the order of their paths.
    ///
    /// # Errors
    /// [`HostError::Unavailable`]
    pub async fn search(
        &self,
        channels: &[Channel],
        query: &Query,
        limit: usize,
    ) -> Result<Vec<Found>, HostError> {
        if let Query::File(text) = query {
            return self.search_files(channels, text, limit).await;
        }
        let wanted = Wanted::new(query)?;
        let (store, mut found) = (self.desk().store().await?, Vec::new());
        for channel in channels {
            if let Some(name) = wanted.exact() {
                let mut rows = store.packages().named(&channel.id, name).await?;
                rows.sort_by(|a, b| (&a.subdir, &a.file).cmp(&(&b.subdir, &b.file)));
                wanted.collect(channel, &rows, limit, &mut found);
                continue;
            }
            let mut after: Option<(String, String)> = None;
            while found.len() < limit {
                let behind = after.as_ref().map(|(subdir, file)| (subdir.as_str(), file.as_str()));
                let rows = store.packages().list_all(&channel.id, behind, LONGEST_PAGE).await?;
                let Some(last) = rows.last() else { break };
                after = Some((last.subdir.clone(), last.file.clone()));
                wanted.collect(channel, &rows, limit, &mut found);
            }
        }
        Ok(found)
    }

    async fn search_files(
        &self,
        channels: &[Channel],
        text: &str,
        limit: usize,
    ) -> Result<Vec<Found>, HostError> {
        let query = match (text.contains(['*', '?', '[']), text.contains('/')) {
            (true, _) => FileQuery::Glob(text.to_owned()),
            (false, true) => FileQuery::Path(text.trim_start_matches('/').to_owned()),
            (false, false) => FileQuery::Name(text.to_owned()),
        };
        let (store, mut found) = (self.desk().store().await?, Vec::new());
        for (digest, path) in self.0.cache.packages_with_file(query, FILES).await? {
            for row in store.packages().by_digest(&digest, FILES).await? {
                let channel = channels.iter().find(|channel| channel.id == row.channel);
                let Some(channel) = channel.filter(|_| row.state == PackageState::Listed) else { continue };
                if found.len() == limit {
                    return Ok(found);
                }
                found.push(Found {
                    channel: channel.name.clone(),
                    package: PackageView::from(&row),
                    path: Some(path.clone()),
                });
            }
        }
        Ok(found)
    }

    /// Notes what is in a package that was published; where that fails, searching is what suffers, and the next sweep notes it.
    pub(super) async fn note_contents(&self, digest: Sha256, inspected: &Inspected) {
        let about = json!({
            "about": inspected.about,
            "run_exports": inspected.run_exports,
            "licenses": inspected.licenses.iter().map(|(path, text)| json!({"path": path, "text": text})).collect::<Vec<_>>(),
            "files": inspected.path_count,
        });
        let files = inspected.paths.iter().map(|entry| entry.path.clone()).collect();
        if let Err(error) = self.0.cache.note_contents(digest, about.to_string(), files).await {
            tracing::warn!(%error, "the contents of a package can't be noted; it can't be found by its files for now");
        }
    }

    pub(super) async fn forget_contents(&self, digest: Sha256) {
        if let Err(error) = self.0.cache.forget_contents(digest).await {
            tracing::warn!(%error, "the contents of a package can't be forgotten");
        }
    }

    /// What a package says of itself: `about`, `run_exports`, `licenses`, the number of its files.
    ///
    /// # Errors
    /// [`HostError::Internal`] where it can't be read.
    pub async fn about(&self, digest: Sha256) -> Result<Value, HostError> {
        let noted = self.0.cache.noted_about(digest).await?;
        Ok(noted.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null))
    }
}

/// What is asked of rows.
enum Wanted<'a> {
    Part(String),
    Globs(NameGlobs),
    Spec(&'a Spec),
}

impl<'a> Wanted<'a> {
    fn new(query: &'a Query) -> Result<Self, HostError> {
        Ok(match query {
            Query::Spec(spec) => Self::Spec(spec),
            Query::Name(text) if text.contains(['*', '?', '[']) => Self::Globs(
                NameGlobs::new(vec![text.to_lowercase()])
                    .map_err(|why| HostError::Invalid(format!("the glob can't be used: {why}")))?,
            ),
            Query::Name(text) | Query::File(text) => Self::Part(text.to_lowercase()),
        })
    }

    fn exact(&self) -> Option<&str> {
        match self {
            Self::Spec(spec) => match spec.name() {
                SpecName::Exact(name) => Some(name),
                SpecName::Glob(_) => None,
            },
            _ => None,
        }
    }

    fn fits(&self, row: &Package) -> bool {
        match self {
            Self::Part(part) => row.name.contains(part.as_str()),
            Self::Globs(globs) => globs.contains(&row.name),
            Self::Spec(spec) => {
                let by_name = match spec.name() {
                    SpecName::Exact(name) => *name == row.name,
                    SpecName::Glob(glob) => {
                        NameGlobs::new(vec![glob.clone()]).is_ok_and(|g| g.contains(&row.name))
                    }
                };
                by_name && is_what(spec, row)
            }
        }
    }

    fn collect(&self, channel: &Channel, rows: &[Package], limit: usize, found: &mut Vec<Found>) {
        let room = limit.saturating_sub(found.len());
        let fitting = rows.iter().filter(|row| row.state == PackageState::Listed && self.fits(row));
        found.extend(fitting.take(room).map(|row| Found {
            channel: channel.name.clone(),
            package: PackageView::from(row),
            path: None,
        }));
    }
}

fn is_what(spec: &Spec, row: &Package) -> bool {
    let record: Value = serde_json::from_slice(&row.record).unwrap_or_default();
    let text = |key: &str| record.get(key).and_then(Value::as_str);
    let candidate = Candidate {
        version: LazyVersion::new(text("version")),
        build: text("build"),
        build_number: record.get("build_number").and_then(Value::as_u64),
        file: &row.file,
        md5: None,
        sha256: Some(row.sha256),
    };
    spec.fits(&candidate) == Fit::Yes
}
