//! The list of channels.
//!
//! Belongs here: one line a channel. Does not: which ones a visitor may see (`places`).

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Query};
use axum::response::Response;
use futures_util::future::join_all;

use super::desk::Desk;
use super::page::{self, Behind, Page, Way};
use super::places;
use super::show::{When, count, size};
use super::sorry::Sorry;
use crate::delivery::catalogue::Catalogue;
use crate::delivery::catalogue::Spot;

/// Lines of a page.
const LINES: usize = 100;

/// How an upstream is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    /// Some of its mirrors are not.
    Fair,
    Bad,
}

impl Health {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Good => "healthy",
            Self::Fair => "some mirrors down",
            Self::Bad => "down",
        }
    }

    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Fair => "care",
            Self::Bad => "bad",
        }
    }
}

impl Desk {
    /// How the upstreams are, by name.
    pub(super) fn health(&self) -> HashMap<String, Health> {
        let of = |mirrors: &[crate::upstream::MirrorHealth]| {
            let good = mirrors.iter().filter(|mirror| mirror.healthy).count();
            match good {
                0 => Health::Bad,
                good if good == mirrors.len() => Health::Good,
                _ => Health::Fair,
            }
        };
        self.web.gate.upstreams().into_iter().map(|up| (up.name, of(&up.mirrors))).collect()
    }

    /// What is in a channel, if that is known soon.
    pub(super) async fn catalogue_soon(&self, spot: &Spot) -> Option<Arc<Catalogue>> {
        self.sight().catalogue_soon(spot).await
    }
}

struct Row {
    name: String,
    kind: &'static str,
    about: String,
    packages: Option<String>,
    files: Option<String>,
    size: Option<String>,
    health: Option<Health>,
    age: Option<When>,
    public: bool,
}

#[derive(Template)]
#[template(path = "channels.html")]
struct ChannelsPage {
    page: Page,
    rows: Vec<Row>,
    way: Way,
    may_create: bool,
    example: String,
}

pub(super) async fn show(
    Extension(desk): Extension<Desk>,
    Query(asked): Query<Behind>,
) -> Result<Response, Sorry> {
    let (mut spots, health) = (desk.spots().await, desk.health());
    // They are in the order of names.
    let first =
        asked.after.as_ref().map_or(0, |after| spots.partition_point(|spot| spot.name.as_str() <= &**after));
    let next = spots.get(first + LINES - 1).filter(|_| spots.len() > first + LINES);
    let way = Way::new(&desk, "/-/ui/channels", next.map(|last| last.name.to_string()), first == 0);
    spots = spots.into_iter().skip(first).take(LINES).collect();
    let stored = desk.web.hosting.desk().channels(None, 1000).await.unwrap_or_default();
    let stored: HashMap<_, _> = stored.into_iter().map(|row| (row.name.clone(), row)).collect();
    let found = join_all(spots.iter().map(|spot| desk.catalogue_soon(spot))).await;
    let row = |(spot, found): (&Spot, Option<Arc<Catalogue>>)| {
        let of_store = stored.get(spot.name.as_str()).filter(|_| spot.is_hosted());
        let described = of_store.map(|row| row.description.clone()).filter(|text| !text.is_empty());
        let catalogue = found.filter(|found| !found.subdirs.is_empty() || spot.is_hosted());
        let oldest = catalogue.as_ref().and_then(|all| all.subdirs.iter().map(|subdir| subdir.checked).min());
        Row {
            name: spot.name.to_string(),
            kind: spot.kind(),
            about: described.unwrap_or_else(|| places::about(spot)),
            packages: catalogue.as_ref().map(|all| count(all.names.len() as u64)),
            files: catalogue.as_ref().map(|all| count(all.files())),
            size: catalogue.as_ref().map(|all| size(all.bytes())),
            health: spot.upstream().and_then(|name| health.get(name).copied()),
            age: oldest.filter(|_| !spot.is_hosted()).map(|at| When::new(at, desk.now())),
            public: of_store.is_none_or(|row| row.public),
        }
    };
    let rows = spots.iter().zip(found).map(row).collect();
    let example = format!("conda search -c {}/conda-forge zlib", desk.entrance.address);
    let (page, may_create) = (desk.page("channels"), desk.is_superuser());
    Ok(page::show(&ChannelsPage { page, rows, way, may_create, example }))
}
