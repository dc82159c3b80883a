//! Tokens of whoever has signed in, and for administrators those of service accounts: made, listed, rotated, revoked.
//!
//! Belongs here: the page and its forms. Does not: what a token may be (`people`).

use std::time::Duration;

use askama::Template;
use axum::extract::{Extension, Query};
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::desk::{Desk, Flash};
use super::page::{self, Page, Way};
use super::posted::Posted;
use super::show::When;
use super::sorry::Sorry;
use crate::people::{Issued, Life, NewToken, People};
use crate::policy::access::{Right, Scope};
use crate::store::model::{Token, User};

/// Tokens of a page.
const LISTED: u32 = 100;
/// How long the old one is good when it is rotated.
const OVERLAP: Duration = Duration::from_hours(24);
const DAY: Duration = Duration::from_hours(24);

pub(super) struct Row {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) scopes: Vec<String>,
    /// A word and its colour.
    pub(super) state: (&'static str, &'static str),
    pub(super) created: When,
    pub(super) expires: Option<When>,
    pub(super) last_use: Option<When>,
    pub(super) is_active: bool,
}

impl Row {
    pub(super) fn new(desk: &Desk, token: &Token) -> Self {
        let when = |at| When::new(at, desk.now());
        let state = match token {
            Token { revoked: Some(_), .. } => ("revoked", "bad"),
            Token { expires: Some(end), .. } if *end <= desk.now() => ("expired", "care"),
            Token { successor: Some(_), .. } => ("rotated", "info"),
            _ => ("active", "good"),
        };
        Self {
            id: token.id.to_string(),
            name: token.name.clone(),
            scopes: token.scopes.iter().map(ToString::to_string).collect(),
            is_active: matches!(state.0, "active" | "rotated"),
            state,
            created: when(token.created),
            expires: token.expires.map(when),
            last_use: token.last_use.map(when),
        }
    }
}

/// A token that was made a moment ago.
pub(super) struct Made {
    pub(super) name: String,
    pub(super) secret: String,
    pub(super) uses: Vec<(&'static str, String)>,
}

impl Made {
    fn new(desk: &Desk, issued: &Issued) -> Self {
        let (address, secret) = (&desk.entrance.address, issued.secret.reveal());
        let host = address.split_once("://").map_or(&**address, |(_, rest)| rest);
        let in_path = match address.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://{host}/t/{secret}"),
            None => format!("{address}/t/{secret}"),
        };
        let host = host.split('/').next().unwrap_or(host);
        Self {
            name: issued.token.name.clone(),
            uses: vec![
                ("conda, mamba", format!("conda config --set channel_alias {in_path}")),
                ("pixi", format!("pixi auth login {host} --conda-token {secret}")),
                (
                    "curl",
                    format!(
                        "curl -H \"Authorization: Bearer {secret}\" {address}/CHANNEL/noarch/repodata.json"
                    ),
                ),
            ],
            secret: secret.clone(),
        }
    }
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    page: Page,
    rows: Vec<Row>,
    way: Way,
    made: Option<Made>,
    channels: Vec<String>,
    /// Whose they are, where they are not the visitor's own.
    whose: Option<String>,
}

async fn shown(
    desk: &Desk,
    people: &People,
    user: &User,
    made: Option<Made>,
    after: Option<&str>,
) -> Result<Response, Sorry> {
    let after = match after {
        Some(id) => people.token(id).await.ok().filter(|token| token.owner == user.id),
        None => None,
    };
    let mut tokens = people.tokens(Some(user), after.as_ref(), LISTED).await?;
    let next = tokens.last().filter(|_| tokens.len() == LISTED as usize).map(|last| last.id.to_string());
    let whose = desk.signed_in().is_ok_and(|(_, me)| *me != user.id).then(|| user.name.clone());
    let path = match &whose {
        Some(name) => format!("/-/ui/tokens?user={}", utf8_percent_encode(name, NON_ALPHANUMERIC)),
        None => "/-/ui/tokens".to_owned(),
    };
    let way = Way::new(desk, &path, next, after.is_none());
    tokens.sort_by_key(|token| std::cmp::Reverse(token.created));
    let rows = tokens.iter().map(|token| Row::new(desk, token)).collect();
    let channels = desk.spots().await.into_iter().map(|spot| spot.name.to_string()).collect();
    Ok(page::show(&TokensPage { page: desk.page("tokens"), rows, way, made, channels, whose }))
}

