//! How much channels were asked for.
//!
//! Belongs here: pages of totals. Does not: counting (`telemetry`), writing them down (`trail`).

use super::{PAGE, People, PeopleError};
use crate::clock::UnixMillis;
use crate::store::model::Traffic;
use crate::store::repo::TrafficFilter;

impl People {
    /// A page of totals, by time and then by channels, behind one of them.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn traffic(
        &self,
        filter: &TrafficFilter,
        after: Option<(UnixMillis, &str)>,
        limit: u32,
    ) -> Result<Vec<Traffic>, PeopleError> {
        Ok(self.store.traffic().list(filter, after, limit).await?)
    }

    /// All of them, one by one.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn each_traffic(
        &self,
        filter: &TrafficFilter,
        mut each: impl FnMut(&Traffic) + Send,
    ) -> Result<(), PeopleError> {
        let mut last: Option<Traffic> = None;
        loop {
            let after = last.as_ref().map(|row| (row.start, row.channel.as_str()));
            let page = self.traffic(filter, after, PAGE).await?;
            page.iter().for_each(&mut each);
            last = page.last().cloned();
            if page.len() < PAGE as usize {
                return Ok(());
            }
        }
    }
}

/// What names a row, to go on behind it.
#[must_use]
pub fn place_of_traffic(row: &Traffic) -> String {
    format!("{}/{}", row.start.0, row.channel)
}

/// The place that [`place_of_traffic`] wrote.
#[must_use]
pub fn traffic_at(text: &str) -> Option<(UnixMillis, &str)> {
    let (start, channel) = text.split_once('/')?;
    Some((UnixMillis(start.parse().ok()?), channel))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::model::Span;

    #[test]
    fn places_come_back() {
        let channel = "pkgs/main".to_owned();
        let start = UnixMillis(3_600_000);
        let row = Traffic {
            span: Span::Hour,
            start,
            channel,
            hits: 0,
            misses: 0,
            refused: 0,
            indexes: 0,
            bytes: 0,
        };
        assert_eq!(traffic_at(&place_of_traffic(&row)), Some((start, "pkgs/main")));
        assert_eq!([traffic_at(""), traffic_at("x/y"), traffic_at("7")], [None; 3]);
    }
}
