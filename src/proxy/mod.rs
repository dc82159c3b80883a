//! The front door: listening, reading requests, planning and writing answers with pingora.
//!
//! Belongs here: everything that speaks pingora. Does not: deciding what an answer is made of (`delivery`), settings as written
//! (`config`). A connection goes `listen` → `front` (told of by `forwarded`, decrypted by `tls`, judged by `head`, wrapped by `conn`) → `answers` →
//! the [`Handler`]; its requests that are not plain take the way through the engine (`gateway`), all of HTTP/2 does (`http2`).

mod admit;
mod answers;
mod api;
mod coded;
mod conn;
mod control;
mod ctx;
mod date;
mod downloads;
mod drain;
mod forwarded;
pub mod front;
mod gateway;
mod handler;
pub mod head;
pub mod host;
mod http2;
mod inflow;
mod lean;
mod limits;
pub mod listen;
mod local;
pub mod message;
mod pass;
mod pipe;
mod plan;
mod redirect;
mod refusal;
mod refuse;
mod request;
mod respond;
pub mod server;
mod session;
mod stream;
pub mod succession;
#[cfg(test)]
mod tests;
pub mod tls;
mod want;
mod workers;

use async_trait::async_trait;

pub use admit::{Admission, Transport};
pub use api::Api;
pub use control::{ControlPages, Explain, Insider};
pub use ctx::Ctx;
pub use handler::{Door, DoorSettings};
pub use host::{Meant, meant};
pub use inflow::Inflow;
pub use limits::pressure::{Pressure, PressureSettings};
pub use limits::{Limits, Share, Shares};
pub use redirect::Redirect;
pub use session::Session;

/// Answers requests.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Writes the whole answer to `session` and notes in `ctx` what it was.
    ///
    /// # Errors
    /// Only when the answer can't be completed: with nothing sent yet the client gets a 500 (or the code of
    /// `HTTPStatus`) problem document; after the head has gone out the connection is cut, so that the client notices. The
    /// error's text goes to the log, so it must hold no secret. Errors of the session's own writes are passed on as they are.
    async fn handle(&self, session: &mut Session<'_>, ctx: &mut Ctx) -> pingora::Result<()>;
}
