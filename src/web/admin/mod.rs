//! Pages for administrators.
//!
//! Belongs here: their routes, what they share. Does not: single pages.

mod audit;
mod cache;
mod channels;
mod downloads;
mod grants;
mod groups;
mod jobs;
mod rules;
mod settings;
mod traffic;
mod upstreams;
mod users;

use axum::Router;
use axum::extract::Extension;
use axum::response::Response;
use axum::routing::{get, post};

use super::Web;
use super::desk::Desk;
use super::sorry::Sorry;

/// Says to which part of the navigation a page belongs.
macro_rules! tabbed {
    ($page:ident, $tab:literal) => {
        impl $page {
            const fn tab(&self) -> &'static str {
                $tab
            }
        }
    };
}
pub(super) use tabbed;

/// Lines of a page.
pub(super) const LINES: u32 = 100;

/// Below `/-/ui/admin`.
pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/ui/admin", get(first))
        .route("/ui/admin/users", get(users::list).post(users::create))
        .route("/ui/admin/users/{name}", get(users::one).post(users::act))
        .route("/ui/admin/groups", get(groups::list).post(groups::create))
        .route("/ui/admin/groups/{name}", get(groups::one).post(groups::act))
        .route("/ui/admin/grants", get(grants::list).post(grants::act))
        .route("/ui/admin/channels", get(channels::list).post(channels::create))
        .route("/ui/admin/channels/{*name}", get(channels::one).post(channels::act))
        .route("/ui/admin/rules", get(rules::show).post(rules::act))
        .route("/ui/admin/rules/recall", post(rules::recall))
        .route("/ui/admin/rules/recall/undo", post(rules::undo))
        .route("/ui/admin/upstreams", get(upstreams::show))
        .route("/ui/admin/downloads", get(downloads::show))
        .route("/ui/admin/cache", get(cache::show))
        .route("/ui/admin/cache/purge", post(cache::purge))
        .route("/ui/admin/cache/warm", post(cache::warm))
        .route("/ui/admin/jobs", get(jobs::show).post(jobs::act))
        .route("/ui/admin/audit", get(audit::show))
        .route("/ui/admin/audit/export", get(audit::export))
        .route("/ui/admin/settings", get(settings::show))
}

async fn first(Extension(desk): Extension<Desk>) -> Result<Response, Sorry> {
    desk.superuser()?;
    Ok(desk.to("/-/ui/admin/users"))
}
