//! Indexes that have to be built again although nobody asks for them: rules have changed, or the clock has (a cooldown ends).
//!
//! Belongs here: which ones. Does not: building (`indexes`), when this is called (`app`). What only got old is refreshed when it is asked
//! for: an unused channel costs its upstream nothing.

use std::sync::Arc;

use super::Delivery;
use super::indexes::Key;
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;
use crate::policy::Pattern;
use crate::policy::judge::audience::AudienceSet;
use crate::snapshot::{Place, View};

impl Delivery {
    /// Remembers under which name an index is in use.
    pub(super) fn note_use(&self, key: &Key, asked: &ChannelRef, audience: AudienceSet) {
        if !self.inner.indexes.in_use.contains_key(key) {
            self.inner.indexes.in_use.insert(key.clone(), (asked.clone(), audience));
        }
    }

    /// Starts building every index in use that is not what the rules of `view` make of it now. `named`: also those on disk of channels
    /// that the rules name. Returns at once.
    pub fn tend(&self, view: &View, named: bool) {
        for (key, (asked, audience)) in &self.inner.indexes.in_use {
            // Under other rules it may stand for other callers: then it is kept under another name, and left alone.
            let place = view.place(&asked.name).map(|place| place.for_audience(audience));
            if let Some(place) = place.filter(|place| place.stored_as(&asked) == key.0) {
                self.tend_one(&place, &asked, &key.1);
            }
        }
        if !named {
            return;
        }
        for rule in view.rules().channels() {
            let Pattern::Exact(name) = &rule.pattern else { continue };
            let asked = ChannelRef { name: name.clone(), label: None };
            let Some(place) = view.place(name) else { continue };
            for subdir in self.inner.generations.subdirs(&place.stored_as(&asked)) {
                self.tend_one(&place, &asked, &subdir);
            }
        }
    }

    fn tend_one(&self, place: &Place, asked: &ChannelRef, subdir: &Subdir) {
        let Some(current) = self.inner.generations.current(&place.stored_as(asked), subdir) else { return };
        match place {
            Place::Proxied(channel) if self.is_due(channel, subdir, &current) => {
                self.refresh_behind(channel, asked, subdir);
            }
            Place::Virtual(channel) if !self.is_merged_of_current(channel, subdir, &current) => {
                self.merge_behind(&Arc::clone(channel), subdir);
            }
            Place::Proxied(_) | Place::Virtual(_) => {}
        }
    }
}
