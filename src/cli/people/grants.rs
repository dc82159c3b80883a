//! `condagate channel grant | revoke | grants`
//!
//! Belongs here: what is said and listed. Does not: what is done (`people`).

use serde_json::json;

use super::args::{ChannelCommand, who};
use super::listing::{Line, Listing};
use super::{Desk, Failed, PAGE};
use crate::people::Who;
use crate::people::view::GrantView;
use crate::store::model::Grant;

impl Line for GrantView {
    const HEADS: &'static [&'static str] = &["CHANNELS", "RIGHT", "WHO", "ID", "CREATED"];

    fn cells(&self) -> Vec<String> {
        let name = self.name.clone().unwrap_or_else(|| format!("(gone: {})", self.subject_id));
        vec![
            self.channels.clone(),
            self.right.to_owned(),
            format!("{}:{name}", self.kind),
            self.id.clone(),
            self.created.clone(),
        ]
    }
}

pub(super) async fn answer(command: &ChannelCommand, desk: &mut Desk<'_, '_>) -> Result<(), Failed> {
    match command {
        ChannelCommand::Grant { who, channels, right, .. } => {
            let given = desk.people.give(&desk.by, channels, &who.who(), *right).await?;
            let said = if given.is_new { "has now" } else { "had before; nothing was done:" };
            let view = GrantView::new(&given.grant, Some(given.name));
            let said = format!(
                "the {} `{}` {said} the right `{}` on `{}`",
                view.kind,
                view.name.as_deref().unwrap_or_default(),
                view.right,
                view.channels
            );
            desk.say(&view, said);
            Ok(())
        }
        ChannelCommand::Revoke { who, channels, right, .. } => {
            let grants = desk.people.take(&desk.by, channels, &who.who(), *right).await?;
            taken(desk, &grants).await
        }
        // Answered by `channels`.
        ChannelCommand::Hosted(_) => Ok(()),
        ChannelCommand::Grants { user, group, .. } => {
            list(desk, who(user.as_deref(), group.as_deref()).as_ref()).await
        }
    }
}

async fn taken(desk: &mut Desk<'_, '_>, grants: &[Grant]) -> Result<(), Failed> {
    let mut views = Vec::new();
    let mut names = desk.people.names();
    for grant in grants {
        views.push(GrantView::new(grant, names.subject(&grant.subject).await?));
    }
    if desk.json {
        desk.terminal.json(&json!(views));
        return Ok(());
    }
    for view in &views {
        let name = view.name.as_deref().unwrap_or_default();
        let (kind, right, channels) = (view.kind, view.right, &view.channels);
        desk.terminal.line(format_args!("the {kind} `{name}` no longer has `{right}` on `{channels}`"));
    }
    Ok(())
}

async fn list(desk: &mut Desk<'_, '_>, who: Option<&Who>) -> Result<(), Failed> {
    let subject = match who {
        Some(who) => Some(desk.people.subject(who).await?),
        None => None,
    };
    let mut names = desk.people.names();
    let mut listing = Listing::new(desk.terminal, desk.json);
    let mut last: Option<Grant> = None;
    loop {
        let mut page = desk.people.grants(subject.as_ref(), last.as_ref(), PAGE).await?;
        let mut rows = Vec::new();
        for grant in &page {
            rows.push(GrantView::new(grant, names.subject(&grant.subject).await?));
        }
        listing.rows(&rows);
        last = page.pop();
        if last.is_none() {
            listing.end();
            return Ok(());
        }
    }
}
