//! Whoever sends a request, as the front door found.
//!
//! Belongs here: the values, handed from the front door to the API and the pages. Does not: how it was found out (`proxy`).

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
    /// Whether they sit at this machine.
    pub here: bool,
    /// Whether passwords may be sent this way.
    pub may_send_secrets: bool,
    /// Of the request.
    pub request: RequestId,
    /// The program, as it said.
    pub agent: Arc<str>,
}

/// How a request for a page of the gate came.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// The gate's address for links and snippets, without trailing slash.
    pub address: Arc<str>,
    /// Whether it came encrypted, as far as is known.
    pub https: bool,
    /// What became of the cookie of somebody who signed in.
    pub session: SessionState,
}

/// What became of the cookie of somebody who signed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SessionState {
    /// There was none, or another credential was shown.
    #[default]
    None,
    /// It says who the visitor is.
    Good,
    /// It is over.
    Over,
    /// It was not looked at: it came in the clear, or the store can't be asked.
    Unknown,
}

impl Visitor {
    /// The address as text; empty where there is none.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.map_or_else(String::new, |ip| ip.to_string())
    }
}
