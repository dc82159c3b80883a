//! Finding packages of hosted channels: by name, by spec, by a file in them.
//!
//! Belongs here: questions and their answers. Does not: who may see what (the caller says which channels), files in packages on
//! disk (`cache::contents`).

use serde_json::{Value, json};

use super::inspect::Inspected;
use super::{HostError, Hosting};
use crate::cache::FileQuery;
use crate::conda::digest::Sha256;
use crate::conda::spec::{Candidate, Fit, LazyVersion, Spec, SpecName};
use crate::policy::NameGlobs;
use crate::store::model::{Channel, Package, PackageState};
use crate::store::repo::LONGEST_PAGE;

/// Files that are asked for at one time, and rows of one package.
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
#[derive(Clone, PartialEq, Debug)]
pub struct Hit {
    /// Where.
    pub channel: String,
    /// Which.
    pub package: Package,
    /// The file in it that was asked for.
    pub path: Option<String>,
}

/// A page of answers.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Hits {
    /// In the order of the search.
    pub hits: Vec<Hit>,
    /// Where the next page begins, if there may be one.
    pub next: Option<String>,
}

impl Hosting {
    /// Listed packages of these channels that answer the question, at most `limit` behind `after`, the `next` of the page before: channel by
    /// channel in the order of their names, in the order of subdirs and file names; for files in the order of their paths.
    ///
    /// # Errors
    /// [`HostError::Unavailable`]; [`HostError::Invalid`] where `after` is nothing that a page said.
    pub async fn search(
        &self,
        channels: &[Channel],
        query: &Query,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Hits, HostError> {
        if let Query::File(text) = query {
            let from = Offset::read(after)?;
            return self.search_files(channels, text, from, limit).await;
        }
        let wanted = Wanted::new(query)?;
        let after = after.map(|after| place_of(after).ok_or_else(no_page)).transpose()?;
        let (store, mut found) = (self.desk().store().await?, Vec::new());
        let passed = after.as_ref().map_or(0, |(name, ..)| {
            let place = channels.iter().position(|channel| channel.name == *name);
            // It may be gone meanwhile.
            place.unwrap_or_else(|| channels.partition_point(|channel| channel.name < *name))
        });
        for channel in channels.iter().skip(passed) {
            let mut behind = match &after {
                Some((name, subdir, file)) if channel.name == *name => Some((subdir.clone(), file.clone())),
                _ => None,
            };
            if let Some(name) = wanted.exact() {
                let mut rows = store.packages().named(&channel.id, name).await?;
                rows.retain(|row| {
                    behind.as_ref().is_none_or(|(subdir, file)| (&row.subdir, &row.file) > (subdir, file))
                });
                rows.sort_by(|a, b| (&a.subdir, &a.file).cmp(&(&b.subdir, &b.file)));
                wanted.collect(channel, rows, limit, &mut found);
                continue;
            }
            while found.len() < limit {
                let last = behind.as_ref().map(|(subdir, file)| (subdir.as_str(), file.as_str()));
                let rows = store.packages().list_all(&channel.id, last, LONGEST_PAGE).await?;
                let Some(last) = rows.last() else { break };
                behind = Some((last.subdir.clone(), last.file.clone()));
                wanted.collect(channel, rows, limit, &mut found);
            }
        }
        let last = found.last().filter(|_| found.len() >= limit);
        let next =
            last.map(|hit: &Hit| format!("{}/{}/{}", hit.channel, hit.package.subdir, hit.package.file));
        Ok(Hits { hits: found, next })
    }

    async fn search_files(
        &self,
        channels: &[Channel],
        text: &str,
        from: Offset,
        limit: usize,
    ) -> Result<Hits, HostError> {
        let query = match (text.contains(['*', '?', '[']), text.contains('/')) {
            (true, _) => FileQuery::Glob(text.to_owned()),
            (false, true) => FileQuery::Path(text.trim_start_matches('/').to_owned()),
            (false, false) => FileQuery::Name(text.to_owned()),
        };
        let (store, mut hits, mut from) = (self.desk().store().await?, Vec::new(), from);
        loop {
            let page = self.0.cache.packages_with_file(query.clone(), (from.file, FILES)).await?;
            let is_last = page.len() < FILES as usize;
            for (digest, path) in page {
                let rows = store.packages().by_digest(&digest, FILES).await?;
                for (place, row) in (0_u32..).zip(rows).skip(from.row as usize) {
                    let channel = channels.iter().find(|channel| channel.id == row.channel);
                    let Some(channel) = channel.filter(|_| row.state == PackageState::Listed) else {
                        continue;
                    };
                    if hits.len() == limit {
                        return Ok(Hits { hits, next: Some(Offset { row: place, ..from }.text()) });
                    }
                    let channel = channel.name.clone();
                    hits.push(Hit { channel, package: row, path: Some(path.clone()) });
                }
                from = Offset { file: from.file.saturating_add(1), row: 0 };
            }
            if is_last {
                return Ok(Hits { hits, next: None });
            }
        }
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

    fn collect(&self, channel: &Channel, rows: Vec<Package>, limit: usize, found: &mut Vec<Hit>) {
        let room = limit.saturating_sub(found.len());
        let fitting = rows.into_iter().filter(|row| row.state == PackageState::Listed && self.fits(row));
        found.extend(fitting.take(room).map(|package| Hit {
            channel: channel.name.clone(),
            package,
            path: None,
        }));
    }
}

/// `channel/subdir/file`; names of channels have slashes.
fn place_of(text: &str) -> Option<(String, String, String)> {
    let mut parts = text.rsplitn(3, '/').map(str::to_owned);
    let (file, subdir, channel) = (parts.next()?, parts.next()?, parts.next()?);
    Some((channel, subdir, file))
}

/// How many files a search for files has passed, and how many rows of the next one's package.
#[derive(Clone, Copy, Default)]
struct Offset {
    file: u32,
    row: u32,
}

impl Offset {
    fn read(after: Option<&str>) -> Result<Self, HostError> {
        let Some(after) = after else { return Ok(Self::default()) };
        let read = after
            .split_once('.')
            .and_then(|(file, row)| Some(Self { file: file.parse().ok()?, row: row.parse().ok()? }));
        read.ok_or_else(no_page)
    }

    fn text(self) -> String {
        format!("{}.{}", self.file, self.row)
    }
}

fn no_page() -> HostError {
    HostError::Invalid("`after` is what `next` of the page before said".to_owned())
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
