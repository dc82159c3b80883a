//! What this program is and under which terms it may be used and passed on: its own licence, and those of all that is linked into it.
//!
//! Belongs here: texts that are compiled in, so that they are there without a network. Does not: showing them (`proxy`, `cli`).

/// condagate's own licence; many of the crates are under the same.
const LICENSE: &str = include_str!("../LICENSE");
/// Crates, one a line, then the texts of their licences; written by `.ci/licenses`.
pub const CRATES: &str = include_str!("about/licenses.txt");

/// The whole page, as plain text.
#[must_use]
pub fn licenses() -> String {
    format!(
        "condagate {} is under the Apache License, version 2.0, whose text follows.\n\n{}\n{}\n\nIt has the crates below linked into it. \
         Of those that leave a choice, the Apache License above is taken; texts of the others follow the list.\n\n{CRATES}",
        env!("CARGO_PKG_VERSION"),
        LICENSE.trim_end(),
        "-".repeat(80),
    )
}
