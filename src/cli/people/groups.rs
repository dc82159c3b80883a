//! `condagate group`
//!
//! Belongs here: what is said and listed. Does not: what is done (`people`).

use serde_json::json;

use super::args::{GroupCommand, Members};
use super::listing::{Line, Listing};
use super::{Desk, Failed, PAGE};
use crate::people::Joined;
use crate::people::view::GroupView;
use crate::store::model::Group;

impl Line for GroupView {
    const HEADS: &'static [&'static str] = &["GROUP", "MEMBERS", "DESCRIPTION"];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.members.join(", "), self.description.clone()]
    }
}

pub(super) async fn answer(command: &GroupCommand, desk: &mut Desk<'_, '_>) -> Result<(), Failed> {
    match command {
        GroupCommand::Create { name, description, .. } => {
            let group = desk.people.create_group(&desk.by, name, description).await?;
            let said = format!("there is now the group `{}` (id {})", group.name, group.id);
            desk.say(&GroupView::new(&group, Vec::new()), said);
        }
        GroupCommand::Add(members) => {
            let done = desk.people.join(&desk.by, &members.group, &members.users).await?;
            moved(desk, members, &done, ["is in", "was in"]);
        }
        GroupCommand::Remove(members) => {
            let done = desk.people.leave(&desk.by, &members.group, &members.users).await?;
            moved(desk, members, &done, ["is no longer in", "was not in"]);
        }
        GroupCommand::List(_) => list(desk).await?,
        GroupCommand::Delete { yes: false, .. } => {
            return Err(Failed::NotSure(
                "this can't be undone: say --yes to take the group away, with its grants",
            ));
        }
        GroupCommand::Delete { name, yes: true, .. } => {
            let group = desk.people.delete_group(&desk.by, name).await?;
            let said = format!("the group `{}` is gone", group.name);
            desk.say(&GroupView::new(&group, Vec::new()), said);
        }
    }
    Ok(())
}

fn moved(desk: &mut Desk<'_, '_>, members: &Members, done: &[Joined], [now, before]: [&str; 2]) {
    let group = &members.group;
    if desk.json {
        let users = done.iter().map(|one| json!({"user": one.user, "changed": one.changed}));
        desk.terminal.json(&json!({"group": group, "users": users.collect::<Vec<_>>()}));
        return;
    }
    for one in done {
        let (is, end) = if one.changed { (now, "") } else { (before, " before; nothing was done") };
        desk.terminal.line(format_args!("`{}` {is} the group `{group}`{end}", one.user));
    }
}

async fn list(desk: &mut Desk<'_, '_>) -> Result<(), Failed> {
    let mut listing = Listing::new(desk.terminal, desk.json);
    let mut last: Option<Group> = None;
    loop {
        let mut page = desk.people.groups(last.as_ref(), PAGE).await?;
        let mut rows = Vec::new();
        for group in &page {
            rows.push(GroupView::new(group, desk.people.members(group).await?));
        }
        listing.rows(&rows);
        last = page.pop();
        if last.is_none() {
            listing.end();
            return Ok(());
        }
    }
}
