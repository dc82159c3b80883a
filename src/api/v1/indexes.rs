//! `/-/api/v1/indexes`, `packages`, `files`: what there is in all channels whose indexes are here, hosted, proxied and virtual, as the caller may
//! see it.
//!
//! Belongs here: parameters, answers. Does not: what there is (`delivery::catalogue`), who may see it (`policy::access`).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Control;
use super::answers::{Answered, limit};
use super::asker::{Asked, Asker, Body};
use crate::conda::channel::ChannelName;
use crate::delivery::catalogue::{Catalogue, Line, Order, PackageFile, Spot, SubdirState};
use crate::http::date::rfc3339;
use crate::http::problem::Problem;
use crate::sight::beholder;

pub(super) fn routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(indexes))
        .routes(routes!(load))
        .routes(routes!(packages))
        .routes(routes!(files))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listed {
    /// Only this channel.
    channel: Option<String>,
    /// The last name of the page before.
    after: Option<String>,
    /// Channels of a page; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// An index that is here.
#[derive(Serialize, ToSchema)]
struct Index {
    subdir: String,
    /// Files that are shown.
    files: u64,
    /// Bytes of them.
    bytes: u64,
    /// Files that are known and not shown.
    withheld: u64,
    /// When this generation was built.
    built: String,
    /// When its source last said that this is what it has.
    checked: String,
}

/// A channel and the indexes of it that are here.
#[derive(Serialize, ToSchema)]
struct ChannelIndexes {
    channel: String,
    /// `hosted`, `proxied` or `virtual`
    kind: &'static str,
    /// Where it comes from, if it is proxied.
    upstream: Option<String>,
    /// Names of packages.
    packages: usize,
    indexes: Vec<Index>,
}

#[derive(Serialize, ToSchema)]
struct Indexes {
    channels: Vec<ChannelIndexes>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Sought {
    /// Only this channel; else all that you may read, and `q` has to be said.
    channel: Option<String>,
    /// A part of the name.
    q: Option<String>,
    /// `name` where nothing is said; `newest`, `size`. Those go with a channel.
    sort: Option<Sort>,
    /// What `next` of the page before said.
    #[param(value_type = Option<u64>, minimum = 0)]
    after: Option<usize>,
    /// Packages of a page; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sort {
    Name,
    Newest,
    Size,
}

/// A package, over all subdirs.
#[derive(Serialize, ToSchema)]
struct PackageLine {
    channel: String,
    name: String,
    /// The latest version that is shown.
    latest: String,
    subdirs: Vec<String>,
    files: u32,
    bytes: u64,
    /// When the gateway first saw the newest of them.
    newest: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct PackageLines {
    packages: Vec<PackageLine>,
    /// On all pages.
    found: usize,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<usize>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfPackage {
    channel: String,
    /// The whole name.
    name: String,
    /// What `next` of the page before said.
    #[param(value_type = Option<u64>, minimum = 0)]
    after: Option<usize>,
    /// Files of a page; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// A file of a package.
#[derive(Serialize, ToSchema)]
struct FileLine {
    subdir: String,
    file: String,
    version: String,
    build: String,
    size: Option<u64>,
    sha256: Option<String>,
    /// When the gateway first saw it.
    first_seen: Option<String>,
    /// `shown`; `left`: it left the index, and lock files still get it; `hidden`, likewise; `refused`
    state: &'static str,
}

#[derive(Serialize, ToSchema)]
struct FileLines {
    /// The latest version first.
    files: Vec<FileLine>,
    /// On all pages.
    found: usize,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<usize>,
}

impl Control {
    /// A channel that the caller may read. Who may not is told no more than who asks for one that is not there.
    pub(super) fn spot(&self, asker: &Asker, name: &str) -> Answered<Spot> {
        let nothing = || {
            let said = format!("there is no channel `{}` that you may read", name.escape_debug());
            if asker.0.principal.is_some() { Problem::not_found(said) } else { Problem::unauthorized(said) }
        };
        let name = ChannelName::parse(name).ok_or_else(nothing)?;
        self.sight.spot(&asker.0, &name).ok_or_else(|| nothing().into())
    }
}

impl From<&SubdirState> for Index {
    fn from(state: &SubdirState) -> Self {
        Self {
            subdir: state.subdir.to_string(),
            files: state.files,
            bytes: state.bytes,
            withheld: state.withheld,
            built: rfc3339(state.built),
            checked: rfc3339(state.checked),
        }
    }
}

/// Channels that you may read, with the indexes of them that are here.
#[utoipa::path(get, path = "/indexes", tag = "indexes", operation_id = "listIndexes", params(Listed), responses((status = 200, body = Indexes)))]
async fn indexes(
    State(control): State<Control>,
    asker: Asker,
    Asked(page): Asked<Listed>,
) -> Answered<Json<Indexes>> {
    let limit = limit(page.limit)? as usize;
    let mut spots = match &page.channel {
        Some(name) => vec![control.spot(&asker, name)?],
        None => control.delivery.spots(&control.live, &beholder(&asker.0)).await,
    };
    if let Some(after) = &page.after {
        spots.retain(|spot| spot.name.as_str() > after.as_str());
    }
    let next = spots.get(limit - 1).filter(|_| spots.len() > limit).map(|last| last.name.to_string());
    spots.truncate(limit);
    let names: Vec<_> = spots.iter().map(Spot::asked).collect();
    let all = spots.iter().zip(&names).map(|(spot, name)| control.delivery.catalogue(&spot.place, name));
    let all = join_all(all).await;
    let line = |(spot, all): (&Spot, Arc<Catalogue>)| ChannelIndexes {
        channel: spot.name.to_string(),
        kind: spot.kind(),
        upstream: spot.upstream().map(str::to_owned),
        packages: all.names.len(),
        indexes: all.subdirs.iter().map(Index::from).collect(),
    };
    Ok(Json(Indexes { channels: spots.iter().zip(all).map(line).collect(), next }))
}

/// A channel that you may read.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    channel: String,
}

/// Begins to fetch the indexes of noarch and linux-64 of a channel that you may read, and does not wait for them. `warmCache` fetches others.
#[utoipa::path(post, path = "/indexes/load", tag = "indexes", operation_id = "loadIndexes", request_body = Wanted, responses((status = 202)))]
async fn load(
    State(control): State<Control>,
    asker: Asker,
    Body(wanted): Body<Wanted>,
) -> Answered<StatusCode> {
    let spot = control.spot(&asker, &wanted.channel)?;
    if control.sight.load(&spot) {
        return Ok(StatusCode::ACCEPTED);
    }
    Err(Problem::conflict("this channel is made of others; load the indexes of those").into())
}

fn package_line(channel: &ChannelName, all: &Catalogue, line: &Line) -> PackageLine {
    PackageLine {
        channel: channel.to_string(),
        name: line.name.to_string(),
        latest: line.latest.to_string(),
        subdirs: all.subdirs_of(line).map(ToString::to_string).collect(),
        files: line.files,
        bytes: line.bytes,
        newest: line.newest.map(rfc3339),
    }
}

/// Packages that are shown to you: of a channel, or by a part of their names in all channels whose indexes are here.
#[utoipa::path(get, path = "/packages", tag = "indexes", operation_id = "listPackages", params(Sought), responses((status = 200, body = PackageLines)))]
async fn packages(
    State(control): State<Control>,
    asker: Asker,
    Asked(sought): Asked<Sought>,
) -> Answered<Json<PackageLines>> {
    let limit = limit(sought.limit)? as usize;
    let Some(channel) = &sought.channel else {
        return of_all_channels(&control, &asker, &sought, limit).await;
    };
    let spot = control.spot(&asker, channel)?;
    let all = control.delivery.catalogue(&spot.place, &spot.asked()).await;
    let order = match sought.sort {
        None | Some(Sort::Name) => Order::Name,
        Some(Sort::Newest) => Order::Newest,
        Some(Sort::Size) => Order::Size,
    };
    let found = all.names.matching(sought.q.as_deref().unwrap_or_default(), order);
    let first = sought.after.unwrap_or(0).min(found.len());
    let packages =
        found.iter().skip(first).take(limit).map(|line| package_line(&spot.name, &all, line)).collect();
    let next = Some(first.saturating_add(limit)).filter(|next| *next < found.len());
    Ok(Json(PackageLines { packages, found: found.len(), next }))
}

async fn of_all_channels(
    control: &Control,
    asker: &Asker,
    sought: &Sought,
    limit: usize,
) -> Answered<Json<PackageLines>> {
    let text = sought.q.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| Problem::bad_request("say `q`, a part of the name, or `channel`"))?;
    if !matches!(sought.sort, None | Some(Sort::Name)) {
        return Err(Problem::bad_request("`sort` goes with a `channel`").into());
    }
    let first = sought.after.unwrap_or(0);
    let found = control.sight.named(&asker.0, text, (first, limit)).await;
    let packages = found.packages.iter().map(|one| package_line(&one.channel, &one.all, &one.line)).collect();
    let next = Some(first.saturating_add(limit)).filter(|next| *next < found.found);
    Ok(Json(PackageLines { packages, found: found.found, next }))
}

/// Files of one package, in all subdirs, also those that are not shown.
#[utoipa::path(get, path = "/files", tag = "indexes", operation_id = "listFiles", params(OfPackage), responses((status = 200, body = FileLines)))]
async fn files(
    State(control): State<Control>,
    asker: Asker,
    Asked(package): Asked<OfPackage>,
) -> Answered<Json<FileLines>> {
    let limit = limit(package.limit)? as usize;
    let spot = control.spot(&asker, &package.channel)?;
    let found = control.delivery.package_files(&spot.place, &spot.asked(), &package.name).await;
    if found.is_empty() {
        return Err(
            Problem::not_found("the indexes of this channel that are here have no such package").into()
        );
    }
    let line = |file: PackageFile| FileLine {
        subdir: file.subdir.to_string(),
        file: file.file,
        version: file.version,
        build: file.build,
        size: file.size,
        sha256: file.sha256.map(|digest| digest.to_hex()),
        first_seen: file.seen.map(rfc3339),
        state: file.fate.as_str(),
    };
    let (count, first) = (found.len(), package.after.unwrap_or(0));
    let next = Some(first.saturating_add(limit)).filter(|next| *next < count);
    Ok(Json(FileLines {
        files: found.into_iter().skip(first).take(limit).map(line).collect(),
        found: count,
        next,
    }))
}
