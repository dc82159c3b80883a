//! One channel: its packages, its indexes; and what is asked of it in forms.
//!
//! Belongs here: the page, paths behind `/-/ui/channels/`. Does not: one package (`package`).

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, Query};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::channels::Health;
use super::desk::{Desk, Flash};
use super::package;
use super::page::{self, Page};
use super::places;
use super::posted::Posted;
use super::show::{When, count, size};
use super::sorry::Sorry;
use super::upkeep::{self, Back};
use crate::conda::channel::ChannelName;
use crate::delivery::catalogue::{Catalogue, Line, Order, Spot};
use crate::policy::access::Right;

/// Lines of a page.
const LINES: usize = 100;

/// What stands behind `/-/ui/channels/`: a channel, and perhaps a package of it.
pub(super) fn behind(rest: &str) -> Result<(ChannelName, Option<String>), Sorry> {
    let (name, package) = match rest.trim_end_matches('/').split_once("/-/") {
        None => (rest.trim_end_matches('/'), None),
        Some((name, package)) => (name, Some(package)),
    };
    let nothing = || Sorry::not_found("That is not the name of a channel, nor of a package of one.");
    let name = ChannelName::parse(name).ok_or_else(nothing)?;
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b))
    };
    match package {
        Some(package) if !is_name(package) => Err(nothing()),
        package => Ok((name, package.map(str::to_owned))),
    }
}

#[derive(Deserialize, Default)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    sort: String,
    page: Option<usize>,
    /// On the page of a package: which version.
    pub(super) version: Option<String>,
    /// There, too: which page of that version's files, and of the versions.
    pub(super) files: Option<usize>,
    pub(super) versions: Option<usize>,
    /// There, too: `subdir/file`, of which is to be said why it is as it is.
    pub(super) why: Option<String>,
    /// There, too: what needs it.
    pub(super) needs: Option<String>,
}

pub(super) struct Row {
    pub(super) name: String,
    pub(super) latest: String,
    pub(super) subdirs: Vec<String>,
    pub(super) files: String,
    pub(super) size: String,
    pub(super) newest: Option<When>,
}

struct SubdirRow {
    name: String,
    files: String,
    size: String,
    withheld: u64,
    built: When,
    checked: When,
}

/// A page of the list.
struct Slice {
    q: String,
    sort: &'static str,
    rows: Vec<Row>,
    found: usize,
    first: usize,
    page: usize,
    pages: usize,
}

#[derive(Template)]
#[template(path = "channel.html")]
#[expect(clippy::struct_excessive_bools, reason = "independent facts that the template asks for")]
struct ChannelPage {
    page: Page,
    base: String,
    name: String,
    kind: &'static str,
    about: String,
    public: bool,
    slice: Slice,
    packages: String,
    files: String,
    size: String,
    withheld: u64,
    subdirs: Vec<SubdirRow>,
    /// When the index was checked that was checked longest ago.
    checked: Option<When>,
    /// There is nothing to list.
    is_blank: bool,
    health: Option<Health>,
    upstream: Option<String>,
    install: String,
    publish: String,
    may_write: bool,
    may_manage: bool,
}

#[derive(Template)]
#[template(path = "channel_rows.html")]
struct RowsOnly {
    base: String,
    name: String,
    slice: Slice,
}

/// What a person types to get something of a channel.
pub(super) fn install_from(desk: &Desk, channel: &ChannelName, package: &str) -> String {
    format!("conda install -c {}/{channel} {package}", desk.entrance.address)
}

