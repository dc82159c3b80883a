//! What changed in hosted channels, and which indexes were made since.
//!
//! Two clocks tell one from the other. Changes that are told in this process count up a number of its own, so that they are known before
//! anybody else can hear of them. Changes of other gates have the numbers of the store's counter. An index covers what was told before its
//! rows were read, and numbers up to what the counter was then.
//!
//! A subdir whose place is not noted here was not looked at since the gate began to follow the store: its index may be older than that,
//! and the store has to be asked once.
//!
//! Belongs here: these numbers. Does not: asking the store (`follow`, `rows`).

use ahash::AHashMap;
use parking_lot::Mutex;

use crate::conda::subdir::Subdir;
use crate::delivery::indexes::Key;
use crate::store::model::ChannelId;

/// Subdirs that are remembered; when names that nobody has fill it, it starts anew.
const REMEMBERED: usize = 10_000;

/// A subdir of a channel, whatever labels it has.
pub(super) type Place = (ChannelId, Subdir);

/// A moment, by both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Mark {
    told: u64,
    number: u64,
}

impl Mark {
    const fn covers(self, other: Self) -> bool {
        self.told >= other.told && self.number >= other.number
    }
}

/// What there was when rows were read last.
#[derive(Clone, Debug)]
struct Made {
    mark: Mark,
    /// There is no such subdir, and why.
    absent: Option<String>,
}

/// How it stands with following the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Health {
    /// It has not begun.
    #[default]
    Unknown,
    /// The last question was answered.
    Good,
    /// It was not.
    Bad,
}

#[derive(Default)]
struct Books {
    health: Health,
    following: bool,
    told: u64,
    /// The highest number that the store told.
    heard: u64,
    places: AHashMap<Place, Mark>,
    made: AHashMap<Key, Made>,
}

/// See the module's description.
#[derive(Default)]
pub(super) struct Shelf(Mutex<Books>);

/// What an index is worth at this moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Worth {
    /// It has everything.
    UpToDate,
    /// There is none, and why.
    Absent(String),
    /// Something changed since, or nobody has looked yet.
    Behind,
}

impl Shelf {
    /// Rows of a subdir have changed.
    pub(super) fn changed(&self, channel: &ChannelId, subdir: &Subdir) {
        let mut books = self.0.lock();
        books.told += 1;
        let told = books.told;
        if let Some(mark) = books.places.get_mut(&(channel.clone(), subdir.clone())) {
            mark.told = told;
        }
    }

    /// Something has changed that every index of a channel is made with; under a number, where the store says it.
    pub(super) fn changed_everywhere(&self, channel: &ChannelId, number: Option<u64>) {
        let mut books = self.0.lock();
        if number.is_none() {
            books.told += 1;
        }
        let told = books.told;
        for (_, mark) in books.places.iter_mut().filter(|((id, _), _)| id == channel) {
            match number {
                Some(number) => mark.number = mark.number.max(number),
                None => mark.told = told,
            }
        }
    }

    /// Rows of a subdir have changed, as the store says under a number.
    pub(super) fn numbered(&self, channel: &ChannelId, subdir: &Subdir, number: u64) {
        let mut books = self.0.lock();
        books.heard = books.heard.max(number);
        if let Some(mark) = books.places.get_mut(&(channel.clone(), subdir.clone())) {
            mark.number = mark.number.max(number);
        }
    }

    /// From now on every change is told.
    pub(super) fn follow(&self) {
        self.0.lock().following = true;
    }

    /// Changes may have been missed: everything has to be looked at anew.
    pub(super) fn forget(&self) {
        let mut books = self.0.lock();
        books.places.clear();
        books.made.clear();
        books.told += 1;
    }

    /// Another one after any change anywhere; `None` while changes may go unnoticed.
    pub(super) fn version(&self) -> Option<(u64, u64)> {
        let books = self.0.lock();
        books.following.then_some((books.told, books.heard))
    }

    pub(super) fn set_health(&self, health: Health) {
        self.0.lock().health = health;
    }

    pub(super) fn health(&self) -> Health {
        self.0.lock().health
    }

    /// To be called before rows are read: what is told from now on is not in them. `None` while the store is not followed; then
    /// what is read is good for whoever asked for it, and nobody else.
    pub(super) fn begin(&self, place: &Place) -> Option<u64> {
        let mut books = self.0.lock();
        if !books.following {
            return None;
        }
        if books.places.len() >= REMEMBERED || books.made.len() >= REMEMBERED {
            books.places.clear();
            books.made.clear();
        }
        books.places.entry(place.clone()).or_default();
        Some(books.told)
    }

