//! `/-/api/v1/channels…`: the team's own channels and what is in them.
//!
//! ```text
//! GET POST             channels
//! GET PATCH DELETE     channels/<name>                               DELETE wants ?confirm=<name>
//! POST                 channels/<name>/-/restore
//! GET                  channels/<name>/-/packages                    ?name= &subdir= &after=<subdir>/<file> &limit=
//! GET DELETE           channels/<name>/-/packages/<subdir>/<file>
//! POST                 channels/<name>/-/packages/<subdir>/<file>/yank | restore | labels | copy
//! ```
//!
//! Names of channels have slashes; no part of one begins with `-`, so `/-/` ends it.
//!
//! Belongs here: paths, bodies, answers. Does not: what is done (`channel`).

use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::search;
use super::v1::answers::{check_match, tagged};
use crate::channel::view::{ChannelView, PackageView};
use crate::channel::{
    Author, ChannelChange, ChannelSettings, Copied, HostError, Hosting, Labels, NewChannel, Quota, Retract,
};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelName;
use crate::conda::subdir::Subdir;
use crate::http::problem::{MEDIA_TYPE, Problem};
use crate::identity::Visitor;
use crate::policy::access::Right;
use crate::store::model::{Channel, PackageState};

/// Rows of a page of which nothing else is said, and most of them.
const PAGE: u32 = 100;
const LONGEST_PAGE: u32 = 1000;

/// The routes, below `/-`.
pub fn router(hosting: Hosting) -> Router {
    Router::new()
        .route("/api/v1/channels", get(list).post(create))
        .route("/api/v1/channels/{*rest}", any(one))
        .route("/api/v1/search", get(search::search))
        .with_state(hosting)
}

/// A refusal, which is an answer too.
pub(super) struct Refusal(Box<Response>);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        *self.0
    }
}

pub(super) type Answered = Result<Response, Refusal>;

/// What went wrong, as a problem.
pub(super) fn problem_of(error: &HostError) -> Problem {
    let sentence = error.to_string();
    match error {
        HostError::Unauthenticated(_) => Problem::unauthorized(sentence),
        HostError::Forbidden(_) => Problem::forbidden(sentence),
        HostError::NotFound(_) => Problem::not_found(sentence),
        HostError::Conflict(_) => Problem::conflict(sentence),
        HostError::Invalid(_) | HostError::WrongDigest(_) => Problem::unprocessable(sentence),
        HostError::TooLarge(_) => Problem::payload_too_large(sentence),
        HostError::NoSpace(_) => Problem::insufficient_storage(sentence),
        HostError::Busy(_) | HostError::Unavailable(_) => Problem::unavailable(sentence).with_retry_after(5),
        HostError::Internal(_) => Problem::internal(sentence),
    }
}

/// The answer that says what went wrong.
pub(super) fn refused(visitor: &Visitor, error: &HostError) -> Response {
    let problem = problem_of(error);
    let body = problem.to_json(visitor.request);
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
    if let Some(seconds) = problem.retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// A request, and what it may do.
pub(super) struct Desk<'a> {
    pub(super) hosting: &'a Hosting,
    pub(super) visitor: &'a Visitor,
}

