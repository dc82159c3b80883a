//! `GET /-/api/v1/search?name=… | spec=… | file=…`, perhaps with `channel=` and `limit=`: packages of the team's own channels.
//!
//! Belongs here: the question and its answer. Does not: finding (`channel::search`).

use axum::Json;
use axum::extract::{Extension, Query as InQuery, State};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::channels::{Answered, Desk};
use crate::channel::{HostError, Hosting, Query};
use crate::identity::Visitor;
use crate::store::model::Channel;

/// Rows of an answer of which nothing else is said, and most of them.
const ROWS: usize = 100;
const MOST: usize = 1000;
/// Channels read from the store at one time.
const PAGE: u32 = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    name: Option<String>,
    spec: Option<String>,
    file: Option<String>,
    channel: Option<String>,
    limit: Option<usize>,
}

impl Asked {
    fn query(&self) -> Result<Query, HostError> {
        match (&self.name, &self.spec, &self.file) {
            (Some(name), None, None) => Ok(Query::Name(name.clone())),
            (None, Some(spec), None) => Query::spec(spec),
            (None, None, Some(file)) => Ok(Query::File(file.clone())),
            _ => Err(HostError::Invalid(
                "say what to look for: one of `name` (a part of it, or a glob), `spec` (such as numpy >=2) or `file` (a path, a glob of \
                 paths, or the name of a file in packages)"
                    .to_owned(),
            )),
        }
    }
}

pub(super) async fn search(
    State(hosting): State<Hosting>,
    Extension(visitor): Extension<Visitor>,
    InQuery(asked): InQuery<Asked>,
) -> Answered {
    let desk = Desk { hosting: &hosting, visitor: &visitor };
    let query = desk.told(asked.query())?;
    let limit = asked.limit.unwrap_or(ROWS).clamp(1, MOST);
    let channels = desk.told(readable(&desk, asked.channel.as_deref()).await)?;
    let found = desk.told(hosting.search(&channels, &query, limit).await)?;
    let is_whole = found.len() < limit;
    Ok(Json(json!({"found": found, "complete": is_whole})).into_response())
}

/// The channels that the caller may read; one of them, if one was named.
pub(super) async fn readable(desk: &Desk<'_>, only: Option<&str>) -> Result<Vec<Channel>, HostError> {
    let (mut found, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = desk.hosting.desk().channels(after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.name.clone());
        let wanted =
            |channel: &Channel| only.is_none_or(|only| only == channel.name) && desk.may_read(channel);
        found.extend(page.into_iter().filter(wanted));
    }
}
