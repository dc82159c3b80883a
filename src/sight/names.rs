//! Packages by a part of their names, in all channels whose indexes are here: hosted, proxied and virtual.
//!
//! Belongs here: asking every channel, the order of what is found. Does not: names of one channel (`delivery::catalogue`).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::{Sight, beholder};
use crate::conda::channel::ChannelName;
use crate::delivery::catalogue::{Catalogue, Line, Order, Spot};
use crate::identity::Visitor;

/// How long a channel is waited for whose index has to be walked over first; it is there the next time.
const PATIENCE: Duration = Duration::from_millis(800);

/// A package of a channel.
#[derive(Clone)]
pub struct Named {
    /// Where.
    pub channel: ChannelName,
    /// What.
    pub line: Line,
    /// In which its subdirs are.
    pub all: Arc<Catalogue>,
}

/// A page of packages.
#[derive(Default)]
pub struct NamesFound {
    /// The best first: the name itself, names that begin with the text, all others; each in the order of names, then of channels.
    pub packages: Vec<Named>,
    /// On all pages.
    pub found: usize,
    /// How many channels were asked.
    pub channels: usize,
}

impl Sight {
    /// What is in a channel, if that is known soon.
    pub async fn catalogue_soon(&self, spot: &Spot) -> Option<Arc<Catalogue>> {
        let asked = spot.asked();
        tokio::time::timeout(PATIENCE, self.delivery.catalogue(&spot.place, &asked)).await.ok()
    }

    /// Packages that are shown to the caller and whose names have a text in them: `limit` of them behind the first `skip`.
    pub async fn named(&self, visitor: &Visitor, text: &str, (skip, limit): (usize, usize)) -> NamesFound {
        let spots = self.delivery.spots(&self.live, &beholder(visitor)).await;
        let catalogues = join_all(spots.iter().map(|spot| self.catalogue_soon(spot))).await;
        let known: Vec<(&Spot, Arc<Catalogue>)> = spots
            .iter()
            .zip(catalogues)
            .filter_map(|(spot, all)| Some((spot, all.filter(|all| !all.subdirs.is_empty())?)))
            .collect();
        let text = text.to_ascii_lowercase();
        let mut found = Vec::new();
        for (spot, all) in &known {
            let lines = all.names.matching(&text, Order::Name);
            found.extend(lines.into_iter().map(|line| (rank(line, &text), &*line.name, spot, all, line)));
        }
        found.sort_by_key(|(rank, name, spot, ..)| (*rank, *name, &spot.name));
        let page = found.iter().skip(skip).take(limit);
        let named = |(_, _, spot, all, line): &(_, _, &&Spot, &Arc<Catalogue>, &Line)| Named {
            channel: spot.name.clone(),
            line: (*line).clone(),
            all: Arc::clone(all),
        };
        NamesFound { packages: page.map(named).collect(), found: found.len(), channels: known.len() }
    }
}

fn rank(line: &Line, text: &str) -> u8 {
    match (*line.name == *text, line.name.starts_with(text)) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    }
}
