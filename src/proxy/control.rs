//! The gate's own pages behind `/-/`: health, readiness, metrics, what a problem means.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use pingora::proxy::Session;

use super::Ctx;
use super::respond::{self, Stamp};
use crate::http::problem::Problem;
use crate::telemetry::{Eyes, RouteKind, metrics};

/// Decides whether an address may see the gate's insides.
pub type Insider = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// What the pages are made from.
pub struct ControlPages {
    /// Metrics and readiness.
    pub eyes: Eyes,
    /// Who beside this machine may see metrics and the details of readiness.
    pub insider: Insider,
    /// Brings gauges up to date before a scrape.
    pub refresh: Arc<dyn Fn() + Send + Sync>,
}

impl ControlPages {
    /// Whether the caller may see the gate's insides.
    pub(super) fn is_insider(&self, ctx: &Ctx) -> bool {
        ctx.client().is_none_or(|client| {
            let ip = client.ip().to_canonical();
            ip.is_loopback() || (self.insider)(ip)
        })
    }

    /// Answers `/-/<rest>`.
    pub(super) async fn answer(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
        stamp: &Stamp,
        rest: &str,
    ) -> pingora::Result<()> {
        ctx.kind = RouteKind::Control;
        let trusted = self.is_insider(ctx);
        match rest.trim_end_matches('/') {
            "healthz" => {
                let body = Bytes::from_static(b"{\"healthy\":true}");
                respond::page(session, ctx, stamp, "application/json", body).await
            }
            "readyz" => {
                let report = self.eyes.health.report(trusted);
                respond::document(session, ctx, stamp, report.status, "application/json", report.body).await
            }
            "metrics" if trusted => {
                (self.refresh)();
                let page = Bytes::from(self.eyes.metrics.encode());
                respond::document(session, ctx, stamp, 200, metrics::CONTENT_TYPE, page).await
            }
            "metrics" => respond::problem(session, ctx, stamp, Problem::forbidden(METRICS)).await,
            _ => respond::problem(session, ctx, stamp, Problem::not_found(NOTHING)).await,
        }
    }
}

const METRICS: &str =
    "metrics are shown to this machine and to the networks in `control.allow` of the configuration";
const NOTHING: &str = "there is no such page; the gate has /-/healthz, /-/readyz and /-/metrics";