pub(super) async fn show(
    Extension(desk): Extension<Desk>,
    Path(rest): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Sorry> {
    let (name, package) = behind(&rest)?;
    let spot = desk.spot(&name)?;
    if let Some(package) = package {
        return package::show(&desk, &spot, &package, &asked).await;
    }
    let all = desk.web.delivery.catalogue(&spot.place, &spot.asked()).await;
    let slice = sliced(&desk, &all, &asked);
    // Only the list is asked for while somebody types.
    if headers.contains_key("hx-request") {
        return Ok(page::show(&RowsOnly { base: desk.web.base.clone(), name: name.to_string(), slice }));
    }
    let row = if spot.is_hosted() { desk.web.hosting.desk().channel(&name).await.ok() } else { None };
    let described = row.as_ref().map(|row| row.description.clone()).filter(|text| !text.is_empty());
    let upstream = spot.upstream().map(str::to_owned);
    let health = upstream.as_ref().and_then(|name| desk.health().get(name).copied());
    Ok(page::show(&ChannelPage {
        page: desk.page("channels"),
        base: desk.web.base.clone(),
        kind: spot.kind(),
        about: described.unwrap_or_else(|| places::about(&spot)),
        public: row.as_ref().is_none_or(|row| row.public),
        packages: count(all.names.len() as u64),
        files: count(all.files()),
        size: size(all.bytes()),
        withheld: all.withheld(),
        subdirs: subdirs(&desk, &all),
        checked: all.subdirs.iter().map(|state| state.checked).min().map(|at| When::new(at, desk.now())),
        is_blank: all.subdirs.is_empty() || (spot.is_hosted() && all.files() + all.withheld() == 0),
        health,
        upstream,
        install: install_from(&desk, &name, "PACKAGE"),
        publish: format!(
            "curl -H \"Authorization: Bearer TOKEN\" \\\n  -T FILE.conda {}/{name}/noarch/",
            desk.entrance.address
        ),
        may_write: spot.is_hosted() && desk.may(&name, Right::Write, None),
        may_manage: spot.is_hosted() && desk.may(&name, Right::Manage, None),
        name: name.to_string(),
        slice,
    }))
}

fn subdirs(desk: &Desk, all: &Catalogue) -> Vec<SubdirRow> {
    let row = |state: &crate::delivery::catalogue::SubdirState| SubdirRow {
        name: state.subdir.to_string(),
        files: count(state.files),
        size: size(state.bytes),
        withheld: state.withheld,
        built: When::new(state.built, desk.now()),
        checked: When::new(state.checked, desk.now()),
    };
    all.subdirs.iter().map(row).collect()
}

/// A package over all subdirs as a line of a table.
pub(super) fn row(desk: &Desk, all: &Catalogue, line: &Line) -> Row {
    Row {
        name: line.name.to_string(),
        latest: line.latest.to_string(),
        subdirs: all.subdirs_of(line).map(ToString::to_string).collect(),
        files: count(line.files.into()),
        size: size(line.bytes),
        newest: line.newest.map(|at| When::new(at, desk.now())),
    }
}

fn sliced(desk: &Desk, all: &Arc<Catalogue>, asked: &Asked) -> Slice {
    let (order, sort) = match &*asked.sort {
        "newest" => (Order::Newest, "newest"),
        "size" => (Order::Size, "size"),
        _ => (Order::Name, "name"),
    };
    let q: String = asked.q.trim().chars().take(100).collect();
    let found = all.names.matching(&q, order);
    let pages = found.len().div_ceil(LINES).max(1);
    let page = asked.page.unwrap_or(1).clamp(1, pages);
    let first = (page - 1) * LINES;
    let rows = found.iter().skip(first).take(LINES).map(|line| row(desk, all, line)).collect();
    Slice { q, sort, rows, found: found.len(), first: first + 1, page, pages }
}

/// What a form on the page of a channel or of a package asks for.
pub(super) async fn act(
    Extension(desk): Extension<Desk>,
    Path(rest): Path<String>,
    Query(back): Query<Back>,
    posted: Posted,
) -> Result<Response, Sorry> {
    let (name, package) = behind(&rest)?;
    let spot = desk.spot(&name)?;
    match (package, posted.text("action")) {
        (None, "load") => Ok(load(&desk, &spot)),
        (Some(package), _) => upkeep::act(&desk, &spot, &package, (&posted, &back)).await,
        _ => Err(Sorry::invalid("the gate does not know what this form asks for")),
    }
}

/// Asks for the indexes that most clients ask for.
fn load(desk: &Desk, spot: &Spot) -> Response {
    let back = format!("/-/ui/channels/{}", spot.name);
    if !desk.sight().load(spot) {
        return desk
            .tell(&back, &Flash::bad("Open the channels that this one is made of, and load their indexes."));
    }
    let told = "The indexes of noarch and linux-64 are being fetched. Look again in a moment; other subdirs come when a client asks for them.";
    desk.tell(&back, &Flash::good(told))
}
