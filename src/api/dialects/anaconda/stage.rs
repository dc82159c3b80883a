//! An upload in three steps.
//!
//! ```text
//! POST /stage/<owner>/<package>/<version>/<subdir>/<file>      {sha256, channels: [labels]} → {post_url, form_data, dist_id}
//! POST <post_url>                                              form_data and part `file`, no credential → 201
//! POST /commit/<owner>/<package>/<version>/<subdir>/<file>     {dist_id} → the file
//! ```
//!
//! What the second step says of failures is S3's XML: its clients read nothing else. So it says little; what is wrong with a package is
//! said by the third.
//!
//! Belongs here: these requests. Does not: what is kept between them (`stages`).

use std::io;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::form::Form;
use super::super::stages::{Announced, Found, Stages};
use super::super::talk::{Answered, No, Sent, Talk, document, number, only, sha256};
use super::done;
use crate::channel::HostError;
use crate::conda::digest::{Expected, Md5};
use crate::conda::url::dialect::Dist;

/// The rest of it is metadata that is in the package too.
#[derive(Deserialize)]
struct Announcement {
    sha256: Option<String>,
    #[serde(default)]
    channels: Option<Vec<String>>,
    #[serde(default)]
    distribution_type: Option<String>,
}

pub(super) async fn announce(talk: &Talk<'_>, stages: &Stages, dist: &Dist, request: Request) -> Answered {
    only("POST", request.method())?;
    talk.may_publish(&dist.owner, Some(&dist.package)).await?;
    let said: Announcement = document(request).await?;
    if said.distribution_type.as_deref().is_some_and(|kind| kind != "conda") {
        return Err(No::invalid("only conda packages can be published here"));
    }
    agrees(dist)?;
    let labels = said.channels.unwrap_or_default();
    let expected = Expected { sha256: sha256(said.sha256.as_deref())?, ..Expected::default() };
    talk.refuse_taken(&sent(dist, Vec::new(), expected)).await?;
    let what = Announced { actor: talk.actor()?, dist: dist.clone(), labels, expected };
    let (id, secret) = stages.announce(talk.hosting, what).await?;
    let form = json!({"key": id, "secret": secret.reveal()});
    let post_url = delivery_url(talk);
    Ok(done(
        StatusCode::OK,
        json!({"post_url": post_url, "form_data": form, "dist_id": id, "basename": dist.archive.as_str()}),
    ))
}

/// The path names package and version, and so does the file.
fn agrees(dist: &Dist) -> Result<(), No> {
    let same = dist.archive.parts().is_some_and(|(name, version, _)| {
        name.eq_ignore_ascii_case(&dist.package) && version == &*dist.version
    });
    if same {
        Ok(())
    } else {
        Err(No::invalid("the file's name does not begin with the package and version of this path"))
    }
}

fn sent(dist: &Dist, labels: Vec<String>, expected: Expected) -> Sent<'_> {
    let (channel, archive, subdir) = (&dist.owner, &dist.archive, dist.subdir.clone());
    Sent { channel, archive, subdir, labels, expected, force: false }
}

/// Where the bytes of announced uploads go.
pub(in super::super) fn delivery_url(talk: &Talk<'_>) -> String {
    format!("{}/stage/-/file", talk.base)
}

/// The bytes. Exactly 201 is a success.
pub(super) async fn deliver(talk: &Talk<'_>, stages: &Stages, request: Request) -> Response {
    match delivered(talk, stages, request).await {
        Ok(()) => xml(StatusCode::CREATED, "<PostResponse></PostResponse>".to_owned()),
        Err(no) => {
            let (status, code, sentence) = match no {
                No::Method(_) => (405, "MethodNotAllowed", "this takes POST only".to_owned()),
                No::Precondition(sentence) => (412, "PreconditionFailed", sentence),
                No::Host(error) => (error.status(), code(&error), error.to_string()),
            };
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            xml(status, format!("<Error><Code>{code}</Code><Message>{}</Message></Error>", escape(&sentence)))
        }
    }
}

async fn delivered(talk: &Talk<'_>, stages: &Stages, request: Request) -> Result<(), No> {
    only("POST", request.method())?;
    let mut form = Form::of(request).await?;
    let (mut key, mut secret, mut said) = (None, None, Expected::default());
    while let Some(part) = form.next().await? {
        match part.name() {
            "key" => key = Some(part.text().await?),
            "secret" => secret = Some(part.text().await?),
            "Content-Length" => said.size = Some(number(&part.text().await?, "`Content-Length`")?),
            "Content-MD5" => said.md5 = Some(md5(&part.text().await?)?),
            "file" => {
                let (Some(key), Some(secret)) = (&key, &secret) else {
                    return Err(No::invalid("`key` and `secret` of the announcement come before the file"));
                };
                let arriving = stages.arrive(key, secret)?;
                let announced = part.announced().or(said.size);
                let wanted = || arriving.is_wanted().map_err(io::Error::other);
                let body = part.pieces().map(|piece| piece.and_then(|piece| wanted().map(|()| piece)));
                let received = talk.hosting.receive(body, announced).await?;
                received.check(&said)?;
                received.check(&arriving.what.expected)?;
                // The form has an end too, and an upload without it is not whole.
                while let Some(rest) = form.next().await? {
                    rest.text().await?;
                }
                arriving.arrived(talk.hosting, received).await?;
                return Ok(());
            }
            _ => {
                part.text().await?;
            }
        }
    }
    Err(No::invalid("the form has no part `file`"))
}

fn md5(text: &str) -> Result<Md5, No> {
    let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let no = || HostError::WrongDigest("`Content-MD5` is no MD5 in base64".to_owned());
    Ok(Md5(bytes.ok_or_else(no)?))
}

const fn code(error: &HostError) -> &'static str {
    match error {
        HostError::WrongDigest(_) => "InvalidDigest",
        HostError::TooLarge(_) => "EntityTooLarge",
        HostError::Unauthenticated(_) | HostError::Forbidden(_) => "AccessDenied",
        HostError::NotFound(_) => "NoSuchUpload",
        HostError::Conflict(_) => "OperationAborted",
        HostError::Invalid(_) => "InvalidRequest",
        HostError::Busy(_) => "SlowDown",
        HostError::NoSpace(_) | HostError::Unavailable(_) => "ServiceUnavailable",
        HostError::Internal(_) => "InternalError",
    }
}

fn xml(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[derive(Deserialize)]
struct Finish {
    dist_id: String,
}

pub(super) async fn commit(talk: &Talk<'_>, stages: &Stages, dist: &Dist, request: Request) -> Answered {
    only("POST", request.method())?;
    let actor = talk.actor()?;
    let Finish { dist_id } = document(request).await?;
    let (what, received) =
        match stages.finish(talk.hosting, (&dist_id, &actor), |announced| announced == dist).await? {
            Found::Finished(said) => return Ok(done(StatusCode::OK, said)),
            Found::Arrived(what, received) => (what, received),
        };
    let published = stages.publish(&dist_id, talk, sent(dist, what.labels, what.expected), received).await?;
    let mut said = talk.shown(&published);
    said["dist_id"] = Value::from(dist_id.as_str());
    said["basename"] = Value::from(format!("{}/{}", published.subdir, published.file));
    stages.finished(talk.hosting, &dist_id, said.clone()).await;
    Ok(done(StatusCode::OK, said))
}
