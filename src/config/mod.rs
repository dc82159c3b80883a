//! Configuration: raw (as written) to validated settings, and the loading of rules.

pub mod outside;
pub mod rules;
pub mod yaml;

pub use outside::{Machine, Variables};
pub use rules::RulesDir;
