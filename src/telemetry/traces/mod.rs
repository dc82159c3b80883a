//! Traces: a span for each request and each download from upstream, for a collector that speaks OTLP.
//!
//! Nothing is kept, asked or allocated for requests that are not traced. Spans that the collector does not take in time are dropped and
//! counted: nobody waits for it. What a span says is from closed sets, names of channels and upstreams, and paths of packages: no query, no
//! address of a caller, no credential.
//!
//! Belongs here: which requests are traced, what their spans say. Does not: sending them ([`export`]).

pub mod export;

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{mpsc, oneshot};

use super::access::End;
use super::labels::{Outcome, RouteKind};
use crate::clock::UnixMillis;
use crate::http::traceparent::{TraceParent, TraceSpan};
use crate::id::RequestId;

/// Spans that wait to be sent; beyond them they are dropped.
const WAITING: usize = 8192;

/// Which requests are traced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceSettings {
    /// One request in so many, from 1.
    pub one_in: u32,
    /// Whether callers say where in a trace they stand, and whether it is recorded.
    pub from_callers: bool,
}

/// See the module's description. Clones share the way to the collector.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<On>>);

struct On {
    settings: TraceSettings,
    ids: RandomState,
    scope: InstrumentationScope,
    out: mpsc::Sender<Message>,
    lost: Counter,
}

/// What goes to whoever sends spans.
pub(super) enum Message {
    Span(Box<SpanData>),
    /// Everything before this is to be sent at once.
    Flush(oneshot::Sender<()>),
}

/// What is to be sent; [`export::run`] takes it.
pub struct Outgoing(pub(super) mpsc::Receiver<Message>);

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub struct RequestSpan<'a> {
    /// Its place.
    pub span: TraceSpan,
    /// When its head was complete.
    pub at: UnixMillis,
    /// From then to the last byte.
    pub took: Duration,
    /// `GET`, or another method.
    pub method: &'a str,
    /// What it asked for.
    pub kind: RouteKind,
    /// Of which channel.
    pub channel: Option<&'a str>,
    /// As answered.
    pub status: u16,
    /// Body bytes sent.
    pub bytes: u64,
    /// Where they came from.
    pub outcome: Outcome,
    /// How it ended.
    pub end: End,
    /// The id that the client got.
    pub request: RequestId,
    /// The upstream it waited for.
    pub upstream: Option<&'a str>,
}

/// A download from upstream that is over.
#[derive(Clone, Copy, Debug)]
pub struct FillSpan<'a> {
    /// Its place.
    pub span: TraceSpan,
    /// When it was over.
    pub ended: UnixMillis,
    /// How long it took.
    pub took: Duration,
    /// What it is called: the path below the gate, without credentials.
    pub file: &'a str,
    /// The printable address of the mirror.
    pub from: Option<&'a str>,
    /// Bytes on disk at its end.
    pub bytes: u64,
    /// How long it waited for its turn.
    pub queued: Duration,
    /// How often upstream was asked again.
    pub asked_again: u32,
    /// Whether the file is stored.
    pub stored: bool,
}

impl Traces {
    /// Nothing is traced.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// Traces, and what comes of them. `lost` counts spans that were dropped.
    #[must_use]
    pub fn new(settings: TraceSettings, lost: Counter) -> (Self, Outgoing) {
        let (out, outgoing) = mpsc::channel(WAITING);
        let scope =
            InstrumentationScope::builder("condagate").with_version(env!("CARGO_PKG_VERSION")).build();
        let on = On { settings, ids: RandomState::new(), scope, out, lost };
        (Self(Some(Arc::new(on))), Outgoing(outgoing))
    }

    /// Whether anything is.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The span of a new request, if it is traced. `parent` is its `traceparent`, `request` its id.
    #[must_use]
    pub fn begin(&self, parent: Option<&str>, request: RequestId) -> Option<TraceSpan> {
        let on = self.0.as_deref()?;
        let parent = parent.filter(|_| on.settings.from_callers).and_then(TraceParent::parse);
        let random = |n: u64| {
            let mut hasher = on.ids.build_hasher();
            hasher.write(&request.hex());
            hasher.write_u64(n);
            hasher.finish().max(1)
        };
        let is_sampled = match parent {
            Some(parent) => parent.sampled,
            None => random(0).is_multiple_of(u64::from(on.settings.one_in.max(1))),
        };
        is_sampled.then(|| TraceSpan {
            trace: parent.map_or_else(|| u128::from(random(1)) << 64 | u128::from(random(2)), |p| p.trace),
            span: random(3),
            parent: parent.map(|parent| parent.span),
            is_parent_remote: parent.is_some(),
        })
    }

