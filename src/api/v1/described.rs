//! The descriptions of what is answered elsewhere: sessions and set-up (`accounts`), the team's own channels (`channels`), explanations (`proxy`).
//!
//! Belongs here: shapes and sentences. Does not: answering.

#![expect(dead_code, reason = "descriptions: their code is elsewhere")]

use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::answers::{Listed, ProblemShown};
use crate::channel::ChannelSettings;
use crate::channel::view::ChannelView;

/// What is described here, without what all operations have in common.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    Described::openapi().merge_from(super::described_packages::document())
}

#[derive(OpenApi)]
#[openapi(
    components(schemas(ProblemShown)),
    paths(
        log_in, log_out, renew, me, own_password, set_up, forgot, reset, jwks, channels, create_channel, channel, change_channel, delete_channel, restore_channel, explain
    ),
    tags(
        (name = "session", description = "Signing in, and who one is"),
        (name = "users", description = "Accounts; for administrators"),
        (name = "groups", description = "Groups and who is in them; for administrators"),
        (name = "tokens", description = "Credentials of programs"),
        (name = "sessions", description = "Where somebody is signed in"),
        (name = "grants", description = "Rights beside those in the rules; for administrators"),
        (name = "channels", description = "The team's own channels and their packages"),
        (name = "labels", description = "Labels of the team's own channels"),
        (name = "uploads", description = "Packages on their way in"),
        (name = "indexes", description = "What there is in all channels, hosted, proxied and virtual"),
        (name = "rules", description = "The rules; for administrators"),
        (name = "cache", description = "The package cache; for administrators"),
        (name = "jobs", description = "Work that is done later; for administrators"),
        (name = "audit", description = "Who did what, and who got what; for administrators"),
        (name = "gateway", description = "How the gateway is")
    )
)]
struct Described;

#[derive(Deserialize, ToSchema)]
struct Login {
    username: String,
    #[schema(write_only)]
    password: String,
}

#[derive(Deserialize, ToSchema)]
struct Renewal {
    #[schema(write_only)]
    refresh_token: String,
}

/// As OAuth names them (RFC 6749).
#[derive(Serialize, ToSchema)]
struct Session {
    access_token: String,
    token_type: String,
    /// Seconds since 1970.
    expires_at: i64,
    /// Good once.
    refresh_token: String,
    /// Seconds since 1970.
    refresh_expires_at: i64,
    user: String,
}

/// Whoever shows the credential; for nobody there is `user` alone, and it is null.
#[derive(Serialize, ToSchema)]
struct Me {
    user: Option<String>,
    #[schema(required = false)]
    id: Option<String>,
    #[schema(required = false)]
    superuser: Option<bool>,
    #[schema(required = false)]
    groups: Option<Vec<String>>,
    /// The id of the token.
    token: Option<String>,
    scopes: Option<Vec<String>>,
    /// Seconds since 1970.
    expires_at: Option<i64>,
}

#[derive(Deserialize, ToSchema)]
struct SetUp {
    #[schema(write_only)]
    code: String,
    username: String,
    #[schema(write_only)]
    password: String,
}

#[derive(Serialize, ToSchema)]
struct FirstAdministrator {
    id: String,
    user: String,
    superuser: bool,
}

/// Begins a session.
#[utoipa::path(post, path = "/api/v1/session", tag = "session", operation_id = "logIn", request_body = Login, responses((status = 200, body = Session)))]
fn log_in() {}

/// Ends a session.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session", operation_id = "logOut", request_body = Renewal, responses((status = 204)))]
fn log_out() {}

/// Goes on with a session.
#[utoipa::path(post, path = "/api/v1/session/refresh", tag = "session", operation_id = "renewSession", request_body = Renewal, responses((status = 200, body = Session)))]
fn renew() {}

/// Says whose credential was shown.
#[utoipa::path(get, path = "/api/v1/me", tag = "session", operation_id = "getMe", responses((status = 200, body = Me)))]
fn me() {}

#[derive(Deserialize, ToSchema)]
struct OwnPassword {
    /// The present one.
    #[schema(write_only)]
    current: String,
    #[schema(write_only)]
    password: String,
}

/// Sets another password of your own. All your sessions end; access tokens that they gave out stay good for their few minutes, tokens as they are.
#[utoipa::path(put, path = "/api/v1/me/password", tag = "session", operation_id = "setOwnPassword", request_body = OwnPassword, responses((status = 204)))]
fn own_password() {}

