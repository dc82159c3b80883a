//! Who is asking: names, tokens and passwords as values, and the work of checking them.
//!
//! Belongs here: what may be a name, how secrets are made, recognised and held against what is stored, what limits
//! guessing. Does not: where users and tokens are kept (`store`), what somebody may do (`policy`), HTTP answers
//! (`proxy`, `api`), anything that waits for a network.

pub mod credential;
pub mod hmac;
pub mod jwt;
pub mod lockout;
pub mod name;
pub mod password;
pub mod token;
