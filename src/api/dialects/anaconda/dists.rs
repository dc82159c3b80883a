//! What there is: packages, releases and files of an owner.
//!
//! Packages and releases are not things of their own here: one is there when a file of it is, and making one only asks whether the caller
//! could publish it. Deleting one deletes its files.
//!
//! Belongs here: these requests. Does not: uploads (`stage`), labels.

use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::super::talk::{Answered, No, Talk, only};
use super::done;
use crate::channel::view::PackageView;
use crate::channel::{HostError, Retract};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelName;
use crate::conda::subdir::Subdir;
use crate::conda::url::dialect::Dist;
use crate::store::model::PackageState;

/// The files of a package that the caller is told of, all or of one version.
pub(super) async fn files_of(
    talk: &Talk<'_>,
    owner: &ChannelName,
    package: &str,
    version: Option<&str>,
) -> Result<Vec<PackageView>, No> {
    let rows = talk.hosting.desk().packages_named(owner, package).await;
    let rows = match rows {
        // A channel that its first upload makes.
        Err(HostError::NotFound(_)) => talk.hosting.takes_uploads(owner).await.map(|()| Vec::new())?,
        other => other?,
    };
    let rows = rows.into_iter().filter(|row| row.state != PackageState::Deleted).collect();
    let seen = talk.sight.seen(talk.visitor, owner, rows).await?;
    let told = seen.iter().map(|one| PackageView::from(&one.package));
    Ok(told.filter(|row| version.is_none_or(|version| row.version.as_deref() == Some(version))).collect())
}

/// A file as this API shows it.
pub(super) fn shown(talk: &Talk<'_>, owner: &ChannelName, file: &PackageView) -> Value {
    json!({
        "basename": format!("{}/{}", file.subdir, file.file),
        "owner": {"login": owner.as_str()},
        "type": "conda", "distribution_type": "conda",
        "version": file.version, "sha256": file.sha256, "size": file.size, "labels": file.labels,
        "upload_time": file.uploaded,
        "attrs": {"subdir": file.subdir, "build": file.build},
        "download_url": format!("{}/{owner}/{}/{}", talk.base, file.subdir, file.file),
    })
}

fn missing(what: &str) -> No {
    No::not_found(format!("{what} is not there"))
}

pub(super) async fn dist(talk: &Talk<'_>, dist: &Dist, method: &Method) -> Answered {
    only("GET, HEAD, DELETE", method)?;
    talk.may_read(&dist.owner).await?;
    let found = found(talk, dist).await?;
    if method == Method::DELETE {
        delete(talk, &dist.owner, std::slice::from_ref(&found)).await?;
    }
    Ok(done(StatusCode::OK, shown(talk, &dist.owner, &found)))
}

async fn found(talk: &Talk<'_>, dist: &Dist) -> Result<PackageView, No> {
    let files = files_of(talk, &dist.owner, &dist.package, Some(&dist.version)).await?;
    let same = |file: &PackageView| {
        file.file == dist.archive.as_str() && dist.subdir.as_ref().is_none_or(|s| s.as_str() == file.subdir)
    };
    files.into_iter().find(same).ok_or_else(|| missing(&format!("`{}` of `{}`", dist.archive, dist.owner)))
}

/// Where the file is; only paths without a subdir come here.
pub(super) async fn download(talk: &Talk<'_>, dist: &Dist, method: &Method) -> Answered {
    only("GET, HEAD", method)?;
    talk.may_read(&dist.owner).await?;
    let found = found(talk, dist).await?;
    let there = format!("{}/{}/{}/{}", talk.base, dist.owner, found.subdir, found.file);
    Ok((StatusCode::FOUND, [(header::LOCATION, there)]).into_response())
}

pub(super) async fn package(
    talk: &Talk<'_>,
    owner: &ChannelName,
    package: &str,
    request: Request,
) -> Answered {
    only("GET, HEAD, POST, PATCH, DELETE", request.method())?;
    if is_a_wish(request.method()) {
        talk.may_publish(owner, Some(package)).await?;
    } else {
        talk.may_read(owner).await?;
    }
    let files = files_of(talk, owner, package, None).await?;
    if files.is_empty() && !is_a_wish(request.method()) {
        return Err(missing(&format!("the package `{owner}/{package}`")));
    }
    if request.method() == Method::DELETE {
        delete(talk, owner, &files).await?;
        return Ok(done(StatusCode::CREATED, json!({})));
    }
    let mut versions: Vec<&str> = files.iter().filter_map(|file| file.version.as_deref()).collect();
    versions.sort_unstable();
    versions.dedup();
    let shown: Vec<Value> = files.iter().map(|file| shown(talk, owner, file)).collect();
    let releases: Vec<Value> = versions.iter().map(|version| json!({"version": version})).collect();
    let document = json!({
        "name": package, "owner": {"login": owner.as_str()}, "package_types": ["conda"], "public": false,
        "versions": versions, "releases": releases, "files": shown,
        "latest_version": versions.last(),
    });
    Ok(done(StatusCode::OK, document))
}

pub(super) async fn release(
    talk: &Talk<'_>,
    (owner, package, version): (&ChannelName, &str, &str),
    request: Request,
) -> Answered {
    only("GET, HEAD, POST, PATCH, DELETE", request.method())?;
    if is_a_wish(request.method()) {
        talk.may_publish(owner, Some(package)).await?;
    } else {
        talk.may_read(owner).await?;
    }
    let files = files_of(talk, owner, package, Some(version)).await?;
    if files.is_empty() && !is_a_wish(request.method()) {
        return Err(missing(&format!("the release `{owner}/{package}/{version}`")));
    }
    if request.method() == Method::DELETE {
        delete(talk, owner, &files).await?;
        return Ok(done(StatusCode::CREATED, json!({})));
    }
    let shown: Vec<Value> = files.iter().map(|file| shown(talk, owner, file)).collect();
    Ok(done(StatusCode::OK, json!({"version": version, "distributions": shown, "public_attrs": {}})))
}

/// Making a package or release, or changing what is said of it: what is said is in the package.
fn is_a_wish(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PATCH)
}

async fn delete(talk: &Talk<'_>, owner: &ChannelName, files: &[PackageView]) -> Result<(), No> {
    for file in files {
        let (Some(subdir), Some(archive)) = (Subdir::parse(&file.subdir), ArchiveName::parse(&file.file))
        else {
            continue;
        };
        talk.hosting.retract(talk.visitor, (owner, &subdir, &archive), Retract::Delete, None).await?;
    }
    Ok(())
}
