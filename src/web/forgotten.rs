//! Passwords that were forgotten: asking for a code by mail, and setting another password with it.
//!
//! Belongs here: the two forms. Does not: the code and what it does (`people::reset`), the mail (`notify`).

use askama::Template;
use axum::extract::Extension;
use axum::response::Response;

use super::desk::{Desk, Flash};
use super::page::{self, Page};
use super::posted::Posted;
use super::sorry::Sorry;
use crate::people::PeopleError;
use crate::secret::Secret;

#[derive(Template)]
#[template(path = "forgotten.html")]
struct ForgottenPage {
    page: Page,
    /// Whether this gate sends mail.
    has_mail: bool,
}

#[derive(Template)]
#[template(path = "new_password.html")]
struct NewPasswordPage {
    page: Page,
    code: String,
    told: Option<String>,
    may_send: bool,
}

impl NewPasswordPage {
    fn new(desk: &Desk, code: &str, told: Option<String>) -> Self {
        let (page, may_send) = (desk.page(""), desk.visitor.may_send_secrets);
        Self { page, code: code.to_owned(), told, may_send }
    }
}

pub(super) async fn show(Extension(desk): Extension<Desk>) -> Response {
    page::show(&ForgottenPage { page: desk.page(""), has_mail: desk.web.send_code.is_some() })
}

/// Says the same whoever is asked about.
pub(super) async fn ask(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    const NO_MAIL: &str = "this gate sends no mail; whoever runs it can set a password";
    let Some(send) = desk.web.send_code.clone() else { return Err(Sorry::conflict(NO_MAIL)) };
    let people = desk.people().await?;
    people.send_code_behind(posted.text("username").to_owned(), send);
    let told = Flash::good(
        "If there is such a user, with an address, a mail with a code is on its way. It comes once in ten minutes.",
    );
    Ok(desk.tell("/-/ui/sign-in", &told))
}

/// The code is never in an address: those are written into logs.
pub(super) async fn show_reset(Extension(desk): Extension<Desk>) -> Response {
    page::show(&NewPasswordPage::new(&desk, "", None))
}

pub(super) async fn reset(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    let again = |sorry: Sorry| {
        let told = Some(sorry.sentence);
        page::html(sorry.status, &NewPasswordPage::new(&desk, posted.text("code"), told))
    };
    if !desk.visitor.may_send_secrets {
        return Ok(again(Sorry::forbidden("passwords can't be sent this way")));
    }
    let (code, password) = (Secret::new(posted.text("code").to_owned()), posted.secret("password"));
    if password != posted.secret("again") {
        return Ok(again(Sorry::invalid("the two passwords are not the same")));
    }
    match desk.people().await?.reset_password(&desk.by(), &code, &password).await {
        Ok(user) => {
            let told = format!("The password of {} is another one now. Sign in with it.", user.name);
            Ok(desk.tell("/-/ui/sign-in", &Flash::good(told)))
        }
        Err(error @ (PeopleError::Store(_) | PeopleError::NotRecorded { .. })) => Err(error.into()),
        Err(error) => Ok(again(error.into())),
    }
}
