//! What the gate knows of whoever has signed in: their password, where they are signed in.
//!
//! Belongs here: the page and its form. Does not: passwords (`people`, `identity`).

use askama::Template;
use axum::extract::Extension;
use axum::response::Response;

use super::desk::{Desk, Flash, add_cookie};
use super::page::{self, Page};
use super::posted::Posted;
use super::show::When;
use super::sorry::Sorry;
use super::tokens::myself;
use crate::auth::credential::{Credential, Form, Presented};
use crate::store::model::Session;

/// Sessions that are listed.
const SESSIONS: u32 = 100;

#[derive(Template)]
#[template(path = "profile.html")]
struct ProfilePage {
    page: Page,
    name: String,
    email: String,
    groups: Vec<String>,
    created: When,
    superuser: bool,
    rights: Vec<(String, Vec<&'static str>)>,
    sessions: Vec<Row>,
    more_sessions: bool,
}

/// Where somebody is signed in.
struct Row {
    id: String,
    address: String,
    agent: String,
    created: When,
    last_use: When,
}

impl Row {
    fn new(desk: &Desk, session: &Session) -> Self {
        Self {
            id: session.id.to_string(),
            address: session.address.clone(),
            agent: session.agent.clone(),
            created: When::new(session.created, desk.now()),
            last_use: When::new(session.last_use, desk.now()),
        }
    }
}

pub(super) async fn show(Extension(desk): Extension<Desk>) -> Result<Response, Sorry> {
    let (who, _) = desk.signed_in()?;
    let people = desk.people().await?;
    let user = myself(&desk, &people).await?;
    let mut rights = Vec::new();
    for spot in desk.spots().await.into_iter().filter(crate::delivery::catalogue::Spot::is_hosted) {
        use crate::policy::access::Right;
        let all = [("read", Right::Read), ("write", Right::Write), ("manage", Right::Manage)];
        let has =
            all.into_iter().filter(|(_, right)| desk.may(&spot.name, *right, None)).map(|(word, _)| word);
        rights.push((spot.name.to_string(), has.collect()));
    }
    let sessions = people.sessions(&user, None, SESSIONS).await?;
    Ok(page::show(&ProfilePage {
        sessions: sessions.iter().map(|session| Row::new(&desk, session)).collect(),
        more_sessions: sessions.len() == SESSIONS as usize,
        page: desk.page(""),
        name: user.name.clone(),
        email: user.email.clone().unwrap_or_default(),
        groups: who.groups().into_iter().map(str::to_owned).collect(),
        created: When::new(user.created, desk.now()),
        superuser: who.is_superuser(),
        rights,
    }))
}

/// Ends a session of the visitor's own; this one, too.
pub(super) async fn end(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    let people = desk.people().await?;
    let user = myself(&desk, &people).await?;
    let flash = if people.end_session(&desk.by(), &user, posted.text("id")).await? {
        Flash::good("That session is over.")
    } else {
        Flash::bad("There is no such session of yours any more.")
    };
    Ok(desk.tell("/-/ui/profile", &flash))
}

pub(super) async fn password(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    let (who, _) = desk.signed_in()?;
    let back = |text: &str| Ok(desk.tell("/-/ui/profile", &Flash::bad(text)));
    if !desk.visitor.may_send_secrets {
        return back("Passwords over plain HTTP can be read by others on the way, so it was not changed.");
    }
    let new = posted.secret("new");
    if new != posted.secret("again") {
        return back("The two new passwords are not the same. Nothing was changed.");
    }
    // Whoever sits down at an open browser must not take the account over.
    let credential = Credential::Password { user: who.name.to_string(), password: posted.secret("current") };
    let shown = Presented { credential, form: Form::Basic };
    if let Err(refused) = desk.web.identity.who(&shown, desk.visitor.address).await {
        return back(&format!("The present password was not right: {refused}. Nothing was changed."));
    }
    if let Err(error) = desk.people().await?.set_password(&desk.by(), &*who.name, &new).await {
        let sorry = Sorry::from(error);
        return back(&format!("{} Nothing was changed.", sorry.sentence));
    }
    // All sessions have ended, this one too.
    let signed_in = desk.web.identity.sign_in(&who.name, &new, &desk.visitor).await?;
    let told =
        Flash::good("Your password is changed. Everywhere else you are signed out; tokens stay as they are.");
    let mut answer = desk.tell("/-/ui/profile", &told);
    add_cookie(&mut answer, desk.baker().session(&signed_in.secret, signed_in.max_age));
    Ok(answer)
}
