//! Users: who there is, and what becomes of them.
//!
//! Belongs here: the pages and their forms. Does not: what may be done (`people`).

use askama::Template;
use axum::extract::{Extension, Path, Query};
use axum::response::Response;

use super::{LINES, tabbed};
use crate::people::{Account, NewUser, People};
use crate::store::model::{Subject, User};
use crate::web::desk::{Desk, Flash};
use crate::web::page::{self, Behind, Page, Way};
use crate::web::posted::Posted;
use crate::web::show::When;
use crate::web::sorry::Sorry;
use crate::web::tokens;

struct Row {
    name: String,
    email: String,
    superuser: bool,
    service: bool,
    disabled: bool,
    created: When,
}

impl Row {
    fn new(desk: &Desk, user: &User) -> Self {
        Self {
            name: user.name.clone(),
            email: user.email.clone().unwrap_or_default(),
            superuser: user.superuser,
            service: user.service,
            disabled: user.disabled,
            created: When::new(user.created, desk.now()),
        }
    }
}

#[derive(Template)]
#[template(path = "admin/users.html")]
struct UsersPage {
    page: Page,
    rows: Vec<Row>,
    way: Way,
}

tabbed!(UsersPage, "users");

#[derive(Template)]
#[template(path = "admin/user.html")]
struct UserPage {
    page: Page,
    user: Row,
    id: String,
    groups: Vec<String>,
    grants: Vec<(String, &'static str)>,
    tokens: Vec<tokens::Row>,
    way: Way,
    is_me: bool,
}

tabbed!(UserPage, "users");

pub(super) async fn list(
    Extension(desk): Extension<Desk>,
    Query(asked): Query<Behind>,
) -> Result<Response, Sorry> {
    desk.superuser()?;
    let people = desk.people().await?;
    let after = match &asked.after {
        Some(name) => people.user(name).await.ok(),
        None => None,
    };
    let users = people.users(after.as_ref(), LINES).await?;
    let next = users.last().filter(|_| users.len() == LINES as usize).map(|last| last.name.clone());
    let rows = users.iter().map(|user| Row::new(&desk, user)).collect();
    let way = Way::new(&desk, "/-/ui/admin/users", next, after.is_none());
    Ok(page::show(&UsersPage { page: desk.page("admin"), rows, way }))
}

pub(super) async fn create(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    desk.superuser()?;
    let back = |sorry: Sorry| Ok(desk.tell("/-/ui/admin/users", &Flash::bad(sorry.sentence)));
    let account = if posted.text("kind") == "service" {
        Account::Service
    } else if posted.secret("password") == posted.secret("again") {
        Account::Person(posted.secret("password"))
    } else {
        return back(Sorry::invalid("the two passwords are not the same; nobody was made"));
    };
    let new = NewUser {
        name: posted.text("name").to_owned(),
        email: posted.some("email").map(str::to_owned),
        superuser: posted.is_on("superuser"),
        account,
    };
    match desk.people().await?.create_user(&desk.by(), new).await {
        Ok(user) => {
            let told = Flash::good(format!("{} is there now.", user.name));
            Ok(desk.tell(&page_of(&user.name), &told))
        }
        Err(error) => back(error.into()),
    }
}

fn page_of(name: &str) -> String {
    format!("/-/ui/admin/users/{}", crate::upstream::encode_path_segment(name))
}

pub(super) async fn one(
    Extension(desk): Extension<Desk>,
    Path(name): Path<String>,
    Query(asked): Query<Behind>,
) -> Result<Response, Sorry> {
    desk.superuser()?;
    let people = desk.people().await?;
    let user = people.user(&name).await?;
    let after = match &asked.after {
        Some(id) => people.token(id).await.ok().filter(|token| token.owner == user.id),
        None => None,
    };
    let all = people.tokens(Some(&user), after.as_ref(), LINES).await?;
    let next = all.last().filter(|_| all.len() == LINES as usize).map(|last| last.id.to_string());
    let way = Way::new(&desk, &page_of(&user.name), next, after.is_none());
    let subject = Subject::User(user.id.clone());
    let grants = people.grants(Some(&subject), None, LINES).await?;
    let known = desk.web.identity.people().by_user(user.id.as_str()).ok();
    Ok(page::show(&UserPage {
        page: desk.page("admin"),
        id: user.id.to_string(),
        groups: known.iter().flat_map(|who| who.groups()).map(str::to_owned).collect(),
        grants: grants.into_iter().map(|grant| (grant.channels, grant.right.as_str())).collect(),
        way,
        tokens: all.iter().map(|token| tokens::Row::new(&desk, token)).collect(),
        is_me: desk.signed_in().is_ok_and(|(_, me)| *me == user.id),
        user: Row::new(&desk, &user),
    }))
}

pub(super) async fn act(
    Extension(desk): Extension<Desk>,
    Path(name): Path<String>,
    posted: Posted,
) -> Result<Response, Sorry> {
    desk.superuser()?;
    let people = desk.people().await?;
    let user = people.user(&name).await?;
    match done(&desk, &people, &user, &posted).await {
        Ok(flash) if posted.text("action") == "delete" => Ok(desk.tell("/-/ui/admin/users", &flash)),
        Ok(flash) => Ok(desk.tell(&page_of(&user.name), &flash)),
        Err(sorry) if sorry.status.is_client_error() => {
            Ok(desk.tell(&page_of(&user.name), &Flash::bad(sorry.sentence)))
        }
        Err(sorry) => Err(sorry),
    }
}

async fn done(desk: &Desk, people: &People, user: &User, posted: &Posted) -> Result<Flash, Sorry> {
    let (by, name) = (desk.by(), &user.name);
    Ok(Flash::good(match posted.text("action") {
        "disable" => {
            people.disable_user(&by, name).await?;
            format!("{name} is let in nowhere any more; tokens and rights stay as they are.")
        }
        "enable" => {
            people.enable_user(&by, name).await?;
            format!("{name} is let in again.")
        }
        "promote" => {
            people.set_superuser(&by, name, true).await?;
            format!("{name} is an administrator now.")
        }
        "demote" => {
            people.set_superuser(&by, name, false).await?;
            format!("{name} is no administrator any more.")
        }
        "email" => {
            let (user, _) = people.set_email(&by, name, posted.text("email")).await?;
            match user.email {
                Some(email) => format!("Mail to {name} goes to {email}."),
                None => format!("{name} has no address any more."),
            }
        }
        "password" => {
            if posted.secret("password") != posted.secret("again") {
                return Err(Sorry::invalid("the two passwords are not the same; nothing was changed"));
            }
            people.set_password(&by, name, &posted.secret("password")).await?;
            format!("{name} has a new password and is signed out everywhere.")
        }
        "delete" => {
            if posted.text("confirm") != name {
                return Err(Sorry::invalid(format!("type {name} to delete the account; nothing was done")));
            }
            people.delete_user(&by, name).await?;
            format!("{name} is deleted, with all tokens and rights.")
        }
        _ => return Err(Sorry::invalid("the gate does not know what this form asks for")),
    }))
}
