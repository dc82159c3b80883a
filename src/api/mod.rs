//! The private control socket: what the command line asks of a running gate, as JSON over HTTP on a Unix socket of mode 0600.
//!
//! Belongs here: routes, bodies and their translation to calls of an [`Operator`]. Does not: what those calls do.

pub mod accounts;
pub mod channels;
pub mod dialects;
pub mod in_process;
pub mod local;
mod search;
pub mod v1;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::Value;

use crate::channel::Hosting;
use crate::delivery::explain::Question;

/// What a purge is about; exactly one of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum PurgeRequest {
    /// A file as clients ask for it: a URL of this gate or a path.
    Url(String),
    /// A whole channel: its files, indexes and shards.
    Channel(String),
    /// The bytes with this SHA-256, whoever lists them.
    Digest(String),
    /// Everything; the value must be `true`.
    All(bool),
}

/// Why an operation did not happen.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// The request makes no sense; nothing was done.
    #[error("{0}")]
    Invalid(String),
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
}

/// A running gate, as its administrator sees it.
#[async_trait]
pub trait Operator: Send + Sync + 'static {
    /// What the cache holds.
    async fn status(&self) -> Result<Value, OperateError>;
    /// What is going on.
    async fn glance(&self) -> Result<Value, OperateError>;
    /// Re-hashes everything; what is wrong is set aside.
    async fn verify(&self) -> Result<Value, OperateError>;
    /// Evicts down to the budget and removes left-overs.
    async fn collect(&self) -> Result<Value, OperateError>;
    /// Forgets cached files.
    async fn purge(&self, what: PurgeRequest) -> Result<Value, OperateError>;
    /// Why a file or a package is as it is.
    async fn explain(&self, question: Question) -> Result<Value, OperateError>;
    /// Reads the rules again; the old ones stay if the new ones have mistakes.
    async fn reload(&self) -> Result<Value, OperateError>;
    /// Has a new process take over.
    async fn upgrade(&self) -> Result<Value, OperateError>;
}

impl IntoResponse for OperateError {
    fn into_response(self) -> Response {
        let (status, title) = match &self {
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "this request makes no sense"),
            Self::Failed(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the operation failed"),
        };
        let body = serde_json::json!({"title": title, "status": status.as_u16(), "detail": self.to_string()});
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}

type Shared = State<Arc<dyn Operator>>;

/// The routes.
pub fn router(operator: Arc<dyn Operator>) -> Router {
    Router::new()
        .route("/cache/status", get(|State(op): Shared| async move { op.status().await.map(Json) }))
        .route("/cache/verify", post(|State(op): Shared| async move { op.verify().await.map(Json) }))
        .route("/cache/gc", post(|State(op): Shared| async move { op.collect().await.map(Json) }))
        .route("/cache/purge", post(purge))
        .route("/explain", post(explain))
        .route("/top", get(|State(op): Shared| async move { op.glance().await.map(Json) }))
        .route("/reload", post(|State(op): Shared| async move { op.reload().await.map(Json) }))
        .route("/upgrade", post(|State(op): Shared| async move { op.upgrade().await.map(Json) }))
        .with_state(operator)
}

async fn purge(State(op): Shared, body: axum::body::Bytes) -> Result<Json<Value>, OperateError> {
    let what: PurgeRequest = serde_json::from_slice(&body).map_err(|error| {
        OperateError::Invalid(format!(
            "say what to purge: one of `url`, `channel`, `digest` or `all` ({error})"
        ))
    })?;
    op.purge(what).await.map(Json)
}

async fn explain(State(op): Shared, body: axum::body::Bytes) -> Result<Json<Value>, OperateError> {
    let question: Question = serde_json::from_slice(&body).map_err(|error| {
        OperateError::Invalid(format!(
            "say what to explain: a `url`, or a `spec` and perhaps its `channel` and `subdir` ({error})"
        ))
    })?;
    op.explain(question).await.map(Json)
}

/// Listens on `path` (a socket left over from an earlier run is replaced) and serves until `stop` completes.
///
/// # Errors
/// When the socket can't be made, with the path.
pub async fn serve(
    path: &Path,
    operator: Arc<dyn Operator>,
    hosting: Option<Hosting>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let named = |error: std::io::Error| {
        std::io::Error::new(
            error.kind(),
            format!("the control socket `{}` can't be made: {error}", path.display()),
        )
    };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(named(error)),
        _ => {}
    }
    let listener = tokio::net::UnixListener::bind(path).map_err(named)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(named)?;
    let mut routes = router(operator);
    if let Some(hosting) = hosting {
        routes = routes.merge(local::router(hosting));
    }
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
}
