//! Lets callers in, or says why not: who is asking, and may they have this.
//!
//! 401 means "show a credential, or another one", 403 "this one does not do"; the same over every URL of a channel, because clients
//! remember what the first of them says (PROTOCOL section 3.2). A credential that is no good is 401 even where anybody may
//! read: what looks like being logged in must be it. Callers that take the gate for another host, or for their proxy, have the
//! credentials of that host in the usual places; the gate's own come as `Proxy-Authorization`, and are asked for with 407.
//!
//! Belongs here: reading credentials out of a request, the order of these questions, the answers. Does not: finding out whose a credential
//! is (`identity`), what rights there are (`policy::access`).

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;
use http::header::{self, HeaderName};
use serde_json::json;

use super::ctx::Relay;
use super::limits::Limits;
use super::message::{Request, visible};
use super::plan::Plan;
use super::want;
use super::{Ctx, Session};
use crate::auth::credential::{self, Credential, Form, Offered, Presented};
use crate::conda::url::{ChannelDoc, Route};
use crate::http::problem::Problem;
use crate::identity::{Identity, SessionState};
use crate::policy::access::{Access, Caller, Reach, Verdict};
use crate::policy::network::Network;
use crate::secret::Secret;
use crate::snapshot::people::{Principal, Refused};
use crate::trail::{Happened, Trail};

/// Pages behind `/-/` by which others look after the gate.
pub(super) const HEALTH: [&str; 3] = ["healthz", "readyz", "metrics"];
pub(super) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED: HeaderName = HeaderName::from_static("forwarded");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What may come in the clear, and whose word on the way a request took is believed.
#[derive(Clone, Debug, Default)]
pub struct Transport {
    /// Whether passwords and credentials that may write may come without TLS from other machines.
    pub allow_plaintext: bool,
    /// Proxies that say truthfully from where and how a request came.
    pub trusted_proxies: Vec<Network>,
}

/// See the module's description.
pub struct Admission {
    /// Whose a credential is.
    pub identity: Arc<Identity>,
    /// Where refusals are noted.
    pub trail: Arc<Trail>,
    /// See there.
    pub transport: Transport,
    /// What one caller may take.
    pub limits: Arc<Limits>,
}

/// What of a request's path and form matters here.
pub(super) struct Asking<'a> {
    /// The token of `/t/<token>/`.
    pub(super) token: Option<&'a Secret<Arc<str>>>,
    /// The request is meant for another host: its own credentials are not the gate's business.
    pub(super) foreign: bool,
}

impl Admission {
    /// Whether the request goes on. Notes in `ctx` who is asking.
    pub(super) async fn admit(
        &self,
        session: &Session<'_>,
        ctx: &mut Ctx,
        access: &Access,
        plan: &Plan,
        asking: &Asking<'_>,
    ) -> Result<(), Box<Problem>> {
        let headers = session.request();
        let address = self.address(ctx, headers);
        (ctx.address, ctx.relay) = (address, self.relay(ctx, headers));
        if !tells_health(plan) {
            self.limits.of_address(address, &mut ctx.places)?;
        }
        let presented = Self::presented(headers, asking).inspect_err(|problem| {
            ctx.offered = true;
            self.note(ctx, "login.refused", plan, &problem.detail);
        })?;
        if let Some(presented) = presented.as_ref().filter(|shown| shown.form == Form::Cookie)
            && plan.is_for_people()
        {
            self.recognise(ctx, headers, presented).await;
        } else if let Some(presented) = presented {
            ctx.offered = true;
            if presented.form == Form::Cookie && !matches!(headers.method, Method::GET | Method::HEAD) {
                return Err(Box::new(challenge(COOKIE.to_owned(), asking.foreign)));
            }
            self.check_transport(ctx, headers, &presented, None)?;
            let found = self.identity.who(&presented, address).await;
            let principal = found.map_err(|refused| {
                self.note(ctx, "login.refused", plan, &refused.to_string());
                refusal(&refused, asking.foreign)
            })?;
            self.check_transport(ctx, headers, &presented, Some(&principal))?;
            if !tells_health(plan) {
                self.limits.of_user(&principal, &mut ctx.places)?;
            }
            ctx.principal = Some(principal);
        }
        self.may(ctx, access, plan, asking.foreign)
    }

