//! The engine's view of the gate: requests that are not plain go through it to the same answers.
//!
//! Belongs here: what the engine wants of who uses it. Does not: answering (`answers`).

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::HttpServerOptions;
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, HttpProxy, ProxyHttp, Session as Engine, http_proxy};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use super::answers::Answers;
use super::ctx::{Connection, Ctx};
use super::session::Session;

/// See the module's description.
pub(super) struct Gateway(Arc<Answers>);

impl Gateway {
    /// The engine's proxy around the answers; CONNECT reaches them too, so that they can say what to set instead.
    pub(super) fn proxy(answers: Arc<Answers>) -> HttpProxy<Self> {
        let mut proxy = http_proxy(&Arc::default(), Self(answers));
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
        self.0.begin()
    }

    /// None: answers are encoded ahead, and the engine's compression would cost every request.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    fn on_connection_reuse(&self, _session: &mut Engine, ctx: &mut Ctx, about: Box<dyn Any + Send + Sync>) {
        ctx.connection = about.downcast::<Arc<Connection>>().ok().map(|about| *about);
    }

    async fn request_filter(&self, session: &mut Engine, ctx: &mut Ctx) -> pingora::Result<bool> {
        let mut session = Session::engine(session);
        self.0.serve(&mut session, ctx).await.map(|()| true)
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
