//! The gate's own pages behind `/-/`: health, readiness, metrics, why things are as they are.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::api::{Api, Crossing};
use super::ctx::Relay;
use super::respond::{self, Stamp};
use super::{Ctx, Session, api, host};
use crate::delivery::explain::{ExplainError, Explanation, Question};
use crate::http::problem::Problem;
use crate::identity::Visitor;
use crate::telemetry::{Eyes, RouteKind, metrics};

/// Decides whether an address may see the gate's insides.
pub type Insider = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// Answers a question about a file or a package.
pub type Explain =
    Arc<dyn Fn(Question) -> BoxFuture<'static, Result<Explanation, ExplainError>> + Send + Sync>;

/// What the pages are made from.
pub struct ControlPages {
    /// Metrics and readiness.
    pub eyes: Eyes,
    /// Who beside this machine may see metrics and the details of readiness.
    pub insider: Insider,
    /// Brings gauges up to date before a scrape.
    pub refresh: Arc<dyn Fn() + Send + Sync>,
    /// What `/-/api/v1/explain` asks.
    pub explain: Explain,
    /// The rest of the API.
    pub api: Api,
    /// Makes the pages for people: `/` and what is below `/-/ui`.
    pub pages: Api,
    /// Answers what is asked in upload dialects.
    pub dialects: Api,
    /// How long a client may send nothing of a request's body.
    pub receive_timeout: Duration,
}

impl ControlPages {
    /// Whether the caller may see the gate's insides.
    pub(super) fn is_insider(&self, ctx: &Ctx) -> bool {
        // Behind a proxy whose word does not count, the caller can be anybody.
        let known = || ctx.address.filter(|_| ctx.relay != Relay::Unknown);
        ctx.is_here()
            || known().is_some_and(|ip| (self.insider)(ip))
            || ctx.principal.as_ref().is_some_and(|principal| principal.is_superuser())
    }

    /// Answers `/-/<rest>`.
    pub(super) async fn answer(
        &self,
        session: &mut Session<'_>,
        ctx: &mut Ctx,
        stamp: &Stamp,
        rest: &str,
        may_send_secrets: bool,
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
            "licenses" => {
                let page = Bytes::from(crate::about::licenses());
                respond::page(session, ctx, stamp, "text/plain; charset=utf-8", page).await
            }
            "metrics" if trusted => {
                (self.refresh)();
                let page = Bytes::from(self.eyes.metrics.encode());
                respond::document(session, ctx, stamp, 200, metrics::CONTENT_TYPE, page).await
            }
            "metrics" => respond::problem(session, ctx, stamp, Problem::forbidden(METRICS)).await,
            "api/v1/explain" if trusted => match self.explained(session).await {
                Ok(page) => respond::document(session, ctx, stamp, 200, "application/json", page).await,
                Err(problem) => respond::problem(session, ctx, stamp, *problem).await,
            },
            "api/v1/explain" => respond::problem(session, ctx, stamp, Problem::forbidden(EXPLAIN)).await,
            path if path.starts_with("api/") || path == "jwks.json" => {
                let mut extensions = ::http::Extensions::new();
                extensions.insert(visitor(session, ctx, may_send_secrets));
                let (path, stall) = (&*format!("/{path}"), self.receive_timeout);
                let crossing = Crossing { api: &self.api, path, extensions, stall, cookies: false };
                api::answer(session, ctx, stamp, crossing).await
            }
            _ => respond::problem(session, ctx, stamp, Problem::not_found(NOTHING)).await,
        }
    }

    async fn explained(&self, session: &Session<'_>) -> Result<Bytes, Box<Problem>> {
        let question = question(host::meant(session.request()).query.unwrap_or_default());
        let question = question.ok_or_else(|| Problem::bad_request(PARAMETERS))?;
        let explained = (self.explain)(question).await.map_err(|error| {
            let make = if error.is_askers() { Problem::bad_request } else { Problem::internal };
            make(error.to_string())
        })?;
        let json = serde_json::to_vec(&explained).map_err(|error| Problem::internal(error.to_string()))?;
        Ok(json.into())
    }
}

/// Who sends the request, for the API.
pub(super) fn visitor(session: &Session<'_>, ctx: &Ctx, may_send_secrets: bool) -> Visitor {
    let agent = session.request().text(&::http::header::USER_AGENT);
    Visitor {
        address: ctx.address,
        principal: ctx.principal.clone(),
        here: ctx.is_here(),
        may_send_secrets,
        request: ctx.request,
        agent: agent.unwrap_or_default().into(),
    }
}

/// The question of a query string; `None` for parameters that this page does not take.
fn question(query: &str) -> Option<Question> {
    let mut question = Question::default();
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let slot = match &*key {
            "url" => &mut question.url,
            "spec" => &mut question.spec,
            "channel" => &mut question.channel,
            "subdir" => &mut question.subdir,
            "as" => &mut question.as_user,
            _ => return None,
        };
        if slot.replace(value.into_owned()).is_some() {
            return None;
        }
    }
    Some(question)
}

const PARAMETERS: &str = "this page takes `url`, or `spec` with perhaps `channel` and `subdir`; and perhaps `as`, a user; each once";
const EXPLAIN: &str =
    "explanations are shown to this machine and to the networks in `control.allow` of the configuration";
const METRICS: &str =
    "metrics are shown to this machine and to the networks in `control.allow` of the configuration";
const NOTHING: &str = "there is no such page; the gate has its pages below /-/ui, and /-/healthz, /-/readyz, /-/metrics, /-/licenses, /-/jwks.json and the API below /-/api/v1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_of_query_strings() {
        let asked = question("spec=xz%20%3E%3D5.6&channel=pkgs/main&subdir=linux-64").unwrap();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!((asked.spec, asked.channel), (text("xz >=5.6"), text("pkgs/main")));
        assert_eq!((asked.subdir, asked.url), (text("linux-64"), None));
        assert_eq!(question("spec=xz+%3E%3D5").unwrap().spec, text("xz >=5"));
        assert_eq!(question("").unwrap(), Question::default());
        for bad in ["spec=a&spec=b", "name=a", "spec=a&as=x&as=y"] {
            assert_eq!(question(bad), None, "{bad}");
        }
    }
}
