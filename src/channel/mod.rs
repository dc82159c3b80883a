//! The team's own channels: taking packages in, publishing them, taking them back.
//!
//! A package is published in this order, each step durable before the next: its bytes are kept (`cache::vault`), its row is added to the store,
//! an audit event says who did it, the index is told. Stopping between any two steps leaves a file that no row names, which
//! [`Hosting::sweep`] deletes after a day, or a whole package.
//!
//! | file | what it knows |
//! |---|---|
//! | `desk` | what needs the store only, with or without a gate |
//! | `receive` | bytes on their way in: limits, room on the disk |
//! | `staged` | uploads in several requests, on disk between them |
//! | `publish` | from a file that came in to a package of a channel |
//! | `patching` | packages that change the records of others |
//! | `row` | from an opened package to its row |
//! | `retract` | yank, restore, delete |
//! | `promote` | labels; copies in other channels |
//! | `labels` | a label of a whole channel |
//! | `channels` | creating, changing and deleting channels |
//! | `settings` | what a channel's owner has set |
//! | `search` | packages by name, spec, or a file in them |
//! | `inspect/` | what is inside a package |
//!
//! Belongs here: the use cases of who publishes. Does not: the clients' protocols (`api`), rights as written (`policy::access`),
//! indexes (`delivery`), bytes on disk (`cache`).

mod author;
mod channels;
mod desk;
mod error;
pub mod inspect;
mod labels;
mod patching;
mod promote;
mod publish;
mod receive;
mod retract;
mod row;
mod search;
mod settings;
mod staged;
mod sweep;
#[cfg(test)]
mod tests;
pub mod view;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::cache::Cache;
use crate::conda::channel::ChannelName;
use crate::identity::Visitor;
use crate::policy::access::{Ask, Caller, Right, Thing, Verdict};
use crate::snapshot::Live;
use crate::snapshot::people::Principal;

pub use author::Author;
pub use channels::{ChannelChange, NewChannel, Quota};
pub use desk::{Desk, Told, Written};
pub use error::HostError;
pub use labels::{LabelChange, LabelOf};
pub use promote::{Copied, Labels};
pub use publish::{Published, Upload};
pub use receive::{ReceiveSettings, Received};
pub use retract::Retract;
pub use search::{Hit, Hits, Query};
pub use settings::ChannelSettings;
pub use sweep::Swept;

/// What hosting needs from the wiring.
pub struct HostingParts {
    /// The channels and packages.
    pub desk: Desk,
    /// The bytes.
    pub cache: Cache,
    /// The rules.
    pub live: Arc<Live>,
    /// Limits of what comes in.
    pub receive: ReceiveSettings,
}

/// See the module's description. Cheap to clone.
#[derive(Clone)]
pub struct Hosting(Arc<Inner>);

struct Inner {
    desk: Desk,
    cache: Cache,
    live: Arc<Live>,
    limits: ReceiveSettings,
    receiving: Semaphore,
    inspecting: Semaphore,
}

impl Hosting {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: HostingParts) -> Self {
        let HostingParts { desk, cache, live, receive } = parts;
        let receiving = Semaphore::new(receive.at_once);
        let inspecting = Semaphore::new(receive.inspected_at_once);
        Self(Arc::new(Inner { desk, cache, live, limits: receive, receiving, inspecting }))
    }

    /// What needs no bytes.
    #[must_use]
    pub fn desk(&self) -> &Desk {
        &self.0.desk
    }

    /// Whether a caller may do something to a hosted channel, or to a package of it: an early refusal, before a body is read.
    ///
    /// # Errors
    /// [`HostError::Unauthenticated`], [`HostError::Forbidden`]
    pub fn check(
        &self,
        visitor: &Visitor,
        channel: &ChannelName,
        right: Right,
        package: Option<&str>,
    ) -> Result<(), HostError> {
        let view = self.0.live.view();
        let caller = visitor.principal.as_deref().map_or(Caller::ANONYMOUS, Principal::caller);
        let what = Thing::Channel { name: channel.as_str(), private: true, package };
        match view.rules().access().decide(&caller, &Ask { what, right }) {
            Verdict::Allowed(_) => Ok(()),
            Verdict::Denied(why) if visitor.principal.is_none() => Err(HostError::Unauthenticated(format!(
                "the channel `{channel}` can't be written to without a credential: {}",
                why.clause()
            ))),
            Verdict::Denied(why) => Err(HostError::Forbidden(format!(
                "this needs the right to {right} the channel `{channel}`: {}",
                why.clause()
            ))),
        }
    }
}