    /// Who has opened a page. A session that is over is nobody's: the page says so itself.
    async fn recognise(&self, ctx: &mut Ctx, headers: &Request, presented: &Presented) {
        if self.check_transport(ctx, headers, presented, None).is_err() {
            ctx.session = SessionState::Unknown;
            return;
        }
        match self.identity.who(presented, ctx.address).await {
            Ok(principal) => {
                ctx.session = SessionState::Good;
                ctx.principal = Some(principal);
            }
            Err(Refused::Unavailable(_) | Refused::SlowDown { .. }) => ctx.session = SessionState::Unknown,
            Err(_) => ctx.session = SessionState::Over,
        }
    }

    fn presented(headers: &Request, asking: &Asking<'_>) -> Result<Option<Presented>, Box<Problem>> {
        let token = asking.token.filter(|_| !asking.foreign).map(|token| &**token.reveal());
        let all = |name: &HeaderName| headers.all(name).collect::<Vec<_>>();
        let offered = Offered {
            path_token: token,
            authorization: all(&header::AUTHORIZATION),
            proxy_authorization: all(&header::PROXY_AUTHORIZATION),
            api_key: all(&API_KEY),
            cookie: all(&header::COOKIE),
            as_proxy: asking.foreign,
        };
        if offered.is_nothing() {
            return Ok(None);
        }
        let presented = credential::presented(&offered)
            .map_err(|error| Box::new(challenge(error.to_string(), asking.foreign)))?;
        Ok(Some(presented).filter(|presented| !matches!(presented.credential, Credential::None)))
    }

    /// Refuses what must not come in the clear: before it is looked at where that is known by its kind, or once it is known what it may do.
    fn check_transport(
        &self,
        ctx: &Ctx,
        headers: &Request,
        presented: &Presented,
        principal: Option<&Principal>,
    ) -> Result<(), Box<Problem>> {
        let what = match (&presented.credential, principal) {
            (Credential::Password { .. }, None) => "a password",
            (Credential::Session(_), None) => "a session",
            (Credential::Token(_) | Credential::Jwt(_), Some(principal))
                if principal.is_more_than_reader() =>
            {
                "a token that may do more than read"
            }
            _ => return Ok(()),
        };
        if self.transport.allow_plaintext || self.is_private(ctx, headers) {
            return Ok(());
        }
        Err(Box::new(Problem::forbidden(format!(
            "{what} came over plain HTTP, where others can read it, and was not used; change it, and come by https:// or from this machine, \
             or let the administrator set `security: {{allow_plaintext: true}}`"
        ))))
    }

    /// Whether passwords may come the way this request came.
    pub(super) fn may_send_secrets(&self, session: &Session<'_>, ctx: &Ctx) -> bool {
        self.transport.allow_plaintext || self.is_private(ctx, session.request())
    }

    /// Whether the request came encrypted, as far as the gate can tell.
    pub(super) fn is_https(&self, session: &Session<'_>, ctx: &Ctx) -> bool {
        if ctx.is_secure() {
            return true;
        }
        let peer = ctx.client().map(|client| client.ip().to_canonical());
        let proto = session.request().text(&FORWARDED_PROTO);
        peer.is_some_and(|peer| self.is_trusted(peer))
            && proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
    }

    /// Whether nobody on the way could read along, as far as the gate can tell.
    fn is_private(&self, ctx: &Ctx, headers: &Request) -> bool {
        if ctx.is_secure() {
            return true;
        }
        let Some(peer) = ctx.client().map(|client| client.ip().to_canonical()) else { return true };
        let https = || {
            let proto = headers.text(&FORWARDED_PROTO);
            proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
        };
        // A proxy on this machine speaks for callers elsewhere.
        match (self.is_trusted(peer), headers.get(&FORWARDED_PROTO).is_some()) {
            (true, true) => https(),
            _ => ctx.is_here(),
        }
    }

    /// Whether the request says of itself that it came through somebody.
    fn relay(&self, ctx: &Ctx, headers: &Request) -> Relay {
        let says = [&FORWARDED_FOR, &FORWARDED_PROTO, &FORWARDED]
            .into_iter()
            .any(|name| headers.get(name).is_some());
        match ctx.client() {
            Some(_) if ctx.is_hidden() => Relay::Unknown,
            Some(peer) if says && self.is_trusted(peer.ip().to_canonical()) => Relay::Trusted,
            Some(_) if says => Relay::Unknown,
            _ => Relay::None,
        }
    }

    fn is_trusted(&self, peer: IpAddr) -> bool {
        self.transport.trusted_proxies.iter().any(|network| network.contains(peer))
    }