    /// Tells of a request.
    pub fn request(&self, request: &RequestSpan<'_>) {
        let Some(on) = self.0.as_deref() else { return };
        let mut attributes = vec![
            KeyValue::new("http.request.method", request.method.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(request.status)),
            KeyValue::new("http.response.body.size", signed(request.bytes)),
            KeyValue::new("condagate.kind", request.kind.as_str()),
            KeyValue::new("condagate.cache", request.outcome.as_str()),
            KeyValue::new("condagate.end", request.end.as_str()),
            KeyValue::new("condagate.request_id", request.request.to_string()),
        ];
        let mut add = |key, value: Option<&str>| {
            attributes.extend(value.map(|value| KeyValue::new(key, value.to_owned())));
        };
        add("condagate.channel", request.channel);
        add("condagate.upstream", request.upstream);
        let failed = request.status >= 500 || request.end == End::Cut;
        on.send(Told {
            span: request.span,
            kind: SpanKind::Server,
            name: Cow::Owned(format!("{} {}", request.method, request.kind.as_str())),
            ended: request.at.plus(request.took),
            took: request.took,
            attributes,
            failed,
        });
    }

    /// Tells of a download from upstream.
    pub fn fill(&self, fill: &FillSpan<'_>) {
        let Some(on) = self.0.as_deref() else { return };
        let mut attributes = vec![
            KeyValue::new("condagate.file", fill.file.to_owned()),
            KeyValue::new("http.response.body.size", signed(fill.bytes)),
            KeyValue::new("condagate.queued_ms", i64::try_from(fill.queued.as_millis()).unwrap_or(i64::MAX)),
            KeyValue::new("condagate.asked_again", i64::from(fill.asked_again)),
            KeyValue::new("condagate.stored", fill.stored),
        ];
        attributes.extend(fill.from.map(|from| KeyValue::new("condagate.mirror", from.to_owned())));
        on.send(Told {
            span: fill.span,
            kind: SpanKind::Client,
            name: Cow::Borrowed("fill"),
            ended: fill.ended,
            took: fill.took,
            attributes,
            failed: !fill.stored,
        });
    }

    /// Waits until everything that was told before is sent, or given up.
    pub async fn flush(&self) {
        let Some(on) = self.0.as_deref() else { return };
        let (done, sent) = oneshot::channel();
        if on.out.send(Message::Flush(done)).await.is_ok() {
            // Whoever sends is gone otherwise, and everything with it.
            let _sent = sent.await;
        }
    }
}

/// What is common to all spans.
struct Told {
    span: TraceSpan,
    kind: SpanKind,
    name: Cow<'static, str>,
    ended: UnixMillis,
    took: Duration,
    attributes: Vec<KeyValue>,
    failed: bool,
}

impl On {
    fn send(&self, told: Told) {
        let ended = told.ended.to_system();
        let data = SpanData {
            span_context: SpanContext::new(
                TraceId::from_bytes(told.span.trace.to_be_bytes()),
                SpanId::from_bytes(told.span.span.to_be_bytes()),
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: told
                .span
                .parent
                .map_or(SpanId::INVALID, |id| SpanId::from_bytes(id.to_be_bytes())),
            parent_span_is_remote: told.span.is_parent_remote,
            span_kind: told.kind,
            name: told.name,
            start_time: ended.checked_sub(told.took).unwrap_or(ended),
            end_time: ended,
            attributes: told.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if told.failed { Status::error("") } else { Status::Unset },
            instrumentation_scope: self.scope.clone(),
        };
        if self.out.try_send(Message::Span(Box::new(data))).is_err() {
            self.lost.inc();
        }
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RequestIds;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn traces(one_in: u32, from_callers: bool) -> Traces {
        Traces::new(TraceSettings { one_in, from_callers }, Counter::default()).0
    }

    #[test]
    fn about_one_in_so_many_is_traced() {
        let ids = RequestIds::new(3);
        let count =
            |traces: &Traces| (0..10_000).filter(|_| traces.begin(None, ids.next()).is_some()).count();
        assert_eq!(count(&traces(1, false)), 10_000);
        let some = count(&traces(10, false));
        assert!((700..1300).contains(&some), "{some}");
        assert_eq!(count(&Traces::off()), 0);
    }

    #[test]
    fn callers_decide_only_where_they_are_asked() {
        let id = RequestIds::new(3).next();
        let believed = traces(u32::MAX, true).begin(Some(PARENT), id).unwrap();
        assert_eq!((believed.parent, believed.is_parent_remote), (Some(0xb7ad_6b71_6920_3331), true));
        assert_eq!(believed.trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        let unsampled = PARENT.replace("-01", "-00");
        assert_eq!(traces(1, true).begin(Some(&unsampled), id), None);
        let own = traces(1, false).begin(Some(PARENT), id).unwrap();
        assert!(own.parent.is_none() && own.trace != believed.trace);
    }

    #[test]
    fn nobody_waits_for_the_collector() {
        let lost = Counter::default();
        let (traces, _outgoing) = Traces::new(TraceSettings { one_in: 1, from_callers: false }, lost.clone());
        let span = traces.begin(None, RequestIds::new(3).next()).unwrap();
        let fill = FillSpan {
            span,
            ended: UnixMillis(5),
            took: Duration::from_secs(1),
            file: "a",
            from: None,
            bytes: 1,
            queued: Duration::ZERO,
            asked_again: 0,
            stored: true,
        };
        (0..WAITING + 7).for_each(|_| traces.fill(&fill));
        assert_eq!(lost.get(), 7);
    }
}
