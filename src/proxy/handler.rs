//! Executes plans: the one place where a request meets the use cases.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header;
use tokio::time::Instant;

use super::admit::{self, Admission, Asking};
use super::api::Crossing;
use super::control::ControlPages;
use super::limits::pace::Pacers;
use super::plan::{self, Incoming, Own, Plan, Planned};
use super::respond::{self, Stamp};
use super::succession::Succession;
use super::{Ctx, Handler, Redirect, Session, host};
use super::{api, control, downloads, inflow, local, pass, refuse, request};
use crate::conda::url::ChannelDoc;
use crate::conda::url::dialect::{Dialect, Family, Spoken};
use crate::delivery::{Answer, Delivery, Refusal};
use crate::http::problem::Problem;
use crate::http::via;
use crate::identity::Entrance;
use crate::policy::access::Caller;
use crate::snapshot::{Live, PlainFile};
use crate::telemetry::RouteKind;

/// CONNECT would make the gate blind: it could neither cache nor verify what passes (PROTOCOL section 4).
const CONNECT: &str = "this gate does not tunnel: for channels with https:// addresses set `channel_alias` (conda, mamba) or `[mirrors]` (pixi) \
                       to this gate instead of a proxy; as a proxy it serves channels with http:// addresses only";
const LOOP: &str = "this request has been here before (its Via names this gate): an upstream of this gate, or DNS, leads back to it; \
                    check the `urls` and `resolve` of the upstreams";

/// What the front door knows about the outside.
pub struct DoorSettings {
    /// `public_url`: links and snippets are made from it, and its path is taken off requests.
    pub public: Option<url::Url>,
    /// This gate's name in `Via`.
    pub pseudonym: String,
    /// For the process that comes after this one.
    pub succession: Arc<Succession>,
    /// Whether browsers are sent to TLS, and where that is.
    pub redirect: Option<Redirect>,
}

/// The handler of every request that has a whole, acceptable head.
pub struct Door {
    live: Arc<Live>,
    delivery: Delivery,
    control: ControlPages,
    admission: Admission,
    stamp: Stamp,
    pacers: Pacers,
    settings: DoorSettings,
    own_host: Option<String>,
    base_path: String,
}

impl Door {
    /// Puts the parts together.
    ///
    /// # Errors
    /// When the pseudonym can't stand in a header.
    pub fn new(
        live: Arc<Live>,
        delivery: Delivery,
        control: ControlPages,
        admission: Admission,
        settings: DoorSettings,
    ) -> Result<Self, http::header::InvalidHeaderValue> {
        let via = format!("1.1 {}", settings.pseudonym);
        header::HeaderValue::from_str(&via)?;
        // For good: it is sent with every answer, and all workers would count its uses in one place.
        let stamp = Stamp { via: header::HeaderValue::from_static(via.leak()) };
        let own_host = settings.public.as_ref().and_then(|url| url.host_str()).map(str::to_ascii_lowercase);
        let base_path =
            settings.public.as_ref().map_or("", |url| url.path()).trim_end_matches('/').to_owned();
        let pacers = Pacers::new(Arc::clone(&control.eyes.metrics));
        Ok(Self { live, delivery, control, admission, stamp, pacers, settings, own_host, base_path })
    }