    /// Who is asking: the peer or, where that is a trusted proxy, whom it names last.
    fn address(&self, ctx: &Ctx, headers: &Request) -> Option<IpAddr> {
        let peer = ctx.client()?.ip().to_canonical();
        if !self.is_trusted(peer) {
            return Some(peer);
        }
        let lines = headers.all(&FORWARDED_FOR).filter_map(visible);
        let hops: Vec<IpAddr> =
            lines.flat_map(|line| line.split(',')).filter_map(|hop| hop.trim().parse().ok()).collect();
        let stranger = hops.iter().rev().map(IpAddr::to_canonical).find(|hop| !self.is_trusted(*hop));
        Some(stranger.unwrap_or(peer))
    }

    /// Whether the caller may have what is asked for.
    fn may(&self, ctx: &mut Ctx, access: &Access, plan: &Plan, foreign: bool) -> Result<(), Box<Problem>> {
        let gated = self.is_gated_for(ctx, access, plan, foreign)?;
        ctx.gated |= gated;
        Ok(())
    }

    /// As [`Self::may`]; whether it is not for everybody.
    fn is_gated_for(
        &self,
        ctx: &Ctx,
        access: &Access,
        plan: &Plan,
        foreign: bool,
    ) -> Result<bool, Box<Problem>> {
        // Borrowed: all workers count the uses of a busy principal in one place, and each clone is a wait for it.
        let principal = ctx.principal.as_ref();
        let caller = principal.map_or(Caller::ANONYMOUS, |principal| principal.caller());
        let mut gated = false;
        let here = ctx.is_here();
        for need in want::needs(plan) {
            if need.is_surely_open(access) {
                continue;
            }
            if let Some(reach) = need.reach(access, &caller) {
                gated |= reach == Reach::Some;
                continue;
            }
            let why = match need.decide(access, &caller) {
                Verdict::Allowed(_) => continue,
                Verdict::Denied(_) if principal.is_none() && here && need.is_open_on_this_machine(access) => {
                    gated = true;
                    continue;
                }
                Verdict::Denied(why) => why,
            };
            self.note(ctx, "access.denied", plan, &why.sentence());
            let sentence = format!("{need} can't be read: {}", why.clause());
            return Err(Box::new(match principal {
                Some(_) => Problem::forbidden(sentence),
                None => challenge(sentence, foreign),
            }));
        }
        Ok(gated)
    }

    fn note(&self, ctx: &Ctx, kind: &str, plan: &Plan, result: &str) {
        let target = match plan {
            Plan::Dialect(dialect) => {
                dialect.channel().map_or_else(String::new, |channel| format!("the channel `{channel}`"))
            }
            _ => want::needs(plan).next().map_or_else(String::new, |need| need.to_string()),
        };
        let actor = ctx.principal.as_ref().map_or("anonymous", |who| who.actor()).to_owned();
        self.trail.denied(&Happened {
            actor,
            kind,
            target: &target,
            address: &ctx.address.map_or_else(String::new, |ip| ip.to_string()),
            result,
            detail: json!({"request": ctx.request.to_string()}),
        });
    }
}

/// Whether it is one of the pages by which others look after the gate: those are always told.
fn tells_health(plan: &Plan) -> bool {
    matches!(plan, Plan::Control(rest) if HEALTH.contains(&rest.trim_end_matches('/')))
}

/// Another page in the same browser could send such a request with the cookie; the gate's own pages prove that they are none.
const COOKIE: &str = "the cookie of somebody who signed in counts for the gate's pages and for reading; show a token to change something";

/// 401, or 407 for callers that mean another host.
fn challenge(sentence: String, foreign: bool) -> Problem {
    if foreign { Problem::proxy_auth_required(sentence) } else { Problem::unauthorized(sentence) }
}

fn refusal(refused: &Refused, foreign: bool) -> Box<Problem> {
    Box::new(match refused {
        Refused::Unavailable(_) => Problem::unavailable(refused.to_string()).with_retry_after(5),
        Refused::SlowDown { seconds } => {
            Problem::too_many_requests(refused.to_string()).with_retry_after(*seconds)
        }
        _ => challenge(refused.to_string(), foreign),
    })
}

/// Whether the document is asked for without credentials by design, and so must not be refused (PROTOCOL section 6, 9).
pub(super) const fn is_asked_by_all(plan: &Plan) -> Option<ChannelDoc> {
    let doc = match plan {
        Plan::Doc { doc, .. } | Plan::Virtual { route: Route::Doc { doc, .. }, .. } => *doc,
        _ => return None,
    };
    if matches!(doc, ChannelDoc::Notices | ChannelDoc::Terms) { Some(doc) } else { None }
}
