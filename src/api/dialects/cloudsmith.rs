//! Cloudsmith (`rattler-build upload cloudsmith`), below `/api/cloudsmith`.
//!
//! ```text
//! POST /files/<owner>/<repo>/                        {filename, md5_checksum, method} → {identifier, upload_url, upload_fields}
//! POST <upload_url>                                  upload_fields and part `file`, no credential: as anaconda.org's
//! PUT  <upload_url>?upload_id=…&part_number=…        or, with the method `put_parts`, the file in parts
//! POST /files/<owner>/<repo>/complete/               {upload_id}: all parts are sent
//! POST /packages/<owner>/<repo>/upload/conda/        {package_file: identifier} → the package
//! ```
//!
//! Belongs here: this protocol. Does not: the step without a credential (`anaconda::stage`), what is kept between the steps (`stages`).

use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};

use super::anaconda::delivery_url;
use super::stages::{Announced, Found, Stages};
use super::talk::{Answered, No, Sent, Talk, document, file_name, md5, number, only, parameter, pieces};
use crate::channel::HostError;
use crate::conda::channel::ChannelName;
use crate::conda::digest::Expected;
use crate::conda::url::dialect::{Cloudsmith, Dist};

pub(super) async fn answer(
    talk: &Talk<'_>,
    stages: &Stages,
    asked: &Cloudsmith,
    request: Request,
) -> Answered {
    match asked {
        Cloudsmith::Announce(channel) => announce(talk, stages, channel, request).await,
        Cloudsmith::Part(id) => part(talk, stages, id, request).await,
        Cloudsmith::Complete(channel) => complete(talk, stages, channel, request).await,
        Cloudsmith::Create(channel) => create(talk, stages, channel, request).await,
    }
}

#[derive(Deserialize)]
struct Announcement {
    filename: String,
    md5_checksum: Option<String>,
    method: Option<String>,
}

async fn announce(talk: &Talk<'_>, stages: &Stages, channel: &ChannelName, request: Request) -> Answered {
    only("POST", request.method())?;
    talk.may_publish(channel, None).await?;
    let said: Announcement = document(request).await?;
    let archive = file_name(Some(&said.filename))?;
    let (package, version, _) =
        archive.parts().ok_or_else(|| No::invalid("wheels can't be published here"))?;
    talk.may_publish(channel, Some(package)).await?;
    let (package, version) = (package.into(), version.into());
    let dist = Dist { owner: channel.clone(), package, version, subdir: None, archive };
    let expected = Expected { md5: md5(said.md5_checksum.as_deref())?, ..Expected::default() };
    let (id, secret) = stages
        .announce(talk.hosting, Announced { actor: talk.actor()?, dist, labels: Vec::new(), expected })
        .await?;
    let (upload_url, fields) = match said.method.as_deref() {
        Some("put_parts") => (format!("{}/api/cloudsmith/parts/{id}", talk.base), json!({})),
        _ => (delivery_url(talk), json!({"key": id, "secret": secret.reveal()})),
    };
    let said = json!({"identifier": id, "upload_url": upload_url, "upload_fields": fields});
    Ok((StatusCode::ACCEPTED, Json(said)).into_response())
}

async fn part(talk: &Talk<'_>, stages: &Stages, id: &str, request: Request) -> Answered {
    only("PUT", request.method())?;
    let actor = talk.actor()?;
    let part = parameter(&request, "part_number").ok_or_else(|| No::invalid("`part_number` is missing"))?;
    let part = number(&part, "`part_number`")?;
    let (arriving, mut assembly) = stages.part(talk.hosting, (id, &actor), part)?;
    let mut body = std::pin::pin!(pieces(request.into_body()));
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| {
            HostError::Invalid(format!(
                "the part broke off ({error}); nothing was published. Announce the upload again"
            ))
        })?;
        arriving.is_wanted()?;
        assembly.push(piece).await?;
    }
    arriving.has_part(assembly);
    Ok(StatusCode::OK.into_response())
}

#[derive(Deserialize)]
struct Complete {
    upload_id: String,
}

async fn complete(talk: &Talk<'_>, stages: &Stages, channel: &ChannelName, request: Request) -> Answered {
    only("POST", request.method())?;
    let actor = talk.actor()?;
    talk.may_publish(channel, None).await?;
    let Complete { upload_id } = document(request).await?;
    let (arriving, assembly) = stages.all_parts(&upload_id, &actor)?;
    let received = assembly.finish().await?;
    received.check(&arriving.what.expected)?;
    arriving.arrived(talk.hosting, received).await?;
    Ok(Json(json!({"identifier": upload_id})).into_response())
}

#[derive(Deserialize)]
struct Create {
    package_file: String,
}

async fn create(talk: &Talk<'_>, stages: &Stages, channel: &ChannelName, request: Request) -> Answered {
    only("POST", request.method())?;
    let actor = talk.actor()?;
    let Create { package_file: id } = document(request).await?;
    let (what, received) =
        match stages.finish(talk.hosting, (&id, &actor), |dist| dist.owner == *channel).await? {
            Found::Finished(said) => return Ok((StatusCode::CREATED, Json(said)).into_response()),
            Found::Arrived(what, received) => (what, received),
        };
    let Announced { dist, expected, .. } = &what;
    let (channel, archive, expected) = (&dist.owner, &dist.archive, *expected);
    let sent = Sent { channel, archive, subdir: None, labels: Vec::new(), expected, force: false };
    let published = stages.publish(&id, talk, sent, received).await?;
    let mut said = talk.shown(&published);
    said["slug_perm"] = Value::from(id.as_str());
    said["slug"] = Value::from(archive.as_str());
    stages.finished(talk.hosting, &id, said.clone()).await;
    Ok((StatusCode::CREATED, Json(said)).into_response())
}
