//! The pages for people: signing in, channels and packages, tokens, uploads, administration.
//!
//! Pages are made on the server and work without JavaScript; a small script adds copying, filtering while one types and progress of uploads.
//! Nothing is decided here: each page asks the services that the API asks too.
//!
//! | file | what it knows |
//! |---|---|
//! | `dress` | what every answer has: security headers, cookies, pages for what went wrong |
//! | `desk` | who has opened the page, and what they may do |
//! | `posted` | what a form said, once it is known that it is one of ours |
//! | `page` | what every page shows |
//! | `admin/` | pages for administrators |
//! | `assets` | the stylesheet, the scripts, the logo |
//!
//! Belongs here: pages, templates, assets, their addresses. Does not: use cases (`people`, `identity`, `channel`, `delivery`), how a request gets
//! here (`proxy`).

mod admin;
mod api;
mod assets;
mod channel;
mod channels;
mod chart;
mod cookies;
mod desk;
mod dress;
mod forgotten;
mod home;
mod icons;
mod licenses;
mod package;
mod packed;
mod page;
mod parts;
mod places;
mod posted;
mod profile;
mod proof;
mod search;
mod setup;
mod show;
mod sign_in;
mod sorry;
mod spark;
mod theme;
mod tokens;
mod upkeep;
mod upload;
mod why;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::channel::Hosting;
use crate::clock::SharedClock;
use crate::delivery::Delivery;
use crate::identity::Identity;
use crate::manage::AnyGate;
use crate::people::People;
use crate::people::reset::SendCode;
use crate::snapshot::Live;
use crate::store::StoreError;

/// Opens what makes users.
pub type OpenPeople = Arc<dyn Fn() -> BoxFuture<'static, Result<People, StoreError>> + Send + Sync>;

/// What the pages are made from.
pub struct Parts {
    /// The path of `public_url`, without trailing slash: what every link begins with.
    pub base: String,
    /// Signs people in and out.
    pub identity: Arc<Identity>,
    /// Users, groups, tokens, grants.
    pub people: OpenPeople,
    /// Sends codes to those who have forgotten their password; `None` where there is no mail.
    pub send_code: Option<SendCode>,
    /// The rules and channels in force.
    pub live: Arc<Live>,
    /// What there is in channels.
    pub delivery: Delivery,
    /// The team's own channels.
    pub hosting: Hosting,
    /// The running gate, for administrators.
    pub gate: AnyGate,
    /// The description of the API.
    pub document: Arc<Value>,
    /// The directory of the set-up code.
    pub data: PathBuf,
    /// Now.
    pub clock: SharedClock,
}

/// See [`Parts`].
type Web = Arc<Parts>;

/// The longest form that is taken; uploads have a limit of their own.
const LONGEST: usize = 256 * 1024;

/// The routes, below `/-`, and `/` itself.
pub fn router(parts: Parts) -> Router {
    let web: Web = Arc::new(parts);
    Router::new()
        .route("/", get(home::show))
        .route("/ui", get(home::show))
        .route("/ui/", get(home::show))
        .route("/ui/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/ui/sign-out", post(sign_in::sign_out))
        .route("/ui/setup", get(setup::show).post(setup::redeem))
        .route("/ui/forgotten", get(forgotten::show).post(forgotten::ask))
        .route("/ui/new-password", get(forgotten::show_reset).post(forgotten::reset))
        .route("/ui/theme", post(theme::set))
        .route("/ui/channels", get(channels::show))
        .route("/ui/channels/{*rest}", get(channel::show).post(channel::act))
        .route("/ui/search", get(search::show))
        .route("/ui/api", get(api::show))
        .route("/ui/licenses", get(licenses::show))
        .route("/ui/upload", get(upload::show).post(upload::take))
        .route("/ui/tokens", get(tokens::show).post(tokens::create))
        .route("/ui/tokens/revoke", post(tokens::revoke))
        .route("/ui/tokens/rotate", post(tokens::rotate))
        .route("/ui/profile", get(profile::show))
        .route("/ui/profile/password", post(profile::password))
        .route("/ui/profile/sessions/end", post(profile::end))
        .merge(admin::router())
        .fallback(dress::nowhere)
        .layer(DefaultBodyLimit::max(LONGEST))
        .layer(middleware::from_fn_with_state(Arc::clone(&web), dress::dress))
        .layer(middleware::from_fn(packed::pack))
        .with_state(web)
        // What never changes needs no visitor.
        .route("/ui/assets/{digest}/{name}", get(assets::asset))
}
