//! `/-/api/v1/indexes`, `packages`, `files`: what there is in all channels whose indexes are here, hosted, proxied and virtual, as the caller may
//! see it.
//!
//! Belongs here: parameters, answers. Does not: what there is (`delivery::catalogue`), who may see it (`policy::access`).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Control;
use super::answers::{Answered, limit};
use super::asker::{Asked, Asker};
use crate::conda::channel::ChannelName;
use crate::delivery::catalogue::{Beholder, Catalogue, Fate, Line, Order, PackageFile, Spot, SubdirState};
use crate::http::date::rfc3339;
use crate::http::problem::Problem;
use crate::policy::access::Caller;
use crate::snapshot::people::Principal;

/// Files of a package that are told.
const FILES: usize = 5000;

pub(super) fn routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(indexes)).routes(routes!(packages)).routes(routes!(files))
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
    channel: String,
    /// A part of the name.
    q: Option<String>,
    /// `name` where nothing is said; `newest`, `size`
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
    /// Whether these are all.
    complete: bool,
}

impl Asker {
    fn beholder(&self) -> Beholder<'_> {
        let caller = self.0.principal.as_deref().map_or(Caller::ANONYMOUS, Principal::caller);
        Beholder { caller, here: false }
    }
}

impl Control {
    /// A channel that the caller may read. Who may not is told no more than who asks for one that is not there.
    fn spot(&self, asker: &Asker, name: &str) -> Answered<Spot> {
        let nothing = || {
            let said = format!("there is no channel `{}` that you may read", name.escape_debug());
            if asker.0.principal.is_some() { Problem::not_found(said) } else { Problem::unauthorized(said) }
        };
        let name = ChannelName::parse(name).ok_or_else(nothing)?;
        let spot = asker.beholder().spot(&self.live.view(), &name);
        spot.ok_or_else(|| nothing().into())
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
        None => control.delivery.spots(&control.live, &asker.beholder()).await,
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

fn package_line(all: &Catalogue, line: &Line) -> PackageLine {
    PackageLine {
        name: line.name.to_string(),
        latest: line.latest.to_string(),
        subdirs: all.subdirs_of(line).map(ToString::to_string).collect(),
        files: line.files,
        bytes: line.bytes,
        newest: line.newest.map(rfc3339),
    }
}

/// Packages of a channel that are shown to you.
#[utoipa::path(get, path = "/packages", tag = "indexes", operation_id = "listPackages", params(Sought), responses((status = 200, body = PackageLines)))]
async fn packages(
    State(control): State<Control>,
    asker: Asker,
    Asked(sought): Asked<Sought>,
) -> Answered<Json<PackageLines>> {
    let (spot, limit) = (control.spot(&asker, &sought.channel)?, limit(sought.limit)? as usize);
    let all = control.delivery.catalogue(&spot.place, &spot.asked()).await;
    let order = match sought.sort {
        None | Some(Sort::Name) => Order::Name,
        Some(Sort::Newest) => Order::Newest,
        Some(Sort::Size) => Order::Size,
    };
    let found = all.names.matching(sought.q.as_deref().unwrap_or_default(), order);
    let first = sought.after.unwrap_or(0).min(found.len());
    let packages = found.iter().skip(first).take(limit).map(|line| package_line(&all, line)).collect();
    let next = Some(first.saturating_add(limit)).filter(|next| *next < found.len());
    Ok(Json(PackageLines { packages, found: found.len(), next }))
}

/// Files of one package, in all subdirs, also those that are not shown.
#[utoipa::path(get, path = "/files", tag = "indexes", operation_id = "listFiles", params(OfPackage), responses((status = 200, body = FileLines)))]
async fn files(
    State(control): State<Control>,
    asker: Asker,
    Asked(package): Asked<OfPackage>,
) -> Answered<Json<FileLines>> {
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
        state: match file.fate {
            Fate::Shown => "shown",
            Fate::Left => "left",
            Fate::Hidden => "hidden",
            Fate::Refused => "refused",
        },
    };
    let complete = found.len() <= FILES;
    Ok(Json(FileLines { files: found.into_iter().take(FILES).map(line).collect(), complete }))
}
