//! How much channels were asked for.

use async_trait::async_trait;

use super::{Change, Compare, Edit, Field, Filter, is};
use crate::clock::UnixMillis;
use crate::store::model::{Span, TRAFFIC, Traffic};
use crate::store::table::Record as _;
use crate::store::{Store, StoreError};

/// Which totals.
#[derive(Clone, Debug)]
pub struct TrafficFilter {
    /// Of hours, or of days.
    pub span: Span,
    /// That begin then or later.
    pub from: UnixMillis,
    /// And before then.
    pub before: UnixMillis,
    /// Of this channel only.
    pub channel: Option<String>,
}

/// Totals by channel and time.
#[async_trait]
pub trait TrafficRepo: Send + Sync {
    /// Adds to what is known; each by itself, so a part may have been added after an error.
    async fn add(&self, totals: &[Traffic]) -> Result<(), StoreError>;

    /// A page, by time and then by channels, behind one of them.
    async fn list(
        &self,
        filter: &TrafficFilter,
        after: Option<(UnixMillis, &str)>,
        limit: u32,
    ) -> Result<Vec<Traffic>, StoreError>;

    /// Forgets up to `limit` totals of periods of this length that began before `before`; how many.
    async fn forget(&self, span: Span, before: UnixMillis, limit: u32) -> Result<u64, StoreError>;
}

/// The key behind the length.
const OF_SPAN: &[&str] = &["start", "channel"];

fn begun(span: Span, compare: Compare, at: UnixMillis) -> Filter {
    Filter::Every(vec![is("span", span.to_value()), Filter::Column("start", compare, at.to_value())])
}

#[async_trait]
impl TrafficRepo for Store {
    async fn add(&self, totals: &[Traffic]) -> Result<(), StoreError> {
        let edit = |total: &Traffic| {
            let none = Traffic { hits: 0, misses: 0, refused: 0, indexes: 0, bytes: 0, ..total.clone() };
            let row = none.to_row();
            let sums = [
                ("hits", total.hits),
                ("misses", total.misses),
                ("refused", total.refused),
                ("indexes", total.indexes),
                ("bytes", total.bytes),
            ];
            let changes = sums.into_iter().map(|(column, more)| Change::Add(column, more.cast_signed()));
            Edit { key: TRAFFIC.pick(&row, TRAFFIC.key), row: Some(row), changes: changes.collect() }
        };
        self.engine().merge(&TRAFFIC, totals.iter().map(edit).collect()).await
    }

    async fn list(
        &self,
        filter: &TrafficFilter,
        after: Option<(UnixMillis, &str)>,
        limit: u32,
    ) -> Result<Vec<Traffic>, StoreError> {
        let after = after.map(|(start, channel)| vec![start.to_value(), channel.into()]);
        let mut all = vec![
            begun(filter.span, Compare::AtLeast, filter.from),
            Filter::Column("start", Compare::Below, filter.before.to_value()),
        ];
        all.extend(filter.channel.as_deref().map(|channel| is("channel", channel)));
        self.rows().list(Filter::Every(all), OF_SPAN, after, limit).await
    }

    async fn forget(&self, span: Span, before: UnixMillis, limit: u32) -> Result<u64, StoreError> {
        self.engine().purge(&TRAFFIC, begun(span, Compare::Below, before), limit).await
    }
}
