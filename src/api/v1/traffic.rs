//! `/-/api/v1/traffic`: how much channels were asked for, by the hour or by the day. For administrators.
//!
//! Belongs here: the range, pages. Does not: what is counted (`telemetry`, `trail`).

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Control;
use super::answers::{Answered, limit, next};
use super::asker::{Asked, Asker};
use super::audit::time;
use crate::clock::UnixMillis;
use crate::http::problem::Problem;
use crate::people::view::TrafficView;
use crate::people::{place_of_traffic, traffic_at};
use crate::store::model::Span;
use crate::store::repo::TrafficFilter;

/// How far an answer goes back of which nothing else is said: in hours, in days.
const HOURS: i64 = 24;
const DAYS: i64 = 30;

pub(super) fn routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(traffic))
}

/// How long a row's period is.
#[derive(Deserialize, ToSchema, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
enum By {
    /// For the last 35 days.
    #[default]
    Hour,
    /// For as long as the settings say (`audit.traffic_retention`).
    Day,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Periods that begin then or later: a day, or a moment. 24 hours, or with `by=day` 30 days, before `to` where nothing is said.
    from: Option<String>,
    /// Periods that begin before then: a day, which ends at midnight UTC, or a moment. Now where nothing is said.
    to: Option<String>,
    /// Only this channel.
    channel: Option<String>,
    /// How long a row's period is; an hour where nothing is said.
    #[param(inline)]
    by: Option<By>,
    /// What `next` of the page before said.
    after: Option<String>,
    /// Rows of a page; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct Totals {
    /// By time and then by channels; what there was nothing of is left out.
    traffic: Vec<TrafficView>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

/// What is meant, at a moment.
fn filter_of(wish: &Wanted, now: UnixMillis) -> Answered<TrafficFilter> {
    let (span, back) = match wish.by.unwrap_or_default() {
        By::Hour => (Span::Hour, HOURS),
        By::Day => (Span::Day, DAYS),
    };
    // What is going on now is in it.
    let before = time(wish.to.as_deref(), "to")?.unwrap_or(UnixMillis(now.0.saturating_add(1)));
    let last = span.start_of(UnixMillis(before.0.saturating_sub(1)));
    let from = time(wish.from.as_deref(), "from")?;
    let from = from.unwrap_or(UnixMillis(last.0.saturating_sub((back - 1) * span.millis())));
    Ok(TrafficFilter { span, from, before, channel: wish.channel.clone() })
}

/// How much channels were asked for, and answered, by all gateways on the store together; some seconds late.
#[utoipa::path(get, path = "/traffic", tag = "audit", operation_id = "listTraffic", params(Wanted), responses((status = 200, body = Totals)))]
async fn traffic(
    State(control): State<Control>,
    asker: Asker,
    Asked(wish): Asked<Wanted>,
) -> Answered<Json<Totals>> {
    asker.administrator()?;
    let (filter, limit) = (filter_of(&wish, control.clock.now())?, limit(wish.limit)?);
    let wrong = || Problem::bad_request("`after` is what `next` of the page before said");
    let after = match wish.after.as_deref() {
        Some(place) => Some(traffic_at(place).ok_or_else(wrong)?),
        None => None,
    };
    let rows = control.people().await?.traffic(&filter, after, limit).await?;
    let next = next(&rows, limit, place_of_traffic);
    Ok(Json(Totals { traffic: rows.iter().map(TrafficView::from).collect(), next }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::date::rfc3339;

    fn asked(query: &str) -> Result<(String, String), String> {
        let uri = format!("/?{query}").parse().unwrap();
        let axum::extract::Query(wish) =
            axum::extract::Query::<Wanted>::try_from_uri(&uri).map_err(|error| error.body_text())?;
        let now = UnixMillis(1_793_797_200_123);
        let filter = filter_of(&wish, now).map_err(|error| format!("{error:?}"))?;
        Ok((rfc3339(filter.from), rfc3339(filter.before)))
    }

    #[test]
    fn ranges_end_now_and_hold_whole_periods() {
        let is = |query: &str, from: &str, before: &str| {
            assert_eq!(asked(query), Ok((from.to_owned(), before.to_owned())), "{query}");
        };
        is("", "2026-11-03T14:00:00.000Z", "2026-11-04T13:00:00.124Z");
        is("by=day", "2026-10-06T00:00:00.000Z", "2026-11-04T13:00:00.124Z");
        is("to=2026-01-31&by=hour", "2026-01-31T00:00:00.000Z", "2026-01-31T23:59:59.999Z");
        is("from=2026-01-31&to=2026-01-31T12:00:00Z", "2026-01-31T00:00:00.000Z", "2026-01-31T12:00:00.000Z");
        for wrong in ["by=week", "from=yesterday", "to=x", "until=2026-01-31"] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }
}
