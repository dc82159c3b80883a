//! Limits: what was turned away or slowed down for them, and how near the process is to its own.
//!
//! Belongs here: the series and the names of limits. Does not: deciding (`proxy`).

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct LimitLabel {
    limit: &'static str,
}

/// A limit for which something is turned away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// Open connections.
    Connections,
    /// Requests being answered.
    Requests,
    /// File descriptors of the process.
    Descriptors,
    /// Memory of the machine or the container.
    Memory,
    /// Requests a second of an address.
    AddressRate,
    /// Requests under way of an address.
    AddressAtOnce,
    /// Requests a second of a user.
    UserRate,
    /// Requests under way of a user.
    UserAtOnce,
}

impl Limit {
    /// The key of the settings that says it.
    #[must_use]
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Connections => "limits.connections",
            Self::Requests => "limits.requests",
            Self::Descriptors => "limits.open_files",
            Self::Memory => "limits.memory",
            Self::AddressRate => "limits.address_rate",
            Self::AddressAtOnce => "limits.address_at_once",
            Self::UserRate => "limits.user_rate",
            Self::UserAtOnce => "limits.user_at_once",
        }
    }

    fn label(self) -> LimitLabel {
        LimitLabel { limit: self.setting().trim_start_matches("limits.") }
    }
}

/// See the module's description.
#[derive(Default)]
pub struct LimitSeries {
    refused: Family<LimitLabel, Counter>,
    paced: Counter<f64, AtomicU64>,
    /// File descriptors that are open.
    pub descriptors: Gauge,
    /// File descriptors that the process may have; 0 where that is not known.
    pub descriptors_limit: Gauge,
}

impl LimitSeries {
    pub(super) fn register(&self, registry: &mut Registry) {
        let room = registry.sub_registry_with_prefix("proxy");
        let help = "Requests and connections turned away, by the limit that they met";
        room.register("refused_by_limit", help, self.refused.clone());
        let help = "Time that answers waited for the bandwidth of their channel";
        room.register("paced_seconds", help, self.paced.clone());
        let room = registry.sub_registry_with_prefix("process");
        room.register("open_files", "File descriptors that are open", self.descriptors.clone());
        room.register(
            "open_files_limit",
            "File descriptors that the process may have",
            self.descriptors_limit.clone(),
        );
    }

    /// Something was turned away.
    pub fn refused(&self, limit: Limit) {
        self.refused.get_or_create_owned(&limit.label()).inc();
    }

    /// An answer waited so long for its channel's bandwidth.
    pub fn paced(&self, waited: Duration) {
        self.paced.inc_by(waited.as_secs_f64());
    }
}