/// Whose tokens are meant: the visitor's own, or those of a service account, which nobody signs in to.
async fn owner(desk: &Desk, people: &People, name: Option<&str>) -> Result<User, Sorry> {
    let Some(name) = name else { return myself(desk, people).await };
    desk.superuser()?;
    let user = people.user(name).await?;
    if user.service || desk.signed_in().is_ok_and(|(_, me)| *me == user.id) {
        return Ok(user);
    }
    Err(Sorry::forbidden(format!("{} makes tokens by signing in; you can revoke them", user.name)))
}

/// Whoever has signed in, as the store has them.
pub(super) async fn myself(desk: &Desk, people: &People) -> Result<User, Sorry> {
    let (who, _) = desk.signed_in()?;
    Ok(people.user(&who.name).await?)
}

#[derive(Deserialize, Default)]
pub(super) struct Asked {
    after: Option<String>,
    user: Option<String>,
}

pub(super) async fn show(
    Extension(desk): Extension<Desk>,
    Query(asked): Query<Asked>,
) -> Result<Response, Sorry> {
    desk.signed_in()?;
    let people = desk.people().await?;
    let user = owner(&desk, &people, asked.user.as_deref()).await?;
    shown(&desk, &people, &user, None, asked.after.as_deref()).await
}

pub(super) async fn create(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    desk.signed_in()?;
    let people = desk.people().await?;
    let user = owner(&desk, &people, posted.some("user")).await?;
    let new = NewToken {
        owner: user.name.clone(),
        name: posted.text("name").to_owned(),
        scopes: scopes(&posted)?,
        life: life(posted.text("life"))?,
    };
    let issued = people.create_token(&desk.by(), new).await?;
    shown(&desk, &people, &user, Some(Made::new(&desk, &issued)), None).await
}

/// One for each channel that is named, or one for all.
fn scopes(posted: &Posted) -> Result<Vec<Scope>, Sorry> {
    let right = Right::read(posted.text("right"))
        .ok_or_else(|| Sorry::invalid("say what the token is for: read, write or manage"))?;
    let channels: Vec<&str> =
        posted.text("channels").split([',', ' ']).map(str::trim).filter(|part| !part.is_empty()).collect();
    let channels = if channels.is_empty() { "*".to_owned() } else { channels.join(",") };
    let scope =
        Scope::parse(&format!("{right}:{channels}")).map_err(|why| Sorry::invalid(why.to_string()))?;
    Ok(vec![scope])
}

fn life(text: &str) -> Result<Life, Sorry> {
    Ok(match text {
        "7" => Life::For(DAY * 7),
        "30" => Life::For(DAY * 30),
        "365" => Life::For(DAY * 365),
        "never" => Life::Endless,
        "" | "usual" => Life::Usual,
        _ => return Err(Sorry::invalid("that is no life of a token that can be chosen here")),
    })
}

/// Whether a token is one of the visitor's, or the visitor may do everything.
async fn own(desk: &Desk, people: &People, id: &str) -> Result<Token, Sorry> {
    let (_, user) = desk.signed_in()?;
    let token = people.token(id).await?;
    if token.id.to_string() == id && (token.owner == *user || desk.is_superuser()) {
        return Ok(token);
    }
    Err(Sorry::not_found("there is no such token of yours"))
}

pub(super) async fn revoke(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    let people = desk.people().await?;
    let token = own(&desk, &people, posted.text("id")).await?;
    people.revoke_token(&desk.by(), token.id.as_str()).await?;
    let told =
        Flash::good(format!("The token “{}” is revoked. Every gate knows within two seconds.", token.name));
    match posted.some("user") {
        Some(user) => Ok(desk.tell(&format!("/-/ui/admin/users/{user}"), &told)),
        None => Ok(desk.tell("/-/ui/tokens", &told)),
    }
}

pub(super) async fn rotate(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    let people = desk.people().await?;
    let token = own(&desk, &people, posted.text("id")).await?;
    // The new secret is shown to its owner, and of a service account to administrators.
    let user = owner(&desk, &people, posted.some("user")).await?;
    if token.owner != user.id {
        return Err(Sorry::forbidden("a token is rotated by its owner; you can revoke it"));
    }
    let (issued, _) = people.rotate_token(&desk.by(), token.id.as_str(), OVERLAP).await?;
    shown(&desk, &people, &user, Some(Made::new(&desk, &issued)), None).await
}
