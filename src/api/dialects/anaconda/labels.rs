//! Labels, which this API calls channels, and copies between channels, which it calls owners.
//!
//! ```text
//! GET         /channels/<owner>                 the labels there are
//! GET         /channels/<owner>/<label>         the files that have it
//! POST DELETE /channels/<owner>/<label>         {package, version, basename}: give it, take it away
//! POST        /copy/package/<owner>/<package>/<version>/[<file>]     {to_owner, from_channel, to_channel}
//! ```
//!
//! Belongs here: these requests. Does not: what labels mean.

use std::collections::BTreeMap;

use axum::extract::Request;
use axum::http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::talk::{Answered, No, Talk, document, only};
use super::dists::{files_of, shown};
use super::done;
use crate::channel::Labels;
use crate::channel::view::PackageView;
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelName;
use crate::conda::subdir::Subdir;
use crate::policy::access::Right;
use crate::store::model::PackageState;

/// Rows read at once.
const PAGE: u32 = 1000;

/// Every file of the channel that is not deleted and that the caller is told of.
async fn all(talk: &Talk<'_>, owner: &ChannelName) -> Result<Vec<PackageView>, No> {
    let mut all = Vec::new();
    let mut after: Option<(String, String)> = None;
    loop {
        let from = after.as_ref().map(|(subdir, file)| (subdir.as_str(), file.as_str()));
        let rows = talk.hosting.desk().packages(owner, from, PAGE).await?;
        let last = rows.last().filter(|_| rows.len() == PAGE as usize);
        after = last.map(|last| (last.subdir.clone(), last.file.clone()));
        let rows = rows.into_iter().filter(|row| row.state != PackageState::Deleted).collect();
        let seen = talk.sight.seen(talk.visitor, owner, rows).await?;
        all.extend(seen.iter().map(|one| PackageView::from(&one.package)));
        if after.is_none() {
            return Ok(all);
        }
    }
}

pub(super) async fn list(talk: &Talk<'_>, owner: &ChannelName, method: &Method) -> Answered {
    only("GET, HEAD", method)?;
    talk.may_read(owner).await?;
    let mut labels = BTreeMap::from([("main".to_owned(), 0_u64)]);
    for file in all(talk, owner).await? {
        for label in file.labels {
            *labels.entry(label).or_default() += 1;
        }
    }
    let shown = |(label, files): (String, u64)| (label, json!({"files": files, "is_locked": false}));
    Ok(done(StatusCode::OK, Value::Object(labels.into_iter().map(shown).collect())))
}

#[derive(Deserialize)]
struct Which {
    package: Option<String>,
    version: Option<String>,
    basename: Option<String>,
}

pub(super) async fn label(
    talk: &Talk<'_>,
    (owner, label): (&ChannelName, &str),
    request: Request,
) -> Answered {
    only("GET, HEAD, POST, DELETE", request.method())?;
    talk.may_read(owner).await?;
    let method = request.method().clone();
    if matches!(method, Method::GET | Method::HEAD) {
        let mut files = all(talk, owner).await?;
        files.retain(|file| file.labels.iter().any(|one| one == label));
        if files.is_empty() && label != "main" {
            return Err(No::not_found(format!("nothing in `{owner}` has the label `{label}`")));
        }
        let shown: Vec<Value> = files.iter().map(|file| shown(talk, owner, file)).collect();
        return Ok(done(StatusCode::OK, json!({"name": label, "files": shown, "is_locked": false})));
    }
    let which: Which = document(request).await?;
    let mut files = match &which.package {
        Some(package) => files_of(talk, owner, package, which.version.as_deref()).await?,
        None => all(talk, owner).await?,
    };
    files.retain(|file| which.basename.as_deref().is_none_or(|named| is_named(file, named)));
    if files.is_empty() {
        return Err(No::not_found("there is no such file to give a label to"));
    }
    let named = vec![label.to_owned()];
    let change = if method == Method::POST {
        Labels { add: named, remove: Vec::new() }
    } else {
        Labels { add: Vec::new(), remove: named }
    };
    relabel(talk, owner, &files, &change).await?;
    Ok(done(StatusCode::CREATED, json!({})))
}

/// `file`, or `subdir/file` as this API names files.
fn is_named(file: &PackageView, named: &str) -> bool {
    named == file.file || named.split_once('/') == Some((&file.subdir, &file.file))
}

async fn relabel(
    talk: &Talk<'_>,
    owner: &ChannelName,
    files: &[PackageView],
    change: &Labels,
) -> Result<(), No> {
    let author = talk.author()?;
    // All or none, as far as rights go.
    for file in files {
        talk.hosting.check(talk.visitor, owner, Right::Write, Some(&file.name))?;
    }
    for file in files {
        let Some((subdir, archive)) = place(file) else { continue };
        talk.hosting.desk().relabel_as(&author, (owner, &subdir, &archive), change).await?;
    }
    Ok(())
}

fn place(file: &PackageView) -> Option<(Subdir, ArchiveName)> {
    Some((Subdir::parse(&file.subdir)?, ArchiveName::parse(&file.file)?))
}

#[derive(Deserialize)]
struct CopyTo {
    to_owner: Option<String>,
    from_channel: Option<String>,
    to_channel: Option<String>,
}

type File = (Option<Subdir>, ArchiveName);

pub(super) async fn copy(
    talk: &Talk<'_>,
    (owner, package, version, file): (&ChannelName, &str, &str, Option<&File>),
    request: Request,
) -> Answered {
    only("POST, PUT, PATCH", request.method())?;
    talk.may_read(owner).await?;
    let CopyTo { to_owner, from_channel, to_channel } = document(request).await?;
    let to = match &to_owner {
        Some(name) => {
            ChannelName::parse(name).ok_or_else(|| No::invalid("`to_owner` is no name of a channel"))?
        }
        None => owner.clone(),
    };
    let mut files = files_of(talk, owner, package, Some(version)).await?;
    let from = from_channel.as_deref().unwrap_or("main");
    files.retain(|found| {
        let same = file.is_none_or(|(subdir, archive)| {
            archive.as_str() == found.file && subdir.as_ref().is_none_or(|s| s.as_str() == found.subdir)
        });
        same && found.labels.iter().any(|label| label == from)
    });
    if files.is_empty() {
        return Err(No::not_found(format!(
            "`{owner}` has no such files of `{package}` {version} with the label `{from}`"
        )));
    }
    let labels = vec![to_channel.unwrap_or_else(|| "main".to_owned())];
    if to == *owner {
        relabel(talk, owner, &files, &Labels { add: labels, remove: Vec::new() }).await?;
    } else {
        let author = talk.author()?;
        talk.hosting.check(talk.visitor, &to, Right::Write, Some(package))?;
        for (subdir, archive) in files.iter().filter_map(place) {
            talk.hosting.desk().copy_as(&author, (owner, &subdir, &archive), &to, &labels).await?;
        }
    }
    let shown: Vec<Value> = files.iter().map(|file| shown(talk, &to, file)).collect();
    Ok(done(StatusCode::OK, json!({"files": shown})))
}
