//! Whoever sends a request, as the front door found.
//!
//! Belongs here: the value, handed from the front door to the API. Does not: how it was found out (`proxy`).

use std::net::IpAddr;
use std::sync::Arc;

use crate::id::RequestId;
use crate::snapshot::people::Principal;

/// See the module's description.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// From where.
    pub address: Option<IpAddr>,
    /// Who, if a credential was shown.
    pub principal: Option<Arc<Principal>>,
    /// Whether passwords may be sent this way.
    pub may_send_secrets: bool,
    /// Of the request.
    pub request: RequestId,
    /// The program, as it said.
    pub agent: Arc<str>,
}

impl Visitor {
    /// The address as text; empty where there is none.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.map_or_else(String::new, |ip| ip.to_string())
    }
}
