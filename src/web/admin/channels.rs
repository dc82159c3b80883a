//! The team's own channels: made, set, deleted and restored. Whoever may manage a channel may set it; administrators do the rest.
//!
//! Belongs here: the pages and their forms. Does not: what may be done (`channel`).

use askama::Template;
use axum::extract::{Extension, Path, Query};
use axum::response::Response;

use super::{LINES, tabbed};
use crate::channel::{Author, ChannelChange, ChannelSettings, NewChannel, Quota};
use crate::conda::channel::ChannelName;
use crate::policy::access::Right;
use crate::store::model::Channel;
use crate::web::desk::{Desk, Flash};
use crate::web::page::{self, Behind, Page, Way};
use crate::web::posted::Posted;
use crate::web::show::{When, size};
use crate::web::sorry::Sorry;
use crate::web::upload::split;

const GIB: u64 = 1 << 30;

struct Row {
    name: String,
    description: String,
    public: bool,
    quota: Option<String>,
    created: When,
    deleted: Option<When>,
}

#[derive(Template)]
#[template(path = "admin/channels.html")]
struct ChannelsPage {
    page: Page,
    rows: Vec<Row>,
    way: Way,
}

tabbed!(ChannelsPage, "channels");

#[derive(Template)]
#[template(path = "admin/channel.html")]
struct ChannelPage {
    page: Page,
    name: String,
    description: String,
    public: bool,
    quota: String,
    settings: ChannelSettings,
    max_size: String,
    owns: String,
    names: String,
    licenses: String,
    require: String,
}

tabbed!(ChannelPage, "channels");

pub(super) async fn list(
    Extension(desk): Extension<Desk>,
    Query(asked): Query<Behind>,
) -> Result<Response, Sorry> {
    desk.superuser()?;
    let rows = desk.web.hosting.desk().channels(asked.after.as_deref(), LINES).await?;
    let next = rows.last().filter(|_| rows.len() == LINES as usize).map(|last| last.name.clone());
    let way = Way::new(&desk, "/-/ui/admin/channels", next, asked.after.is_none());
    let row = |row: Channel| Row {
        name: row.name,
        description: row.description,
        public: row.public,
        quota: row.quota.map(size),
        created: When::new(row.created, desk.now()),
        deleted: row.deleted_at.map(|at| When::new(at, desk.now())),
    };
    let rows = rows.into_iter().map(row).collect();
    Ok(page::show(&ChannelsPage { page: desk.page("admin"), rows, way }))
}

fn author(desk: &Desk) -> Result<Author, Sorry> {
    Author::of(&desk.visitor).ok_or_else(|| Sorry::sign_in("sign in to do that"))
}

fn name_of(text: &str) -> Result<ChannelName, Sorry> {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    ChannelName::parse(text).ok_or_else(|| Sorry::invalid(format!("“{shown}” is no name of a channel")))
}

/// Bytes of gibibytes as people write them; none for nothing.
fn bytes(text: &str) -> Result<Option<u64>, Sorry> {
    if text.is_empty() {
        return Ok(None);
    }
    let gib = text.parse::<u64>().ok().and_then(|gib| gib.checked_mul(GIB));
    gib.map(Some).ok_or_else(|| Sorry::invalid("a size is a whole number of GiB, or nothing for no limit"))
}

pub(super) async fn create(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    desk.superuser()?;
    let made = async {
        let name = name_of(posted.text("name"))?;
        let new = NewChannel {
            public: posted.is_on("public"),
            description: posted.text("description").to_owned(),
            quota: bytes(posted.text("quota"))?,
            settings: ChannelSettings::default(),
        };
        Ok::<_, Sorry>(desk.web.hosting.desk().create_channel(&author(&desk)?, &name, new).await?)
    };
    match made.await {
        Ok(channel) => {
            let told = Flash::good(format!(
                "The channel {} is there now. Give people rights on it under Grants.",
                channel.name
            ));
            Ok(desk.tell(&format!("/-/ui/channels/{}", channel.name), &told))
        }
        Err(sorry) if sorry.status.is_client_error() => {
            Ok(desk.tell("/-/ui/admin/channels", &Flash::bad(sorry.sentence)))
        }
        Err(sorry) => Err(sorry),
    }
}

