//! The integration tests: the whole gate on port 0 in front of a scripted upstream, through the front door only.
//!
//! One file per topic. `harness` has the servers and the client; `tidy` checks the house itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking; the lints exempt only functions marked #[test]"
)]
#![allow(
    clippy::case_sensitive_file_extension_comparisons,
    clippy::format_collect,
    reason = "channels have exact names, and tests need not be fast"
)]

mod harness;
mod harness_works;
