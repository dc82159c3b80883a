//! Sending spans to a collector: OTLP over HTTP with protobuf.
//!
//! Belongs here: batches, and what happens when the collector does not take them. Does not: the connection (`upstream`, by way of
//! [`Post`]), what spans say ([`super`]).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, timeout_at};

use super::{Message, Outgoing};
use crate::secret::Secret;

/// Spans in one message.
const BATCH: usize = 512;
/// How long a span waits for others.
const LINGER: Duration = Duration::from_secs(1);
/// How long a message may take, attempts after the first included.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends one request; the answer, or why there is none.
pub type Post =
    Arc<dyn Fn(Request<Bytes>) -> BoxFuture<'static, Result<Response<Bytes>, String>> + Send + Sync>;

/// The collector.
pub struct Collector {
    /// Where it takes traces, such as `http://collector:4318/v1/traces`.
    pub endpoint: String,
    /// What it is to be shown.
    pub headers: Vec<(String, Secret<String>)>,
    /// The way there.
    pub post: Post,
}

#[derive(Clone)]
struct Way(Post);

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Way")
    }
}

#[async_trait]
impl HttpClient for Way {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        (self.0)(request).await.map_err(HttpError::from)
    }
}

/// Sends until nobody can tell of spans any more. `lost` counts those that the collector did not take.
///
/// # Errors
/// At once, when the settings can't be used.
pub fn run(
    outgoing: Outgoing,
    collector: Collector,
    lost: Counter,
) -> Result<impl Future<Output = ()> + Send + 'static, String> {
    let headers: HashMap<String, String> =
        collector.headers.iter().map(|(name, value)| (name.clone(), value.reveal().clone())).collect();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Way(collector.post))
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&collector.endpoint)
        .with_headers(headers)
        .with_timeout(PATIENCE)
        .build();
    let mut exporter = exporter.map_err(|error| error.to_string())?;
    let resource = Resource::builder_empty()
        .with_service_name("condagate")
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    exporter.set_resource(&resource);
    Ok(send_all(outgoing, exporter, lost))
}

async fn send_all(Outgoing(mut outgoing): Outgoing, exporter: SpanExporter, lost: Counter) {
    let mut failing = false;
    while let Some(first) = outgoing.recv().await {
        let (mut batch, mut flushed) = (Vec::new(), Vec::new());
        take(first, &mut batch, &mut flushed);
        let due = Instant::now() + LINGER;
        while batch.len() < BATCH && flushed.is_empty() {
            match timeout_at(due, outgoing.recv()).await {
                Ok(Some(message)) => take(message, &mut batch, &mut flushed),
                Ok(None) | Err(_) => break,
            }
        }
        failing = send(&exporter, batch, &lost, failing).await;
        for done in flushed {
            // Nobody may be waiting any more.
            let _unheard = done.send(());
        }
    }
}

fn take(message: Message, batch: &mut Vec<SpanData>, flushed: &mut Vec<tokio::sync::oneshot::Sender<()>>) {
    match message {
        Message::Span(span) => batch.push(*span),
        Message::Flush(done) => flushed.push(done),
    }
}

/// Whether the collector is in trouble; said once.
async fn send(exporter: &SpanExporter, batch: Vec<SpanData>, lost: &Counter, failing: bool) -> bool {
    if batch.is_empty() {
        return failing;
    }
    let spans = batch.len();
    match exporter.export(batch).await {
        Ok(()) => {
            if failing {
                tracing::info!("the collector of traces takes them again");
            }
            false
        }
        Err(error) => {
            lost.inc_by(spans as u64);
            if !failing {
                tracing::warn!(%error, "the collector of traces does not take them; they are dropped until it does");
            }
            true
        }
    }
}
