//! `/-/api/v1/audit` and `/-/api/v1/downloads`: who did what, and who got what. For administrators.
//!
//! Belongs here: filters, pages. Does not: what is written down (`people`, `trail`).

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Control;
use super::answers::{Answered, limit, next};
use super::asker::{Asked, Asker};
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::http::problem::Problem;
use crate::people::view::{DownloadView, EventView};
use crate::people::{event_at, place_of};
use crate::policy::units::moment;
use crate::store::model::Downloads as Row;
use crate::store::repo::AuditFilter;

pub(super) fn routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(events)).routes(routes!(downloads))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filtered {
    /// A user's name, or an actor as the trail has it: `user:<id>`, `anonymous`, `system`.
    actor: Option<String>,
    /// Kinds of events with commas between them, such as `login,token.create`.
    kind: Option<String>,
    /// From then on: a day, which begins at midnight UTC, or a moment.
    since: Option<String>,
    /// Before then: a day, which ends at midnight UTC, or a moment.
    until: Option<String>,
    /// What `next` of the page before said.
    after: Option<String>,
    /// Rows of a page; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct Events {
    events: Vec<EventView>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

/// A moment of a range: a day that begins one is its first, any other its last millisecond.
pub(super) fn time(text: Option<&str>, what: &str) -> Answered<Option<UnixMillis>> {
    let Some(text) = text else { return Ok(None) };
    let begins = ["since", "from"].contains(&what) && text.len() == "2026-01-31".len();
    let read = if begins { moment(&format!("{text}T00:00:00Z")) } else { moment(text) };
    let wrong = || {
        let said = format!("`{what}` is a day such as 2026-01-31, or a moment such as 2026-01-31T12:00:00Z");
        Problem::bad_request(said)
    };
    Ok(Some(read.ok_or_else(wrong)?))
}

/// Events, the newest first.
#[utoipa::path(get, path = "/audit", tag = "audit", operation_id = "listEvents", params(Filtered), responses((status = 200, body = Events)))]
async fn events(
    State(control): State<Control>,
    asker: Asker,
    Asked(wish): Asked<Filtered>,
) -> Answered<Json<Events>> {
    asker.administrator()?;
    let (people, limit) = (control.people().await?, limit(wish.limit)?);
    let actor = match &wish.actor {
        Some(text) => Some(people.actor(text).await?),
        None => None,
    };
    let kinds = wish.kind.iter().flat_map(|kinds| kinds.split(','));
    let kinds = kinds.map(str::trim).filter(|kind| !kind.is_empty()).map(str::to_owned).collect();
    let (since, until) = (time(wish.since.as_deref(), "since")?, time(wish.until.as_deref(), "until")?);
    let filter = AuditFilter { actor, kinds, since, until };
    let wrong = || Problem::bad_request("`after` is what `next` of the page before said");
    let after = match wish.after.as_deref() {
        Some(place) => Some(event_at(place).ok_or_else(wrong)?),
        None => None,
    };
    let rows = people.events(&filter, after.as_ref(), limit).await?;
    let next = next(&rows, limit, place_of);
    let (mut names, mut events) = (people.names(), Vec::with_capacity(rows.len()));
    for event in &rows {
        events.push(EventView::new(event, names.actor(&event.actor).await?));
    }
    Ok(Json(Events { events, next }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OfFile {
    /// SHA-256 of the file, 64 hex digits.
    #[param(min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$")]
    sha256: String,
    /// What `next` of the page before said.
    after: Option<String>,
    /// Rows of a page; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct Downloads {
    downloads: Vec<DownloadView>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

/// What the order of rows goes by, as a text for the next page.
fn place(row: &Row) -> String {
    let place = (&row.file, row.day, &row.actor, &row.token, &row.address);
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&place).unwrap_or_default())
}

fn row_at(place: &str, sha256: Sha256) -> Option<Row> {
    let place = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(place).ok()?).ok()?;
    let (file, day, actor, token, address) = place;
    Some(Row { sha256, file, day, actor, token, address, count: 0 })
}

/// Who downloaded a file, by names, days, users, tokens and addresses.
#[utoipa::path(get, path = "/downloads", tag = "audit", operation_id = "listDownloads", params(OfFile), responses((status = 200, body = Downloads)))]
async fn downloads(
    State(control): State<Control>,
    asker: Asker,
    Asked(wish): Asked<OfFile>,
) -> Answered<Json<Downloads>> {
    asker.administrator()?;
    let digest = Sha256::from_hex(&wish.sha256);
    let digest = digest.ok_or_else(|| Problem::bad_request("`sha256` is 64 hex digits"))?;
    let (people, limit) = (control.people().await?, limit(wish.limit)?);
    let wrong = || Problem::bad_request("`after` is what `next` of the page before said");
    let after = match wish.after.as_deref() {
        Some(place) => Some(row_at(place, digest).ok_or_else(wrong)?),
        None => None,
    };
    let rows = people.downloads(&digest, after.as_ref(), limit).await?;
    let next = next(&rows, limit, place);
    let (mut names, mut downloads) = (people.names(), Vec::with_capacity(rows.len()));
    for row in &rows {
        downloads.push(DownloadView::new(row, names.actor(&row.actor).await?));
    }
    Ok(Json(Downloads { downloads, next }))
}