/// Makes the first administrator, for who has the code from the gateway's data directory.
#[utoipa::path(post, path = "/api/v1/setup", tag = "session", operation_id = "setUp", request_body = SetUp, responses((status = 201, body = FirstAdministrator)))]
fn set_up() {}

#[derive(Deserialize, ToSchema)]
struct Forgot {
    username: String,
}

#[derive(Serialize, ToSchema)]
struct Perhaps {
    detail: String,
}

#[derive(Deserialize, ToSchema)]
struct Reset {
    #[schema(write_only)]
    code: String,
    #[schema(write_only)]
    password: String,
}

#[derive(Serialize, ToSchema)]
struct ResetDone {
    user: String,
}

/// Sends a code for a new password by mail, if there is such a user with an address; the answer does not tell.
#[utoipa::path(post, path = "/api/v1/password/forgot", tag = "session", operation_id = "forgotPassword", request_body = Forgot, responses((status = 202, body = Perhaps)))]
fn forgot() {}

/// Sets another password, for who has the code.
#[utoipa::path(post, path = "/api/v1/password/reset", tag = "session", operation_id = "resetPassword", request_body = Reset, responses((status = 200, body = ResetDone)))]
fn reset() {}

/// The keys by which access tokens can be verified (RFC 7517).
#[utoipa::path(get, path = "/jwks.json", tag = "session", operation_id = "getKeys", responses((status = 200, body = Value)))]
fn jwks() {}

#[derive(Serialize, ToSchema)]
struct Channels {
    channels: Vec<ChannelView>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct NewChannel {
    name: String,
    #[schema(default = false)]
    public: Option<bool>,
    description: Option<String>,
    /// Most bytes of packages.
    quota: Option<u64>,
    settings: Option<ChannelSettings>,
}

/// What is left out stays.
#[derive(Deserialize, ToSchema)]
struct ChannelChange {
    public: Option<bool>,
    description: Option<String>,
    /// Most bytes of packages; null for no limit.
    quota: Option<u64>,
    settings: Option<ChannelSettings>,
}

#[derive(Serialize, ToSchema)]
struct ChannelChanged {
    name: String,
    /// Whether there was anything to change.
    changed: bool,
}

/// Hosted channels that you may read, in the order of their names.
#[utoipa::path(get, path = "/api/v1/channels", tag = "channels", operation_id = "listChannels", params(Listed, ("deleted" = Option<bool>, Query, description = "also deleted ones that you can restore")), responses((status = 200, body = Channels)))]
fn channels() {}

/// Makes a hosted channel.
#[utoipa::path(post, path = "/api/v1/channels", tag = "channels", operation_id = "createChannel", request_body = NewChannel, responses((status = 201, body = ChannelView)))]
fn create_channel() {}

/// A hosted channel. Slashes in its name stay as they are.
#[utoipa::path(get, path = "/api/v1/channels/{channel}", tag = "channels", operation_id = "getChannel", params(("channel" = String, Path)), responses((status = 200, body = ChannelView), (status = 304)))]
fn channel() {}

/// Changes a hosted channel.
#[utoipa::path(patch, path = "/api/v1/channels/{channel}", tag = "channels", operation_id = "changeChannel", params(("channel" = String, Path)), request_body = ChannelChange, responses((status = 200, body = ChannelView)))]
fn change_channel() {}

/// Deletes a hosted channel; for a week it can be restored.
#[utoipa::path(delete, path = "/api/v1/channels/{channel}", tag = "channels", operation_id = "deleteChannel", params(("channel" = String, Path), ("confirm" = String, Query, description = "its name again")), responses((status = 200, body = ChannelChanged)))]
fn delete_channel() {}

/// Brings a deleted channel back, with all that was in it.
#[utoipa::path(post, path = "/api/v1/channels/{channel}/-/restore", tag = "channels", operation_id = "restoreChannel", params(("channel" = String, Path)), responses((status = 200, body = ChannelChanged)))]
fn restore_channel() {}

/// Says why a file, or the packages that a spec fits, are as they are. For this machine, the networks in `control.allow`, and administrators.
#[utoipa::path(get, path = "/api/v1/explain", tag = "rules", operation_id = "explain", params(
    ("url" = Option<String>, Query, description = "a file: its URL or path"),
    ("spec" = Option<String>, Query, description = "instead: a spec such as conda-forge::xz >=5.6"),
    ("channel" = Option<String>, Query, description = "with `spec`"),
    ("subdir" = Option<String>, Query, description = "with `spec`"),
    ("as" = Option<String>, Query, description = "as this user sees it")
), responses((status = 200, body = Value)))]
fn explain() {}
