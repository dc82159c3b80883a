//! `/-/api/v1/cache…`: what it holds, taking something out, fetching ahead. For administrators.
//!
//! Belongs here: paths, bodies, answers. Does not: the cache (`cache`, `delivery`).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Control;
use super::answers::Answered;
use super::asker::{Asker, Body};
use crate::cache::{CacheStatus, Inventory};
use crate::http::problem::Problem;
use crate::manage::{Purge, Served, Warm};

pub(super) fn routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(contents))
        .routes(routes!(purge))
        .routes(routes!(warm))
}

/// What is to be taken out; exactly one of them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct What {
    /// A file as clients ask for it: a URL of this gate or a path.
    url: Option<String>,
    /// A whole channel: its files, indexes and shards.
    channel: Option<String>,
    /// The bytes with this SHA-256, whoever lists them.
    digest: Option<String>,
    /// Everything; must be true.
    all: Option<bool>,
}

#[derive(Serialize, ToSchema)]
struct Removed {
    /// Files and indexes.
    removed: u64,
    /// That files had which nothing else needs.
    bytes: u64,
}

/// Indexes that are to be fetched before a client asks.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// With a label perhaps: `conda-forge/label/rc`.
    channel: String,
    /// `noarch` and `linux-64` where nothing is said.
    #[serde(default)]
    #[schema(max_items = 20)]
    subdirs: Vec<String>,
}

/// How full the cache is, and what it was good for.
#[derive(Serialize, ToSchema)]
struct CacheShown {
    #[serde(flatten)]
    status: CacheStatus,
    #[serde(flatten)]
    served: Served,
}

/// What the cache holds.
#[utoipa::path(get, path = "/cache", tag = "cache", operation_id = "getCache", responses((status = 200, body = CacheShown)))]
async fn status(State(control): State<Control>, asker: Asker) -> Answered<Json<CacheShown>> {
    asker.administrator()?;
    Ok(Json(CacheShown { status: control.gate.cache().await?, served: control.gate.served() }))
}

/// What the cache is full of: bytes by channel, the largest files; as of some seconds ago at most.
#[utoipa::path(get, path = "/cache/contents", tag = "cache", operation_id = "getCacheContents", responses((status = 200, body = Inventory)))]
async fn contents(State(control): State<Control>, asker: Asker) -> Answered<Json<Arc<Inventory>>> {
    asker.administrator()?;
    Ok(Json(control.gate.inventory().await?))
}

/// Takes something out of the cache. It is fetched again when somebody asks for it; files of hosted channels stay.
#[utoipa::path(post, path = "/cache/purge", tag = "cache", operation_id = "purgeCache", request_body = What, responses((status = 200, body = Removed)))]
async fn purge(
    State(control): State<Control>,
    asker: Asker,
    Body(what): Body<What>,
) -> Answered<Json<Removed>> {
    let by = asker.administrator()?;
    let what = match what {
        What { url: Some(url), channel: None, digest: None, all: None } => Purge::Url(url),
        What { channel: Some(channel), url: None, digest: None, all: None } => Purge::Channel(channel),
        What { digest: Some(digest), url: None, channel: None, all: None } => Purge::Digest(digest),
        What { all: Some(true), url: None, channel: None, digest: None } => Purge::All,
        _ => {
            let said = "say what to take out: one of `url`, `channel`, `digest`, or `all`: true";
            return Err(Problem::unprocessable(said).into());
        }
    };
    let purged = control.gate.purge(&by, what).await?;
    Ok(Json(Removed { removed: purged.removed, bytes: purged.bytes }))
}

/// Begins to fetch indexes, and does not wait for them.
#[utoipa::path(post, path = "/cache/warm", tag = "cache", operation_id = "warmCache", request_body = Wanted, responses((status = 202)))]
async fn warm(
    State(control): State<Control>,
    asker: Asker,
    Body(wanted): Body<Wanted>,
) -> Answered<StatusCode> {
    let by = asker.administrator()?;
    let usual = || vec!["noarch".to_owned(), "linux-64".to_owned()];
    let subdirs = if wanted.subdirs.is_empty() { usual() } else { wanted.subdirs };
    control.gate.warm(&by, Warm { channel: wanted.channel, subdirs }).await?;
    Ok(StatusCode::ACCEPTED)
}
