//! What this program is and under which terms it may be used and passed on: its own licence, and those of all that is linked into it.
//!
//! Belongs here: texts that are compiled in, so that they are there without a network. Does not: showing them (`proxy`, `cli`).

/// condagate's own licence; many of the crates are under the same.
const LICENSE: &str = include_str!("../LICENSE");
/// Crates, one a line, then the texts of their licences; written by `.ci/licenses`.
pub const CRATES: &str = include_str!("about/licenses.txt");

/// What browsers get from here beside the gateway's own, and the text of its licence.
const HTMX: (Part, &str) =
    (Part { name: "htmx", version: "4.0.1", license: "0BSD" }, include_str!("web/assets/htmx.LICENSE"));

/// Something that is built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Of a crate, mostly.
    pub name: &'static str,
    /// Which one.
    pub version: &'static str,
    /// As SPDX writes it.
    pub license: &'static str,
}

/// All that is built in: crates in the order of their names, then what browsers get.
pub fn parts() -> impl Iterator<Item = Part> {
    let part = |line: &'static str| {
        let (what, license) = line.split_once("  ")?;
        let (name, version) = what.split_once(' ')?;
        Some(Part { name, version, license })
    };
    CRATES.lines().take_while(|line| !line.is_empty()).filter_map(part).chain([HTMX.0])
}

/// The whole page, as plain text.
#[must_use]
pub fn licenses() -> String {
    format!(
        "condagate {} is under the Apache License, version 2.0, whose text follows.\n\n{}\n{}\n\nIt has the crates below linked into it. \
         Of those that leave a choice, the Apache License above is taken; texts of the others follow the list.\n\n{CRATES}\n{}\n{} {}, which browsers get from it\n\n{}",
        env!("CARGO_PKG_VERSION"),
        LICENSE.trim_end(),
        "-".repeat(80),
        "-".repeat(80),
        HTMX.0.name,
        HTMX.0.version,
        HTMX.1.trim_end(),
    )
}
