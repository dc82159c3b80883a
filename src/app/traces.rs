//! Sets up traces by the settings.
//!
//! Belongs here: joining `telemetry` to the way out. Does not: what is traced (`telemetry`), the settings (`config`).

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;

use super::StartError;
use crate::config::OtlpConfig;
use crate::telemetry::traces::TraceSettings;
use crate::telemetry::traces::export::{self, Collector, Post};
use crate::telemetry::{Metrics, Traces};
use crate::upstream::Upstreams;

/// How long the end of the gate waits for the collector.
const PATIENCE: Duration = Duration::from_secs(2);

/// Nothing is traced without a collector.
///
/// # Errors
/// When the way to it can't be set up.
pub(super) fn open(
    config: &OtlpConfig,
    upstreams: &Upstreams,
    metrics: &Metrics,
    runtime: &Handle,
) -> Result<Traces, StartError> {
    let Some(endpoint) = &config.endpoint else { return Ok(Traces::off()) };
    let poster = upstreams.poster().map_err(|error| StartError::Traces(error.to_string()))?;
    let post: Post = Arc::new(move |request| {
        let poster = poster.clone();
        async move { poster.send(request).await }.boxed()
    });
    let settings = TraceSettings {
        one_in: u32::try_from(config.sample).unwrap_or(u32::MAX),
        from_callers: config.from_callers,
    };
    let (traces, outgoing) = Traces::new(settings, metrics.spans_lost.clone());
    let collector =
        Collector { endpoint: endpoint.reveal().to_string(), headers: config.headers.clone(), post };
    let sending = export::run(outgoing, collector, metrics.spans_lost.clone());
    runtime.spawn(sending.map_err(StartError::Traces)?);
    Ok(traces)
}

/// Has what was told so far sent; what the collector does not take soon is lost.
pub(super) async fn flush(traces: &Traces) {
    let _late = tokio::time::timeout(PATIENCE, traces.flush()).await;
}
