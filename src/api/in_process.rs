//! Requests that come from the front door of this process: answered on the background runtime, so that a slow page can't hold up a
//! download.
//!
//! Belongs here: the crossing. Does not: routes.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::{Request, Response, StatusCode};
use tokio::runtime::Handle;
use tower::ServiceExt;

/// The longest answer of the API.
const LONGEST: usize = 16 << 20;

/// A request's body, piece by piece.
pub type Inflow = BoxStream<'static, io::Result<Bytes>>;

/// Answers one request.
pub type Call = Arc<dyn Fn(Request<Inflow>) -> BoxFuture<'static, Response<Bytes>> + Send + Sync>;

/// What answers with the routes of `router`, on `runtime`. Once begun, a request is answered to its end even if nobody waits for it any
/// more: only the body tells that a client left.
#[must_use]
pub fn call(router: Router, runtime: Handle) -> Call {
    Arc::new(move |request| {
        let (router, runtime) = (router.clone(), runtime.clone());
        async move {
            let answered = runtime.spawn(answer(router, request)).await;
            // A panic; the runtime has logged it.
            answered.unwrap_or_else(|_| failed())
        }
        .boxed()
    })
}

async fn answer(router: Router, request: Request<Inflow>) -> Response<Bytes> {
    let answer = match router.oneshot(request.map(Body::from_stream)).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let (parts, body) = answer.into_parts();
    match to_bytes(body, LONGEST).await {
        Ok(body) => Response::from_parts(parts, body),
        Err(_) => failed(),
    }
}

fn failed() -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(
        b"{\"title\":\"The gate made a mistake\",\"status\":500,\"detail\":\"the API failed; the gate's log says why\"}",
    ));
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    answer
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(crate::http::problem::MEDIA_TYPE));
    answer
}
