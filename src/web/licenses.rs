//! What is built into the gateway, and under which licences.
//!
//! Belongs here: the page. Does not: the list and the texts (`about`).

use askama::Template;
use axum::extract::Extension;
use axum::response::Response;

use super::desk::Desk;
use super::page::{self, Page};
use crate::about::{Part, parts};

#[derive(Template)]
#[template(path = "licenses.html")]
struct LicensesPage {
    page: Page,
    parts: Vec<Part>,
}

pub(super) async fn show(Extension(desk): Extension<Desk>) -> Response {
    page::show(&LicensesPage { page: desk.page(""), parts: parts().collect() })
}