    /// The address for links and snippets: never made from a request's `Host` unless nothing is configured and the caller
    /// is on this machine, where only the caller itself could have chosen it.
    fn public_base(&self, ctx: &Ctx, host: Option<&str>) -> String {
        if let Some(url) = &self.settings.public {
            return url.as_str().trim_end_matches('/').to_owned();
        }
        let local = ctx.is_here();
        match host
            .filter(|host| local && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b)))
        {
            Some(host) => format!("{}://{host}", scheme(ctx)),
            None => "http://this-gate".to_owned(),
        }
    }

    /// The address for links that programs follow: as [`Self::public_base`], but where nothing is configured, the address that the caller
    /// has connected to.
    fn link_base(&self, ctx: &Ctx, host: Option<&str>) -> String {
        let local = ctx.local().filter(|_| self.settings.public.is_none() && !ctx.from_loopback());
        local.map_or_else(|| self.public_base(ctx, host), |address| format!("{}://{address}", scheme(ctx)))
    }

    /// Delivers on behalf of whoever the request came through.
    fn delivery_for(&self, session: &Session<'_>, ctx: &Ctx) -> Cow<'_, Delivery> {
        match (request::joined(session.request(), &header::VIA), ctx.span) {
            (None, None) => Cow::Borrowed(&self.delivery),
            (via, span) => Cow::Owned(self.delivery.on_behalf_of(via.as_deref(), span)),
        }
    }

    /// What is to be done for the caller; or what it is told instead, and what it may not have.
    async fn decide(
        &self,
        session: &Session<'_>,
        ctx: &mut Ctx,
    ) -> Result<Plan, Box<(Option<Plan>, Problem)>> {
        let meant = host::meant(session.request());
        let host = meant.host.map(host::bare);
        let method = &session.request().method;
        let incoming = Incoming { host: host.as_deref(), absolute: meant.absolute, method, path: meant.path };
        let own = Own { host: self.own_host.as_deref(), base: &self.base_path };
        // Held, not counted: all workers would count the uses of its parts in one place.
        let view = self.live.view();
        let rules = view.rules();
        let Planned { plan, token, foreign } = plan::plan(&view, &own, &incoming);
        if !takes(&plan, method) {
            let problem = Problem::method_not_allowed("only GET and HEAD do anything here");
            return Err(Box::new((None, problem)));
        }
        let asking = Asking { token: token.as_ref(), foreign };
        let admitted = self.admission.admit(session, ctx, rules.access(), &plan, &asking).await;
        ctx.let_in = ctx.offered.then(Instant::now);
        if let Err(problem) = admitted {
            return Err(Box::new((Some(plan), *problem)));
        }
        if !rules.policy().has_audiences() {
            return Ok(plan);
        }
        // Others may see something else under this address.
        ctx.gated = true;
        let who = ctx.principal.as_ref().map_or(Caller::ANONYMOUS, |who| who.caller());
        Ok(plan.for_audience(rules.policy().audience_of(&who)))
    }

    async fn execute(&self, session: &mut Session<'_>, ctx: &mut Ctx, plan: Plan) -> pingora::Result<()> {
        let stamp = &self.stamp;
        let shard_index = plan.is_shard_index();
        let (delivery, succession) = (self.delivery_for(session, ctx), &self.settings.succession);
        if let Some((channel, rate)) = plan.bandwidth() {
            session.pace_by(self.pacers.of(channel, rate));
        }
        let delivered = match plan {
            Plan::Problem(problem) => return respond::problem(session, ctx, stamp, problem).await,
            Plan::Home => {
                ctx.kind = RouteKind::Home;
                return succession.noted(self.page(session, ctx, "/")).await;
            }
            Plan::Dialect(dialect) => return succession.noted(self.speak(session, ctx, dialect)).await,
            Plan::Control(rest) if rest == "ui" || rest.starts_with("ui/") => {
                ctx.kind = RouteKind::Control;
                // Decoded it may have what no path has.
                let path = format!("/{}", crate::upstream::encode_path(&rest));
                return succession.noted(self.page(session, ctx, &path)).await;
            }
            Plan::Control(rest) => {
                let private = self.admission.may_send_secrets(session, ctx);
                return succession.noted(self.control.answer(session, ctx, stamp, &rest, private)).await;
            }
            Plan::Pass { host, path, .. } => {
                return pass::answer(session, ctx, stamp, &delivery, &host, path).await;
            }
            Plan::Plain(PlainFile::Local { dir, rest, .. }) => {
                return local::answer(session, ctx, stamp, &delivery, &dir, &rest).await;
            }
            deliverable => succession.noted(self.deliver(&delivery, ctx, &deliverable)).await,
        };
        match delivered {
            Ok(answer) => respond::answer(session, ctx, stamp, answer).await,
            Err(refusal) => {
                if let Refusal::Rule { rule, .. } = &refusal {
                    self.control.eyes.metrics.policy.refused(rule);
                }
                let mut problem = if shard_index {
                    refuse::shard_index_problem(refusal)
                } else {
                    refuse::problem_of(refusal)
                };
                // Strangers learn which rule it was, not where it is written.
                problem.at = problem.at.filter(|_| self.control.is_insider(ctx));
                respond::problem(session, ctx, stamp, problem).await
            }
        }
    }

    /// Delivers, and names the channel to the eyes once upstream has shown that it exists: nobody fills label sets with made-up names.
    async fn deliver(&self, delivery: &Delivery, ctx: &mut Ctx, plan: &Plan) -> Result<Answer, Refusal> {
        ctx.kind = plan.kind();
        ctx.package = plan.package_path();
        let delivered = delivered(delivery, plan).await;
        if !delivered.as_ref().is_ok_and(|answer| answer.facts.outcome.is_from_here()) {
            ctx.asked = Some(plan.upstream().unwrap_or_default().into());
        }
        if let (Some((label, _)), Ok(_)) = (plan.channel(), &delivered) {
            let find = || self.control.eyes.metrics.channel(label);
            let known = plan.proxied().map(|channel| Arc::clone(channel.series.get_or_init(find)));
            ctx.channel = Some(known.unwrap_or_else(find));
        }
        if matches!(delivered, Err(Refusal::Rule { .. })) {
            self.count_refusal(plan);
        }
        delivered
    }

    /// Counts that a package was refused, for channels that have answered before: a refusal shows of no other that it exists.
    fn count_refusal(&self, plan: &Plan) {
        let label = plan.channel().filter(|_| plan.kind() == RouteKind::Package);
        if let Some(series) = label.and_then(|(label, _)| self.control.eyes.metrics.known_channel(label)) {
            series.refused();
        }
    }

    /// Says why a caller is not let in. Documents that clients ask for without credentials by design are just empty then, so that
    /// nobody takes the channel for one that refuses them.
    async fn turn_away(
        &self,
        session: &mut Session<'_>,
        ctx: &mut Ctx,
        plan: &Plan,
        problem: Problem,
    ) -> pingora::Result<()> {
        let problem = in_dialect(plan, problem);
        let is_refused = matches!(problem.status, 401 | 403 | 407);
        if is_refused {
            self.count_refusal(plan);
        }
        match admit::is_asked_by_all(plan).filter(|_| is_refused && !ctx.offered) {
            Some(ChannelDoc::Notices) => {
                let nothing = Bytes::from_static(b"{\"notices\":[]}");
                respond::page(session, ctx, &self.stamp, "application/json", nothing).await
            }
            Some(_) => {
                let problem = Problem::not_found("there are no terms to be shown to everybody");
                respond::problem(session, ctx, &self.stamp, problem).await
            }
            None => respond::problem(session, ctx, &self.stamp, problem).await,
        }
    }

    /// Hands a request for a page to those who make them.
    async fn page(&self, session: &mut Session<'_>, ctx: &mut Ctx, path: &str) -> pingora::Result<()> {
        let host = super::meant(session.request()).host.map(str::to_owned);
        let private = self.admission.may_send_secrets(session, ctx);
        let entrance = Entrance {
            address: self.public_base(ctx, host.as_deref()).into(),
            https: self.admission.is_https(session, ctx),
            session: ctx.session,
        };
        let mut extensions = http::Extensions::new();
        extensions.insert(control::visitor(session, ctx, private));
        extensions.insert(entrance);
        let (api, stall) = (&self.control.pages, self.control.receive_timeout);
        let crossing = Crossing { api, path, extensions, stall, cookies: true };
        api::answer(session, ctx, &self.stamp, crossing).await
    }

    /// Hands a request in a dialect to the API.
    async fn speak(&self, session: &mut Session<'_>, ctx: &mut Ctx, dialect: Dialect) -> pingora::Result<()> {
        ctx.kind = RouteKind::Publish;
        let host = super::meant(session.request()).host.map(str::to_owned);
        let base = self.link_base(ctx, host.as_deref()).into();
        let private = self.admission.may_send_secrets(session, ctx);
        let mut extensions = http::Extensions::new();
        extensions.insert(control::visitor(session, ctx, private));
        extensions.insert(Spoken { dialect, base });
        let stall = self.control.receive_timeout;
        let crossing = Crossing { api: &self.control.dialects, path: "/", extensions, stall, cookies: false };
        api::answer(session, ctx, &self.stamp, crossing).await
    }

    /// Refusals that need no plan: tunnels, loops.
    fn refused_early(&self, session: &Session<'_>) -> Option<Problem> {
        let request = session.request();
        if request.method == http::Method::CONNECT {
            return Some(Problem::connect_refused(CONNECT));
        }
        let via_line = request::joined(request, &header::VIA)?;
        via::mentions(&via_line, &self.settings.pseudonym).then(|| Problem::loop_detected(LOOP))
    }
}

