//! Who may do what: rights on channels and files.
//!
//! Belongs here: rights, what a token is good for. Does not: who a caller is (`auth`), what is kept of rights (`store`), which
//! packages of a channel are shown ([`super::judge`]).

pub mod globs;
pub mod right;
pub mod scope;

pub use globs::Globs;
pub use right::Right;
pub use scope::{Scope, ScopeError};
