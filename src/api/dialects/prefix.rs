//! prefix.dev: a form with the file and perhaps its attestation (`rattler-build upload prefix`, `pixi upload prefix`).
//!
//! ```text
//! POST /api/v1/upload/<channel>?force=…     parts `file` (X-File-SHA256), `attestation`
//! ```
//!
//! Belongs here: this protocol. Does not: publishing.

use axum::extract::Request;
use axum::http::StatusCode;

use super::form::Form;
use super::talk::{Answered, No, Sent, Talk, file_name, flag, header_text, only, parameter, sha256};
use crate::conda::channel::ChannelName;
use crate::conda::digest::Expected;

const NAME: &str = "x-file-name";
const DIGEST: &str = "x-file-sha256";
/// A sigstore bundle.
const LONGEST_ATTESTATION: usize = 4 << 20;

pub(super) async fn upload(talk: &Talk<'_>, channel: &ChannelName, request: Request) -> Answered {
    only("POST", request.method())?;
    talk.may_publish(channel, None).await?;
    let force = flag(parameter(&request, "force").as_deref())?;
    let outer = header_text(request.headers(), DIGEST).map(str::to_owned);
    let mut form = Form::of(request).await?;
    let (mut file, mut attestation) = (None, None);
    while let Some(part) = form.next().await? {
        match part.name() {
            "file" if file.is_none() => {
                let archive = file_name(part.file_name().or_else(|| part.header(NAME)))?;
                talk.may_publish(channel, archive.parts().map(|(name, _, _)| name)).await?;
                let digest = sha256(part.header(DIGEST).or(outer.as_deref()))?;
                let announced = part.announced();
                let received = talk.hosting.receive(part.pieces(), announced).await?;
                file = Some((archive, digest, received));
            }
            "attestation" if attestation.is_none() => {
                attestation = Some(part.bytes(LONGEST_ATTESTATION).await?);
            }
            _ => {
                return Err(No::invalid(
                    "the form has one part `file` and perhaps one part `attestation`, and no others",
                ));
            }
        }
    }
    let (archive, digest, received) = file.ok_or_else(|| No::invalid("the form has no part `file`"))?;
    let expected = Expected { sha256: digest, ..Expected::default() };
    let sent = Sent { channel, archive: &archive, subdir: None, labels: Vec::new(), expected, force };
    let published = talk.hosting.publish(talk.visitor, sent.upload(attestation), received).await?;
    let status = if published.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(talk.told(status, &published))
}
