//! `GET /search?name=…&platform=…`: packages with this in their names, in the hosted channels that the caller may read.
//!
//! Belongs here: this answer. Does not: finding (`channel`).

use std::collections::BTreeMap;

use axum::extract::Request;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::super::talk::{Answered, Talk, only, parameter};
use super::{dists, done};
use crate::api::channels::Desk;
use crate::api::search::readable;
use crate::channel::Query;
use crate::channel::view::PackageView;
use crate::conda::channel::ChannelName;
use crate::conda::spec::Version;

/// Files that one answer is made of, at most.
const MOST: usize = 2_000;

pub(super) async fn search(talk: &Talk<'_>, request: Request) -> Answered {
    only("GET, HEAD", request.method())?;
    let name = parameter(&request, "name").unwrap_or_default();
    let (platform, kind) = (parameter(&request, "platform"), parameter(&request, "type"));
    drop(request);
    if name.is_empty() || kind.is_some_and(|kind| kind != "conda") {
        return Ok(done(StatusCode::OK, json!([])));
    }
    let desk = Desk { sight: talk.sight, visitor: talk.visitor };
    let channels = readable(&desk, None).await?;
    let query = Query::Name(name);
    let (found, _) = talk.sight.search(talk.visitor, (&channels, &query), None, MOST).await?;
    let mut packages = BTreeMap::<(String, String), Vec<PackageView>>::new();
    for (hit, _) in found {
        if platform.as_ref().is_none_or(|platform| *platform == hit.package.subdir) {
            let key = (hit.channel, hit.package.name.clone());
            packages.entry(key).or_default().push(PackageView::from(&hit.package));
        }
    }
    let is_public = |name: &str| channels.iter().any(|channel| channel.name == name && channel.public);
    let all = packages.into_iter().filter_map(|((channel, name), files)| {
        let owner = ChannelName::parse(&channel)?;
        Some(package(talk, &owner, (&name, is_public(&channel)), &files))
    });
    Ok(done(StatusCode::OK, Value::Array(all.collect())))
}

fn package(
    talk: &Talk<'_>,
    owner: &ChannelName,
    (name, is_public): (&str, bool),
    files: &[PackageView],
) -> Value {
    let of = |get: fn(&PackageView) -> Option<&str>| {
        let mut values: Vec<&str> = files.iter().filter_map(get).collect();
        values.sort_unstable();
        values.dedup();
        values
    };
    let mut versions = of(|file| file.version.as_deref());
    versions.sort_by_cached_key(|version| Version::parse(version));
    let shown: Vec<Value> = files.iter().map(|file| dists::shown(talk, owner, file)).collect();
    json!({
        "name": name, "full_name": format!("{owner}/{name}"), "owner": owner.as_str(), "summary": "",
        "package_types": ["conda"], "conda_platforms": of(|file| Some(&file.subdir)),
        "latest_version": versions.last(), "versions": versions, "builds": of(|file| file.build.as_deref()),
        "public": is_public, "files": shown,
    })
}
