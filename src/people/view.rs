//! What may be shown of people: the JSON of listings, the same for the command line and the API. No hashes, no secrets.
//!
//! Belongs here: shapes. Does not: looking things up.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::tokens::Issued;
use crate::clock::UnixMillis;
use crate::http::date::rfc3339 as time;
use crate::store::model::{AuditEvent, Downloads, Grant, Group, Session, Subject, Token, Traffic, User};

/// A user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts, each a key of its own")]
pub struct UserView {
    /// Never used twice.
    pub id: String,
    /// As it is shown.
    pub name: String,
    /// Not always known.
    pub email: Option<String>,
    /// Passes every access rule.
    pub superuser: bool,
    /// A machine's account.
    pub service: bool,
    /// Let in nowhere.
    pub disabled: bool,
    /// Whether there is one.
    pub password: bool,
    /// When.
    pub created: String,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            name: user.name.clone(),
            email: user.email.clone(),
            superuser: user.superuser,
            service: user.service,
            disabled: user.disabled,
            password: user.password.is_some(),
            created: time(user.created),
        }
    }
}

/// A group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct GroupView {
    /// Never used twice.
    pub id: String,
    /// Normalised.
    pub name: String,
    /// For people.
    pub description: String,
    /// Names, sorted.
    pub members: Vec<String>,
    /// Whether there are others, which a list of members has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// When.
    pub created: String,
}

impl GroupView {
    /// Of a group and the names of its members.
    #[must_use]
    pub fn new(group: &Group, members: Vec<String>) -> Self {
        Self {
            id: group.id.to_string(),
            name: group.name.clone(),
            description: group.description.clone(),
            members,
            more: false,
            created: time(group.created),
        }
    }
}

/// A token, without its secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct TokenView {
    /// Public.
    pub id: String,
    /// For people.
    pub name: String,
    /// The owner's name; none for one who is gone.
    pub user: Option<String>,
    /// The owner's id.
    pub user_id: String,
    /// `active`, `expired` or `revoked`; says nothing about the owner.
    pub state: &'static str,
    /// `read:*`
    pub scopes: Vec<String>,
    /// When.
    pub created: String,
    /// Good until then; none for ever.
    pub expires: Option<String>,
    /// Since then.
    pub revoked: Option<String>,
    /// Some minutes late.
    pub last_use: Option<String>,
    /// The token that takes its place.
    pub successor: Option<String>,
}

impl TokenView {
    /// Of a token, its owner's name, at a moment.
    #[must_use]
    pub fn new(token: &Token, user: Option<String>, now: UnixMillis) -> Self {
        let state = match token {
            Token { revoked: Some(_), .. } => "revoked",
            Token { expires: Some(end), .. } if *end <= now => "expired",
            _ => "active",
        };
        Self {
            id: token.id.to_string(),
            name: token.name.clone(),
            user,
            user_id: token.owner.to_string(),
            state,
            scopes: token.scopes.iter().map(ToString::to_string).collect(),
            created: time(token.created),
            expires: token.expires.map(time),
            revoked: token.revoked.map(time),
            last_use: token.last_use.map(time),
            successor: token.successor.as_ref().map(ToString::to_string),
        }
    }
}

/// A new token with its secret: shown once.
#[derive(Clone, Serialize, ToSchema)]
pub struct IssuedView {
    /// Public.
    pub id: String,
    /// The secret.
    pub token: String,
    /// For people.
    pub name: String,
    /// The owner's name.
    pub user: String,
    /// `read:*`
    pub scopes: Vec<String>,
    /// Good until then; none for ever.
    pub expires: Option<String>,
}

impl From<&Issued> for IssuedView {
    fn from(issued: &Issued) -> Self {
        let token = &issued.token;
        Self {
            id: token.id.to_string(),
            token: issued.secret.reveal().clone(),
            name: token.name.clone(),
            user: issued.owner.clone(),
            scopes: token.scopes.iter().map(ToString::to_string).collect(),
            expires: token.expires.map(time),
        }
    }
}

/// A grant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct GrantView {
    /// Never used twice.
    pub id: String,
    /// A glob.
    pub channels: String,
    /// `read`, `write` or `manage`
    pub right: &'static str,
    /// `user` or `group`
    pub kind: &'static str,
    /// The name of who has it; none for one who is gone.
    pub name: Option<String>,
    /// The id of who has it.
    pub subject_id: String,
    /// When.
    pub created: String,
}

