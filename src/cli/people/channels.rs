//! `condagate channel create | list | show | set | delete | restore`
//!
//! Belongs here: what is said and listed. Does not: what is done (`channel`).

use serde_json::json;

use super::args::Switch;
use super::hosted_args::{ChannelCreate, ChannelSet, HostedCommand, OneChannel, Size};
use super::listing::{Line, Listing};
use super::{Desk, Failed, PAGE};
use crate::channel::view::ChannelView;
use crate::channel::{ChannelChange, ChannelSettings, NewChannel, Quota};
use crate::policy::units::show_size;

impl Line for ChannelView {
    const HEADS: &'static [&'static str] = &["CHANNEL", "READ BY", "QUOTA", "CREATED", "DESCRIPTION"];

    fn cells(&self) -> Vec<String> {
        let read = match (&self.deleted, self.public) {
            (Some(_), _) => "(deleted)",
            (None, true) => "everybody",
            (None, false) => "who may",
        };
        vec![
            self.name.clone(),
            read.to_owned(),
            self.quota.map_or_else(String::new, show_size),
            self.created.clone(),
            self.description.clone(),
        ]
    }
}

pub(super) async fn answer(command: &HostedCommand, desk: &mut Desk<'_, '_>) -> Result<(), Failed> {
    match command {
        HostedCommand::Create(new) => create(new, desk).await,
        HostedCommand::List(_) => list(desk).await,
        HostedCommand::Show(OneChannel { name, .. }) => {
            let view = desk.channels.view(&desk.channels.channel(name).await?);
            desk.say(&view, shown(&view));
            Ok(())
        }
        HostedCommand::Set(change) => set(change, desk).await,
        HostedCommand::Delete { yes: false, .. } => Err(Failed::NotSure(
            "say --yes to take the channel away with all that is in it; for a week `channel restore` brings it back",
        )),
        HostedCommand::Delete { one, yes: true } => delete(one, true, desk).await,
        HostedCommand::Restore(one) => delete(one, false, desk).await,
        // Answered by the gate: see `cli::import`.
        HostedCommand::Import(_) => Ok(()),
    }
}

async fn create(new: &ChannelCreate, desk: &mut Desk<'_, '_>) -> Result<(), Failed> {
    let settings = ChannelSettings { owns: new.owns.clone(), ..ChannelSettings::default() };
    let asked =
        NewChannel { public: new.public, description: new.description.clone(), quota: new.quota, settings };
    let channel = desk.channels.create_channel(&desk.author, &new.one.name, asked).await?;
    let name = &channel.name;
    let who = if channel.public { "everybody may read it" } else { "nobody may read it yet" };
    let said = format!(
        "there is now the channel `{name}`, and {who}; \
         `condagate channel grant {name} --group GROUP --right read` lets people in, `--right write` lets them upload"
    );
    let view = desk.channels.view(&channel);
    desk.say(&view, said);
    Ok(())
}

async fn list(desk: &mut Desk<'_, '_>) -> Result<(), Failed> {
    let mut listing = Listing::new(desk.terminal, desk.json);
    let mut last: Option<String> = None;
    loop {
        let page = desk.channels.channels(last.as_deref(), PAGE).await?;
        let rows: Vec<ChannelView> = page.iter().map(|row| desk.channels.view(row)).collect();
        listing.rows(&rows);
        let Some(channel) = page.last() else {
            listing.end();
            return Ok(());
        };
        last = Some(channel.name.clone());
    }
}

/// A list on the command line; one word stands for "nothing".
fn unless(list: &[String], nothing: &str) -> Vec<String> {
    if list.iter().any(|one| one == nothing) { Vec::new() } else { list.to_vec() }
}

async fn set(set: &ChannelSet, desk: &mut Desk<'_, '_>) -> Result<(), Failed> {
    let was = desk.channels.channel(&set.one.name).await?;
    let mut settings = ChannelSettings::of(&was)?;
    if let Some(owns) = &set.owns {
        settings.owns = unless(owns, "none");
    }
    let upload = &mut settings.upload;
    if let Some(names) = &set.names {
        upload.names = unless(names, "*");
    }
    if let Some(licenses) = &set.licenses {
        upload.licenses = unless(licenses, "*");
    }
    if let Some(require) = &set.require {
        upload.require = unless(require, "none");
    }
    if let Some(longest) = set.max_size {
        upload.max_size = longest.0;
    }
    for (field, switch) in
        [(&mut upload.overwrite, set.overwrite), (&mut upload.attestation, set.attestation)]
    {
        *field = switch.map_or(*field, |switch| switch == Switch::On);
    }
    let change = ChannelChange {
        public: set.public.map(|switch| switch == Switch::On),
        description: set.description.clone(),
        quota: match set.quota {
            None => Quota::AsIs,
            Some(Size(None)) => Quota::Unlimited,
            Some(Size(Some(bytes))) => Quota::Bytes(bytes),
        },
        settings: Some(settings),
        at: None,
    };
    let changed = desk.channels.change_channel(&desk.author, &set.one.name, change).await?;
    let view = desk.channels.view(&changed);
    desk.say(&view, shown(&view));
    Ok(())
}

async fn delete(one: &OneChannel, delete: bool, desk: &mut Desk<'_, '_>) -> Result<(), Failed> {
    let name = &one.name;
    let changed = desk.channels.delete_channel(&desk.author, name, delete).await?;
    let now = if delete { "is deleted" } else { "is there again" };
    let said = if changed {
        format!("the channel `{name}` {now}")
    } else {
        format!("the channel `{name}` {now}; it was before, and nothing was done")
    };
    desk.say(&json!({"name": name.as_str(), "deleted": delete, "changed": changed}), said);
    Ok(())
}

fn shown(view: &ChannelView) -> String {
    let mut lines = vec![
        format!("channel      {}", view.name),
        format!("read by      {}", if view.public { "everybody" } else { "who may" }),
        format!("quota        {}", view.quota.map_or_else(|| "none".to_owned(), show_size)),
        format!("created      {}", view.created),
    ];
    let mut more = |what: &str, text: String| {
        if !text.is_empty() {
            lines.push(format!("{what:<12} {text}"));
        }
    };
    more("description", view.description.clone());
    more("owns", view.settings.owns.join(", "));
    for (what, text) in view.settings.upload.lines(show_size) {
        more(what, text);
    }
    let in_rules: Vec<_> = view.in_rules.iter().map(|key| format!("`{key}`")).collect();
    more("in the rules", in_rules.join(", "));
    lines.join("\n")
}
