//! `/-/api/v1/upstreams`, `settings`, `health`: how the gateway is. For administrators, but for the few words of `health`.
//!
//! Belongs here: shapes. Does not: finding it out (`manage`).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::Answered;
use super::asker::Asker;
use super::{Control, document};
use crate::about;
use crate::http::date::rfc3339;
use crate::manage::SettingShown;
use crate::upstream::{MirrorHealth, UpstreamSnapshot};

pub(super) fn routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(upstreams))
        .routes(routes!(settings))
        .routes(routes!(health))
        .routes(routes!(licenses))
        .routes(routes!(described))
}

/// A library that is built into the gateway.
#[derive(Serialize, ToSchema)]
struct Part {
    /// Of a crate, mostly.
    name: &'static str,
    version: &'static str,
    /// As SPDX writes it.
    license: &'static str,
}

/// What is built into the gateway.
#[derive(Serialize, ToSchema)]
struct Licenses {
    parts: Vec<Part>,
}

/// What is built into the gateway, and under which licences. Their texts are at /-/licenses.
#[utoipa::path(get, path = "/licenses", tag = "gateway", operation_id = "listLicenses", responses((status = 200, body = Licenses)))]
async fn licenses() -> Json<Licenses> {
    let part = |about::Part { name, version, license }| Part { name, version, license };
    Json(Licenses { parts: about::parts().map(part).collect() })
}

/// A mirror of an upstream.
#[derive(Serialize, ToSchema)]
struct Mirror {
    /// Its URL, without credentials.
    url: String,
    /// Whether requests go to it.
    healthy: bool,
    /// Failures in a row.
    failures: u32,
    /// It is left alone until then.
    resting_until: Option<String>,
    /// The kind of its last failure, until it works again.
    last_error: Option<String>,
}

/// An upstream.
#[derive(Serialize, ToSchema)]
struct Upstream {
    name: String,
    /// Requests running.
    in_flight: usize,
    /// Most of them.
    max_concurrent: usize,
    /// Since the start.
    requests: u64,
    /// Since the start.
    retries: u64,
    /// Since the start.
    bytes: u64,
    /// In the order in which they are asked.
    mirrors: Vec<Mirror>,
}

#[derive(Serialize, ToSchema)]
struct UpstreamList {
    upstreams: Vec<Upstream>,
}

impl From<MirrorHealth> for Mirror {
    fn from(mirror: MirrorHealth) -> Self {
        let until = mirror.open_until.max(mirror.rate_limited_until);
        Self {
            url: mirror.mirror,
            healthy: mirror.healthy,
            failures: mirror.failures,
            resting_until: until.map(rfc3339),
            last_error: mirror.last_error.map(str::to_owned),
        }
    }
}

impl From<UpstreamSnapshot> for Upstream {
    fn from(upstream: UpstreamSnapshot) -> Self {
        Self {
            name: upstream.name,
            in_flight: upstream.in_flight,
            max_concurrent: upstream.max_concurrent,
            requests: upstream.stats.requests,
            retries: upstream.stats.retries,
            bytes: upstream.stats.body_bytes,
            mirrors: upstream.mirrors.into_iter().map(Mirror::from).collect(),
        }
    }
}

/// Upstreams, by name, with the health of their mirrors.
#[utoipa::path(get, path = "/upstreams", tag = "gateway", operation_id = "listUpstreams", responses((status = 200, body = UpstreamList)))]
async fn upstreams(State(control): State<Control>, asker: Asker) -> Answered<Json<UpstreamList>> {
    asker.administrator()?;
    let upstreams = control.gate.upstreams().into_iter().map(Upstream::from).collect();
    Ok(Json(UpstreamList { upstreams }))
}

#[derive(Serialize, ToSchema)]
struct Settings {
    settings: Vec<SettingShown>,
}

/// The settings in force, each with where it comes from. No secrets.
#[utoipa::path(get, path = "/settings", tag = "gateway", operation_id = "listSettings", responses((status = 200, body = Settings)))]
async fn settings(State(control): State<Control>, asker: Asker) -> Answered<Json<Settings>> {
    asker.administrator()?;
    Ok(Json(Settings { settings: control.gate.settings() }))
}

/// Whether requests are answered as they should be, and what troubles the gateway. Strangers get the words of `/-/readyz`.
#[derive(Serialize, ToSchema)]
struct Health {
    ready: bool,
    /// `current`, or `kept`: older ones are in force, because those on disk have mistakes
    rules: String,
    /// `writable`, `read-only`, `broken`
    cache: String,
    /// `current`, `degraded`, `unknown`
    store: String,
    /// Sentences; for administrators.
    detail: Option<Value>,
}

/// How the gateway is.
#[utoipa::path(get, path = "/health", tag = "gateway", operation_id = "getHealth", responses((status = 200, body = Health), (status = 503, description = "it is not ready", body = Health)))]
async fn health(State(control): State<Control>, asker: Asker) -> Response {
    let (ready, mut document) = control.gate.health();
    if asker.administrator().is_err()
        && let Value::Object(fields) = &mut document
    {
        fields.remove("detail");
    }
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(document)).into_response()
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "gateway", operation_id = "getDocument", responses((status = 200, body = Value)))]
async fn described() -> Response {
    let kind = [("content-type", "application/json"), ("cache-control", "no-cache")];
    (kind, document::text()).into_response()
}
