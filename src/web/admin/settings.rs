//! The settings in force, each with where it comes from.
//!
//! Belongs here: the page. Does not: settings (`config`).

use askama::Template;
use axum::extract::Extension;
use axum::response::Response;

use super::tabbed;
use crate::manage::SettingShown;
use crate::web::desk::Desk;
use crate::web::page::{self, Page};
use crate::web::sorry::Sorry;

#[derive(Template)]
#[template(path = "admin/settings.html")]
struct SettingsPage {
    page: Page,
    settings: Vec<SettingShown>,
}

tabbed!(SettingsPage, "settings");

pub(super) async fn show(Extension(desk): Extension<Desk>) -> Result<Response, Sorry> {
    desk.superuser()?;
    Ok(page::show(&SettingsPage { page: desk.page("admin"), settings: desk.web.gate.settings() }))
}
