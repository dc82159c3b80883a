//! The first administrator, for who has the code from the gate's data directory.
//!
//! Belongs here: the form. Does not: the code and what it does (`people::setup`).

use askama::Template;
use axum::extract::Extension;
use axum::response::{IntoResponse, Response};

use super::desk::{Desk, Flash, add_cookie};
use super::page::{self, Page};
use super::posted::Posted;
use super::sorry::Sorry;
use crate::people::{PeopleError, setup};
use crate::secret::Secret;

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    page: Page,
    name: String,
    told: Option<String>,
    may_send: bool,
    file: String,
}

impl SetupPage {
    fn new(desk: &Desk, name: &str, told: Option<String>) -> Self {
        // Strangers do not learn where things lie on this machine.
        let file = if desk.visitor.here {
            setup::file(&desk.web.data).display().to_string()
        } else {
            "setup-code".to_owned()
        };
        let (page, may_send) = (desk.page(""), desk.visitor.may_send_secrets);
        Self { page, name: name.to_owned(), told, may_send, file }
    }
}

pub(super) async fn show(Extension(desk): Extension<Desk>) -> Result<Response, Sorry> {
    if !setup::is_needed(&desk.people().await?).await? {
        return Ok(desk.to("/-/ui/sign-in"));
    }
    Ok(page::show(&SetupPage::new(&desk, "", None)))
}

pub(super) async fn redeem(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    let name = posted.text("username");
    let again = |sorry: Sorry| {
        let told = Some(sorry.sentence);
        page::html(sorry.status, &SetupPage::new(&desk, name, told))
    };
    if !desk.visitor.may_send_secrets {
        return Ok(again(Sorry::forbidden("passwords can't be sent this way")));
    }
    let (password, people) = (posted.secret("password"), desk.people().await?);
    if password != posted.secret("again") {
        return Ok(again(Sorry::invalid("the two passwords are not the same")));
    }
    let code = Secret::new(posted.text("code").to_owned());
    let address = desk.visitor.address();
    let made = setup::redeem(&people, &desk.web.data, &code, name, password.clone(), &address).await;
    match made {
        Ok(_) => {}
        Err(error @ (PeopleError::Store(_) | PeopleError::NotRecorded { .. })) => return Err(error.into()),
        Err(error) => return Ok(again(error.into())),
    }
    let welcome = Flash::good("Welcome. You are the first administrator of this gate.");
    let mut answer = desk.tell("/", &welcome);
    match desk.web.identity.sign_in(name, &password, &desk.visitor).await {
        Ok(signed_in) => {
            add_cookie(&mut answer, desk.baker().session(&signed_in.secret, signed_in.max_age));
            Ok(answer)
        }
        // The account is there; signing in can be done again.
        Err(refused) => Ok(Sorry::from(refused).into_response()),
    }
}
