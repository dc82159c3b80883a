//! The live view that the data plane reads: one immutable [`View`] of rules and upstreams, swapped whole.
//!
//! Belongs here: which rules are in force and what a channel name, a file path or a host means under them.
//! Does not: reading rules from disk (`config`), deciding about callers (`auth`, later), fetching (`delivery`).

mod audience;
mod channel;
pub mod hosted;
mod need;
pub mod people;
mod view;
mod virtual_channel;

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::policy::Rules;
use crate::upstream::Upstreams;
pub use audience::channel_of;
pub use channel::{Channel, Origin, Remote};
pub use hosted::{Hosted, HostedChannels, HostedRow};
pub use need::Need;
pub use view::{HostTarget, Place, PlainFile, View};
pub use virtual_channel::{Member, VirtualChannel};

/// Holds the current [`View`]; readers take a reference without waiting, a reload replaces it at once.
pub struct Live {
    view: ArcSwap<View>,
    upstreams: Arc<Upstreams>,
    /// Held while one view is replaced by another.
    replacing: Mutex<()>,
}

impl Live {
    /// Starts with `rules`, whose upstreams must already be known to `upstreams`. Which channels the store hosts is not known before
    /// [`Live::set_hosted`].
    #[must_use]
    pub fn new(rules: Arc<Rules>, upstreams: Arc<Upstreams>) -> Self {
        let view = View::new(rules, Arc::clone(&upstreams), HostedChannels::default());
        Self { view: ArcSwap::from_pointee(view), upstreams, replacing: Mutex::new(()) }
    }

    /// The view in force; hold it for one request.
    #[must_use]
    pub fn view(&self) -> arc_swap::Guard<Arc<View>> {
        self.view.load()
    }

    /// What other rules would make of things; `upstreams` knows theirs.
    #[must_use]
    pub fn view_of(&self, rules: Arc<Rules>, upstreams: Arc<Upstreams>) -> View {
        View::new(rules, upstreams, self.view.load().stored_channels().clone())
    }

    /// Puts new rules in force. Requests already under way finish under the old ones.
    pub fn replace(&self, rules: Arc<Rules>) {
        let _replacing = self.replacing.lock();
        let hosted = self.view.load().stored_channels().clone();
        self.view.store(Arc::new(View::new(rules, Arc::clone(&self.upstreams), hosted)));
    }

    /// Puts the store's hosted channels in force.
    pub fn set_hosted(&self, hosted: HostedChannels) {
        let _replacing = self.replacing.lock();
        let view = self.view.load_full();
        if *view.stored_channels() != hosted {
            self.view.store(Arc::new(View::new(view.all_rules(), Arc::clone(&self.upstreams), hosted)));
        }
    }
}
