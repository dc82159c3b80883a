//! HTTP semantics as pure functions (RFC 9110, 9111, 9457).
//!
//! Belongs here: parsing and printing of header values, and the decisions the RFCs derive from them. Does not: any
//! I/O, anything that knows pingora, reqwest or axum, policy (what may be served), what a path means (`conda::url`),
//! how long a cached file stays fresh (`cache::freshness`).
//!
//! Header values come in as `&str`; several lines of one header are joined by `", "` by the caller (RFC 9110, 5.2).

pub mod cache_control;
pub mod coding;
pub mod conditional;
pub mod date;
pub mod etag;
mod list;
pub mod measured;
pub mod problem;
pub mod range;
pub mod traceparent;
pub mod via;
