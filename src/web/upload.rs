//! Uploading packages: a form that works as it is, and with the script drops of many files with progress.
//!
//! Belongs here: the form and its answers. Does not: taking a package in (`channel`).

use std::pin::pin;

use askama::Template;
use axum::Json;
use axum::extract::{Extension, Query, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::desk::{Desk, Flash};
use super::page::{self, Page};
use super::parts::{self, Parts};
use super::posted;
use super::sorry::Sorry;
use crate::channel::{Published, Upload};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelName;
use crate::conda::digest::Expected;
use crate::policy::access::Right;

#[derive(Deserialize)]
pub(super) struct Asked {
    channel: Option<String>,
}

#[derive(Template)]
#[template(path = "upload.html")]
struct UploadPage {
    page: Page,
    channels: Vec<String>,
    chosen: String,
}

pub(super) async fn show(
    Extension(desk): Extension<Desk>,
    Query(asked): Query<Asked>,
) -> Result<Response, Sorry> {
    desk.signed_in()?;
    let may = |spot: &crate::delivery::catalogue::Spot| {
        spot.is_hosted() && desk.may(&spot.name, Right::Write, None)
    };
    let channels: Vec<String> =
        desk.spots().await.iter().filter(|spot| may(spot)).map(|spot| spot.name.to_string()).collect();
    let chosen = asked.channel.filter(|channel| channels.contains(channel)).unwrap_or_default();
    Ok(page::show(&UploadPage { page: desk.page("upload"), channels, chosen }))
}

pub(super) async fn take(Extension(desk): Extension<Desk>, request: Request) -> Response {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let is_script = accept.is_some_and(|accept| accept.starts_with("application/json"));
    match (taken(&desk, request).await, is_script) {
        (Ok((published, name)), false) => {
            let told = Flash::good(said(&published));
            desk.tell(&format!("/-/ui/channels/{}/-/{name}", published.channel), &told)
        }
        (Ok((published, _)), true) => {
            (StatusCode::CREATED, Json(json!({"detail": said(&published)}))).into_response()
        }
        (Err(sorry), true) => (sorry.status, Json(json!({"detail": sorry.sentence}))).into_response(),
        (Err(sorry), false) => sorry.into_response(),
    }
}

fn said(published: &Published) -> String {
    let place = format!("{}/{}/{}", published.channel, published.subdir, published.file);
    if published.created {
        format!("{place} is published.")
    } else {
        format!("{place} was there already, with the same bytes.")
    }
}

/// The words come before the file, so that whoever may not publish is told before it is sent.
async fn taken(desk: &Desk, request: Request) -> Result<(Published, String), Sorry> {
    desk.signed_in()?;
    let headers = request.headers().clone();
    let mut form = Parts::of(request).await?;
    let (mut csrf, mut channel, mut labels) = (String::new(), String::new(), String::new());
    let room = form.room();
    while let Some(field) = form.next().await? {
        let name = field.name().unwrap_or_default().to_owned();
        match &*name {
            "csrf" => csrf = parts::text(field).await?,
            "channel" => channel = parts::text(field).await?,
            "labels" => labels = parts::text(field).await?,
            "file" => {
                posted::check(desk, &headers, &csrf)?;
                let file = field.file_name().unwrap_or_default().to_owned();
                let upload = upload(desk, &channel, &file, &labels)?;
                let name = upload.file.parts().map_or_else(String::new, |(name, _, _)| name.to_owned());
                desk.web.hosting.check(&desk.visitor, &upload.channel, Right::Write, Some(&name))?;
                desk.web.hosting.takes_uploads(&upload.channel).await?;
                let received = desk.web.hosting.receive(pin!(parts::pieces(field, room)), None).await?;
                let published = desk.web.hosting.publish(&desk.visitor, upload, received).await?;
                return Ok((published, name));
            }
            _ => {}
        }
    }
    posted::check(desk, &headers, &csrf)?;
    Err(Sorry::invalid("choose a file to upload"))
}

fn upload(desk: &Desk, channel: &str, file: &str, labels: &str) -> Result<Upload, Sorry> {
    let channel =
        ChannelName::parse(channel).ok_or_else(|| Sorry::invalid("choose a channel to upload to"))?;
    desk.spot(&channel)?;
    if file.is_empty() {
        return Err(Sorry::invalid("choose a file to upload"));
    }
    let shown: String = file.chars().filter(|c| !c.is_control()).take(80).collect();
    let file = ArchiveName::parse(file).ok_or_else(|| {
        Sorry::invalid(format!(
            "“{shown}” is not the name of a package: NAME-VERSION-BUILD.conda or .tar.bz2"
        ))
    })?;
    Ok(Upload {
        channel,
        file,
        subdir: None,
        labels: split(labels),
        expected: Expected::default(),
        force: false,
        attestation: None,
    })
}

/// Words with commas between them.
pub(super) fn split(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
