//! anaconda.org's first API (`anaconda upload`, `rattler-build upload anaconda`, conda-build): owners are channels, channels are labels.
//!
//! | file | what it knows |
//! |---|---|
//! | `stage` | an upload's three steps: announced, sent, finished |
//! | `dists` | what there is: packages, releases, files; deleting them |
//! | `labels` | labels, copies |
//! | `search` | finding packages |
//! | `account` | users, tokens, what the client asks to find its way |
//!
//! Belongs here: which request goes where. Does not: publishing.

mod account;
mod dists;
mod labels;
mod search;
mod stage;

use axum::Json;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use serde_json::{Value, json};

pub(super) use stage::delivery_url;

use super::Dialects;
use super::talk::{Answered, Talk, only};
use crate::conda::url::dialect::Anaconda;

pub(super) async fn answer(
    talk: &Talk<'_>,
    dialects: &Dialects,
    asked: &Anaconda,
    request: Request,
) -> Answered {
    let method = request.method().clone();
    match asked {
        Anaconda::Root => said(&method, json!({"condagate": "anaconda.org's API", "ok": 1})),
        Anaconda::AuthenticationType => said(&method, json!({"authentication_type": "password"})),
        Anaconda::Scopes => said(&method, account::scopes()),
        Anaconda::User(owner) => account::user(talk, owner.as_ref(), &method).await,
        Anaconda::Orgs => {
            talk.author()?;
            said(&method, json!([]))
        }
        Anaconda::Authentication => account::authentication(talk, &method),
        Anaconda::Authentications => account::authentications(talk, &dialects.people, request).await,
        Anaconda::Dist(dist) => dists::dist(talk, dist, &method).await,
        Anaconda::Package(owner, package) => dists::package(talk, owner, package, request).await,
        Anaconda::Release(owner, package, version) => {
            dists::release(talk, (owner, package, version), request).await
        }
        Anaconda::Download(dist) => dists::download(talk, dist, &method).await,
        Anaconda::Search => search::search(talk, request).await,
        Anaconda::Stage(dist) => stage::announce(talk, &dialects.stages, dist, request).await,
        Anaconda::Deliver => Ok(stage::deliver(talk, &dialects.stages, request).await),
        Anaconda::Commit(dist) => stage::commit(talk, &dialects.stages, dist, request).await,
        Anaconda::Labels(owner) => labels::list(talk, owner, &method).await,
        Anaconda::Label(owner, label) => labels::label(talk, (owner, label), request).await,
        Anaconda::Copy(owner, package, version, file) => {
            labels::copy(talk, (owner, package, version, file.as_ref()), request).await
        }
    }
}

/// A document that is the same for everybody.
fn said(method: &Method, document: Value) -> Answered {
    only("GET, HEAD", method)?;
    Ok(done(StatusCode::OK, document))
}

fn done(status: StatusCode, document: Value) -> axum::response::Response {
    (status, Json(document)).into_response()
}
