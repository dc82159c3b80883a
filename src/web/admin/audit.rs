//! The audit trail: who did what, found by filters, taken away as a file.
//!
//! Belongs here: the page, the files. Does not: what is written down (`people`, `trail`).

use askama::Template;
use axum::Json;
use axum::extract::{Extension, Query};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::{LINES, tabbed};
use crate::people::view::EventView;
use crate::people::{People, event_at, place_of};
use crate::policy::units::moment;
use crate::store::model::AuditEvent;
use crate::store::repo::AuditFilter;
use crate::web::desk::Desk;
use crate::web::page::{self, Page};
use crate::web::show::When;
use crate::web::sorry::Sorry;

/// Events of a file.
const MOST: usize = 10_000;
const BLOCK: u32 = 1000;

#[derive(Deserialize, Default)]
pub(super) struct Asked {
    #[serde(default)]
    actor: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    since: String,
    #[serde(default)]
    until: String,
    after: Option<String>,
    format: Option<String>,
}

struct Row {
    at: When,
    who: String,
    kind: String,
    target: String,
    address: String,
    result: String,
    detail: String,
}

#[derive(Template)]
#[template(path = "admin/audit.html")]
struct AuditPage {
    page: Page,
    asked: Asked,
    /// The filter as a query.
    query: String,
    rows: Vec<Row>,
    next: Option<String>,
    told: Option<String>,
}

tabbed!(AuditPage, "audit");

impl Asked {
    async fn filter(&self, people: &People) -> Result<AuditFilter, Sorry> {
        let time = |text: &str, what: &str| match text.trim() {
            "" => Ok(None),
            // A day is its last millisecond, unless it is where something begins.
            text => moment(&if what == "since" && text.len() == 10 {
                format!("{text}T00:00:00Z")
            } else {
                text.to_owned()
            })
            .map(Some)
            .ok_or_else(|| {
                Sorry::invalid(format!(
                    "“{what}” is a day such as 2026-01-31, or a moment such as 2026-01-31T12:00:00Z"
                ))
            }),
        };
        let actor = match self.actor.trim() {
            "" => None,
            text => Some(people.actor(text).await?),
        };
        let kinds = self.kind.split([',', ' ']).filter(|kind| !kind.is_empty()).map(str::to_owned).collect();
        Ok(AuditFilter {
            actor,
            kinds,
            since: time(&self.since, "since")?,
            until: time(&self.until, "until")?,
        })
    }

    fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in
            [("actor", &self.actor), ("kind", &self.kind), ("since", &self.since), ("until", &self.until)]
        {
            if !value.is_empty() {
                query.append_pair(key, value);
            }
        }
        query.finish()
    }
}

pub(super) async fn show(
    Extension(desk): Extension<Desk>,
    Query(asked): Query<Asked>,
) -> Result<Response, Sorry> {
    desk.superuser()?;
    let people = desk.people().await?;
    let (events, told) = match asked.filter(&people).await {
        Ok(filter) => {
            let after = asked.after.as_deref().and_then(event_at);
            (people.events(&filter, after.as_ref(), LINES).await?, None)
        }
        Err(sorry) if sorry.status.is_client_error() => (Vec::new(), Some(sorry.sentence)),
        Err(sorry) => return Err(sorry),
    };
    let (mut rows, mut names) = (Vec::new(), people.names());
    for event in &events {
        let name = names.actor(&event.actor).await?;
        rows.push(Row {
            at: When::new(event.at, desk.now()),
            who: name.unwrap_or_else(|| event.actor.clone()),
            kind: event.kind.clone(),
            target: event.target.clone(),
            address: event.address.clone(),
            result: event.result.clone(),
            detail: event.detail.clone(),
        });
    }
    let next = events.last().filter(|_| events.len() == LINES as usize).map(place_of);
    let (page, query) = (desk.page("admin"), asked.query());
    Ok(page::show(&AuditPage { page, asked, query, rows, next, told }))
}

pub(super) async fn export(
    Extension(desk): Extension<Desk>,
    Query(asked): Query<Asked>,
) -> Result<Response, Sorry> {
    desk.superuser()?;
    let people = desk.people().await?;
    let filter = asked.filter(&people).await?;
    let (mut all, mut names, mut last) = (Vec::new(), people.names(), None::<AuditEvent>);
    while all.len() < MOST {
        let events = people.events(&filter, last.as_ref(), BLOCK).await?;
        for event in &events {
            all.push(EventView::new(event, names.actor(&event.actor).await?));
        }
        match events.into_iter().next_back() {
            Some(event) => last = Some(event),
            None => break,
        }
    }
    all.truncate(MOST);
    let name =
        |end: &str| (header::CONTENT_DISPOSITION, format!("attachment; filename=\"condagate-audit.{end}\""));
    if asked.format.as_deref() == Some("json") {
        return Ok(
            ([name("json")], Json(json!({"events": all, "complete": all.len() < MOST}))).into_response()
        );
    }
    let mut text = String::from("at,actor,actor_name,kind,target,address,result,detail\r\n");
    for event in &all {
        let fields = [
            &event.at,
            &event.actor,
            event.actor_name.as_deref().unwrap_or_default(),
            &event.kind,
            &event.target,
            &event.address,
            &event.result,
            &event.detail.to_string(),
        ];
        text.push_str(&fields.map(cell).join(","));
        text.push_str("\r\n");
    }
    let kind = (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned());
    Ok(([kind, name("csv")], text).into_response())
}

/// A field of a table (RFC 4180) that no spreadsheet takes for a formula.
fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t']) { "'" } else { "" };
    if guard.is_empty() && !text.contains([',', '"', '\n', '\r']) {
        return text.to_owned();
    }
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let cells = ["plain", "a,b", "say \"x\"", "=1+1"].map(cell);
        assert_eq!(cells, ["plain", "\"a,b\"", "\"say \"\"x\"\"\"", "\"'=1+1\""]);
    }

    #[test]
    fn places_go_both_ways() {
        let event = event_at("1793750400000.00000001-abc").unwrap();
        assert_eq!(place_of(&event), "1793750400000.00000001-abc");
        assert!(event_at("x.y").is_none() && event_at("1").is_none());
    }
}
