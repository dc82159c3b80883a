//! Groups and who is in them.
//!
//! Belongs here: the pages and their forms. Does not: what may be done (`people`).

use askama::Template;
use axum::extract::{Extension, Path, Query};
use axum::response::Response;

use super::{LINES, tabbed};
use crate::people::People;
use crate::store::model::Subject;
use crate::web::desk::{Desk, Flash};
use crate::web::page::{self, Behind, Page, Way};
use crate::web::posted::Posted;
use crate::web::show::{When, count};
use crate::web::sorry::Sorry;

/// Members that are counted in the list of groups.
const COUNTED: u32 = 1000;

struct Row {
    name: String,
    description: String,
    members: String,
    created: When,
}

#[derive(Template)]
#[template(path = "admin/groups.html")]
struct GroupsPage {
    page: Page,
    rows: Vec<Row>,
    way: Way,
}

tabbed!(GroupsPage, "groups");

#[derive(Template)]
#[template(path = "admin/group.html")]
struct GroupPage {
    page: Page,
    name: String,
    description: String,
    members: Vec<String>,
    way: Way,
    grants: Vec<(String, &'static str)>,
}

tabbed!(GroupPage, "groups");

pub(super) async fn list(
    Extension(desk): Extension<Desk>,
    Query(asked): Query<Behind>,
) -> Result<Response, Sorry> {
    desk.superuser()?;
    let people = desk.people().await?;
    let after = match &asked.after {
        Some(name) => people.group(name).await.ok(),
        None => None,
    };
    let (mut rows, groups) = (Vec::new(), people.groups(after.as_ref(), LINES).await?);
    for group in &groups {
        rows.push(Row {
            name: group.name.clone(),
            description: group.description.clone(),
            members: match people.count_members(group, COUNTED).await? {
                most if most == COUNTED as usize => format!("{}+", count(most as u64)),
                members => members.to_string(),
            },
            created: When::new(group.created, desk.now()),
        });
    }
    let next = groups.last().filter(|_| groups.len() == LINES as usize).map(|last| last.name.clone());
    let way = Way::new(&desk, "/-/ui/admin/groups", next, after.is_none());
    Ok(page::show(&GroupsPage { page: desk.page("admin"), rows, way }))
}

fn page_of(name: &str) -> String {
    format!("/-/ui/admin/groups/{}", crate::upstream::encode_path_segment(name))
}

pub(super) async fn create(Extension(desk): Extension<Desk>, posted: Posted) -> Result<Response, Sorry> {
    desk.superuser()?;
    let people = desk.people().await?;
    match people.create_group(&desk.by(), posted.text("name"), posted.text("description")).await {
        Ok(group) => {
            let told = Flash::good(format!("The group {} is there now. Add people to it.", group.name));
            Ok(desk.tell(&page_of(&group.name), &told))
        }
        Err(error) => Ok(desk.tell("/-/ui/admin/groups", &Flash::bad(Sorry::from(error).sentence))),
    }
}

pub(super) async fn one(
    Extension(desk): Extension<Desk>,
    Path(name): Path<String>,
    Query(asked): Query<Behind>,
) -> Result<Response, Sorry> {
    desk.superuser()?;
    let people = desk.people().await?;
    let group = people.group(&name).await?;
    let (members, next) = people.members_page(&group, asked.after.as_deref(), LINES).await?;
    let way = Way::new(&desk, &page_of(&group.name), next, asked.after.is_none());
    let grants = people.grants(Some(&Subject::Group(group.id.clone())), None, LINES).await?;
    Ok(page::show(&GroupPage {
        page: desk.page("admin"),
        members,
        way,
        grants: grants.into_iter().map(|grant| (grant.channels, grant.right.as_str())).collect(),
        name: group.name,
        description: group.description,
    }))
}

pub(super) async fn act(
    Extension(desk): Extension<Desk>,
    Path(name): Path<String>,
    posted: Posted,
) -> Result<Response, Sorry> {
    desk.superuser()?;
    let people = desk.people().await?;
    match done(&desk, &people, &name, &posted).await {
        Ok(flash) if posted.text("action") == "delete" => Ok(desk.tell("/-/ui/admin/groups", &flash)),
        Ok(flash) => Ok(desk.tell(&page_of(&name), &flash)),
        Err(sorry) if sorry.status.is_client_error() => {
            Ok(desk.tell(&page_of(&name), &Flash::bad(sorry.sentence)))
        }
        Err(sorry) => Err(sorry),
    }
}

async fn done(desk: &Desk, people: &People, name: &str, posted: &Posted) -> Result<Flash, Sorry> {
    let by = desk.by();
    let users: Vec<String> = posted
        .text("users")
        .split([',', ' '])
        .map(str::trim)
        .filter(|user| !user.is_empty())
        .map(str::to_owned)
        .collect();
    Ok(Flash::good(match posted.text("action") {
        "add" | "remove" if users.is_empty() => return Err(Sorry::invalid("name somebody")),
        "add" => {
            people.join(&by, name, &users).await?;
            format!("In {name} now: {}.", users.join(", "))
        }
        "remove" => {
            people.leave(&by, name, &users).await?;
            format!("No longer in {name}: {}.", users.join(", "))
        }
        "delete" => {
            people.delete_group(&by, name).await?;
            format!("The group {name} is deleted, with its rights.")
        }
        _ => return Err(Sorry::invalid("the gate does not know what this form asks for")),
    }))
}
