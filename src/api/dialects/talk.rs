//! What all dialects share: refusals, and the way from a body to a package.
//!
//! Belongs here: the steps and their answers. Does not: what a client's request looks like (a file each).

use std::io;
use std::str::FromStr;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{Stream, TryStreamExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use crate::api::channels::problem_of;
use crate::channel::{Author, HostError, Hosting, Published, Upload};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelName;
use crate::conda::digest::{Expected, Md5, Sha256};
use crate::conda::subdir::Subdir;
use crate::conda::url::dialect::Family;
use crate::http::problem::{MEDIA_TYPE, Problem};
use crate::identity::Visitor;
use crate::policy::access::Right;
use crate::sight::Sight;
use crate::store::model::PackageState;

/// The longest document that a dialect's request has beside its file: metadata of a package.
const LONGEST: usize = 4 << 20;

/// Why something is not done.
#[derive(Debug)]
pub(super) enum No {
    /// As the room of channels says.
    Host(HostError),
    /// The path takes other methods, these.
    Method(&'static str),
    /// What the sender takes to be there is not, or is.
    Precondition(String),
}

impl No {
    pub(super) fn invalid(sentence: impl Into<String>) -> Self {
        Self::Host(HostError::Invalid(sentence.into()))
    }

    pub(super) fn not_found(sentence: impl Into<String>) -> Self {
        Self::Host(HostError::NotFound(sentence.into()))
    }
}

impl From<HostError> for No {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

pub(super) type Answered = Result<Response, No>;

/// One request in a dialect.
pub(super) struct Talk<'a> {
    pub(super) sight: &'a Sight,
    pub(super) hosting: &'a Hosting,
    pub(super) visitor: &'a Visitor,
    /// What links begin with.
    pub(super) base: &'a str,
    pub(super) family: Family,
}

/// A file as somebody sends it.
pub(super) struct Sent<'a> {
    pub(super) channel: &'a ChannelName,
    pub(super) archive: &'a ArchiveName,
    pub(super) subdir: Option<Subdir>,
    pub(super) labels: Vec<String>,
    pub(super) expected: Expected,
    pub(super) force: bool,
}

impl Talk<'_> {
    /// The answer that says why not, where the dialect's clients look for it.
    pub(super) fn refused(&self, no: &No) -> Response {
        let (mut problem, allow) = match no {
            No::Host(error) => (problem_of(error), None),
            No::Method(allow) => {
                let sentence = format!("this path takes {allow} only");
                (Problem::method_not_allowed(sentence), Some(HeaderValue::from_static(allow)))
            }
            No::Precondition(sentence) => (Problem::precondition_failed(sentence.as_str()), None),
        };
        match (self.family, no) {
            (Family::Anaconda, _) => problem = problem.with_error(),
            // As quetz itself answers.
            (Family::Quetz, No::Host(HostError::WrongDigest(_))) => problem.status = 406,
            _ => {}
        }
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = problem.to_json(self.visitor.request);
        let mut answer = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        if let Some(seconds) = problem.retry_after {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = allow {
            answer.headers_mut().insert(header::ALLOW, allow);
        }
        answer
    }

    /// Whoever sends it, if that is known.
    pub(super) fn author(&self) -> Result<Author, No> {
        let nobody = || HostError::Unauthenticated(format!("this needs a credential; {WAYS}"));
        Ok(Author::of(self.visitor).ok_or_else(nobody)?)
    }

    /// The same, as audit events name them.
    pub(super) fn actor(&self) -> Result<String, No> {
        self.author()?;
        Ok(self.visitor.principal.as_ref().map_or_else(String::new, |who| who.actor().to_owned()))
    }

    /// Refuses, before a body is read, who may not publish there: strangers, those without the right, everybody where there is no such
    /// channel. `package` is not known yet where the file's name comes with the body.
    pub(super) async fn may_publish(&self, channel: &ChannelName, package: Option<&str>) -> Result<(), No> {
        self.author()?;
        // A right to some packages only can't be asked for without one; whoever may write may read.
        let right = if package.is_some() { Right::Write } else { Right::Read };
        self.hosting.check(self.visitor, channel, right, package)?;
        Ok(self.hosting.takes_uploads(channel).await?)
    }

    /// Refuses who may not read the channel.
    pub(super) async fn may_read(&self, channel: &ChannelName) -> Result<(), No> {
        match self.hosting.desk().channel(channel).await {
            Ok(row) if row.public => Ok(()),
            other => {
                // What is not there is said to those only who might have seen it.
                self.hosting.check(self.visitor, channel, Right::Read, None)?;
                Ok(other.map(drop)?)
            }
        }
    }

    /// Whether the file is there with other bytes already, as far as that is known before its bytes come.
    pub(super) async fn refuse_taken(&self, sent: &Sent<'_>) -> Result<(), No> {
        let (Some(subdir), Some(sha256), false) = (&sent.subdir, sent.expected.sha256, sent.force) else {
            return Ok(());
        };
        let there = match self.hosting.desk().package(sent.channel, subdir, sent.archive).await {
            // The first upload makes the channel.
            Err(HostError::NotFound(_)) => None,
            other => other?,
        };
        match there {
            Some(there) if there.state != PackageState::Deleted && there.sha256 != sha256 => {
                Err(HostError::Conflict(format!(
                    "`{}/{subdir}/{}` is published with other bytes (SHA-256 {}); published packages don't change: build with another \
                     build number",
                    sent.channel, sent.archive, there.sha256
                ))
                .into())
            }
            _ => Ok(()),
        }
    }

    /// Takes a raw body and publishes it. A SHA-1 is only compared: it is what some clients of Artifactory have.
    pub(super) async fn publish_body(
        &self,
        sent: Sent<'_>,
        sha1: Option<[u8; 20]>,
        request: Request,
    ) -> Result<Published, No> {
        let name = sent.archive.parts().map(|(name, _, _)| name);
        self.may_publish(sent.channel, name).await?;
        if request.headers().contains_key(header::CONTENT_RANGE) {
            // RFC 9110, 14.5: who does not know parts must not take one for the whole.
            return Err(No::invalid(
                "a part of a file can't be sent here; send it whole, without `Content-Range`",
            ));
        }
        self.refuse_taken(&sent).await?;
        let announced = announced(request.headers());
        let mut hash = sha1.map(|_| Sha1::new());
        let body = pieces(request.into_body()).inspect_ok(|piece| {
            if let Some(hash) = &mut hash {
                hash.update(piece);
            }
        });
        let received = self.hosting.receive(body, announced).await?;
        if hash.map(|hash| hash.finalize().into()) != sha1 {
            let sentence = "the file that arrived has another SHA-1 than its sender said; it was damaged on its way, or is another one";
            return Err(HostError::WrongDigest(sentence.to_owned()).into());
        }
        Ok(self.hosting.publish(self.visitor, sent.upload(None), received).await?)
    }

    /// What is said of something that is published now.
    pub(super) fn told(&self, status: StatusCode, published: &Published) -> Response {
        (status, Json(self.shown(published))).into_response()
    }

    pub(super) fn shown(&self, published: &Published) -> Value {
        let Published { created, channel, subdir, file, sha256, md5, size } = published;
        json!({
            "created": created, "channel": channel.as_str(), "subdir": subdir.as_str(), "file": file.as_str(),
            "sha256": sha256.to_hex(), "md5": md5.to_hex(), "size": size,
            "url": format!("{}/{channel}/{subdir}/{file}", self.base),
        })
    }
}

const WAYS: &str =
    "send a token of this gate that may write, as `Authorization: Bearer …` or as your client is told to";

impl Sent<'_> {
    pub(super) fn upload(self, attestation: Option<Bytes>) -> Upload {
        Upload {
            channel: self.channel.clone(),
            file: self.archive.clone(),
            subdir: self.subdir,
            labels: self.labels,
            expected: self.expected,
            force: self.force,
            attestation,
        }
    }
}

