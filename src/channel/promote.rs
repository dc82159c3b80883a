//! Labels of packages, and copies of them in other channels: no byte is copied, the row names the same digest.
//!
//! Belongs here: these changes. Does not: first publication (`publish`).

use serde_json::json;

use super::{Author, Desk, HostError, row};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelName;
use crate::conda::subdir::Subdir;
use crate::store::StoreError;
use crate::store::model::{Package, PackageState};

/// What is to become of a package's labels.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Labels {
    /// These as well.
    pub add: Vec<String>,
    /// Without these; the last one can't go.
    pub remove: Vec<String>,
}

/// What came of a copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copied {
    /// It is there now.
    Done,
    /// It was there already.
    WasThere,
}

impl Desk {
    /// Changes the labels of a package, for somebody whose right was looked at; the labels it has now.
    ///
    /// # Errors
    /// [`HostError::NotFound`], [`HostError::Invalid`] for what is no label or would leave none.
    pub async fn relabel_as(
        &self,
        author: &Author,
        (name, subdir, file): (&ChannelName, &Subdir, &ArchiveName),
        change: &Labels,
    ) -> Result<Vec<String>, HostError> {
        let channel = self.channel(name).await?;
        let store = self.store().await?;
        let was = store.packages().get(&channel.id, subdir.as_str(), file.as_str()).await?;
        let was = was.filter(|was| was.state != PackageState::Deleted);
        let was = was.ok_or_else(|| HostError::NotFound(format!("there is no `{name}/{subdir}/{file}`")))?;
        let mut labels = row::labels_of(&was);
        labels.retain(|label| !change.remove.contains(label));
        labels.extend(change.add.iter().cloned());
        if labels.is_empty() {
            return Err(HostError::Invalid(
                "a package has at least one label; give it another one first, or yank it".to_owned(),
            ));
        }
        let labels = row::labels(&labels)?;
        if labels != was.labels {
            let next = Package { labels, changed_at: self.clock.now(), ..was.clone() };
            store.packages().update(&next).await?;
            self.tell(&channel, subdir, file);
            let detail = json!({"was": row::labels_of(&was), "now": row::labels_of(&next)});
            self.note(author, "package.label", &format!("{name}/{subdir}/{file}"), detail).await?;
            return Ok(row::labels_of(&next));
        }
        Ok(row::labels_of(&was))
    }

    /// Puts a package of one channel into another one as well, for somebody whose rights were looked at (read here, write there).
    ///
    /// # Errors
    /// [`HostError::NotFound`] where it is not listed, [`HostError::Conflict`] where the other channel has other bytes under its name.
    pub async fn copy_as(
        &self,
        author: &Author,
        (from, subdir, file): (&ChannelName, &Subdir, &ArchiveName),
        to: &ChannelName,
        labels: &[String],
    ) -> Result<Copied, HostError> {
        let source = self.channel(from).await?;
        let aim = self.channel(to).await?;
        let store = self.store().await?;
        let was = store.packages().get(&source.id, subdir.as_str(), file.as_str()).await?;
        let was = was.filter(|was| was.state == PackageState::Listed);
        let was = was.ok_or_else(|| HostError::NotFound(format!("`{from}` lists no `{subdir}/{file}`")))?;
        let there = store.packages().get(&aim.id, subdir.as_str(), file.as_str()).await?;
        let now = self.clock.now();
        let next = Package {
            channel: aim.id.clone(),
            labels: row::labels(labels)?,
            uploaded_by: author.user().clone(),
            uploaded_at: now,
            changed_at: now,
            revision: there.as_ref().map_or(1, |there| there.revision),
            ..was
        };
        let target = format!("{to}/{subdir}/{file}");
        let taken = || {
            HostError::Conflict(format!(
                "`{target}` is published with other bytes; published packages don't change"
            ))
        };
        match there {
            Some(there) if there.state != PackageState::Deleted => {
                return if there.sha256 == next.sha256 { Ok(Copied::WasThere) } else { Err(taken()) };
            }
            Some(_) => store.packages().overwrite(&next).await.map(drop)?,
            None => match store.packages().create(&next).await {
                Err(StoreError::Conflict { .. }) => return Err(taken()),
                other => other?,
            },
        }
        self.tell(&aim, subdir, file);
        self.added(&aim, next.size);
        let detail =
            json!({"sha256": next.sha256.to_hex(), "from": from.as_str(), "labels": row::labels_of(&next)});
        self.note(author, "package.copy", &target, detail).await?;
        Ok(Copied::Done)
    }
}