impl Desk<'_> {
    pub(super) fn told<T>(&self, done: Result<T, HostError>) -> Result<T, Refusal> {
        done.map_err(|error| Refusal(Box::new(refused(self.visitor, &error))))
    }

    pub(super) fn no<T>(&self, error: HostError) -> Result<T, Refusal> {
        self.told(Err(error))
    }

    fn body<T: for<'de> Deserialize<'de>>(&self, body: &[u8], shape: &str) -> Result<T, Refusal> {
        let body = if body.is_empty() { b"{}" } else { body };
        self.told(serde_json::from_slice(body).map_err(|error| {
            HostError::Invalid(format!("the body must be a JSON object with {shape} ({error})"))
        }))
    }

    /// Whoever may do that to the channel.
    fn author(&self, channel: &ChannelName, right: Right, package: Option<&str>) -> Result<Author, Refusal> {
        self.told(self.hosting.check(self.visitor, channel, right, package))?;
        let nobody = || HostError::Unauthenticated("this needs a credential".to_owned());
        self.told(Author::of(self.visitor).ok_or_else(nobody))
    }

    /// Whether the caller may know of a channel.
    pub(super) fn may_read(&self, channel: &Channel) -> bool {
        let right = |name: &ChannelName| self.hosting.check(self.visitor, name, Right::Read, None).is_ok();
        channel.deleted_at.is_none()
            && (channel.public || ChannelName::parse(&channel.name).as_ref().is_some_and(right))
    }

    async fn readable(&self, name: &ChannelName) -> Result<ChannelView, Refusal> {
        let channel = match self.hosting.desk().channel(name).await {
            Ok(channel) if channel.public => return Ok(self.hosting.desk().view(&channel)),
            other => other,
        };
        // What is not there is said to those only who might have seen it.
        self.told(self.hosting.check(self.visitor, name, Right::Read, None))?;
        self.told(channel).map(|channel| self.hosting.desk().view(&channel))
    }
}

#[derive(Deserialize)]
struct Page {
    after: Option<String>,
    limit: Option<u32>,
    name: Option<String>,
    subdir: Option<String>,
    confirm: Option<String>,
}

impl Page {
    fn limit(&self) -> u32 {
        self.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE)
    }
}

