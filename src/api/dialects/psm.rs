//! Anaconda's newer API (`anaconda upload` with a namespace): a form with the file, its kind and its length.
//!
//! ```text
//! POST /api/repo/channels/<channel>[/subchannels/<name>]/artifacts     parts `content`, `filetype`, `size`
//! ```
//!
//! Belongs here: this protocol. Does not: publishing.

use axum::extract::Request;
use axum::http::StatusCode;

use super::form::Form;
use super::talk::{Answered, No, Sent, Talk, file_name, number, only};
use crate::conda::channel::ChannelName;
use crate::conda::digest::Expected;

pub(super) async fn upload(talk: &Talk<'_>, channel: &ChannelName, request: Request) -> Answered {
    only("POST", request.method())?;
    talk.may_publish(channel, None).await?;
    let mut form = Form::of(request).await?;
    let (mut file, mut size) = (None, None);
    while let Some(part) = form.next().await? {
        match part.name() {
            "content" if file.is_none() => {
                let archive = file_name(part.file_name())?;
                talk.may_publish(channel, archive.parts().map(|(name, _, _)| name)).await?;
                let announced = part.announced();
                file = Some((archive, talk.hosting.receive(part.pieces(), announced).await?));
            }
            "filetype" => {
                let kind = part.text().await?;
                if !kind.starts_with("conda") {
                    return Err(No::invalid("only conda packages can be published here"));
                }
            }
            "size" => size = Some(number(&part.text().await?, "the part `size`")?),
            _ => {
                return Err(No::invalid(
                    "the form has the parts `content`, `filetype` and `size`, and no others",
                ));
            }
        }
    }
    let (archive, received) = file.ok_or_else(|| No::invalid("the form has no part `content`"))?;
    let expected = Expected { size, ..Expected::default() };
    let sent = Sent { channel, archive: &archive, subdir: None, labels: Vec::new(), expected, force: false };
    let published = talk.hosting.publish(talk.visitor, sent.upload(None), received).await?;
    let status = if published.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(talk.told(status, &published))
}
