//! Rights on channels that were given without touching the rules.
//!
//! Belongs here: the page and its forms. Does not: what rights mean (`policy::access`).

use askama::Template;
use axum::extract::{Extension, Query};
use axum::response::Response;

use super::{LINES, tabbed};
use crate::people::{People, Who};
use crate::policy::access::Right;
use crate::store::model::Subject;
use crate::web::desk::{Desk, Flash};
use crate::web::page::{self, Behind, Page, Way};
use crate::web::posted::Posted;
use crate::web::show::When;
use crate::web::sorry::Sorry;

struct Row {
    channels: String,
    right: &'static str,
    kind: &'static str,
    name: Option<String>,
    created: When,
}

#[derive(Template)]
#[template(path = "admin/grants.html")]
struct GrantsPage {
    page: Page,
    rows: Vec<Row>,
    way: Way,
}

tabbed!(GrantsPage, "grants");

pub(super) async fn list(
    Extension(desk): Extension<Desk>,
    Query(asked): Query<Behind>,
) -> Result<Response, Sorry> {
    desk.superuser()?;
    let people = desk.people().await?;
    let after = match &asked.after {
        Some(id) => people.grant(id).await?,
        None => None,
    };
    let (mut rows, mut names) = (Vec::new(), people.names());
    let grants = people.grants(None, after.as_ref(), LINES).await?;
    for grant in &grants {
        let kind = if matches!(grant.subject, Subject::User(_)) { "user" } else { "group" };
        rows.push(Row {
            channels: grant.channels.clone(),
            right: grant.right.as_str(),
            kind,
            name: names.subject(&grant.subject).await?,
            created: When::new(grant.created, desk.now()),
        });
    }
    rows.sort_by(|a, b| (&a.channels, &a.name).cmp(&(&b.channels, &b.name)));
    let next = grants.last().filter(|_| grants.len() == LINES as usize).map(|last| last.id.to_string());
    let way = Way::new(&desk, "/-/ui/admin/grants", next, after.is_none());
    Ok(page::show(&GrantsPage { page: desk.page("admin"), rows, way }))
}

pub(super) async fn act(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    desk.superuser()?;
    let people = desk.people().await?;
    let flash = match done(&desk, &people, &posted).await {
        Ok(flash) => flash,
        Err(sorry) if sorry.status.is_client_error() => Flash::bad(sorry.sentence),
        Err(sorry) => return Err(sorry),
    };
    Ok(desk.tell("/-/ui/admin/grants", &flash))
}

async fn done(desk: &Desk, people: &People, posted: &Posted) -> Result<Flash, Sorry> {
    let (channels, name) = (posted.text("channels"), posted.text("name").to_owned());
    let who = match posted.text("kind") {
        "user" => Who::User(name.clone()),
        "group" => Who::Group(name.clone()),
        _ => return Err(Sorry::invalid("say whether a user or a group is meant")),
    };
    let right = Right::read(posted.text("right"));
    let right = right.ok_or_else(|| Sorry::invalid("say which right: read, write or manage"))?;
    Ok(Flash::good(if posted.text("action") == "take" {
        people.take(&desk.by(), channels, &who, Some(right)).await?;
        format!("{name} has the right to {right} {channels} no longer.")
    } else {
        let given = people.give(&desk.by(), channels, &who, right).await?;
        let already = if given.is_new { "" } else { " already" };
        format!("{} may {right} {channels}{already}.", given.name)
    }))
}
