//! Joins the engines: an upstream as the cache's source of bytes.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;

use super::Events;
use super::negative::Absences;
use crate::cache::freshness::Lifetime;
use crate::cache::{OpenAt, Opened, OpenedBody, Source, SourceError, SourceErrorKind, Validators};
use crate::http::traceparent::TraceSpan;
use crate::upstream::{FetchError, FetchKind, FetchRequest, FetchResponse, Purpose, Upstream};

/// One file of one upstream.
pub(super) struct UpstreamFile {
    pub(super) upstream: Arc<Upstream>,
    /// Below the upstream's base, percent-encoded; or an absolute URL that the upstream itself named.
    pub(super) path: String,
    pub(super) purpose: Purpose,
    /// Under which key a 404 is remembered, and where: before anybody hears of it, so that the next asker is answered from memory.
    pub(super) key: String,
    pub(super) absences: Arc<Absences>,
    pub(super) events: Arc<dyn Events>,
    /// `Via` of the request that started this.
    pub(super) via: Option<Arc<str>>,
    /// Its span in a trace, if it is traced, and whether upstream is told.
    pub(super) span: Option<TraceSpan>,
    pub(super) tells_upstream: bool,
}

#[async_trait]
impl Source for UpstreamFile {
    async fn open(&self, at: OpenAt) -> Result<Opened, SourceError> {
        let conditional = at.conditional.unwrap_or_default();
        let request = FetchRequest {
            path: self.path.clone(),
            purpose: self.purpose,
            if_none_match: conditional.etag,
            if_modified_since: conditional.last_modified,
            range_from: (at.offset > 0).then_some(at.offset),
            if_range: at.if_range,
            via: self.via.as_deref().map(ToOwned::to_owned),
            traceparent: self.span.filter(|_| self.tells_upstream).map(|span| span.to_parent().to_string()),
            ..FetchRequest::default()
        };
        let response = match self.upstream.fetch(request).await {
            Ok(response) => response,
            Err(error) => {
                let limited = matches!(error.kind(), FetchKind::RateLimited { .. });
                self.events.unanswered(self.upstream.name(), limited);
                return Err(source_error(&error));
            }
        };
        self.events.answered(self.upstream.name(), response.first_byte);
        opened(response, at.offset).inspect_err(|error| {
            if error.kind == SourceErrorKind::NotFound {
                self.absences.insert(self.key.clone(), error.message.clone());
            }
        })
    }

    fn span(&self) -> Option<TraceSpan> {
        self.span
    }
}

fn opened(response: FetchResponse, asked_offset: u64) -> Result<Opened, SourceError> {
    let text = |name: &http::HeaderName| {
        response.headers.get(name).and_then(|v| v.to_str().ok()).map(ToOwned::to_owned)
    };
    let validators =
        Validators { etag: text(&http::header::ETAG), last_modified: text(&http::header::LAST_MODIFIED) };
    let status = response.status.as_u16();
    match status {
        304 => Ok(Opened::NotModified { validators, lifetime: Lifetime::default() }),
        200 | 206 => {
            let offset = if status == 206 { asked_offset } else { 0 };
            let length = text(&http::header::CONTENT_LENGTH).and_then(|t| t.parse::<u64>().ok());
            // A part says how long the whole is; its own length need not reach the end.
            let total =
                if status == 206 { response.content_range().and_then(|part| part.total) } else { length };
            Ok(Opened::Body(OpenedBody {
                offset,
                total,
                validators,
                content_type: text(&http::header::CONTENT_TYPE),
                from: Some(response.mirror.as_str().into()),
                // Freshness is the rules' `ttl`, not upstream's word (PROTOCOL section 7: its `Age` may be weeks).
                lifetime: Lifetime::default(),
                stream: response.body.map(|chunk| chunk.map_err(|error| source_error(&error))).boxed(),
            }))
        }
        404 | 410 => Err(SourceError {
            kind: SourceErrorKind::NotFound,
            message: format!("upstream `{}` has no such file ({status})", response.mirror),
            retryable: false,
        }),
        401 | 403 => Err(SourceError {
            kind: SourceErrorKind::Status(status),
            message: format!(
                "upstream `{}` refuses this gate ({status}); check the credentials of its rule",
                response.mirror
            ),
            retryable: false,
        }),
        other => Err(SourceError {
            kind: SourceErrorKind::Status(other),
            message: format!("upstream `{}` answered {other}, which makes no sense here", response.mirror),
            retryable: false,
        }),
    }
}

/// A failed fetch as the cache sees it: its sentence stays, its kind says whether asking again soon may help.
fn source_error(error: &FetchError) -> SourceError {
    let kind = match error.kind() {
        FetchKind::RateLimited { retry_after } => SourceErrorKind::RateLimited(Some(retry_after)),
        FetchKind::Loop | FetchKind::BadRedirect | FetchKind::TooManyRedirects | FetchKind::BadRequest => {
            SourceErrorKind::Refused
        }
        _ => SourceErrorKind::Unavailable,
    };
    SourceError { kind, message: error.to_string(), retryable: error.is_retryable() }
}
