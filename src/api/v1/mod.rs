//! `/-/api/v1`: what administrators and everybody who has signed in can do, with the document that says so.
//!
//! | file | what it knows |
//! |---|---|
//! | `answers` | what all answers have in common: problems, entity tags, pages of lists |
//! | `asker` | who asks, and what such requests take |
//! | `once` | creating something once, however often it is asked for |
//! | `document` | the description of all of it (OpenAPI 3.1) |
//! | `described`, `described_packages` | the descriptions of what is answered elsewhere (`accounts`, `channels`, dialects) |
//! | the others | a resource each |
//!
//! Belongs here: paths, bodies, answers. Does not: what is done (`people`, `manage`, `channel`, `delivery`).

pub(super) mod answers;
mod asker;
mod audit;
mod cache;
mod described;
mod described_packages;
pub mod document;
mod gate;
mod grants;
mod groups;
mod indexes;
mod jobs;
mod once;
mod package;
mod profile;
mod rules;
mod sessions;
mod tokens;
mod traffic;
mod uploads;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use utoipa_axum::router::OpenApiRouter;

use super::accounts::Open;
use super::dialects::Stages;
use crate::clock::SharedClock;
use crate::delivery::Delivery;
use crate::manage::AnyGate;
use crate::people::People;
use crate::sight::Sight;
use crate::snapshot::Live;

/// What the routes need.
#[derive(Clone)]
pub struct Control {
    /// Makes users, once the store is open.
    pub people: Open,
    /// The running gate.
    pub gate: AnyGate,
    /// The rules and channels in force.
    pub live: Arc<Live>,
    /// What there is in channels.
    pub delivery: Delivery,
    /// What callers are told of it.
    pub sight: Sight,
    /// The path of `public_url`, without trailing slash.
    pub base: String,
    /// Uploads that are not finished.
    pub stages: Stages,
    /// Now.
    pub clock: SharedClock,
}

/// The longest body that is taken, but for packages: a file of rules with what JSON adds to it.
const LONGEST: usize = 512 * 1024;

impl Control {
    async fn people(&self) -> Result<People, answers::Sorry> {
        Ok((self.people)().await?)
    }
}

fn described_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .merge(users::routes())
        .merge(groups::routes())
        .merge(tokens::routes())
        .merge(sessions::routes())
        .merge(grants::routes())
        .merge(indexes::routes())
        .merge(package::routes())
        .merge(profile::routes())
        .merge(uploads::routes())
        .merge(rules::routes())
        .merge(cache::routes())
        .merge(jobs::routes())
        .merge(audit::routes())
        .merge(traffic::routes())
        .merge(gate::routes())
}

/// The routes, below `/-`, with those of `others` beside them: what all have in common they get, too.
pub fn router(control: Control, others: Router) -> Router {
    let once = once::Once::new(Arc::clone(&control.clock));
    let (routes, _) = OpenApiRouter::new().nest("/api/v1", described_routes()).split_for_parts();
    let routes: Router = routes.layer(DefaultBodyLimit::max(LONGEST)).with_state(control);
    routes
        .merge(others)
        .fallback(answers::nowhere)
        .method_not_allowed_fallback(answers::not_so)
        .layer(middleware::from_fn_with_state(once, once::once))
        .layer(middleware::from_fn(answers::dress))
}
