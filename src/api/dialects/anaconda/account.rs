//! Users and tokens, as far as clients of this API need them.
//!
//! ```text
//! GET         /user[/<owner>]
//! GET         /authentication                  the token that is shown
//! POST        /authentications                 name and password for a token: {scopes, note, max-age}
//! GET DELETE  /authentications                 the token that is shown; revoke it
//! ```
//!
//! Belongs here: these requests. Does not: proving who somebody is (`identity`), what tokens may be (`people`).

use std::time::Duration;

use axum::extract::Request;
use axum::http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::talk::{Answered, No, Talk, document, only};
use super::done;
use crate::api::accounts::Open;
use crate::channel::HostError;
use crate::conda::channel::ChannelName;
use crate::people::{By, Life, NewToken, PeopleError};
use crate::policy::access::Scope;
use crate::snapshot::people::Principal;

/// What tokens can be for; those that read and those that write are told apart, the rest of this API's do not exist here.
pub(super) fn scopes() -> Value {
    json!({
        "all": "everything you may do", "api": "everything you may do with packages", "api:read": "read packages",
        "api:write": "publish packages", "conda": "download packages", "conda:download": "download packages",
    })
}

pub(super) async fn user(talk: &Talk<'_>, owner: Option<&ChannelName>, method: &Method) -> Answered {
    only("GET, HEAD", method)?;
    let who = principal(talk)?;
    let Some(owner) = owner else {
        return Ok(done(
            StatusCode::OK,
            json!({"login": &*who.name, "name": &*who.name, "user_type": "user"}),
        ));
    };
    // The client asks whether there is something to publish to.
    talk.may_read(owner).await?;
    Ok(done(StatusCode::OK, json!({"login": owner.as_str(), "name": owner.as_str(), "user_type": "org"})))
}

fn principal<'a>(talk: &Talk<'a>) -> Result<&'a Principal, No> {
    talk.author()?;
    let nobody = || HostError::Unauthenticated("this needs a credential".to_owned());
    Ok(talk.visitor.principal.as_deref().ok_or_else(nobody)?)
}

pub(super) fn authentication(talk: &Talk<'_>, method: &Method) -> Answered {
    only("GET, HEAD", method)?;
    Ok(done(StatusCode::OK, shown(principal(talk)?)))
}

fn shown(who: &Principal) -> Value {
    json!({
        "user": {"login": &*who.name}, "id": who.token.as_ref().map(ToString::to_string),
        "application": "condagate", "scopes": who.scopes().unwrap_or_default(),
        "expires": who.expires.map(crate::clock::UnixMillis::seconds),
    })
}

#[derive(Deserialize)]
struct Wish {
    scopes: Option<Vec<String>>,
    note: Option<String>,
    #[serde(rename = "max-age")]
    max_age: Option<u64>,
    user: Option<String>,
}

pub(super) async fn authentications(talk: &Talk<'_>, open: &Open, request: Request) -> Answered {
    only("GET, HEAD, POST, DELETE", request.method())?;
    let who = principal(talk)?;
    match *request.method() {
        Method::POST => issue(talk, who, open, request).await,
        Method::DELETE => {
            let token = who.token.as_ref().ok_or_else(|| No::invalid("no token came with this request"))?;
            let people = open().await.map_err(HostError::from)?;
            people.revoke_token(&by(talk, who), token.as_str()).await.map_err(|error| refusal(&error))?;
            Ok(done(StatusCode::CREATED, json!({})))
        }
        _ => Ok(done(StatusCode::OK, json!([shown(who)]))),
    }
}

async fn issue(talk: &Talk<'_>, who: &Principal, open: &Open, request: Request) -> Answered {
    // A token makes no tokens: one that may little would make one that may more.
    if who.token.is_some() || who.user.is_none() || who.scopes().is_some() {
        return Err(HostError::Forbidden("a token is made for a name and password only".to_owned()).into());
    }
    let wish: Wish = document(request).await?;
    if wish.user.as_deref().is_some_and(|user| !user.eq_ignore_ascii_case(&who.name)) {
        return Err(HostError::Forbidden("nobody makes tokens for others here".to_owned()).into());
    }
    let new = NewToken {
        owner: who.name.to_string(),
        name: wish.note.filter(|note| !note.is_empty()).unwrap_or_else(|| "anaconda-client".to_owned()),
        scopes: vec![scope(wish.scopes.as_deref())?],
        life: wish.max_age.map_or(Life::Usual, |seconds| Life::For(Duration::from_secs(seconds))),
    };
    let people = open().await.map_err(HostError::from)?;
    let issued = people.create_token(&by(talk, who), new).await.map_err(|error| refusal(&error))?;
    Ok(done(StatusCode::OK, json!({"token": issued.secret.reveal()})))
}

/// One that publishes where the wish is to write, or for everything, as the client's log-in says nothing.
fn scope(wishes: Option<&[String]>) -> Result<Scope, No> {
    let reads = |wish: &String| matches!(wish.as_str(), "api:read" | "conda" | "conda:download");
    let text = match wishes {
        Some(wishes) if !wishes.is_empty() && wishes.iter().all(reads) => "read:*",
        _ => "write:*",
    };
    Scope::parse(text).map_err(|error| No::invalid(error.to_string()))
}

fn by(talk: &Talk<'_>, who: &Principal) -> By {
    match &who.user {
        Some(user) => By::user(user, &talk.visitor.address()),
        None => By::anonymous(&talk.visitor.address()),
    }
}

fn refusal(error: &PeopleError) -> No {
    match error {
        PeopleError::Store(_) => {
            HostError::Unavailable("the store can't be asked; try again shortly".to_owned())
        }
        _ => HostError::Invalid(error.to_string()),
    }
    .into()
}
