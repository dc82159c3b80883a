//! What changed since a gate last looked.

use async_trait::async_trait;

use super::{Compare, Filter, Query, Rows};
use crate::store::engine::CHANGED;
use crate::store::model::{Channel, GONE, Gone, Grant, Group, Member, PACKAGES, Token, User};
use crate::store::table::Record;
use crate::store::value::Value;
use crate::store::{Store, StoreError};

/// Everything that changed behind a number. A row may be told although nothing changed; none is missed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// The number to go on from.
    pub upto: u64,
    /// When `false`, the lists say nothing: there was too much to tell, or the number is too old or from another store.
    /// Everything has to be read anew, after taking [`SettingsRepo::revision`].
    pub complete: bool,
    /// As they are now.
    pub users: Vec<User>,
    /// As they are now.
    pub groups: Vec<Group>,
    /// As they are now, those who left with `active` off.
    pub members: Vec<Member>,
    /// As they are now.
    pub grants: Vec<Grant>,
    /// As they are now, revoked ones too.
    pub tokens: Vec<Token>,
    /// As they are now, deleted ones too.
    pub channels: Vec<Channel>,
    /// Rows that are no more: these win over the lists above.
    pub gone: Vec<Gone>,
}

/// The counter that every change of what gates follow moves on.
#[async_trait]
pub trait SettingsRepo: Send + Sync {
    /// Its last number.
    async fn revision(&self) -> Result<u64, StoreError>;

    /// Moves it on for a change that is not in the store; gives the new number.
    async fn bump(&self) -> Result<u64, StoreError>;

    /// What changed behind a number that was the counter's, or [`Changes::upto`] of an earlier answer; up to `limit` rows
    /// of a kind.
    async fn changes(&self, since: u64, limit: u32) -> Result<Changes, StoreError>;

    /// Forgets up to `limit` removals up to a number that every gate has passed; how many. A gate that hasn't has to read
    /// everything anew.
    async fn forget_gone(&self, upto: u64, limit: u32) -> Result<u64, StoreError>;
}

/// Rows behind a number; `None` when there are more than can be told.
async fn changed<R: Record>(rows: Rows<'_>, since: u64, limit: u32) -> Result<Option<Vec<R>>, StoreError> {
    let filter = Filter::Column(CHANGED, Compare::Above, Value::Int(since.cast_signed()));
    let limit = limit.min(super::LONGEST_PAGE - 1);
    let query = Query { table: R::table(), filter, order: &[CHANGED], descending: false, limit: limit + 1 };
    let found = rows.query(query).await?;
    let room = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok((found.len() <= room).then_some(found))
}

#[async_trait]
impl SettingsRepo for Store {
    async fn revision(&self) -> Result<u64, StoreError> {
        Ok(self.engine().counter().await?.value)
    }

    async fn bump(&self) -> Result<u64, StoreError> {
        self.engine().tick().await
    }

    async fn changes(&self, since: u64, limit: u32) -> Result<Changes, StoreError> {
        // The counter first: what is written while the rows are read is told again next time.
        let upto = self.engine().counter().await?.value;
        let too_much = Changes { upto, ..Changes::default() };
        if since > upto {
            return Ok(too_much);
        }
        macro_rules! lists {
            ($($field:ident),+) => {
                Changes {
                    upto,
                    complete: true,
                    $($field: match changed(self.rows(), since, limit).await? {
                        Some(found) => found,
                        None => return Ok(too_much),
                    }),+
                }
            };
        }
        let mut told = lists!(users, groups, members, grants, tokens, channels, gone);
        // Packages are followed by themselves.
        told.gone.retain(|gone| gone.source != PACKAGES.name);
        // The floor last: it is raised before anything is forgotten, so what was there until now has been read.
        let floor = self.engine().counter().await?.floor;
        Ok(if since < floor { too_much } else { told })
    }

    async fn forget_gone(&self, upto: u64, limit: u32) -> Result<u64, StoreError> {
        self.engine().raise_floor(upto).await?;
        let old = Filter::Column(CHANGED, Compare::AtMost, Value::Int(upto.cast_signed()));
        self.engine().purge(&GONE, old, limit).await
    }
}