/// Refuses other methods than `allowed`, one or more joined by `, `.
pub(super) fn only(allowed: &'static str, method: &Method) -> Result<(), No> {
    if allowed.split(", ").any(|one| one == method.as_str()) { Ok(()) } else { Err(No::Method(allowed)) }
}

/// The pieces of a body.
pub(super) fn pieces(body: Body) -> impl Stream<Item = io::Result<Bytes>> + Send {
    body.into_data_stream().map_err(io::Error::other)
}

/// A small JSON document; what is not there is taken for an empty object.
pub(super) async fn document<T: DeserializeOwned>(request: Request) -> Result<T, No> {
    let body = axum::body::to_bytes(request.into_body(), LONGEST).await;
    let body = body.map_err(|_| No::invalid("the request's body broke off, or is longer than 4 MiB"))?;
    let body: &[u8] = if body.trim_ascii().is_empty() { b"{}" } else { &body };
    // What the parser says may repeat a part of the body; that is the sender's own.
    serde_json::from_slice(body).map_err(|error| {
        No::invalid(format!("the body can't be used as a JSON object of this request: {error}"))
    })
}

/// How long a body says it is.
pub(super) fn announced(headers: &HeaderMap) -> Option<u64> {
    header_text(headers, header::CONTENT_LENGTH.as_str())?.parse().ok()
}