fn scheme(ctx: &Ctx) -> &'static str {
    if ctx.is_secure() { "https" } else { "http" }
}

async fn delivered(delivery: &Delivery, plan: &Plan) -> Result<Answer, Refusal> {
    match plan {
        Plan::Package { channel, asked, subdir, archive } => {
            delivery.package(channel, asked, subdir, archive).await
        }
        Plan::Sidecar { channel, asked, subdir, file } => {
            delivery.sidecar(channel, asked, subdir, file).await
        }
        Plan::Index { channel, asked, subdir, file } => delivery.index(channel, asked, subdir, *file).await,
        Plan::Shard { channel, asked, subdir, digest } => {
            delivery.shard(channel, asked, subdir, digest).await
        }
        Plan::Doc { channel, asked, doc } => delivery.document(channel, asked, *doc).await,
        Plan::Virtual { channel, route } => delivery.of_virtual(channel, route).await,
        Plan::Plain(PlainFile::Upstream { upstream, path, ttl, .. }) => {
            delivery.plain(upstream, path, *ttl).await
        }
        Plan::Plain(PlainFile::Local { .. })
        | Plan::Problem(_)
        | Plan::Home
        | Plan::Control(_)
        | Plan::Dialect(_)
        | Plan::Pass { .. } => Err(Refusal::Internal("this plan is not a delivery".to_owned())),
    }
}

