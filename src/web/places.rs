//! The channels that a visitor may read.
//!
//! Belongs here: what they are told of them. Does not: which they may read (`delivery::catalogue`, `policy::access`).

use super::desk::Desk;
use super::sorry::Sorry;
use crate::conda::channel::ChannelName;
use crate::delivery::catalogue::{Beholder, Spot};
use crate::policy::access::Right;
use crate::sight::{self, Sight};
use crate::snapshot::Place;
use crate::store::model::Channel;

/// Channels read from the store at one time.
const PAGE: u32 = 1000;

/// A channel in words, where nobody wrote a description.
pub(super) fn about(spot: &Spot) -> String {
    match &spot.place {
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

impl Desk {
    fn beholder(&self) -> Beholder<'_> {
        sight::beholder(&self.visitor)
    }

    /// What the visitor is told of what there is.
    pub(super) fn sight(&self) -> Sight {
        let web = &self.web;
        Sight { hosting: web.hosting.clone(), live: web.live.clone(), delivery: web.delivery.clone() }
    }

    /// A channel, if there is one of that name that the visitor may read. Who may not is told no more than who asks for one that is not there.
    pub(super) fn spot(&self, name: &ChannelName) -> Result<Spot, Sorry> {
        if let Some(spot) = self.beholder().spot(&self.web.live.view(), name) {
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

    /// All channels that the visitor may read and that are named anywhere, in the order of their names.
    pub(super) async fn spots(&self) -> Vec<Spot> {
        self.web.delivery.spots(&self.web.live, &self.beholder()).await
    }

    /// The rows of hosted channels that the visitor may read.
    pub(super) async fn stored(&self) -> Result<Vec<Channel>, Sorry> {
        let may = |row: &Channel| ChannelName::parse(&row.name).is_some_and(|name| self.spot(&name).is_ok());
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let rows = self.web.hosting.desk().channels(after.as_deref(), PAGE).await?;
            let Some(last) = rows.last() else { return Ok(found) };
            after = Some(last.name.clone());
            found.extend(rows.into_iter().filter(may));
        }
    }

    /// Whether the visitor may do something to a hosted channel, or a package of it.
    pub(super) fn may(&self, channel: &ChannelName, right: Right, package: Option<&str>) -> bool {
        self.signed_in().is_ok() && self.web.hosting.check(&self.visitor, channel, right, package).is_ok()
    }
}
