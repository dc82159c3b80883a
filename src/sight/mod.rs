//! What a caller is told of what there is: the same for the pages and the API.
//!
//! Of packages of hosted channels they are told what the index and the download would tell them. Who looks after a package, because they may
//! write it or manage its channel, is told of it whatever became of it.
//!
//! | file | what |
//! |---|---|
//! | `labels` | labels of a channel, with how much has them |
//! | `names` | packages by their names, in all channels whose indexes are here |
//! | `package` | one package as people look at it |
//!
//! Belongs here: who is told of which rows, questions to several channels. Does not: what becomes of files (`delivery`), rows (`channel`), rights as
//! written (`policy::access`).

mod labels;
mod names;
mod package;

use std::sync::Arc;

use crate::channel::{Hit, Hits, HostError, Hosting, Query};
use crate::conda::channel::ChannelName;
use crate::delivery::catalogue::{Beholder, Fate, Spot};
use crate::delivery::{Delivery, Refusal};
use crate::identity::Visitor;
use crate::policy::access::{Caller, Right};
use crate::snapshot::Live;
use crate::snapshot::people::Principal;
use crate::store::model::{Channel, Package};

pub use labels::LabelUse;
pub use names::{Named, NamesFound};
pub use package::{About, Depend, VersionSeen, day_of, depends, texts, version_of};

/// See the module's description. Cheap to clone.
#[derive(Clone)]
pub struct Sight {
    /// The channels and packages.
    pub hosting: Hosting,
    /// The rules.
    pub live: Arc<Live>,
    /// What becomes of files.
    pub delivery: Delivery,
}

/// A row that somebody is told of.
pub struct Seen {
    /// The row.
    pub package: Package,
    /// `shown`, `left`, `hidden`, `refused`; `unlisted` where no index can list it.
    pub visibility: &'static str,
}

/// What a caller looks with.
#[must_use]
pub fn beholder(visitor: &Visitor) -> Beholder<'_> {
    let caller = visitor.principal.as_deref().map_or(Caller::ANONYMOUS, Principal::caller);
    Beholder { caller, here: visitor.here && visitor.principal.is_none() }
}

/// Delivery's trouble as the room of channels has it.
fn trouble(refusal: Refusal) -> HostError {
    match refusal {
        Refusal::NotFound(sentence) => HostError::NotFound(sentence),
        Refusal::Unavailable { message, .. } => HostError::Unavailable(message),
        other => HostError::Internal(other.to_string()),
    }
}

impl Sight {
    /// A channel as the caller sees it, if they may read it.
    #[must_use]
    pub fn spot(&self, visitor: &Visitor, name: &ChannelName) -> Option<Spot> {
        beholder(visitor).spot(&self.live.view(), name)
    }

    /// Whether the caller is told of a package of which this is to become.
    fn tells(&self, visitor: &Visitor, (name, package): (&ChannelName, &str), fate: Option<Fate>) -> bool {
        let may = |right, package| self.hosting.check(visitor, name, right, package).is_ok();
        fate.is_some_and(Fate::is_told) || may(Right::Write, Some(package)) || may(Right::Manage, None)
    }

    /// What becomes of each row, as the caller sees the channel.
    async fn fates(
        &self,
        visitor: &Visitor,
        name: &ChannelName,
        rows: &[Package],
    ) -> Result<Vec<Option<Fate>>, HostError> {
        match self.spot(visitor, name) {
            Some(spot) if spot.is_hosted() => self.delivery.fates(&spot, rows).await.map_err(trouble),
            // A channel that this process has not heard of yet: nothing of it is shown before it has.
            _ => Ok(vec![None; rows.len()]),
        }
    }

    /// The rows of a channel that the caller is told of.
    ///
    /// # Errors
    /// [`HostError::Unavailable`] where the store can't be asked.
    pub async fn seen(
        &self,
        visitor: &Visitor,
        name: &ChannelName,
        rows: Vec<Package>,
    ) -> Result<Vec<Seen>, HostError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let fates = self.fates(visitor, name, &rows).await?;
        let tells = |(row, fate): &(Package, Option<Fate>)| self.tells(visitor, (name, &row.name), *fate);
        let told = rows.into_iter().zip(fates).filter(tells);
        let seen = |(package, fate): (Package, Option<Fate>)| Seen {
            package,
            visibility: fate.map_or("unlisted", Fate::as_str),
        };
        Ok(told.map(seen).collect())
    }

    /// The same for one row.
    ///
    /// # Errors
    /// As [`Sight::seen`].
    pub async fn seen_one(
        &self,
        visitor: &Visitor,
        name: &ChannelName,
        row: Package,
    ) -> Result<Option<Seen>, HostError> {
        Ok(self.seen(visitor, name, vec![row]).await?.pop())
    }

    /// As [`Hosting::search`], each with its visibility; only what the caller is told of counts. And where the next page begins.
    ///
    /// # Errors
    /// As there.
    pub async fn search(
        &self,
        visitor: &Visitor,
        (channels, query): (&[Channel], &Query),
        after: Option<String>,
        limit: usize,
    ) -> Result<(Vec<(Hit, &'static str)>, Option<String>), HostError> {
        let (mut found, mut after) = (Vec::new(), after);
        loop {
            let room = limit - found.len();
            let Hits { hits, next } = self.hosting.search(channels, query, after.as_deref(), room).await?;
            for of_one in hits.chunk_by(|a, b| a.channel == b.channel) {
                let Some(name) = of_one.first().and_then(|hit| ChannelName::parse(&hit.channel)) else {
                    continue;
                };
                let rows: Vec<Package> = of_one.iter().map(|hit| hit.package.clone()).collect();
                let fates = self.fates(visitor, &name, &rows).await?;
                let tells = |(hit, fate): &(&Hit, Option<Fate>)| {
                    self.tells(visitor, (&name, &hit.package.name), *fate)
                };
                let told = of_one.iter().zip(fates).filter(tells);
                found.extend(told.map(|(hit, fate)| (hit.clone(), fate.map_or("unlisted", Fate::as_str))));
            }
            after = next;
            if after.is_none() || found.len() >= limit {
                return Ok((found, after));
            }
        }
    }
}
