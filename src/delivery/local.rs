//! Files of a local directory (`files: [{prefix, dir}]`), with a plain listing that scripts can scrape.

use std::path::Path;
use std::sync::Arc;

use super::{Answer, Body, CacheFor, Delivery, Facts, NamedBy, Outcome, Refusal};
use crate::cache::{BodyOptions, FileBody};
use crate::clock::UnixMillis;
use crate::http::etag::ETag;

/// One line of a listing.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// File name; directories end with `/`.
    pub name: String,
    /// Size in bytes; `None` for directories.
    pub size: Option<u64>,
    /// Last change.
    pub changed: UnixMillis,
}

/// What a local path is.
pub enum Listing {
    /// A file, ready to be answered.
    File(Box<Answer>),
    /// A directory's entries, sorted by name.
    Directory(Vec<Entry>),
}

impl Delivery {
    /// The file or directory `rest` (decoded, no leading slash, no `..`) below `dir`. Symbolic links count only where they stay
    /// inside `dir`; names that begin with a dot are not served.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for what is not there or not served.
    pub async fn local(&self, dir: &Arc<Path>, rest: &str) -> Result<Listing, Refusal> {
        let (dir, rest) = (Arc::clone(dir), rest.to_owned());
        let options = BodyOptions { max_maps: 0, ..self.body_options(false) };
        self.inner.runtime.spawn_blocking(move || look(&dir, &rest, options)).await.map_err(|_| {
            Refusal::Internal("reading the local directory failed inside; see the log".to_owned())
        })?
    }
}

fn look(dir: &Path, rest: &str, options: BodyOptions) -> Result<Listing, Refusal> {
    let absent = || Refusal::NotFound(format!("there is no file `{rest}` in this directory"));
    if rest.split('/').any(|part| part.starts_with('.')) {
        return Err(absent());
    }
    let root = dir.canonicalize().map_err(|error| {
        tracing::warn!(dir = %dir.display(), %error, "a directory named in `files:` can't be read");
        Refusal::NotFound("the directory behind this prefix can't be read".to_owned())
    })?;
    let path = root.join(rest).canonicalize().map_err(|_| absent())?;
    if !path.starts_with(&root) {
        return Err(absent());
    }
    let meta = std::fs::metadata(&path).map_err(|_| absent())?;
    if meta.is_dir() {
        return entries(&path).map(Listing::Directory).map_err(|_| absent());
    }
    if !meta.is_file() || rest.ends_with('/') {
        return Err(absent());
    }
    file(&path, &meta, options).map_err(|_| absent())
}

fn file(path: &Path, meta: &std::fs::Metadata, options: BodyOptions) -> std::io::Result<Listing> {
    use std::os::unix::fs::MetadataExt;
    let changed = UnixMillis::from_system(meta.modified()?);
    let etag = ETag::strong(&format!(
        "{:x}-{:x}-{:x}-{:x}",
        meta.ino(),
        meta.len(),
        meta.mtime(),
        meta.mtime_nsec()
    ));
    let content_type = media_type(path);
    // A file that others may rewrite at any time is read, never mapped.
    let body = FileBody::open(path, options)?;
    Ok(Listing::File(Box::new(Answer {
        facts: Facts {
            etag: Some(etag),
            named_by: NamedBy::Digest,
            last_modified: Some(changed),
            len: Some(meta.len()),
            content_type: content_type.into(),
            cache_for: CacheFor::Revalidate,
            outcome: Outcome::Local,
        },
        body: Body::File(body),
        zstd: None,
        compressible: content_type == "application/json",
    })))
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|e| e.to_str()) {
        Some("json") => "application/json",
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("txt" | "md" | "sha256") => "text/plain; charset=utf-8",
        Some("sh") => "application/x-sh",
        Some("zst") => "application/zstd",
        Some("bz2") => "application/x-bzip2",
        Some("conda" | "zip" | "whl") => "application/zip",
        _ => "application/octet-stream",
    }
}

fn entries(dir: &Path) -> std::io::Result<Vec<Entry>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Ok(meta) = std::fs::metadata(entry.path()) else { continue };
        if name.starts_with('.') {
            continue;
        }
        let changed = UnixMillis::from_system(meta.modified()?);
        let (name, size) = if meta.is_dir() { (format!("{name}/"), None) } else { (name, Some(meta.len())) };
        found.push(Entry { name, size, changed });
    }
    found.sort();
    Ok(found)
}
