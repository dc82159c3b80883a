//! `condagate user`
//!
//! Belongs here: what is said and listed. Does not: what is done (`people`).

use super::args::{Switch, UserCommand, UserCreate};
use super::listing::{Line, Listing};
use super::{Desk, Failed, PAGE, password};
use crate::people::view::UserView;
use crate::people::{Account, NewUser};
use crate::store::model::User;

impl Line for UserView {
    const HEADS: &'static [&'static str] = &["USER", "KIND", "EMAIL", "CREATED"];

    fn cells(&self) -> Vec<String> {
        let flags = [
            (self.superuser, "superuser"),
            (self.service, "service"),
            (!self.superuser && !self.service, "user"),
            (self.disabled, "disabled"),
        ];
        let kind: Vec<_> = flags.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect();
        vec![self.name.clone(), kind.join(", "), self.email.clone().unwrap_or_default(), self.created.clone()]
    }
}

pub(super) async fn answer(command: &UserCommand, desk: &mut Desk<'_, '_>) -> Result<(), Failed> {
    match command {
        UserCommand::Create(args) => create(args, desk).await,
        UserCommand::List(_) => list(desk).await,
        UserCommand::Passwd { password, user, .. } => {
            let password = password::read(password, desk)?;
            let user = desk.people.set_password(&desk.by, user, &password).await?;
            let said = format!("`{}` has another password; the sessions are over", user.name);
            desk.say(&UserView::from(&user), said);
            Ok(())
        }
        UserCommand::SetSuperuser { user, switch, .. } => {
            let on = *switch == Switch::On;
            let (user, changed) = desk.people.set_superuser(&desk.by, user, on).await?;
            let is = if on { "is a superuser" } else { "is no superuser" };
            changed_or_not(desk, &user, changed, is);
            Ok(())
        }
        UserCommand::SetEmail { user, email, .. } => {
            let (user, changed) = desk.people.set_email(&desk.by, user, email).await?;
            let is = if user.email.is_some() { "has this address" } else { "has no address" };
            changed_or_not(desk, &user, changed, is);
            Ok(())
        }
        UserCommand::Disable(one) => {
            let (user, changed) = desk.people.disable_user(&desk.by, &one.user).await?;
            changed_or_not(desk, &user, changed, "is disabled");
            Ok(())
        }
        UserCommand::Enable(one) => {
            let (user, changed) = desk.people.enable_user(&desk.by, &one.user).await?;
            changed_or_not(desk, &user, changed, "is enabled");
            Ok(())
        }
        UserCommand::Delete { yes: false, .. } => Err(Failed::NotSure(
            "this can't be undone: say --yes to take the user away, with all tokens, grants and memberships; \
             `condagate user disable` can be undone",
        )),
        UserCommand::Delete { one, yes: true } => {
            let user = desk.people.delete_user(&desk.by, &one.user).await?;
            desk.say(&UserView::from(&user), format_args!("`{}` is gone", user.name));
            Ok(())
        }
    }
}

fn changed_or_not(desk: &mut Desk<'_, '_>, user: &User, changed: bool, is: &str) {
    let said = if changed {
        format!("`{}` {is} now", user.name)
    } else {
        format!("`{}` {is} already; nothing was done", user.name)
    };
    desk.say(&UserView::from(user), said);
}

async fn create(args: &UserCreate, desk: &mut Desk<'_, '_>) -> Result<(), Failed> {
    let account =
        if args.service { Account::Service } else { Account::Person(password::read(&args.password, desk)?) };
    let new = NewUser {
        name: args.username.clone(),
        email: args.email.clone(),
        superuser: args.superuser,
        account,
    };
    let user = desk.people.create_user(&desk.by, new).await?;
    let kind = match (user.superuser, user.service) {
        (true, false) => "superuser",
        (false, true) => "service account",
        (true, true) => "service account, a superuser,",
        (false, false) => "user",
    };
    let said = format!("there is now the {kind} `{}` (id {})", user.name, user.id);
    desk.say(&UserView::from(&user), said);
    Ok(())
}

async fn list(desk: &mut Desk<'_, '_>) -> Result<(), Failed> {
    let mut listing = Listing::new(desk.terminal, desk.json);
    let mut last: Option<User> = None;
    loop {
        let mut page = desk.people.users(last.as_ref(), PAGE).await?;
        listing.rows(&page.iter().map(UserView::from).collect::<Vec<_>>());
        last = page.pop();
        if last.is_none() {
            listing.end();
            return Ok(());
        }
    }
}
