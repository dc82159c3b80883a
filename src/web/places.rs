//! The channels that a visitor may read.
//!
//! Belongs here: finding them. Does not: who may read what (`policy::access`), what is in them (`delivery::catalogue`).

use std::collections::BTreeMap;

use super::desk::Desk;
use super::sorry::Sorry;
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::policy::access::Right;
use crate::snapshot::{Need, Place, View, channel_of};
use crate::store::model::Channel;

/// Channels read from the store at one time, and most that are shown.
const PAGE: u32 = 1000;

/// A channel, as the visitor sees it.
#[derive(Clone)]
pub(super) struct Spot {
    pub(super) name: ChannelName,
    pub(super) place: Place,
}

impl Spot {
    pub(super) fn asked(&self) -> ChannelRef {
        ChannelRef { name: self.name.clone(), label: None }
    }

    pub(super) fn is_hosted(&self) -> bool {
        matches!(&self.place, Place::Source(channel) if channel.hosted().is_some())
    }

    pub(super) fn kind(&self) -> &'static str {
        match &self.place {
            Place::Virtual(_) => "virtual",
            Place::Source(channel) if channel.hosted().is_some() => "hosted",
            Place::Source(_) => "proxied",
        }
    }

    /// The upstream that it comes from.
    pub(super) fn upstream(&self) -> Option<&str> {
        match &self.place {
            Place::Source(channel) => channel.remote().map(|remote| remote.upstream.name()),
            Place::Virtual(_) => None,
        }
    }

    /// In words, where nobody wrote a description.
    pub(super) fn about(&self) -> String {
        match &self.place {
            Place::Virtual(channel) => {
                let members: Vec<_> = channel.members.iter().map(|member| member.asked.to_string()).collect();
                format!("{} as one channel", members.join(", "))
            }
            Place::Source(channel) => match channel.remote() {
                Some(remote) => format!("from the upstream {}", remote.upstream.name()),
                None => "hosted by this gateway".to_owned(),
            },
        }
    }
}

impl Desk {
    /// A channel, if there is one of that name that the visitor may read. Who may not is told no more than who asks for one that is not there.
    pub(super) fn spot(&self, name: &ChannelName) -> Result<Spot, Sorry> {
        let view = self.web.live.view();
        let found = view.place(name).filter(|place| !place.is_deleted());
        if let Some(spot) = found.and_then(|place| self.readable(&view, name, &place)) {
            return Ok(spot);
        }
        if self.who().is_none() {
            return Err(Sorry::sign_in(format!(
                "The channel {name} is not for everybody, or there is none of that name. Sign in to see it if you may."
            )));
        }
        Err(Sorry::not_found(format!(
            "There is no channel {name} that you may read. Ask an administrator for the right to read it, if there should be one."
        )))
    }

    fn readable(&self, view: &View, name: &ChannelName, place: &Place) -> Option<Spot> {
        let (rules, caller) = (view.rules(), self.caller());
        let here = self.entrance.here && self.who().is_none();
        let may = Need::of_place(place, None).iter().all(|need| need.is_met(rules.access(), &caller, here));
        let audience = rules.policy().audience_of(&caller);
        may.then(|| Spot { name: name.clone(), place: place.for_audience(audience) })
    }

    /// All channels that the visitor may read and that are named anywhere: in the rules, in the store, by an index that is here.
    pub(super) async fn spots(&self) -> Vec<Spot> {
        let here = self.web.delivery.channels_here().await;
        let view = self.web.live.view();
        let audience = view.rules().policy().audience_of(&self.caller());
        let mut names: BTreeMap<ChannelName, Place> = BTreeMap::new();
        for name in view.names().take(PAGE as usize) {
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
        names.iter().filter_map(|(name, place)| self.readable(&view, name, place)).collect()
    }

    /// The rows of hosted channels that the visitor may read.
    pub(super) async fn stored(&self) -> Result<Vec<Channel>, Sorry> {
        let rows = self.web.hosting.desk().channels(None, PAGE).await?;
        let may = |row: &Channel| ChannelName::parse(&row.name).is_some_and(|name| self.spot(&name).is_ok());
        Ok(rows.into_iter().filter(may).collect())
    }

    /// Whether the visitor may do something to a hosted channel, or a package of it.
    pub(super) fn may(&self, channel: &ChannelName, right: Right, package: Option<&str>) -> bool {
        self.signed_in().is_ok() && self.web.hosting.check(&self.visitor, channel, right, package).is_ok()
    }
}
