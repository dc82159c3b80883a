//! The engine's view of the gate: requests that are not plain go through it to the same answers.
//!
//! Belongs here: what the engine wants of who uses it. Does not: answering (`answers`).

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::HttpServerOptions;
use pingora::http::RequestHeader;
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, HttpProxy, ProxyHttp, Session as Engine, http_proxy};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use super::answers::Answers;
use super::ctx::{Connection, Ctx};
use super::head::{HeadLimits, Refusal};
use super::http2;
use super::session::Session;

/// See the module's description.
pub(super) struct Gateway {
    answers: Arc<Answers>,
    limits: HeadLimits,
}

impl Gateway {
    /// The engine's proxy around the answers; CONNECT reaches them too, so that they can say what to set instead.
    pub(super) fn proxy(answers: Arc<Answers>, limits: HeadLimits) -> HttpProxy<Self> {
        let mut proxy = http_proxy(&Arc::default(), Self { answers, limits });
        let mut options = HttpServerOptions::default();
        options.allow_connect_method_proxying = true;
        proxy.server_options = Some(options);
        proxy
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        self.answers.begin()
    }

    /// None: answers are encoded ahead, and the engine's compression would cost every request.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    fn on_connection_reuse(&self, _session: &mut Engine, ctx: &mut Ctx, about: Box<dyn Any + Send + Sync>) {
        ctx.connection = about.downcast::<Arc<Connection>>().ok().map(|about| *about);
    }

    async fn request_filter(&self, session: &mut Engine, ctx: &mut Ctx) -> pingora::Result<bool> {
        let mut refused = None;
        if session.is_http2() {
            // Streams of HTTP/1 have what they know with them, and their heads were judged as they came.
            ctx.connection = http2::connection_of(session.as_downstream().digest());
            refused = over_limit(self.limits, session.req_header());
        }
        let mut session = Session::engine(session);
        session.times(ctx.connection.as_ref());
        match refused {
            Some(refusal) => self.answers.refuse(&mut session, ctx, &refusal).await.map(|()| true),
            None => self.answers.serve(&mut session, ctx).await.map(|()| true),
        }
    }

    async fn upstream_peer(&self, _session: &mut Engine, _ctx: &mut Ctx) -> pingora::Result<Box<HttpPeer>> {
        // `request_filter` has answered every request.
        Err(Error::explain(ErrorType::InternalError, "no request is forwarded by the engine"))
    }

    /// The client has been told what there was to tell.
    async fn fail_to_proxy(&self, _session: &mut Engine, _error: &Error, _ctx: &mut Ctx) -> FailToProxy {
        FailToProxy { error_code: 0, can_reuse_downstream: false }
    }

    /// It has been said, at its own level.
    fn suppress_error_log(&self, _session: &Engine, _ctx: &Ctx, _error: &Error) -> bool {
        true
    }
}

/// What a head of HTTP/2 breaks; its size in bytes the engine looks after.
fn over_limit(limits: HeadLimits, head: &RequestHeader) -> Option<Refusal> {
    if head.raw_path().len() > limits.max_url {
        let sentence = format!("The URL is longer than {} bytes.", limits.max_url).into();
        return Some(Refusal { status: 414, sentence });
    }
    let count = head.headers.len();
    let sentence = || format!("There are {count} header lines; {} are allowed.", limits.max_headers).into();
    (count > limits.max_headers).then(|| Refusal { status: 431, sentence: sentence() })
}
