//! Finding packages: by name in all channels whose indexes are here, by spec and by file in the team's own.
//!
//! Belongs here: the page. Does not: finding (`sight`).

use askama::Template;
use axum::extract::{Extension, Query as InQuery};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::channel::{Row, row};
use super::desk::Desk;
use super::page::{self, Page};
use super::show::size;
use super::sorry::Sorry;
use crate::channel::view::PackageView;
use crate::channel::{Hit, HostError, Query};
use crate::sight::Named;

/// Lines of an answer.
const MOST: usize = 100;

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    q: String,
    #[serde(default)]
    by: String,
}

/// A package by its name.
struct ByName {
    channel: String,
    row: Row,
}

/// A file by what it is or what is in it.
struct ByFile {
    channel: String,
    package: PackageView,
    path: Option<String>,
    /// What became of it, for who looks after it.
    hidden: Option<&'static str>,
}

#[derive(Default)]
struct Answer {
    by_name: Vec<ByName>,
    by_file: Vec<ByFile>,
    whole: bool,
    told: Option<String>,
    channels: usize,
}

impl Answer {
    fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.by_file.is_empty()
    }

    fn len(&self) -> usize {
        self.by_name.len() + self.by_file.len()
    }

    fn size(found: &ByFile) -> String {
        size(found.package.size)
    }
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    page: Page,
    q: String,
    by: &'static str,
    answer: Answer,
}

#[derive(Template)]
#[template(path = "search_results.html")]
struct ResultsOnly {
    page: Page,
    q: String,
    by: &'static str,
    answer: Answer,
}

pub(super) async fn show(
    Extension(desk): Extension<Desk>,
    InQuery(asked): InQuery<Asked>,
    headers: HeaderMap,
) -> Result<Response, Sorry> {
    let q: String = asked.q.trim().chars().take(200).collect();
    let by = match &*asked.by {
        "spec" => "spec",
        "file" => "file",
        _ => "name",
    };
    let answer = match (q.is_empty(), by) {
        (true, _) => Answer::default(),
        (false, "name") => by_name(&desk, &q).await,
        (false, by) => by_contents(&desk, &q, by).await?,
    };
    let page = desk.page("search");
    if headers.contains_key("hx-request") {
        return Ok(page::show(&ResultsOnly { page, q, by, answer }));
    }
    Ok(page::show(&SearchPage { page, q, by, answer }))
}

async fn by_name(desk: &Desk, q: &str) -> Answer {
    let found = desk.sight().named(&desk.visitor, q, (0, MOST)).await;
    let named = |one: Named| ByName { channel: one.channel.to_string(), row: row(desk, &one.all, &one.line) };
    Answer {
        whole: found.found <= MOST,
        channels: found.channels,
        by_name: found.packages.into_iter().map(named).collect(),
        ..Answer::default()
    }
}

async fn by_contents(desk: &Desk, q: &str, by: &str) -> Result<Answer, Sorry> {
    let channels = desk.stored().await?;
    let query = if by == "spec" { Query::spec(q) } else { Ok(Query::File(q.to_owned())) };
    let found = match query {
        Ok(query) => desk.sight().search(&desk.visitor, (&channels, &query), None, MOST).await,
        Err(error) => Err(error),
    };
    match found {
        Ok((hits, next)) => {
            let file = |(hit, visibility): (Hit, &'static str)| ByFile {
                channel: hit.channel,
                package: PackageView::seen(&hit.package, visibility),
                path: hit.path,
                hidden: (visibility != "shown").then_some(visibility),
            };
            let by_file = hits.into_iter().map(file).collect();
            Ok(Answer { by_file, whole: next.is_none(), channels: channels.len(), ..Answer::default() })
        }
        Err(HostError::Invalid(told)) => Ok(Answer { told: Some(told), ..Answer::default() }),
        Err(error) => Err(error.into()),
    }
}
