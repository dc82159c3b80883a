//! `/-/api/v1/channels…`: the team's own channels and what is in them.
//!
//! ```text
//! GET POST             channels
//! GET PATCH DELETE     channels/<name>                               DELETE wants ?confirm=<name>
//! POST                 channels/<name>/-/restore
//! GET                  channels/<name>/-/packages                    ?name= &subdir= &label= &after=<subdir>/<file> &limit=
//! GET PUT DELETE       channels/<name>/-/packages/<subdir>/<file>
//! POST                 channels/<name>/-/packages/<subdir>/<file>/yank | restore | labels | copy
//! GET                  channels/<name>/-/packages/<subdir>/<file>/labels
//! GET POST             channels/<name>/-/labels                      ?name=<package> &after= &limit=
//! GET PATCH DELETE     channels/<name>/-/labels/<label>              DELETE takes ?instead=<label>
//! ```
//!
//! | file | what it knows |
//! |---|---|
//! | `packages` | packages of a channel |
//! | `labels` | labels of a channel |
//!
//! Names of channels have slashes; no part of one begins with `-`, so `/-/` ends it.
//!
//! Belongs here: paths, bodies, answers. Does not: what is done (`channel`).

mod labels;
mod packages;

use axum::body::to_bytes;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::v1::answers::{check_match, limit, next, tagged};
use super::{dialects, search};
use crate::channel::view::ChannelView;
use crate::channel::{Author, ChannelChange, ChannelSettings, HostError, NewChannel, Quota, Retract};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::conda::subdir::Subdir;
use crate::http::problem::{MEDIA_TYPE, Problem};
use crate::identity::Visitor;
use crate::policy::access::Right;
use crate::sight::Sight;
use crate::store::model::Channel;

/// Bytes of a body that is no package.
const LONGEST: usize = 512 * 1024;

/// The routes, below `/-`.
pub fn router(sight: Sight) -> Router {
    Router::new()
        .route("/api/v1/channels", get(list).post(create))
        .route("/api/v1/channels/{*rest}", any(one))
        .route("/api/v1/search", get(search::search))
        .with_state(sight)
}

/// A refusal, which is an answer too.
pub(super) struct Refusal(pub(super) Box<Response>);

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
    pub(super) sight: &'a Sight,
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
        self.told(self.sight.hosting.check(self.visitor, channel, right, package))?;
        let nobody = || HostError::Unauthenticated("this needs a credential".to_owned());
        self.told(Author::of(self.visitor).ok_or_else(nobody))
    }

    /// Whether the caller may know of a channel.
    pub(super) fn may_read(&self, channel: &Channel) -> bool {
        let right =
            |name: &ChannelName| self.sight.hosting.check(self.visitor, name, Right::Read, None).is_ok();
        channel.deleted_at.is_none()
            && (channel.public || ChannelName::parse(&channel.name).as_ref().is_some_and(right))
    }

    /// Whether it is a deleted channel that the caller can restore.
    fn may_restore(&self, channel: &Channel) -> bool {
        let right =
            |name: &ChannelName| self.sight.hosting.check(self.visitor, name, Right::Manage, None).is_ok();
        channel.deleted_at.is_some() && ChannelName::parse(&channel.name).as_ref().is_some_and(right)
    }

    async fn readable(&self, name: &ChannelName) -> Result<ChannelView, Refusal> {
        let channel = match self.sight.hosting.desk().channel(name).await {
            Ok(channel) if channel.public => return Ok(self.sight.hosting.desk().view(&channel)),
            other => other,
        };
        // What is not there is said to those only who might have seen it.
        self.told(self.sight.hosting.check(self.visitor, name, Right::Read, None))?;
        self.told(channel).map(|channel| self.sight.hosting.desk().view(&channel))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    after: Option<String>,
    limit: Option<u32>,
    name: Option<String>,
    subdir: Option<String>,
    label: Option<String>,
    instead: Option<String>,
    confirm: Option<String>,
    #[serde(default)]
    deleted: bool,
}

impl Page {
    fn limit(&self) -> Result<u32, Refusal> {
        limit(self.limit).map_err(|sorry| Refusal(Box::new(sorry.into_response())))
    }
}

async fn list(
    State(sight): State<Sight>,
    Extension(visitor): Extension<Visitor>,
    Query(page): Query<Page>,
) -> Answered {
    let desk = Desk { sight: &sight, visitor: &visitor };
    let limit = page.limit()?;
    let rows = desk.told(sight.hosting.desk().channels(page.after.as_deref(), limit).await)?;
    let next = next(&rows, limit, |last| last.name.clone());
    let is_told = |row: &&Channel| desk.may_read(row) || (page.deleted && desk.may_restore(row));
    let shown: Vec<ChannelView> =
        rows.iter().filter(is_told).map(|row| sight.hosting.desk().view(row)).collect();
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
    State(sight): State<Sight>,
    Extension(visitor): Extension<Visitor>,
    body: axum::body::Bytes,
) -> Answered {
    let desk = Desk { sight: &sight, visitor: &visitor };
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
    let channel = desk.told(sight.hosting.desk().create_channel(&author, &name, new).await)?;
    Ok((StatusCode::CREATED, Json(sight.hosting.desk().view(&channel))).into_response())
}

/// The entity tag of a channel.
fn tag(channel: &Channel) -> String {
    format!("\"{}.{}\"", channel.id, channel.revision)
}

