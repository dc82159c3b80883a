//! Indexes that have to be built again although nobody asks for them: rules have changed, or the clock has (a cooldown ends).
//!
//! Belongs here: which ones. Does not: building (`indexes`), when this is called (`app`). What only got old is refreshed when it is asked
//! for: an unused channel costs its upstream nothing.

use std::sync::Arc;

use super::Delivery;
use super::indexes::Key;
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::conda::subdir::Subdir;
use crate::policy::judge::audience::AudienceSet;
use crate::snapshot::{Place, View, channel_of};

impl Delivery {
    /// Remembers under which name an index is in use, and for whom: other rules have other audiences.
    pub(super) fn note_use(&self, key: &Key, asked: &ChannelRef, audience: AudienceSet) {
        let known = self.inner.indexes.in_use.get(key);
        if known.is_none_or(|(_, known)| known != audience) {
            self.inner.indexes.in_use.insert(key.clone(), (asked.clone(), audience));
        }
    }

    /// Starts building every index in use that is not what the rules of `view` make of it now. `everywhere`: also those on disk that
    /// nobody has asked for. Returns at once.
    pub fn tend(&self, view: &Arc<View>, everywhere: bool) {
        for (key, (asked, audience)) in &self.inner.indexes.in_use {
            // Under other rules it may stand for other callers: then it is kept under another name, and left alone.
            let place = view.place(&asked.name).map(|place| place.for_audience(audience));
            if let Some(place) = place.filter(|place| place.stored_as(&asked) == key.0) {
                self.tend_one(&place, &asked, &key.1);
            }
        }
        if everywhere {
            let (this, view) = (self.clone(), Arc::clone(view));
            self.inner.runtime.spawn_blocking(move || this.survey(&view));
        }
    }

    /// Looks through all indexes on disk. Those that time alone changes count as in use from then on.
    fn survey(&self, view: &View) {
        for stored in self.inner.generations.channels() {
            let Some((asked, place)) = asked_of(view, &stored) else { continue };
            for subdir in self.inner.generations.subdirs(&stored) {
                // What is made now may have a turn before it, too.
                if self.will_turn(&place, &asked, &subdir) || self.tend_one(&place, &asked, &subdir) {
                    self.note_use(&(stored.clone(), subdir), &asked, place.audience());
                }
            }
        }
    }

    /// Whether a moment will come at which rules say something else of the index, or of one that it is merged of.
    fn will_turn(&self, place: &Place, asked: &ChannelRef, subdir: &Subdir) -> bool {
        let outline = self.inner.generations.outline(&place.stored_as(asked), subdir);
        match place {
            Place::Source(_) => outline.is_some_and(|outline| outline.timing.next_turn.is_some()),
            Place::Virtual(channel) => {
                channel.members.iter().any(|member| self.will_turn(&member.place, &member.asked, subdir))
            }
        }
    }

    /// Whether the index is not what it should be now; then it is made.
    fn tend_one(&self, place: &Place, asked: &ChannelRef, subdir: &Subdir) -> bool {
        let Some(current) = self.inner.generations.outline(&place.stored_as(asked), subdir) else {
            return false;
        };
        match place {
            Place::Source(channel) if self.is_due(channel, subdir, current.timing) => {
                self.refresh_behind(channel, asked, subdir);
                true
            }
            Place::Virtual(channel) if !self.is_merged_of_current(channel, subdir, &current) => {
                self.merge_behind(&Arc::clone(channel), subdir);
                true
            }
            Place::Source(_) | Place::Virtual(_) => false,
        }
    }
}

/// A name by which the channel can be asked for whose generations are kept under `stored`, and what it means to those who see them.
fn asked_of(view: &View, stored: &ChannelRef) -> Option<(ChannelRef, Place)> {
    let means = |name: &ChannelName| {
        let asked = ChannelRef { name: name.clone(), label: stored.label.clone() };
        let place = view.place(name)?.view_kept_as(&asked, stored)?;
        Some((asked, place))
    };
    // `<upstream>/<name there>`
    let own_name = |stored: &ChannelName| ChannelName::parse(stored.as_str().split_once('/')?.1);
    view.names().find_map(means).or_else(|| {
        let whole = channel_of(&stored.name).unwrap_or_else(|| stored.name.clone());
        means(&own_name(&whole)?)
    })
}
