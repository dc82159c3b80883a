//! Requests that come from the front door of this process: answered on other threads than its own, so that a slow page can't hold up a
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
use http::{Method, Request, Response, StatusCode};
use tokio::runtime::Handle;
use tower::ServiceExt;

/// The longest answer of the API.
const LONGEST: usize = 16 << 20;

/// A request's body, piece by piece.
pub type Inflow = BoxStream<'static, io::Result<Bytes>>;

/// Answers one request.
pub type Call = Arc<dyn Fn(Request<Inflow>) -> BoxFuture<'static, Response<Bytes>> + Send + Sync>;

/// The threads that answer.
#[derive(Clone)]
pub struct Threads {
    /// Pages and the API.
    pub usual: Handle,
    /// Uploads, which are as urgent as downloads.
    pub uploads: Handle,
}

impl Threads {
    /// The same ones for everything.
    #[must_use]
    pub fn same(runtime: &Handle) -> Self {
        Self { usual: runtime.clone(), uploads: runtime.clone() }
    }

    fn of<T>(&self, request: &Request<T>) -> Handle {
        let path = request.uri().path();
        let is_upload = match *request.method() {
            Method::PUT => path.contains("/-/packages/"),
            Method::POST => path == "/ui/upload",
            _ => false,
        };
        if is_upload { self.uploads.clone() } else { self.usual.clone() }
    }
}

/// What answers with the routes of `router`. Once begun, a request is answered to its end even if nobody waits for it any
/// more: only the body tells that a client left.
#[must_use]
pub fn call(router: Router, threads: Threads) -> Call {
    Arc::new(move |request| {
        let (router, runtime) = (router.clone(), threads.of(&request));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_have_threads_of_their_own() {
        let (usual, uploads) = (named("usual"), named("uploads"));
        let threads = Threads { usual: usual.handle().clone(), uploads: uploads.handle().clone() };
        for (method, path, is_upload) in [
            ("PUT", "/api/v1/channels/lab/-/packages/noarch/a-1-0.conda", true),
            ("GET", "/api/v1/channels/lab/-/packages/noarch/a-1-0.conda", false),
            ("POST", "/ui/upload", true),
            ("GET", "/ui/upload", false),
            ("PUT", "/api/v1/rules/files/90-ui.yaml", false),
        ] {
            let request = Request::builder().method(method).uri(path).body(()).unwrap();
            let wanted = if is_upload { &uploads } else { &usual };
            assert_eq!(threads.of(&request).id(), wanted.handle().id(), "{method} {path}");
        }
    }

    fn named(name: &str) -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name(name).build().unwrap()
    }
}
