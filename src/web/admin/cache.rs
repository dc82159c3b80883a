//! The package cache: how full it is, and taking something out of it.
//!
//! Belongs here: the page and its form. Does not: the cache (`cache`, `delivery`).

use askama::Template;
use axum::extract::Extension;
use axum::response::Response;

use super::tabbed;
use crate::web::Purge;
use crate::web::desk::{Desk, Flash};
use crate::web::page::{self, Page};
use crate::web::posted::Posted;
use crate::web::show::{count, size};
use crate::web::sorry::Sorry;

struct Indexed {
    channel: String,
    files: String,
    subdirs: usize,
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
}

tabbed!(CachePage, "cache");

pub(super) async fn show(Extension(desk): Extension<Desk>) -> Result<Response, Sorry> {
    desk.superuser()?;
    let status = desk.web.gate.cache().await.map_err(Sorry::unavailable)?;
    let mut indexes = Vec::new();
    for spot in desk.spots().await {
        if let Some(all) = desk.catalogue_soon(&spot).await.filter(|all| !all.subdirs.is_empty()) {
            let (channel, files) = (spot.name.to_string(), count(all.files()));
            indexes.push(Indexed { channel, files, subdirs: all.subdirs.len() });
        }
    }
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
    let flash = match desk.web.gate.purge(purge).await {
        Ok(0) => Flash::good("There was nothing of it in the cache."),
        Ok(removed) => {
            Flash::good(format!("{} removed. What is asked for again is fetched again.", count(removed)))
        }
        Err(why) => Flash::bad(Sorry::invalid(why).sentence),
    };
    Ok(desk.tell("/-/ui/admin/cache", &flash))
}