/// What stands behind `channels/`.
enum Behind {
    Channel,
    Restore,
    Labels,
    Label(String),
    Packages,
    Package(Subdir, ArchiveName, Option<String>),
}

fn behind(rest: &str) -> Option<(ChannelName, Behind)> {
    let (name, rest) = rest.split_once("/-/").map_or((rest, None), |(name, rest)| (name, Some(rest)));
    let name = ChannelName::parse(name)?;
    let Some(rest) = rest else { return Some((name, Behind::Channel)) };
    if let Some(label) = rest.strip_prefix("labels/") {
        return ChannelRef::is_label(label).then(|| (name, Behind::Label(label.to_owned())));
    }
    let parts: Vec<&str> = rest.split('/').collect();
    let what = match parts[..] {
        ["restore"] => Behind::Restore,
        ["labels"] => Behind::Labels,
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
    State(sight): State<Sight>,
    Extension(visitor): Extension<Visitor>,
    Path(rest): Path<String>,
    request: Request,
) -> Answered {
    let desk = Desk { sight: &sight, visitor: &visitor };
    let Some((name, what)) = behind(&rest) else {
        return desk.no(HostError::NotFound("the API has no such page".to_owned()));
    };
    let (method, headers) = (request.method().clone(), request.headers().clone());
    if let (&Method::PUT, Behind::Package(subdir, file, None)) = (&method, &what) {
        return Ok(dialects::put((&sight, &visitor), (&name, subdir, file), request).await);
    }
    let page = match Query::<Page>::try_from_uri(request.uri()) {
        Ok(Query(page)) => page,
        Err(error) => return Ok(error.into_response()),
    };
    let too_long = |_| HostError::TooLarge(format!("the body broke off, or is longer than {LONGEST} bytes"));
    let body = desk.told(to_bytes(request.into_body(), LONGEST).await.map_err(too_long))?;
    match what {
        Behind::Channel | Behind::Restore => {
            desk.of_channel((&method, what), &name, (&page, &headers, &body)).await
        }
        Behind::Labels => desk.labels(&method, &name, (&page, &body)).await,
        Behind::Label(label) => desk.label(&method, (&name, &label), (&page, &body)).await,
        Behind::Packages if method == Method::GET => desk.packages(&name, &page).await,
        Behind::Packages => Ok(StatusCode::METHOD_NOT_ALLOWED.into_response()),
        Behind::Package(subdir, file, action) => {
            let spot = (&name, &subdir, &file);
            if method != Method::GET {
                desk.check_package(spot, &headers).await?;
            }
            match (method, action.as_deref()) {
                (Method::GET, None) => desk.package(spot, &headers).await,
                (Method::DELETE, None) => desk.retract(spot, Retract::Delete, &body).await,
                (Method::GET, Some("labels")) => desk.labels_of(spot).await,
                (Method::POST, Some(action)) => desk.act(spot, action, &body).await,
                _ => Ok(StatusCode::METHOD_NOT_ALLOWED.into_response()),
            }
        }
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

type Spot<'a> = (&'a ChannelName, &'a Subdir, &'a ArchiveName);

impl Desk<'_> {
    async fn of_channel(
        &self,
        (method, what): (&Method, Behind),
        name: &ChannelName,
        (page, headers, body): (&Page, &HeaderMap, &[u8]),
    ) -> Answered {
        match (method, what) {
            (&Method::GET, Behind::Channel) => {
                let view = self.readable(name).await?;
                Ok(tagged(headers, &format!("\"{}.{}\"", view.id, view.revision), &view))
            }
            (&Method::PATCH, Behind::Channel) => self.change(name, headers, body).await,
            (&Method::DELETE, Behind::Channel) => self.remove(name, headers, page.confirm.as_deref()).await,
            (&Method::POST, Behind::Restore) => {
                let author = self.author(name, Right::Manage, None)?;
                let done = self.sight.hosting.desk().delete_channel(&author, name, false).await;
                let changed = self.told(done)?;
                Ok(Json(json!({"name": name.as_str(), "changed": changed})).into_response())
            }
            _ => Ok(StatusCode::METHOD_NOT_ALLOWED.into_response()),
        }
    }

    /// The revision that `If-Match` is about, where it still is the channel's.
    async fn expected(&self, name: &ChannelName, headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
        if !headers.contains_key(header::IF_MATCH) {
            return Ok(None);
        }
        let channel = self.told(self.sight.hosting.desk().channel(name).await)?;
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
        let channel = self.told(self.sight.hosting.desk().change_channel(&author, name, change).await)?;
        Ok(tagged(&HeaderMap::new(), &tag(&channel), &self.sight.hosting.desk().view(&channel)))
    }

    async fn remove(&self, name: &ChannelName, headers: &HeaderMap, confirm: Option<&str>) -> Answered {
        let author = self.author(name, Right::Manage, None)?;
        self.expected(name, headers).await?;
        if confirm != Some(name.as_str()) {
            return self.no(HostError::Invalid(format!(
                "say ?confirm={name} to take the channel away with all that is in it; for a week it can be restored"
            )));
        }
        let changed = self.told(self.sight.hosting.desk().delete_channel(&author, name, true).await)?;
        Ok(Json(json!({"name": name.as_str(), "changed": changed})).into_response())
    }
}
