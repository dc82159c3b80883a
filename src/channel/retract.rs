//! Taking packages back: yank, restore, delete.
//!
//! A yanked package is in no index and listed as `removed`; who knows its name (a lock file) still gets it. A deleted one is gone for clients at
//! once; its bytes stay for [`KEPT`], so that restoring it is possible.
//!
//! Belongs here: these changes of state. Does not: what indexes make of them (`delivery`).

use std::time::Duration;

use serde_json::json;

use super::{Author, Desk, HostError, Hosting};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelName;
use crate::conda::subdir::Subdir;
use crate::identity::Visitor;
use crate::policy::access::Right;
use crate::store::model::{Package, PackageState};

/// How long the bytes of a deleted package stay.
pub(super) const KEPT: Duration = Duration::from_hours(24 * 7);

/// What is to become of a package.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retract {
    /// Out of the index; downloaded by name all the same.
    Yank,
    /// Back into it, yanked or deleted as it was.
    Restore,
    /// Gone.
    Delete,
}

impl Retract {
    const fn state(self) -> PackageState {
        match self {
            Self::Yank => PackageState::Yanked,
            Self::Restore => PackageState::Listed,
            Self::Delete => PackageState::Deleted,
        }
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::Yank => "package.yank",
            Self::Restore => "package.restore",
            Self::Delete => "package.delete",
        }
    }
}

impl Hosting {
    /// Takes a package back, for whoever may write it; whether that changed anything.
    ///
    /// # Errors
    /// [`HostError::NotFound`] where there is none, and everything that [`HostError`] says.
    pub async fn retract(
        &self,
        visitor: &Visitor,
        (channel, subdir, file): (&ChannelName, &Subdir, &ArchiveName),
        what: Retract,
        reason: Option<&str>,
    ) -> Result<bool, HostError> {
        self.check(visitor, channel, Right::Write, file.parts().map(|(name, _, _)| name))?;
        let author = Author::of(visitor)
            .ok_or_else(|| HostError::Unauthenticated("this needs a credential".to_owned()))?;
        self.desk().retract_as(&author, (channel, subdir, file), what, reason).await
    }
}

impl Desk {
    /// As [`Hosting::retract`], for somebody whose right was looked at.
    ///
    /// # Errors
    /// As there.
    pub async fn retract_as(
        &self,
        author: &Author,
        (name, subdir, file): (&ChannelName, &Subdir, &ArchiveName),
        what: Retract,
        reason: Option<&str>,
    ) -> Result<bool, HostError> {
        let channel = self.channel(name).await?;
        let store = self.store().await?;
        let target = format!("{name}/{subdir}/{file}");
        let Some(was) = store.packages().get(&channel.id, subdir.as_str(), file.as_str()).await? else {
            return Err(HostError::NotFound(format!("there is no `{target}`")));
        };
        if was.state == what.state() {
            return Ok(false);
        }
        match (was.state, what) {
            (PackageState::Deleted, Retract::Yank) => {
                return Err(HostError::Conflict(format!("`{target}` is deleted; restore it first")));
            }
            (PackageState::Deleted, Retract::Restore) if self.clock.now().since(was.changed_at) > KEPT => {
                return Err(HostError::Conflict(format!(
                    "`{target}` was deleted more than a week ago and its bytes are gone; upload it again"
                )));
            }
            _ => {}
        }
        let next = Package { state: what.state(), changed_at: self.clock.now(), ..was };
        store.packages().update(&next).await?;
        self.tell(&channel, subdir, file);
        self.forget_usage(&channel);
        let detail = json!({"sha256": next.sha256.to_hex(), "reason": reason});
        self.note(author, what.kind(), &target, detail).await?;
        Ok(true)
    }
}
