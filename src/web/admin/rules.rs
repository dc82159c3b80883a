//! The rules in force: their files, and what they say about a file or a package.
//!
//! Belongs here: the page. Does not: reading rules (`config`), what they mean (`policy`, `delivery::explain`).

use askama::Template;
use axum::extract::{Extension, Query};
use axum::response::Response;
use serde::Deserialize;

use super::tabbed;
use crate::delivery::explain::{Explanation, Question};
use crate::web::RulesFile;
use crate::web::desk::Desk;
use crate::web::page::{self, Page};
use crate::web::sorry::Sorry;

#[derive(Deserialize, Default)]
pub(super) struct Asked {
    #[serde(default)]
    what: String,
    #[serde(default, rename = "as")]
    as_user: String,
}

#[derive(Template)]
#[template(path = "admin/rules.html")]
struct RulesPage {
    page: Page,
    asked: Asked,
    files: Vec<RulesFile>,
    directory: String,
    revision: String,
    answer: Option<Explanation>,
    told: Option<String>,
}

tabbed!(RulesPage, "rules");

pub(super) async fn show(
    Extension(desk): Extension<Desk>,
    Query(asked): Query<Asked>,
) -> Result<Response, Sorry> {
    desk.superuser()?;
    let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let (mut answer, mut told) = (None, None);
    if let Some(what) = some(&asked.what) {
        // A path or a URL has a file at its end.
        let is_url = what.starts_with('/') || what.contains("://");
        let (url, spec) = if is_url { (Some(what), None) } else { (None, Some(what)) };
        let question = Question { url, spec, as_user: some(&asked.as_user), ..Question::default() };
        match (desk.web.explain)(question).await {
            Ok(said) => answer = Some(said),
            Err(error) => told = Some(error.to_string()),
        }
    }
    let (directory, files) = desk.web.gate.rules().await;
    let revision = format!("{:016x}", desk.web.live.view().rules().revision());
    let page = desk.page("admin");
    Ok(page::show(&RulesPage { page, asked, files, directory, revision, answer, told }))
}
