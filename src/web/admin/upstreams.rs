//! Upstreams: how their mirrors are, and what was asked of them.
//!
//! Belongs here: the page. Does not: finding it out (`upstream`).

use askama::Template;
use axum::extract::Extension;
use axum::response::Response;

use super::tabbed;
use crate::upstream::{MirrorHealth, UpstreamSnapshot};
use crate::web::desk::Desk;
use crate::web::page::{self, Page};
use crate::web::show::{When, count, size};
use crate::web::sorry::Sorry;

struct Mirror {
    url: String,
    healthy: bool,
    failures: u32,
    last_error: Option<&'static str>,
    resting: Option<When>,
}

struct Row {
    name: String,
    running: usize,
    most: usize,
    requests: String,
    retries: String,
    bytes: String,
    failures: Vec<(&'static str, String)>,
    mirrors: Vec<Mirror>,
}

#[derive(Template)]
#[template(path = "admin/upstreams.html")]
struct UpstreamsPage {
    page: Page,
    rows: Vec<Row>,
}

tabbed!(UpstreamsPage, "upstreams");

pub(super) async fn show(Extension(desk): Extension<Desk>) -> Result<Response, Sorry> {
    desk.superuser()?;
    let mirror = |mirror: MirrorHealth| Mirror {
        url: mirror.mirror,
        healthy: mirror.healthy,
        failures: mirror.failures,
        last_error: mirror.last_error,
        resting: mirror
            .open_until
            .max(mirror.rate_limited_until)
            .filter(|until| *until > desk.now())
            .map(|until| When::new(until, desk.now())),
    };
    let row = |upstream: UpstreamSnapshot| Row {
        name: upstream.name,
        running: upstream.in_flight,
        most: upstream.max_concurrent,
        requests: count(upstream.stats.requests),
        retries: count(upstream.stats.retries),
        bytes: size(upstream.stats.body_bytes),
        failures: upstream
            .stats
            .failures
            .iter()
            .filter(|(_, n)| *n > 0)
            .map(|(kind, n)| (*kind, count(*n)))
            .collect(),
        mirrors: upstream.mirrors.into_iter().map(mirror).collect(),
    };
    let rows = desk.web.gate.upstreams().into_iter().map(row).collect();
    Ok(page::show(&UpstreamsPage { page: desk.page("admin"), rows }))
}
