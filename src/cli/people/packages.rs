//! `condagate package list | yank | restore | delete | copy | promote`
//!
//! Belongs here: what is said and listed. Does not: what is done (`channel`).

use serde_json::json;

use super::hosted_args::{OneFile, PackageCommand};
use super::listing::{Line, Listing};
use super::{Desk, Failed, PAGE};
use crate::channel::view::PackageView;
use crate::channel::{Copied, Labels, Retract};
use crate::conda::channel::ChannelName;

impl Line for PackageView {
    const HEADS: &'static [&'static str] = &["SUBDIR", "FILE", "SIZE", "LABELS", "STATE", "UPLOADED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.subdir.clone(),
            self.file.clone(),
            self.size.to_string(),
            self.labels.join(", "),
            self.state.to_owned(),
            self.uploaded.clone(),
        ]
    }
}

pub(super) async fn answer(command: &PackageCommand, desk: &mut Desk<'_, '_>) -> Result<(), Failed> {
    match command {
        PackageCommand::List { one, package, subdir } => {
            list(&one.name, package.as_deref(), subdir.as_deref(), desk).await
        }
        PackageCommand::Yank { one, reason } => retract(one, Retract::Yank, reason.as_deref(), desk).await,
        PackageCommand::Restore(one) => retract(one, Retract::Restore, None, desk).await,
        PackageCommand::Delete { yes: false, .. } => Err(Failed::NotSure(
            "say --yes to take the file away; for a week `package restore` brings it back. `package yank` takes it out of \
             the index and leaves it to lock files",
        )),
        PackageCommand::Delete { one, yes: true, reason } => {
            retract(one, Retract::Delete, reason.as_deref(), desk).await
        }
        PackageCommand::Copy { one, to, labels } => copy(one, to, labels, desk).await,
        PackageCommand::Promote { one, to, from } => promote(one, to, from, desk).await,
    }
}

async fn list(
    channel: &ChannelName,
    name: Option<&str>,
    subdir: Option<&str>,
    desk: &mut Desk<'_, '_>,
) -> Result<(), Failed> {
    let channels = desk.channels.clone();
    let mut listing = Listing::new(desk.terminal, desk.json);
    let mut last: Option<(String, String)> = None;
    loop {
        let after = last.as_ref().map(|(subdir, file)| (subdir.as_str(), file.as_str()));
        let page = channels.packages(channel, after, PAGE).await?;
        let is_meant = |view: &PackageView| {
            name.is_none_or(|name| name == view.name) && subdir.is_none_or(|subdir| subdir == view.subdir)
        };
        let rows: Vec<PackageView> = page.iter().map(PackageView::from).filter(is_meant).collect();
        listing.rows(&rows);
        let Some(package) = page.last() else {
            listing.end();
            return Ok(());
        };
        last = Some((package.subdir.clone(), package.file.clone()));
    }
}

fn shown(one: &OneFile) -> String {
    format!("{}/{}/{}", one.one.name, one.place.subdir, one.place.file)
}

async fn retract(
    one: &OneFile,
    what: Retract,
    reason: Option<&str>,
    desk: &mut Desk<'_, '_>,
) -> Result<(), Failed> {
    let place = (&one.one.name, &one.place.subdir, &one.place.file);
    let changed = desk.channels.retract_as(&desk.author, place, what, reason).await?;
    let (state, now) = match what {
        Retract::Yank => ("yanked", "is out of the index"),
        Retract::Restore => ("listed", "is in the index"),
        Retract::Delete => ("deleted", "is deleted"),
    };
    let before = if changed { "" } else { "; it was before, and nothing was done" };
    let said = format!("`{}` {now}{before}", shown(one));
    desk.say(&json!({"package": shown(one), "state": state, "changed": changed}), said);
    Ok(())
}

async fn copy(
    one: &OneFile,
    to: &ChannelName,
    labels: &[String],
    desk: &mut Desk<'_, '_>,
) -> Result<(), Failed> {
    let place = (&one.one.name, &one.place.subdir, &one.place.file);
    let copied = desk.channels.copy_as(&desk.author, place, to, labels).await?;
    let changed = copied == Copied::Done;
    let is = if changed { "is now" } else { "was already" };
    let said = format!("`{}/{}` {is} in the channel `{to}`", one.place.subdir, one.place.file);
    desk.say(&json!({"package": shown(one), "to": to.as_str(), "changed": changed}), said);
    Ok(())
}

async fn promote(
    one: &OneFile,
    to: &[String],
    from: &[String],
    desk: &mut Desk<'_, '_>,
) -> Result<(), Failed> {
    let place = (&one.one.name, &one.place.subdir, &one.place.file);
    let change = Labels { add: to.to_vec(), remove: from.to_vec() };
    let labels = desk.channels.relabel_as(&desk.author, place, &change).await?;
    let said = format!("`{}` has now the labels {}", shown(one), labels.join(", "));
    desk.say(&json!({"package": shown(one), "labels": labels}), said);
    Ok(())
}
