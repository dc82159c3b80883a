//! Why a file is shown, hidden or refused.
//!
//! Belongs here: the page. Does not: the answer (`delivery::explain`).

use askama::Template;
use axum::response::Response;

use super::desk::Desk;
use super::page::{self, Page};
use super::sorry::Sorry;
use crate::conda::archive::ArchiveName;
use crate::conda::subdir::Subdir;
use crate::delivery::catalogue::Spot;
use crate::delivery::explain::{Explanation, FileExplained, Outcome, Question};

#[derive(Template)]
#[template(path = "why.html")]
struct WhyPage {
    page: Page,
    channel: String,
    name: String,
    said: Box<FileExplained>,
    /// Where rules are written is for administrators.
    places: bool,
}

impl WhyPage {
    fn is_served(&self) -> bool {
        self.said.download.outcome == Outcome::Served
    }
}

pub(super) async fn show(desk: &Desk, spot: &Spot, name: &str, file: &str) -> Result<Response, Sorry> {
    // Nothing but a file of this very channel: another one may be closed to the visitor.
    let parts = file
        .split_once('/')
        .and_then(|(subdir, file)| Some((Subdir::parse(subdir)?, ArchiveName::parse(file)?)));
    let (subdir, file) = parts.ok_or_else(|| Sorry::not_found("that is not a file of this channel"))?;
    let url = format!("{}/{}/{subdir}/{file}", desk.web.base, spot.name);
    let as_user = desk.signed_in().ok().map(|(who, _)| who.name.to_string());
    let question = Question { url: Some(url), as_user, ..Question::default() };
    let answer = desk.web.gate.explain(question).await;
    let answer = answer.map_err(|error| {
        if error.is_askers() {
            return Sorry::not_found(error.to_string());
        }
        tracing::warn!(%error, "a page can't say why");
        Sorry::unavailable("why this file is as it is can't be said right now")
    })?;
    let Explanation::File(said) = answer else {
        return Err(Sorry::not_found("that is not a file of this channel"));
    };
    let places = desk.is_superuser();
    Ok(page::show(&WhyPage {
        page: desk.page("channels"),
        channel: spot.name.to_string(),
        name: name.to_owned(),
        said,
        places,
    }))
}
