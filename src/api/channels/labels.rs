//! Labels of hosted channels.
//!
//! Belongs here: these requests. Does not: what is done (`channel::labels`), what is counted (`sight::labels`).

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::v1::answers::next;
use super::{Answered, Desk, Page, Refusal};
use crate::channel::{HostError, LabelChange, LabelOf};
use crate::conda::channel::ChannelName;
use crate::sight::LabelUse;

/// A label, with how much has it.
#[derive(Serialize)]
struct Counted<'a> {
    label: &'a str,
    files: u64,
    bytes: u64,
}

impl<'a> Counted<'a> {
    const fn of((label, used): (&'a str, LabelUse)) -> Self {
        Self { label, files: used.files, bytes: used.bytes }
    }
}

/// A label for all that have another one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Give {
    label: String,
    from: String,
    package: Option<String>,
    version: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    label: String,
}

impl Desk<'_> {
    pub(super) async fn labels(
        &self,
        method: &Method,
        name: &ChannelName,
        (page, body): (&Page, &[u8]),
    ) -> Answered {
        match *method {
            Method::GET => {
                let all = self.counted(name, page).await?;
                let limit = page.limit()?;
                let behind =
                    all.iter().filter(|(label, _)| page.after.as_ref().is_none_or(|after| *label > after));
                let rows: Vec<_> = behind.take(limit as usize).collect();
                let next = next(&rows, limit, |(label, _)| (*label).clone());
                let shown: Vec<_> =
                    rows.into_iter().map(|(label, used)| Counted::of((label, *used))).collect();
                Ok(Json(json!({"labels": shown, "next": next})).into_response())
            }
            Method::POST => {
                let shape = "`label`, the one to give, `from`, the one that files have, and perhaps `package` and `version`";
                let Give { label, from, package, version } = self.body(body, shape)?;
                let of = LabelOf { package, version };
                self.change_label((name, &from), (&of, &LabelChange::Copy(label))).await
            }
            _ => Ok(StatusCode::METHOD_NOT_ALLOWED.into_response()),
        }
    }

    pub(super) async fn label(
        &self,
        method: &Method,
        (name, label): (&ChannelName, &str),
        (page, body): (&Page, &[u8]),
    ) -> Answered {
        match *method {
            Method::GET => {
                let all = self.counted(name, page).await?;
                match all.get(label) {
                    Some(used) => Ok(Json(Counted::of((label, *used))).into_response()),
                    None => {
                        self.no(HostError::NotFound(format!("nothing in `{name}` has the label `{label}`")))
                    }
                }
            }
            Method::PATCH => {
                let Rename { label: new } = self.body(body, "`label`, its new name")?;
                self.change_label((name, label), (&LabelOf::default(), &LabelChange::Rename(new))).await
            }
            Method::DELETE => {
                let change = LabelChange::Remove(page.instead.clone());
                self.change_label((name, label), (&LabelOf::default(), &change)).await
            }
            _ => Ok(StatusCode::METHOD_NOT_ALLOWED.into_response()),
        }
    }

    /// The labels of a channel that the visitor may read, with how much has them.
    async fn counted(&self, name: &ChannelName, page: &Page) -> Result<BTreeMap<String, LabelUse>, Refusal> {
        self.readable(name).await?;
        self.told(self.sight.labels(self.visitor, name, page.name.as_deref()).await)
    }

    async fn change_label(
        &self,
        (name, label): (&ChannelName, &str),
        (of, change): (&LabelOf, &LabelChange),
    ) -> Answered {
        // Who may not read the channel is told no more than who asks for one that is not there.
        self.readable(name).await?;
        let done = self.sight.hosting.change_label(self.visitor, (name, label), of, change).await;
        Ok(Json(json!({"changed": self.told(done)?})).into_response())
    }
}