    /// The rows that were read after `begun`, with the counter at `number`, are what `key` has now.
    pub(super) fn made(&self, key: &Key, begun: Option<u64>, number: u64, absent: Option<String>) {
        let Some(told) = begun else { return };
        let made = Made { mark: Mark { told, number }, absent };
        self.0.lock().made.insert(key.clone(), made);
    }

    /// What the index under `key` is worth.
    pub(super) fn worth(&self, key: &Key, place: &Place) -> Worth {
        let books = self.0.lock();
        match (books.places.get(place), books.made.get(key)) {
            (Some(mark), Some(made)) if made.mark.covers(*mark) => {
                made.absent.clone().map_or(Worth::UpToDate, Worth::Absent)
            }
            _ => Worth::Behind,
        }
    }

    /// What an index must cover to answer a request that begins now.
    pub(super) fn wanted(&self, place: &Place) -> Mark {
        let books = self.0.lock();
        // Of a subdir that nobody has looked at, only what begins later is sure to have everything.
        books.places.get(place).copied().unwrap_or(Mark { told: books.told, number: 0 })
    }

    /// Whether the index under `key` was made of what a request wants.
    pub(super) fn covers(&self, key: &Key, wanted: Mark) -> bool {
        self.0.lock().made.get(key).is_some_and(|made| made.mark.covers(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conda::channel::{ChannelName, ChannelRef};

    fn place() -> Place {
        (ChannelId::new("c").unwrap(), Subdir::noarch())
    }

    fn key() -> Key {
        (ChannelRef { name: ChannelName::parse("c").unwrap(), label: None }, Subdir::noarch())
    }

    #[test]
    fn what_is_told_while_rows_are_read_is_not_in_them() {
        let (shelf, (channel, subdir)) = (Shelf::default(), place());
        shelf.follow();
        assert_eq!(shelf.worth(&key(), &place()), Worth::Behind, "never looked at");
        let begun = shelf.begin(&place());
        shelf.changed(&channel, &subdir);
        let wanted = shelf.wanted(&place());
        shelf.made(&key(), begun, 5, None);
        assert_eq!((shelf.worth(&key(), &place()), shelf.covers(&key(), wanted)), (Worth::Behind, false));
        let begun = shelf.begin(&place());
        shelf.made(&key(), begun, 6, None);
        assert_eq!((shelf.worth(&key(), &place()), shelf.covers(&key(), wanted)), (Worth::UpToDate, true));
        shelf.numbered(&channel, &subdir, 6);
        assert_eq!(shelf.worth(&key(), &place()), Worth::UpToDate, "the store says it again");
        shelf.numbered(&channel, &subdir, 7);
        assert_eq!(shelf.worth(&key(), &place()), Worth::Behind, "another gate");
        let begun = shelf.begin(&place());
        shelf.made(&key(), begun, 7, Some("no".to_owned()));
        assert_eq!(shelf.worth(&key(), &place()), Worth::Absent("no".to_owned()));
        shelf.forget();
        assert_eq!(shelf.worth(&key(), &place()), Worth::Behind);
    }

    #[test]
    fn what_all_indexes_are_made_with_puts_all_of_them_behind() {
        let (shelf, (channel, _)) = (Shelf::default(), place());
        shelf.follow();
        let begun = shelf.begin(&place());
        shelf.made(&key(), begun, 5, None);
        shelf.changed_everywhere(&ChannelId::new("other").unwrap(), None);
        shelf.changed_everywhere(&channel, Some(5));
        assert_eq!(shelf.worth(&key(), &place()), Worth::UpToDate);
        shelf.changed_everywhere(&channel, Some(6));
        assert_eq!(shelf.worth(&key(), &place()), Worth::Behind);
        let begun = shelf.begin(&place());
        shelf.made(&key(), begun, 6, None);
        shelf.changed_everywhere(&channel, None);
        assert_eq!(shelf.worth(&key(), &place()), Worth::Behind);
    }

    #[test]
    fn nothing_is_believed_before_the_store_is_followed() {
        let shelf = Shelf::default();
        let begun = shelf.begin(&place());
        shelf.follow();
        shelf.made(&key(), begun, 5, None);
        assert_eq!(shelf.worth(&key(), &place()), Worth::Behind);
        assert_eq!(shelf.health(), Health::Unknown);
    }
}