impl GrantView {
    /// Of a grant and the name of who has it.
    #[must_use]
    pub fn new(grant: &Grant, name: Option<String>) -> Self {
        let (kind, subject_id) = match &grant.subject {
            Subject::User(id) => ("user", id.to_string()),
            Subject::Group(id) => ("group", id.to_string()),
        };
        Self {
            id: grant.id.to_string(),
            channels: grant.channels.clone(),
            right: grant.right.as_str(),
            kind,
            name,
            subject_id,
            created: time(grant.created),
        }
    }
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct EventView {
    /// When.
    pub at: String,
    /// Tells apart what happened in one millisecond.
    pub id: String,
    /// `user:<id>`, `anonymous`, `system`, `system:cli:<account>`
    pub actor: String,
    /// The name that user has today.
    pub actor_name: Option<String>,
    /// `token.create`
    pub kind: String,
    /// `token:<id>`
    pub target: String,
    /// From where.
    pub address: String,
    /// `ok`, or why not.
    pub result: String,
    /// An object.
    pub detail: Value,
}

impl EventView {
    /// Of an event and the name of who did it.
    #[must_use]
    pub fn new(event: &AuditEvent, actor_name: Option<String>) -> Self {
        Self {
            at: time(event.at),
            id: event.id.to_string(),
            actor: event.actor.clone(),
            actor_name,
            kind: event.kind.clone(),
            target: event.target.clone(),
            address: event.address.clone(),
            result: event.result.clone(),
            detail: serde_json::from_str(&event.detail).unwrap_or(Value::Null),
        }
    }
}

/// How often somebody downloaded a file on a day.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct DownloadView {
    /// `user:<id>` or `anonymous`
    pub actor: String,
    /// The name that user has today.
    pub user: Option<String>,
    /// The id of the token that was shown.
    pub token: Option<String>,
    /// From where.
    pub address: String,
    /// `channel/subdir/file`
    pub file: String,
    /// `2026-01-31`, in UTC.
    pub day: String,
    /// How often.
    pub count: u64,
}

impl DownloadView {
    /// Of a counter and the name of its user.
    #[must_use]
    pub fn new(row: &Downloads, user: Option<String>) -> Self {
        let midnight = time(UnixMillis(i64::from(row.day).saturating_mul(86_400_000)));
        Self {
            actor: row.actor.clone(),
            user,
            token: Some(row.token.clone()).filter(|token| !token.is_empty()),
            address: row.address.clone(),
            file: row.file.clone(),
            day: midnight.split('T').next().unwrap_or_default().to_owned(),
            count: row.count,
        }
    }
}

/// What a channel was asked for within an hour or a day.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct TrafficView {
    /// Since when, in UTC: `2026-01-31T14:00:00.000Z`.
    pub start: String,
    /// Its name; `(other)` for all beyond the first 200 that a gateway has met since its start.
    pub channel: String,
    /// Requests for packages that were answered or refused: those of the next three together.
    pub requests: u64,
    /// Out of the cache.
    pub hits: u64,
    /// Fetched from upstream.
    pub misses: u64,
    /// Turned away, by a rule or because the caller has no right.
    pub refused: u64,
    /// Requests for indexes and shards that were answered.
    pub indexes: u64,
    /// Body bytes of all answers of the channel.
    pub bytes: u64,
}

impl From<&Traffic> for TrafficView {
    fn from(row: &Traffic) -> Self {
        Self {
            start: time(row.start),
            channel: row.channel.clone(),
            requests: row.requests(),
            hits: row.hits,
            misses: row.misses,
            refused: row.refused,
            indexes: row.indexes,
            bytes: row.bytes,
        }
    }
}

/// Where somebody is signed in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// Never used twice.
    pub id: String,
    /// When it began.
    pub created: String,
    /// When it ends at the latest.
    pub expires: String,
    /// Some minutes late.
    pub last_use: String,
    /// From where it began.
    pub address: String,
    /// The program, as it called itself.
    pub agent: String,
}

impl From<&Session> for SessionView {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id.to_string(),
            created: time(session.created),
            expires: time(session.expires),
            last_use: time(session.last_use),
            address: session.address.clone(),
            agent: session.agent.clone(),
        }
    }
}