/// Whoever may manage the channel.
fn check(desk: &Desk, name: &ChannelName) -> Result<(), Sorry> {
    desk.signed_in()?;
    Ok(desk.web.hosting.check(&desk.visitor, name, Right::Manage, None)?)
}

pub(super) async fn one(
    Extension(desk): Extension<Desk>,
    Path(name): Path<String>,
) -> Result<Response, Sorry> {
    let name = name_of(&name)?;
    check(&desk, &name)?;
    let channel = desk.web.hosting.desk().channel(&name).await?;
    let settings = ChannelSettings::of(&channel)?;
    let gib = |bytes: Option<u64>| bytes.map_or_else(String::new, |bytes| bytes.div_ceil(GIB).to_string());
    Ok(page::show(&ChannelPage {
        page: desk.page("admin"),
        name: channel.name.clone(),
        description: channel.description.clone(),
        public: channel.public,
        quota: gib(channel.quota),
        max_size: gib(settings.upload.max_size),
        owns: settings.owns.join(", "),
        names: settings.upload.names.join(", "),
        licenses: settings.upload.licenses.join(", "),
        require: settings.upload.require.join(", "),
        settings,
    }))
}

pub(super) async fn act(
    Extension(desk): Extension<Desk>,
    Path(name): Path<String>,
    posted: Posted,
) -> Result<Response, Sorry> {
    let name = name_of(&name)?;
    check(&desk, &name)?;
    let own = format!("/-/ui/admin/channels/{name}");
    let done = match posted.text("action") {
        "set" => set(&desk, &name, &posted).await.map(|flash| (own.clone(), flash)),
        "delete" if posted.text("confirm") != name.as_str() => {
            Err(Sorry::invalid(format!("type {name} to delete the channel; nothing was done")))
        }
        "delete" => taken_away(&desk, &name, true).await,
        "restore" => taken_away(&desk, &name, false).await,
        _ => Err(Sorry::invalid("the gate does not know what this form asks for")),
    };
    match done {
        Ok((page, flash)) => Ok(desk.tell(&page, &flash)),
        Err(sorry) if sorry.status.is_client_error() => Ok(desk.tell(&own, &Flash::bad(sorry.sentence))),
        Err(sorry) => Err(sorry),
    }
}

async fn set(desk: &Desk, name: &ChannelName, posted: &Posted) -> Result<Flash, Sorry> {
    let channels = desk.web.hosting.desk();
    let mut settings = ChannelSettings::of(&channels.channel(name).await?)?;
    settings.owns = split(posted.text("owns"));
    settings.upload.overwrite = posted.is_on("overwrite");
    settings.upload.attestation = posted.is_on("attestation");
    settings.upload.names = split(posted.text("names"));
    settings.upload.licenses = split(posted.text("licenses"));
    settings.upload.require = split(posted.text("require"));
    settings.upload.max_size = bytes(posted.text("max_size"))?;
    let change = ChannelChange {
        public: Some(posted.is_on("public")),
        description: Some(posted.text("description").to_owned()),
        quota: bytes(posted.text("quota"))?.map_or(Quota::Unlimited, Quota::Bytes),
        settings: Some(settings),
        at: None,
    };
    channels.change_channel(&author(desk)?, name, change).await?;
    Ok(Flash::good(format!("{name} is set.")))
}

async fn taken_away(desk: &Desk, name: &ChannelName, delete: bool) -> Result<(String, Flash), Sorry> {
    desk.web.hosting.desk().delete_channel(&author(desk)?, name, delete).await?;
    let list = if desk.is_superuser() { "/-/ui/admin/channels" } else { "/-/ui/channels" }.to_owned();
    Ok(if delete {
        let text = format!(
            "{name} is deleted: nobody can read it. For a week it can be restored, and its name stays taken."
        );
        (list, Flash::good(text))
    } else {
        (format!("/-/ui/channels/{name}"), Flash::good(format!("{name} is back, with all that was in it.")))
    })
}
