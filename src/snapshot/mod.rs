//! The live view that the data plane reads: one immutable [`View`] of rules and upstreams, swapped whole.
//!
//! Belongs here: which rules are in force and what a channel name, a file path or a host means under them.
//! Does not: reading rules from disk (`config`), deciding about callers (`auth`, later), fetching (`delivery`).

mod audience;
mod need;
pub mod people;
mod view;
mod virtual_channel;

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::policy::Rules;
use crate::upstream::Upstreams;
pub use audience::channel_of;
pub use need::Need;
pub use view::{Channel, HostTarget, Place, PlainFile, View};
pub use virtual_channel::{Member, VirtualChannel};

/// Holds the current [`View`]; readers take a reference without waiting, a reload replaces it at once.
pub struct Live {
    view: ArcSwap<View>,
    upstreams: Arc<Upstreams>,
}

impl Live {
    /// Starts with `rules`, whose upstreams must already be known to `upstreams`.
    #[must_use]
    pub fn new(rules: Arc<Rules>, upstreams: Arc<Upstreams>) -> Self {
        let view = View::new(rules, Arc::clone(&upstreams));
        Self { view: ArcSwap::from_pointee(view), upstreams }
    }

    /// The view in force; hold it for one request.
    #[must_use]
    pub fn view(&self) -> arc_swap::Guard<Arc<View>> {
        self.view.load()
    }

    /// Puts new rules in force. Requests already under way finish under the old ones.
    pub fn replace(&self, rules: Arc<Rules>) {
        self.view.store(Arc::new(View::new(rules, Arc::clone(&self.upstreams))));
    }
}
