//! quetz: the file as the body, or in a form (`rattler-build upload quetz`, `quetz-client`).
//!
//! ```text
//! POST /api/channels/<channel>/upload/<file>?force=…&sha256=…     the file
//! POST /api/channels/<channel>/files/                             parts `force`, `files` (one or more)
//! ```
//!
//! A file that is not what its SHA-256 says is 406 there; the sentence is in `detail`.
//!
//! Belongs here: this protocol. Does not: publishing.

use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::form::Form;
use super::talk::{Answered, No, Sent, Talk, file_name, flag, only, parameter, sha256};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelName;
use crate::conda::digest::Expected;

pub(super) async fn upload(
    talk: &Talk<'_>,
    (channel, archive): (&ChannelName, &ArchiveName),
    request: Request,
) -> Answered {
    only("POST", request.method())?;
    let force = flag(parameter(&request, "force").as_deref())?;
    let sha256 = sha256(parameter(&request, "sha256").as_deref())?;
    let expected = Expected { sha256, ..Expected::default() };
    let sent = Sent { channel, archive, subdir: None, labels: Vec::new(), expected, force };
    let published = talk.publish_body(sent, None, request).await?;
    Ok(talk.told(StatusCode::CREATED, &published))
}

/// Each file is published when it is whole, in the order they come; what was published before a refusal stays so.
pub(super) async fn files(talk: &Talk<'_>, channel: &ChannelName, request: Request) -> Answered {
    only("POST", request.method())?;
    talk.may_publish(channel, None).await?;
    let mut force = flag(parameter(&request, "force").as_deref())?;
    let mut form = Form::of(request).await?;
    let mut all = Vec::new();
    while let Some(part) = form.next().await? {
        match part.name() {
            "force" => force = flag(Some(&part.text().await?))?,
            "files" => {
                let archive = file_name(part.file_name())?;
                talk.may_publish(channel, archive.parts().map(|(name, _, _)| name)).await?;
                let announced = part.announced();
                let received = talk.hosting.receive(part.pieces(), announced).await?;
                let (archive, expected) = (&archive, Expected::default());
                let sent = Sent { channel, archive, subdir: None, labels: Vec::new(), expected, force };
                let published = talk.hosting.publish(talk.visitor, sent.upload(None), received).await?;
                all.push(talk.shown(&published));
            }
            _ => {
                return Err(No::invalid(
                    "the form has parts `files` and perhaps `force` before them, and no others",
                ));
            }
        }
    }
    if all.is_empty() {
        return Err(No::invalid("the form has no part `files`"));
    }
    Ok((StatusCode::CREATED, Json(all)).into_response())
}
