//! Artifactory, and anybody with curl: a package is put where it will be got (`rattler-build upload artifactory`, `curl -T`).
//!
//! ```text
//! PUT DELETE /<channel>[/label/<label>]/<subdir>/<file>     X-Checksum-Sha256, X-Checksum-Md5, Content-Digest; ?force=…
//! ```
//!
//! Its clients ask with `X-Checksum-Deploy` whether bytes are known by their digest; 404 has them send the bytes.
//!
//! Belongs here: this protocol. Does not: publishing.

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;

use super::talk::{
    Answered, No, Sent, Talk, content_digest, flag, header_text, md5, only, parameter, sha1, sha256,
};
use crate::channel::{HostError, Retract};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelRef;
use crate::conda::digest::Expected;
use crate::conda::subdir::Subdir;
use crate::delivery::package_etag;
use crate::http::conditional::{Outcome, Preconditions, evaluate};
use crate::policy::access::Right;
use crate::store::model::PackageState;

pub(super) async fn file(
    talk: &Talk<'_>,
    (channel, subdir, archive): (&ChannelRef, &Subdir, &ArchiveName),
    request: Request,
) -> Answered {
    only("GET, HEAD, PUT, DELETE", request.method())?;
    let name = archive.parts().map(|(name, _, _)| name);
    if let Err(error) = talk.hosting.takes_uploads(&channel.name).await {
        // Where there is nothing to put it into, no credential would help; who could make the channel is told so.
        let could = talk.hosting.check(talk.visitor, &channel.name, Right::Write, name).is_ok();
        let there_is_none = matches!(error, HostError::NotFound(_)) && !could;
        return Err(if there_is_none { No::Method("GET, HEAD") } else { error.into() });
    }
    check_conditions(talk, (channel, subdir, archive), request.headers()).await?;
    if request.method() == axum::http::Method::DELETE {
        let changed = talk
            .hosting
            .retract(talk.visitor, (&channel.name, subdir, archive), Retract::Delete, None)
            .await?;
        let gone = || No::not_found(format!("there is no `{channel}/{subdir}/{archive}`"));
        return if changed { Ok(StatusCode::NO_CONTENT.into_response()) } else { Err(gone()) };
    }
    let headers = request.headers();
    let told = |name: &str| header_text(headers, name);
    if flag(told("x-checksum-deploy"))? {
        talk.may_publish(&channel.name, name).await?;
        return Err(No::not_found("files are not taken by their digests; send the bytes"));
    }
    let (expected, sha1) = expected(headers)?;
    let sent = Sent {
        channel: &channel.name,
        archive,
        subdir: Some(subdir.clone()),
        labels: channel.label.iter().map(ToString::to_string).collect(),
        expected,
        force: flag(parameter(&request, "force").as_deref())?,
    };
    let published = talk.publish_body(sent, sha1, request).await?;
    let status = if published.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(talk.told(status, &published))
}

/// What the sender says of the bytes; the SHA-1 beside it.
pub(super) fn expected(headers: &HeaderMap) -> Result<(Expected, Option<[u8; 20]>), No> {
    let told = |name: &str| header_text(headers, name);
    let (of_clients, of_http) = (sha256(told("x-checksum-sha256"))?, content_digest(headers)?);
    if of_clients.is_some() && of_http.is_some() && of_clients != of_http {
        let sentence = "`Content-Digest` and `X-Checksum-Sha256` say different things".to_owned();
        return Err(HostError::WrongDigest(sentence).into());
    }
    let md5 = md5(told("x-checksum-md5").or_else(|| told("x-checksum").filter(|text| text.len() == 32)))?;
    let expected = Expected { sha256: of_clients.or(of_http), md5, size: None };
    Ok((expected, sha1(told("x-checksum-sha1"))?))
}

/// What the sender says of what is there must hold (RFC 9110, 13.1); asked after the right to write, so that it tells strangers nothing.
pub(super) async fn check_conditions(
    talk: &Talk<'_>,
    (channel, subdir, archive): (&ChannelRef, &Subdir, &ArchiveName),
    headers: &HeaderMap,
) -> Result<(), No> {
    let given = Preconditions {
        if_match: header_text(headers, "if-match"),
        if_none_match: header_text(headers, "if-none-match"),
        ..Preconditions::default()
    };
    if given == Preconditions::default() {
        return Ok(());
    }
    talk.may_publish(&channel.name, archive.parts().map(|(name, _, _)| name)).await?;
    let there = match talk.hosting.desk().package(&channel.name, subdir, archive).await {
        // The first upload makes the channel.
        Err(HostError::NotFound(_)) => None,
        other => other?.filter(|there| there.state != PackageState::Deleted),
    };
    let holds = match &there {
        Some(there) => {
            let etag = package_etag(&Expected { sha256: Some(there.sha256), ..Expected::default() });
            evaluate(&given, false, etag.as_ref(), None) == Outcome::Proceed
        }
        None => given.if_match.is_none(),
    };
    if holds {
        return Ok(());
    }
    let is = if there.is_some() {
        "there, and is not what `If-Match` or `If-None-Match` asks for"
    } else {
        "not there"
    };
    Err(No::Precondition(format!("`{channel}/{subdir}/{archive}` is {is}; nothing was changed")))
}