async fn list(
    State(hosting): State<Hosting>,
    Extension(visitor): Extension<Visitor>,
    Query(page): Query<Page>,
) -> Answered {
    let desk = Desk { hosting: &hosting, visitor: &visitor };
    let rows = desk.told(hosting.desk().channels(page.after.as_deref(), page.limit()).await)?;
    let next = rows.last().filter(|_| rows.len() == page.limit() as usize).map(|last| last.name.clone());
    let shown: Vec<ChannelView> =
        rows.iter().filter(|channel| desk.may_read(channel)).map(|row| hosting.desk().view(row)).collect();
    Ok(Json(json!({"channels": shown, "next": next})).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    #[serde(default)]
    public: bool,
    #[serde(default)]
    description: String,
    quota: Option<u64>,
    #[serde(default)]
    settings: ChannelSettings,
}

async fn create(
    State(hosting): State<Hosting>,
    Extension(visitor): Extension<Visitor>,
    body: axum::body::Bytes,
) -> Answered {
    let desk = Desk { hosting: &hosting, visitor: &visitor };
    let new: Create = desk.body(&body, "`name` and perhaps `public`, `description`, `quota`, `settings`")?;
    let Some(name) = ChannelName::parse(&new.name) else {
        return desk.no(HostError::Invalid(format!("`{}` is no name of a channel", new.name.escape_debug())));
    };
    let author = desk.author(&name, Right::Manage, None)?;
    let new = NewChannel {
        public: new.public,
        description: new.description,
        quota: new.quota,
        settings: new.settings,
    };
    let channel = desk.told(hosting.desk().create_channel(&author, &name, new).await)?;
    Ok((StatusCode::CREATED, Json(hosting.desk().view(&channel))).into_response())
}

/// The entity tag of a channel.
fn tag(channel: &Channel) -> String {
    format!("\"{}.{}\"", channel.id, channel.revision)
}

/// What stands behind `channels/`.
enum Behind {
    Channel,
    Restore,
    Packages,
    Package(Subdir, ArchiveName, Option<String>),
}

fn behind(rest: &str) -> Option<(ChannelName, Behind)> {
    let (name, rest) = rest.split_once("/-/").map_or((rest, None), |(name, rest)| (name, Some(rest)));
    let name = ChannelName::parse(name)?;
    let Some(rest) = rest else { return Some((name, Behind::Channel)) };
    let parts: Vec<&str> = rest.split('/').collect();
    let what = match parts[..] {
        ["restore"] => Behind::Restore,
        ["packages"] => Behind::Packages,
        ["packages", subdir, file] => {
            Behind::Package(Subdir::parse(subdir)?, ArchiveName::parse(file)?, None)
        }
        ["packages", subdir, file, action] => {
            Behind::Package(Subdir::parse(subdir)?, ArchiveName::parse(file)?, Some(action.to_owned()))
        }
        _ => return None,
    };
    Some((name, what))
}

async fn one(
    State(hosting): State<Hosting>,
    Extension(visitor): Extension<Visitor>,
    Path(rest): Path<String>,
    Query(page): Query<Page>,
    method: Method,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Answered {
    let desk = Desk { hosting: &hosting, visitor: &visitor };
    let Some((name, what)) = behind(&rest) else {
        return desk.no(HostError::NotFound("the API has no such page".to_owned()));
    };
    match (&method, what) {
        (&Method::GET, Behind::Channel) => {
            let view = desk.readable(&name).await?;
            Ok(tagged(&headers, &format!("\"{}.{}\"", view.id, view.revision), &view))
        }
        (&Method::PATCH, Behind::Channel) => desk.change(&name, &headers, &body).await,
        (&Method::DELETE, Behind::Channel) => desk.remove(&name, &headers, page.confirm.as_deref()).await,
        (&Method::POST, Behind::Restore) => {
            let author = desk.author(&name, Right::Manage, None)?;
            let changed = desk.told(hosting.desk().delete_channel(&author, &name, false).await)?;
            Ok(Json(json!({"name": name.as_str(), "changed": changed})).into_response())
        }
        (&Method::GET, Behind::Packages) => desk.packages(&name, &page).await,
        (&Method::GET, Behind::Package(subdir, file, None)) => desk.package(&name, &subdir, &file).await,
        (&Method::DELETE, Behind::Package(subdir, file, None)) => {
            desk.retract((&name, &subdir, &file), Retract::Delete, &body).await
        }
        (&Method::POST, Behind::Package(subdir, file, Some(action))) => {
            desk.act((&name, &subdir, &file), &action, &body).await
        }
        _ => Ok(StatusCode::METHOD_NOT_ALLOWED.into_response()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    public: Option<bool>,
    description: Option<String>,
    /// Left out where it is to stay; null for none.
    #[serde(default)]
    quota: Said<u64>,
    settings: Option<ChannelSettings>,
}

/// A field that may be left out, and may be null.
#[derive(Default)]
enum Said<T> {
    #[default]
    Not,
    As(Option<T>),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Said<T> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Option::deserialize(from).map(Self::As)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Relabel {
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CopyTo {
    to: String,
    #[serde(default)]
    labels: Vec<String>,
}

type Spot<'a> = (&'a ChannelName, &'a Subdir, &'a ArchiveName);

impl Desk<'_> {
    /// The revision that `If-Match` is about, where it still is the channel's.
    async fn expected(&self, name: &ChannelName, headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
        if !headers.contains_key(header::IF_MATCH) {
            return Ok(None);
        }
        let channel = self.told(self.hosting.desk().channel(name).await)?;
        match check_match(headers, &tag(&channel)) {
            Ok(()) => Ok(Some(channel.revision)),
            Err(sorry) => Err(Refusal(Box::new(sorry.into_response()))),
        }
    }

    async fn change(&self, name: &ChannelName, headers: &HeaderMap, body: &[u8]) -> Answered {
        let change: Change =
            self.body(body, "`public`, `description`, `quota`, `settings`, each if it is to change")?;
        let author = self.author(name, Right::Manage, None)?;
        let Change { public, description, quota, settings } = change;
        let quota = match quota {
            Said::Not => Quota::AsIs,
            Said::As(None) => Quota::Unlimited,
            Said::As(Some(bytes)) => Quota::Bytes(bytes),
        };
        let at = self.expected(name, headers).await?;
        let change = ChannelChange { public, description, quota, settings, at };
        let channel = self.told(self.hosting.desk().change_channel(&author, name, change).await)?;
        Ok(tagged(&HeaderMap::new(), &tag(&channel), &self.hosting.desk().view(&channel)))
    }

    async fn remove(&self, name: &ChannelName, headers: &HeaderMap, confirm: Option<&str>) -> Answered {
        let author = self.author(name, Right::Manage, None)?;
        self.expected(name, headers).await?;
        if confirm != Some(name.as_str()) {
            return self.no(HostError::Invalid(format!(
                "say ?confirm={name} to take the channel away with all that is in it; for a week it can be restored"
            )));
        }
        let changed = self.told(self.hosting.desk().delete_channel(&author, name, true).await)?;
        Ok(Json(json!({"name": name.as_str(), "changed": changed})).into_response())
    }

    async fn packages(&self, name: &ChannelName, page: &Page) -> Answered {
        self.readable(name).await?;
        let after = page.after.as_deref().and_then(|after| after.split_once('/'));
        let desk = self.hosting.desk();
        let (rows, next) = if let Some(package) = &page.name {
            (self.told(desk.packages_named(name, package).await)?, None)
        } else {
            let rows = self.told(desk.packages(name, after, page.limit()).await)?;
            let last = rows.last().filter(|_| rows.len() == page.limit() as usize);
            let next = last.map(|last| format!("{}/{}", last.subdir, last.file));
            (rows, next)
        };
        let shown: Vec<PackageView> = rows
            .iter()
            .filter(|row| row.state != PackageState::Deleted)
            .filter(|row| page.subdir.as_ref().is_none_or(|subdir| *subdir == row.subdir))
            .map(PackageView::from)
            .collect();
        Ok(Json(json!({"packages": shown, "next": next})).into_response())
    }

    async fn package(&self, name: &ChannelName, subdir: &Subdir, file: &ArchiveName) -> Answered {
        self.readable(name).await?;
        let found = self.told(self.hosting.desk().package(name, subdir, file).await)?;
        let Some(package) = found else {
            return self.no(HostError::NotFound(format!("there is no `{name}/{subdir}/{file}`")));
        };
        let record: Value = serde_json::from_slice(&package.record).unwrap_or_default();
        let about = self.told(self.hosting.about(package.sha256).await)?;
        let view = json!(PackageView::from(&package));
        Ok(Json(json!({"package": view, "record": record, "contents": about})).into_response())
    }

    async fn act(&self, spot: Spot<'_>, action: &str, body: &[u8]) -> Answered {
        match action {
            "yank" => self.retract(spot, Retract::Yank, body).await,
            "restore" => self.retract(spot, Retract::Restore, body).await,
            "labels" => self.relabel(spot, body).await,
            "copy" => self.copy(spot, body).await,
            _ => self.no(HostError::NotFound("the API has no such page".to_owned())),
        }
    }

    async fn retract(&self, (name, subdir, file): Spot<'_>, what: Retract, body: &[u8]) -> Answered {
        let Reason { reason } = self.body(body, "perhaps `reason`")?;
        let done = self.hosting.retract(self.visitor, (name, subdir, file), what, reason.as_deref()).await;
        let changed = self.told(done)?;
        Ok(Json(json!({"package": format!("{name}/{subdir}/{file}"), "changed": changed})).into_response())
    }

    async fn relabel(&self, (name, subdir, file): Spot<'_>, body: &[u8]) -> Answered {
        let Relabel { add, remove } = self.body(body, "`add` and `remove`, lists of labels")?;
        let author = self.author(name, Right::Write, file.parts().map(|(name, _, _)| name))?;
        let change = Labels { add, remove };
        let done = self.hosting.desk().relabel_as(&author, (name, subdir, file), &change).await;
        Ok(Json(json!({"labels": self.told(done)?})).into_response())
    }

    async fn copy(&self, (name, subdir, file): Spot<'_>, body: &[u8]) -> Answered {
        let CopyTo { to, labels } = self.body(body, "`to`, the other channel, and perhaps `labels`")?;
        let Some(to) = ChannelName::parse(&to) else {
            return self.no(HostError::Invalid(format!("`{}` is no name of a channel", to.escape_debug())));
        };
        self.readable(name).await?;
        let author = self.author(&to, Right::Write, file.parts().map(|(name, _, _)| name))?;
        let done = self.hosting.desk().copy_as(&author, (name, subdir, file), &to, &labels).await;
        let changed = self.told(done)? == Copied::Done;
        Ok(Json(json!({"to": to.as_str(), "changed": changed})).into_response())
    }
}
