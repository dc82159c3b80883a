//! `GET /-/api/v1/search?name=… | spec=… | file=…`, perhaps with `channel=`, `after=` and `limit=`: packages of the team's own channels that the
//! caller is told of.
//!
//! Belongs here: the question and its answer. Does not: finding (`channel::search`).

use axum::Json;
use axum::extract::{Extension, Query as InQuery, State};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::channels::{Answered, Desk, Refusal};
use super::v1::answers::limit;
use crate::channel::view::PackageView;
use crate::channel::{Hit, HostError, Query};
use crate::identity::Visitor;
use crate::sight::Sight;
use crate::store::model::Channel;

/// Channels read from the store at one time.
const PAGE: u32 = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    name: Option<String>,
    spec: Option<String>,
    file: Option<String>,
    channel: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
}

/// An answer.
#[derive(Serialize)]
struct Found<'a> {
    channel: &'a str,
    #[serde(flatten)]
    package: PackageView,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
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
    State(sight): State<Sight>,
    Extension(visitor): Extension<Visitor>,
    InQuery(asked): InQuery<Asked>,
) -> Answered {
    let desk = Desk { sight: &sight, visitor: &visitor };
    let query = desk.told(asked.query())?;
    let limit = limit(asked.limit).map_err(|sorry| Refusal(Box::new(sorry.into_response())))? as usize;
    let channels = desk.told(readable(&desk, asked.channel.as_deref()).await)?;
    let found = sight.search(&visitor, (&channels, &query), asked.after, limit).await;
    let (hits, next) = desk.told(found)?;
    let shown = |(hit, visibility): &(Hit, &'static str)| {
        let package = PackageView::seen(&hit.package, visibility);
        json!(Found { channel: &hit.channel, package, path: hit.path.as_deref() })
    };
    let found: Vec<Value> = hits.iter().map(shown).collect();
    Ok(Json(json!({"found": found, "next": next})).into_response())
}

/// The channels that the caller may read; one of them, if one was named.
pub(super) async fn readable(desk: &Desk<'_>, only: Option<&str>) -> Result<Vec<Channel>, HostError> {
    let (mut found, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = desk.sight.hosting.desk().channels(after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.name.clone());
        let wanted =
            |channel: &Channel| only.is_none_or(|only| only == channel.name) && desk.may_read(channel);
        found.extend(page.into_iter().filter(wanted));
    }
}
