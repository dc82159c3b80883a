//! The gate's own API: a package is put where it is looked at.
//!
//! ```text
//! PUT /-/api/v1/channels/<channel>/-/packages/<subdir>/<file>     ?label=…&label=…&force=…
//! ```
//!
//! The same way in as `PUT /<channel>/<subdir>/<file>`, with the same headers: digests, `If-Match`, `If-None-Match`.
//!
//! Belongs here: this request. Does not: publishing, what else the API says of packages (`api::channels`).

use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::artifactory::{check_conditions, expected};
use super::talk::{Answered, Sent, Talk, flag, parameter, parameters};
use crate::channel::Published;
use crate::conda::archive::ArchiveName;
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::conda::subdir::Subdir;
use crate::conda::url::dialect::Family;
use crate::identity::Visitor;
use crate::sight::Sight;

/// Takes a package in.
pub(in crate::api) async fn put(
    (sight, visitor): (&Sight, &Visitor),
    place: (&ChannelName, &Subdir, &ArchiveName),
    request: Request,
) -> Response {
    let talk = Talk { sight, hosting: &sight.hosting, visitor, base: "", family: Family::Artifactory };
    taken(&talk, place, request).await.unwrap_or_else(|no| talk.refused(&no))
}

async fn taken(
    talk: &Talk<'_>,
    (channel, subdir, archive): (&ChannelName, &Subdir, &ArchiveName),
    request: Request,
) -> Answered {
    talk.may_publish(channel, archive.parts().map(|(name, _, _)| name)).await?;
    let place = ChannelRef { name: channel.clone(), label: None };
    check_conditions(talk, (&place, subdir, archive), request.headers()).await?;
    let (expected, sha1) = expected(request.headers())?;
    let sent = Sent {
        channel,
        archive,
        subdir: Some(subdir.clone()),
        labels: parameters(&request, "label"),
        expected,
        force: flag(parameter(&request, "force").as_deref())?,
    };
    let Published { created, channel, subdir, file, sha256, md5, size } =
        talk.publish_body(sent, sha1, request).await?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let said = json!({
        "created": created, "channel": channel.as_str(), "subdir": subdir.as_str(), "file": file.as_str(),
        "sha256": sha256.to_hex(), "md5": md5.to_hex(), "size": size,
    });
    Ok((status, Json(said)).into_response())
}