pub(super) fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The last value of a parameter of the query.
pub(super) fn parameter(request: &Request, name: &str) -> Option<String> {
    let query = request.uri().query()?;
    url::form_urlencoded::parse(query.as_bytes())
        .filter_map(|(key, value)| (key == name).then(|| value.into_owned()))
        .last()
}

/// All values of a parameter of the query.
pub(super) fn parameters(request: &Request, name: &str) -> Vec<String> {
    let query = request.uri().query().unwrap_or_default();
    let all = url::form_urlencoded::parse(query.as_bytes());
    all.filter_map(|(key, value)| (key == name).then(|| value.into_owned())).collect()
}

/// The SHA-256 of `Content-Digest` (RFC 9530); other digests in it are not looked at.
pub(super) fn content_digest(headers: &HeaderMap) -> Result<Option<Sha256>, No> {
    let all = headers.get_all("content-digest").iter().filter_map(|value| value.to_str().ok());
    let mut all = all.flat_map(|line| line.split(',')).map(str::trim);
    let Some(text) = all.find_map(|one| one.strip_prefix("sha-256=")) else { return Ok(None) };
    let base64 = text.strip_prefix(':').and_then(|text| text.strip_suffix(':'));
    let bytes = base64.and_then(|text| STANDARD.decode(text).ok()).and_then(|bytes| bytes.try_into().ok());
    let no = || HostError::WrongDigest("`Content-Digest` has no SHA-256 as `sha-256=:base64:`".to_owned());
    Ok(Some(Sha256(bytes.ok_or_else(no)?)))
}

/// `true` and `false` in whatever case and word; Python says `True`.
pub(super) fn flag(text: Option<&str>) -> Result<bool, No> {
    match text.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "false" | "0" | "no" | "off") => Ok(false),
        Some("true" | "1" | "yes" | "on") => Ok(true),
        Some(_) => Err(No::invalid("a flag of this request is neither `true` nor `false`")),
    }
}

/// A digest that a client sends. One that can't be read is no reason to take the file without looking.
pub(super) fn sha256(text: Option<&str>) -> Result<Option<Sha256>, No> {
    read(text, "SHA-256", 64, Sha256::from_hex)
}

/// As [`sha256`].
pub(super) fn md5(text: Option<&str>) -> Result<Option<Md5>, No> {
    read(text, "MD5", 32, Md5::from_hex)
}

/// As [`sha256`].
pub(super) fn sha1(text: Option<&str>) -> Result<Option<[u8; 20]>, No> {
    read(text, "SHA-1", 40, |text| {
        let mut bytes = [0; 20];
        hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
    })
}

fn read<T>(
    text: Option<&str>,
    what: &str,
    digits: usize,
    from: fn(&str) -> Option<T>,
) -> Result<Option<T>, No> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let no = || {
        HostError::WrongDigest(format!("the {what} that was sent is no {what}: it has {digits} hex digits"))
    };
    from(text).map(Some).ok_or_else(|| no().into())
}

/// The name of a package file, where a client sends one; some send its directory too.
pub(super) fn file_name(text: Option<&str>) -> Result<ArchiveName, No> {
    let text =
        text.ok_or_else(|| No::invalid("the file came without a name; send it as `filename` of its part"))?;
    let file = text.rsplit('/').next().unwrap_or(text);
    ArchiveName::parse(file).ok_or_else(|| {
        No::invalid(
            "the file's name is no name of a package: that is `<name>-<version>-<build>.conda` or `.tar.bz2`",
        )
    })
}

/// A number that a client sends as text.
pub(super) fn number<T: FromStr>(text: &str, what: &str) -> Result<T, No> {
    text.trim().parse().map_err(|_| No::invalid(format!("{what} is no number")))
}
