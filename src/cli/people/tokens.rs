//! `condagate token`
//!
//! A secret goes to standard output and nowhere else, so that `TOKEN=$(condagate token create …)` has it alone.
//!
//! Belongs here: what is said and listed. Does not: what is done (`people`).

use super::args::TokenCommand;
use super::listing::{Line, Listing};
use super::{Desk, Failed, PAGE};
use crate::clock::{Clock as _, SystemClock};
use crate::people::view::{IssuedView, TokenView};
use crate::people::{Issued, Life, NewToken};
use crate::store::model::Token;

impl Line for TokenView {
    const HEADS: &'static [&'static str] = &["ID", "USER", "NAME", "STATE", "SCOPES", "EXPIRES", "LAST USE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.user.clone().unwrap_or_else(|| format!("(gone: {})", self.user_id)),
            self.name.clone(),
            self.state.to_owned(),
            self.scopes.join(" "),
            self.expires.clone().unwrap_or_else(|| "never".to_owned()),
            self.last_use.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    }
}

pub(super) async fn answer(command: &TokenCommand, desk: &mut Desk<'_, '_>) -> Result<(), Failed> {
    match command {
        TokenCommand::Create { user, name, scopes, expires, .. } => {
            let new = NewToken {
                owner: user.clone(),
                name: name.clone(),
                scopes: scopes.clone(),
                life: expires.unwrap_or(Life::Usual),
            };
            let issued = desk.people.create_token(&desk.by, new).await?;
            show(desk, &issued);
        }
        TokenCommand::List { user, .. } => list(desk, user.as_deref()).await?,
        TokenCommand::Rotate { id, overlap, .. } => {
            let (issued, old) = desk.people.rotate_token(&desk.by, id, *overlap).await?;
            let until = old.expires.map(crate::http::date::rfc3339).unwrap_or_default();
            desk.note(format_args!("the token {} is good until {until}; this one takes its place", old.id));
            show(desk, &issued);
        }
        TokenCommand::Revoke { id, .. } => {
            let (token, changed) = desk.people.revoke_token(&desk.by, id).await?;
            let user = desk.people.names().user(&token.owner).await?;
            let said = if changed {
                format!("the token {} is revoked", token.id)
            } else {
                format!("the token {} was revoked before; nothing was done", token.id)
            };
            desk.say(&TokenView::new(&token, user, SystemClock.now()), said);
        }
    }
    Ok(())
}

/// The one place where a secret is printed.
fn show(desk: &mut Desk<'_, '_>, issued: &Issued) {
    let view = IssuedView::from(issued);
    let until = view.expires.as_ref().map_or_else(|| "for ever".to_owned(), |end| format!("until {end}"));
    desk.note(format_args!(
        "the token {} of `{}` is good for {} {until}; it is shown only now",
        view.id,
        view.user,
        view.scopes.join(" "),
    ));
    desk.say(&view, &view.token);
}

async fn list(desk: &mut Desk<'_, '_>, user: Option<&str>) -> Result<(), Failed> {
    let owner = match user {
        Some(name) => Some(desk.people.user(name).await?),
        None => None,
    };
    let mut names = desk.people.names();
    let mut listing = Listing::new(desk.terminal, desk.json);
    let mut last: Option<Token> = None;
    loop {
        let mut page = desk.people.tokens(owner.as_ref(), last.as_ref(), PAGE).await?;
        let mut rows = Vec::new();
        for token in &page {
            rows.push(TokenView::new(token, names.user(&token.owner).await?, SystemClock.now()));
        }
        listing.rows(&rows);
        last = page.pop();
        if last.is_none() {
            listing.end();
            return Ok(());
        }
    }
}
