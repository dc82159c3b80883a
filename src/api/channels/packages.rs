//! Packages of hosted channels: listed, looked at, yanked, restored, deleted, labelled, copied.
//!
//! Belongs here: these requests. Does not: what is done (`channel`), who is told of what (`sight`), uploads (`dialects::own`).

use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::v1::answers::{check_match, next, tag_of_content, tagged};
use super::{Answered, Desk, Page, Refusal, Spot};
use crate::channel::view::PackageView;
use crate::channel::{Copied, HostError, Labels, Retract};
use crate::conda::channel::ChannelName;
use crate::policy::access::Right;
use crate::sight::Seen;
use crate::store::model::PackageState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Relabel {
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CopyTo {
    to: String,
    #[serde(default)]
    labels: Vec<String>,
}

impl Desk<'_> {
    pub(super) async fn packages(&self, name: &ChannelName, page: &Page) -> Answered {
        self.readable(name).await?;
        let (limit, desk) = (page.limit()?, self.sight.hosting.desk());
        let after = page.after.as_deref().and_then(|after| after.split_once('/'));
        let mut rows = match &page.name {
            Some(package) => {
                let mut rows = self.told(desk.packages_named(name, package).await)?;
                rows.sort_by(|a, b| (&a.subdir, &a.file).cmp(&(&b.subdir, &b.file)));
                rows.retain(|row| after.is_none_or(|after| (&*row.subdir, &*row.file) > after));
                rows
            }
            None => self.told(desk.packages(name, after, limit).await)?,
        };
        rows.truncate(limit as usize);
        let next = next(&rows, limit, |last| format!("{}/{}", last.subdir, last.file));
        rows.retain(|row| row.state != PackageState::Deleted);
        rows.retain(|row| page.subdir.as_ref().is_none_or(|subdir| *subdir == row.subdir));
        if let Some(label) = &page.label {
            rows.retain(|row| PackageView::from(row).labels.contains(label));
        }
        let seen = self.told(self.sight.seen(self.visitor, name, rows).await)?;
        let shown: Vec<_> = seen.iter().map(|one| PackageView::seen(&one.package, one.visibility)).collect();
        Ok(Json(json!({"packages": shown, "next": next})).into_response())
    }

    /// A package that the caller is told of.
    async fn seen(&self, (name, subdir, file): Spot<'_>) -> Result<Seen, Refusal> {
        self.readable(name).await?;
        let found = self.told(self.sight.hosting.desk().package(name, subdir, file).await)?;
        let seen = match found {
            Some(row) => self.told(self.sight.seen_one(self.visitor, name, row).await)?,
            None => None,
        };
        let none = || HostError::NotFound(format!("there is no `{name}/{subdir}/{file}`"));
        self.told(seen.ok_or_else(none))
    }

    /// What is said of a package.
    async fn whole(&self, spot: Spot<'_>) -> Result<Value, Refusal> {
        let Seen { package, visibility } = self.seen(spot).await?;
        let record: Value = serde_json::from_slice(&package.record).unwrap_or_default();
        let about = self.told(self.sight.hosting.about(package.sha256).await)?;
        let view = json!(PackageView::seen(&package, visibility));
        Ok(json!({"package": view, "record": record, "contents": about}))
    }

    pub(super) async fn package(&self, spot: Spot<'_>, headers: &HeaderMap) -> Answered {
        let whole = self.whole(spot).await?;
        Ok(tagged(headers, &tag_of_content(&whole), &whole))
    }

    /// Refuses to change a package that is not what the client takes it for (`If-Match`).
    pub(super) async fn check_package(&self, spot: Spot<'_>, headers: &HeaderMap) -> Result<(), Refusal> {
        if !headers.contains_key(header::IF_MATCH) {
            return Ok(());
        }
        let tag = tag_of_content(&self.whole(spot).await?);
        check_match(headers, &tag).map_err(|sorry| Refusal(Box::new(sorry.into_response())))
    }

    /// The labels of a package.
    pub(super) async fn labels_of(&self, spot: Spot<'_>) -> Answered {
        let seen = self.seen(spot).await?;
        Ok(Json(json!({"labels": PackageView::from(&seen.package).labels})).into_response())
    }

    pub(super) async fn act(&self, spot: Spot<'_>, action: &str, body: &[u8]) -> Answered {
        match action {
            "yank" => self.retract(spot, Retract::Yank, body).await,
            "restore" => self.retract(spot, Retract::Restore, body).await,
            "labels" => self.relabel(spot, body).await,
            "copy" => self.copy(spot, body).await,
            _ => self.no(HostError::NotFound("the API has no such page".to_owned())),
        }
    }

    pub(super) async fn retract(
        &self,
        (name, subdir, file): Spot<'_>,
        what: Retract,
        body: &[u8],
    ) -> Answered {
        let Reason { reason } = self.body(body, "perhaps `reason`")?;
        let done =
            self.sight.hosting.retract(self.visitor, (name, subdir, file), what, reason.as_deref()).await;
        let changed = self.told(done)?;
        Ok(Json(json!({"package": format!("{name}/{subdir}/{file}"), "changed": changed})).into_response())
    }

    async fn relabel(&self, (name, subdir, file): Spot<'_>, body: &[u8]) -> Answered {
        let Relabel { add, remove } = self.body(body, "`add` and `remove`, lists of labels")?;
        let author = self.author(name, Right::Write, file.parts().map(|(name, _, _)| name))?;
        let change = Labels { add, remove };
        let done = self.sight.hosting.desk().relabel_as(&author, (name, subdir, file), &change).await;
        Ok(Json(json!({"labels": self.told(done)?})).into_response())
    }

    async fn copy(&self, (name, subdir, file): Spot<'_>, body: &[u8]) -> Answered {
        let CopyTo { to, labels } = self.body(body, "`to`, the other channel, and perhaps `labels`")?;
        let Some(to) = ChannelName::parse(&to) else {
            return self.no(HostError::Invalid(format!("`{}` is no name of a channel", to.escape_debug())));
        };
        self.seen((name, subdir, file)).await?;
        let author = self.author(&to, Right::Write, file.parts().map(|(name, _, _)| name))?;
        let done = self.sight.hosting.desk().copy_as(&author, (name, subdir, file), &to, &labels).await;
        let changed = self.told(done)? == Copied::Done;
        Ok(Json(json!({"to": to.as_str(), "changed": changed})).into_response())
    }
}