#[async_trait]
impl Handler for Door {
    async fn handle(&self, session: &mut Session<'_>, ctx: &mut Ctx) -> pingora::Result<()> {
        if let Some(problem) = self.refused_early(session) {
            return respond::problem(session, ctx, &self.stamp, problem).await;
        }
        if let Some(redirect) = &self.settings.redirect
            && redirect.answer(session, ctx).await?
        {
            return Ok(());
        }
        let succession = &self.settings.succession;
        match succession.noted(self.decide(session, ctx)).await {
            Ok(plan) => {
                let done = self.execute(session, ctx, plan).await;
                downloads::note(&self.admission.trail, session, ctx);
                done
            }
            Err(refused) => {
                inflow::settle(session).await;
                match *refused {
                    (Some(plan), problem) => self.turn_away(session, ctx, &plan, problem).await,
                    (None, problem) => respond::problem(session, ctx, &self.stamp, problem).await,
                }
            }
        }
    }
}

/// Clients of anaconda.org's API look for the sentence elsewhere.
fn in_dialect(plan: &Plan, problem: Problem) -> Problem {
    match plan {
        Plan::Dialect(dialect) if dialect.family() == Family::Anaconda => problem.with_error(),
        _ => problem,
    }
}

/// Only the API and the pages of the gate take more than GET and HEAD.
fn takes(plan: &Plan, method: &http::Method) -> bool {
    matches!(*method, http::Method::GET | http::Method::HEAD)
        || matches!(plan, Plan::Dialect(_) if *method != http::Method::TRACE)
        || matches!(plan, Plan::Control(rest) if rest.starts_with("api/"))
        || (matches!(plan, Plan::Control(_)) && plan.is_for_people() && *method == http::Method::POST)
}
