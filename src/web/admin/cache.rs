//! The package cache: how full it is, and taking something out of it.
//!
//! Belongs here: the page and its form. Does not: the cache (`cache`, `delivery`).

use std::sync::Arc;

use askama::Template;
use axum::extract::Extension;
use axum::response::Response;
use futures_util::future::join_all;

use super::tabbed;
use crate::cache::{ChannelHeld, FileHeld};
use crate::delivery::Purged;
use crate::delivery::catalogue::{Catalogue, Spot};
use crate::manage::{Purge, Warm};
use crate::web::desk::{Desk, Flash};
use crate::web::page::{self, Page};
use crate::web::posted::Posted;
use crate::web::show::{count, size};
use crate::web::sorry::Sorry;

/// Channels that are listed.
const LARGEST: usize = 30;

struct Indexed {
    channel: String,
    files: String,
    size: String,
    subdirs: usize,
}

/// A channel in the cache.
struct Held {
    /// As it is asked for, if it is.
    channel: Option<String>,
    kept: String,
    files: String,
    size: String,
    /// Of all that is in the cache.
    percent: u64,
}

impl Held {
    fn new(held: &ChannelHeld, all: u64) -> Self {
        Self {
            channel: held.channel.clone(),
            kept: held.kept.clone(),
            files: count(held.files),
            size: size(held.bytes),
            percent: held.bytes.saturating_mul(100) / all.max(1),
        }
    }
}

struct Large {
    path: String,
    size: String,
    sha256: String,
    last_use: String,
}

impl From<&FileHeld> for Large {
    fn from(file: &FileHeld) -> Self {
        let FileHeld { path, bytes, sha256, last_use } = file.clone();
        Self { path, size: size(bytes), sha256, last_use }
    }
}

#[derive(Template)]
#[template(path = "admin/cache.html")]
struct CachePage {
    page: Page,
    used: String,
    budget: String,
    free: String,
    percent: u64,
    blobs: String,
    quarantine: u64,
    fills: u64,
    joined: String,
    started: String,
    failed: String,
    bytes_in: String,
    evicted: String,
    indexes: Vec<Indexed>,
    /// Channels whose indexes are here, beside those.
    more: usize,
    /// Of all answers of channels, how many waited for no upstream, in percent; and of how many.
    hits: Option<(u64, String)>,
    held: Vec<Held>,
    largest: Vec<Large>,
    /// Of requests for what was not here, how many waited for a download that ran already, in percent.
    shared: u64,
}

tabbed!(CachePage, "cache");

pub(super) async fn show(Extension(desk): Extension<Desk>) -> Result<Response, Sorry> {
    desk.superuser()?;
    let status = desk.web.gate.cache().await?;
    let spots = desk.spots().await;
    let found = join_all(spots.iter().map(|spot| desk.catalogue_soon(spot))).await;
    let mut here: Vec<_> = spots.iter().zip(found).filter_map(|(spot, all)| Some((spot, all?))).collect();
    here.retain(|(_, all)| !all.subdirs.is_empty());
    here.sort_by_key(|(_, all)| std::cmp::Reverse(all.bytes()));
    let row = |(spot, all): &(&Spot, Arc<Catalogue>)| Indexed {
        channel: spot.name.to_string(),
        files: count(all.files()),
        size: size(all.bytes()),
        subdirs: all.subdirs.len(),
    };
    let indexes = here.iter().take(LARGEST).map(row).collect();
    let (inventory, served) = (desk.web.gate.inventory().await?, desk.web.gate.served());
    let asked = status.fills_started + status.fills_joined;
    Ok(page::show(&CachePage {
        page: desk.page("admin"),
        used: size(status.bytes),
        budget: size(status.budget),
        free: size(status.free),
        percent: (status.bytes.saturating_mul(100) / status.budget.max(1)).min(100),
        blobs: count(status.blobs),
        quarantine: status.quarantine_files,
        fills: status.fills,
        joined: count(status.fills_joined),
        started: count(status.fills_started),
        failed: count(status.fills_failed),
        bytes_in: size(status.bytes_in),
        evicted: count(status.evicted),
        indexes,
        more: here.len().saturating_sub(LARGEST),
        hits: (served.answers > 0)
            .then(|| (served.from_here.saturating_mul(100) / served.answers, count(served.answers))),
        held: inventory.channels.iter().take(LARGEST).map(|held| Held::new(held, status.bytes)).collect(),
        largest: inventory.largest.iter().map(Large::from).collect(),
        shared: status.fills_joined * 100 / asked.max(1),
    }))
}

pub(super) async fn purge(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    desk.superuser()?;
    let what = posted.text("what").to_owned();
    let is_digest = what.len() == 64 && what.bytes().all(|b| b.is_ascii_hexdigit());
    let purge = match (posted.text("kind"), what.is_empty()) {
        ("all", _) if posted.text("confirm") == "everything" => Purge::All,
        ("all", _) => {
            let told = Flash::bad("Type “everything” to empty the cache. Nothing was removed.");
            return Ok(desk.tell("/-/ui/admin/cache", &told));
        }
        (_, true) => {
            let told = Flash::bad("Say what is to be removed. Nothing was.");
            return Ok(desk.tell("/-/ui/admin/cache", &told));
        }
        _ if is_digest => Purge::Digest(what),
        _ if what.contains("://") || what.starts_with('/') => Purge::Url(what),
        _ => Purge::Channel(what),
    };
    let flash = match desk.web.gate.purge(&desk.by(), purge).await {
        Ok(Purged { removed: 0, .. }) => Flash::good("There was nothing of it in the cache."),
        Ok(purged) => Flash::good(format!(
            "{} removed. What is asked for again is fetched again. {} of files are freed.",
            count(purged.removed),
            size(purged.bytes),
        )),
        Err(error) => Flash::bad(Sorry::from(error).sentence),
    };
    Ok(desk.tell("/-/ui/admin/cache", &flash))
}

pub(super) async fn warm(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    desk.superuser()?;
    let channel = posted.text("channel").to_owned();
    let subdirs: Vec<String> = posted
        .text("subdirs")
        .split([',', ' '])
        .filter(|subdir| !subdir.is_empty())
        .map(str::to_owned)
        .collect();
    let subdirs = if subdirs.is_empty() { vec!["noarch".to_owned(), "linux-64".to_owned()] } else { subdirs };
    let told = format!("The indexes of {channel} are being fetched: {}.", subdirs.join(", "));
    let flash = match desk.web.gate.warm(&desk.by(), Warm { channel, subdirs }).await {
        Ok(()) => Flash::good(told),
        Err(error) => Flash::bad(Sorry::from(error).sentence),
    };
    Ok(desk.tell("/-/ui/admin/cache", &flash))
}
