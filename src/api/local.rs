//! `PUT` and `GET /hosted/<channel>/-/<subdir>/<file>` on the control socket: packages that the machine's administrator brings in
//! (`condagate channel import`). The subdir may be `-`: the package's own.
//!
//! Belongs here: the request and its answer. Does not: what is done (`channel`).

use std::io;

use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use axum::{Json, Router};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::channel::view::PackageView;
use crate::channel::{Author, HostError, Hosting, Upload};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelName;
use crate::conda::digest::{Expected, Md5, Sha256};
use crate::conda::subdir::Subdir;

/// The routes.
pub fn router(hosting: Hosting) -> Router {
    Router::new().route("/hosted/{*rest}", put(take).get(show)).with_state(hosting)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    /// Separated by commas, which no label has.
    labels: String,
    sha256: Option<String>,
    md5: Option<String>,
    account: String,
}

type Answered = Result<Json<Value>, Failed>;

struct Failed(HostError);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body =
            json!({"title": "it was not taken in", "status": status.as_u16(), "detail": self.0.to_string()});
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}

impl From<HostError> for Failed {
    fn from(error: HostError) -> Self {
        Self(error)
    }
}

fn spot(rest: &str) -> Result<(ChannelName, Option<Subdir>, ArchiveName), HostError> {
    let read = || {
        let (channel, file) = rest.split_once("/-/")?;
        let (subdir, file) = file.split_once('/')?;
        let subdir = if subdir == "-" { None } else { Some(Subdir::parse(subdir)?) };
        Some((ChannelName::parse(channel)?, subdir, ArchiveName::parse(file)?))
    };
    read().ok_or_else(|| HostError::Invalid(format!("`{}` is no place of a package", rest.escape_debug())))
}

async fn take(
    State(hosting): State<Hosting>,
    Path(rest): Path<String>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Answered {
    let (channel, subdir, file) = spot(&rest)?;
    let author = Author::command_line(&asked.account)
        .ok_or_else(|| HostError::Internal("it is not known who asks".to_owned()))?;
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
    let body = request.into_body().into_data_stream().map(|piece| piece.map_err(io::Error::other));
    let received = hosting.receive(body, announced).await?;
    let labels = asked.labels.split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect();
    let expected = Expected {
        sha256: asked.sha256.as_deref().and_then(Sha256::from_hex),
        md5: asked.md5.as_deref().and_then(Md5::from_hex),
        size: None,
    };
    let upload = Upload { channel, file, subdir, labels, expected, force: false, attestation: None };
    let published = hosting.publish_as(&author, upload, received).await?;
    Ok(Json(json!({
        "created": published.created,
        "subdir": published.subdir.as_str(),
        "file": published.file.as_str(),
        "sha256": published.sha256.to_hex(),
        "size": published.size,
    })))
}

async fn show(State(hosting): State<Hosting>, Path(rest): Path<String>) -> Answered {
    let (channel, subdir, file) = spot(&rest)?;
    let found = if let Some(subdir) = &subdir {
        hosting.desk().package(&channel, subdir, &file).await?
    } else {
        let name = file.parts().map_or("", |(name, _, _)| name);
        let all = hosting.desk().packages_named(&channel, name).await?;
        all.into_iter().find(|package| package.file == file.as_str())
    };
    let package = found.ok_or_else(|| HostError::NotFound(format!("there is no `{file}` in `{channel}`")))?;
    Ok(Json(json!(PackageView::from(&package))))
}
