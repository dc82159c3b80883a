//! Straight from upstream, not kept: for callers that carry their own upstream token, where a rule lets them.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::objects::refusal_of_fetch;
use super::{Delivery, Refusal};
use crate::secret::Secret;
use crate::upstream::{FetchRequest, Purpose, Upstream};

/// An upstream answer that is handed through.
pub struct Passed {
    /// Upstream's status.
    pub status: u16,
    /// Upstream's headers; the edge picks the few that may go on.
    pub headers: http::HeaderMap,
    /// The body, a few chunks ahead at most; an `Err` is a cut.
    pub body: mpsc::Receiver<Result<Bytes, String>>,
}

/// The caller's conditions that go along.
#[derive(Default)]
pub struct PassConditions {
    /// `If-None-Match`.
    pub if_none_match: Option<String>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<String>,
    /// A HEAD request.
    pub head: bool,
}

impl Delivery {
    /// Fetches `path` (below the upstream's base, token included) without the gate's credentials and without keeping anything.
    ///
    /// # Errors
    /// As [`Refusal`]; the path is in none of them.
    pub async fn pass(
        &self,
        upstream: &Arc<Upstream>,
        path: Secret<String>,
        conditions: PassConditions,
    ) -> Result<Passed, Refusal> {
        let upstream = Arc::clone(upstream);
        let (via, traceparent) = self.handed_on();
        let request = FetchRequest {
            path: path.reveal().clone(),
            purpose: Purpose::Plain,
            if_none_match: conditions.if_none_match,
            if_modified_since: conditions.if_modified_since,
            head: conditions.head,
            via,
            traceparent,
            ..FetchRequest::default()
        };
        let fetched = self.inner.runtime.spawn(async move { upstream.fetch(request).await }).await;
        let response = fetched
            .map_err(|_| Refusal::Internal("passing the request on failed inside; see the log".to_owned()))?
            .map_err(|error| refusal_of_fetch(&error))?;
        let (sender, body) = mpsc::channel(4);
        let mut stream = response.body;
        self.inner.runtime.spawn(async move {
            while let Some(chunk) = stream.next().await {
                let failed = chunk.is_err();
                if sender.send(chunk.map_err(|error| error.to_string())).await.is_err() || failed {
                    return;
                }
            }
        });
        Ok(Passed { status: response.status.as_u16(), headers: response.headers, body })
    }
}
