//! The channels that somebody may see.
//!
//! Belongs here: finding them. Does not: who may read what (`policy::access`), what is in them (the rest of the room).

use std::collections::BTreeMap;

use crate::conda::channel::{ChannelName, ChannelRef};
use crate::delivery::Delivery;
use crate::policy::access::Caller;
use crate::snapshot::{Live, Need, Place, View, channel_of};

/// Channels with names of their own that are looked at, at most.
const MOST: usize = 10_000;

/// Whoever looks.
#[derive(Clone, Copy)]
pub struct Beholder<'a> {
    /// As access rules see them.
    pub caller: Caller<'a>,
    /// Whether they sit at this machine.
    pub here: bool,
}

/// A channel, as somebody sees it.
#[derive(Clone)]
pub struct Spot {
    /// As in URLs.
    pub name: ChannelName,
    /// What the name means, to them.
    pub place: Place,
}

impl Spot {
    /// As clients ask for it.
    #[must_use]
    pub fn asked(&self) -> ChannelRef {
        ChannelRef { name: self.name.clone(), label: None }
    }

    /// Whether it is one of the team's own.
    #[must_use]
    pub fn is_hosted(&self) -> bool {
        matches!(&self.place, Place::Source(channel) if channel.hosted().is_some())
    }

    /// `virtual`, `hosted` or `proxied`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.place {
            Place::Virtual(_) => "virtual",
            Place::Source(channel) if channel.hosted().is_some() => "hosted",
            Place::Source(_) => "proxied",
        }
    }

    /// The upstream that it comes from.
    #[must_use]
    pub fn upstream(&self) -> Option<&str> {
        match &self.place {
            Place::Source(channel) => channel.remote().map(|remote| remote.upstream.name()),
            Place::Virtual(_) => None,
        }
    }
}

impl Beholder<'_> {
    /// A channel, if there is one of that name that they may read.
    #[must_use]
    pub fn spot(&self, view: &View, name: &ChannelName) -> Option<Spot> {
        let place = view.place(name).filter(|place| !place.is_deleted())?;
        self.readable(view, name, &place)
    }

    fn readable(&self, view: &View, name: &ChannelName, place: &Place) -> Option<Spot> {
        let (rules, here) = (view.rules(), self.here && self.caller.user.is_none());
        let needs = Need::of_place(place, None);
        let may = needs.iter().all(|need| need.is_met(rules.access(), &self.caller, here));
        let audience = rules.policy().audience_of(&self.caller);
        may.then(|| Spot { name: name.clone(), place: place.for_audience(audience) })
    }
}

impl Delivery {
    /// All channels that somebody may read and that are named anywhere: in the rules, in the store, by an index that is here. In the order of
    /// their names.
    pub async fn spots(&self, live: &Live, who: &Beholder<'_>) -> Vec<Spot> {
        let here = self.channels_here().await;
        let view = live.view();
        let audience = view.rules().policy().audience_of(&who.caller);
        let mut names: BTreeMap<ChannelName, Place> = BTreeMap::new();
        for name in view.names().take(MOST) {
            if let Some(place) = view.place(name).filter(|place| !place.is_deleted()) {
                names.insert(name.clone(), place);
            }
        }
        // Indexes are kept under upstream and name there, those that only some callers see under names made of these.
        for stored in here.iter().filter(|stored| stored.label.is_none()) {
            let kept = channel_of(&stored.name);
            let kept = kept.as_ref().unwrap_or(&stored.name).as_str();
            let name = kept.split_once('/').and_then(|(_, name)| ChannelName::parse(name));
            let Some(name) = name.filter(|name| !names.contains_key(name)) else { continue };
            let asked = ChannelRef { name: name.clone(), label: None };
            let is_it = |place: &Place| {
                place.stored_as(&asked) == *stored
                    || place.for_audience(audience).stored_as(&asked) == *stored
            };
            if let Some(place) = view.place(&name).filter(is_it) {
                names.insert(name, place);
            }
        }
        names.iter().filter_map(|(name, place)| who.readable(&view, name, place)).collect()
    }
}
