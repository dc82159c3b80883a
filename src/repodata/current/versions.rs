//! Version strings, each parsed once, and their order.
//!
//! Belongs here: numbers for versions. Does not: specs (`wanted`).

use std::str::FromStr as _;

use ahash::AHashMap;
use rattler_conda_types::Version;

/// Distinct version strings.
#[derive(Default, Debug)]
pub(super) struct Versions {
    numbers: AHashMap<Box<str>, u32>,
    /// `None`: no client could compare it.
    parsed: Vec<Option<Version>>,
    /// Place in the order of versions. Equal versions share a place (1.0, 1.0.0); what is no version comes before all that are.
    ranks: Vec<u32>,
}

impl Versions {
    /// The number of a version string.
    pub fn number(&mut self, version: &str) -> u32 {
        if let Some(number) = self.numbers.get(version) {
            return *number;
        }
        let number = u32::try_from(self.parsed.len()).unwrap_or(u32::MAX);
        self.numbers.insert(version.into(), number);
        self.parsed.push(Version::from_str(version).ok());
        number
    }

    /// Puts all versions in order; to be called when the last one is known.
    pub fn rank(&mut self) {
        let mut order: Vec<(&Option<Version>, &str, u32)> = self
            .numbers
            .iter()
            .filter_map(|(text, number)| Some((self.parsed.get(*number as usize)?, text.as_ref(), *number)))
            .collect();
        // Text decides only between strings that are no versions: equal versions keep one rank below.
        order.sort_unstable_by(|a, b| a.0.cmp(b.0).then_with(|| a.1.cmp(b.1)));
        let mut ranks = vec![0; self.parsed.len()];
        let (mut rank, mut before) = (0, None::<(&Option<Version>, &str)>);
        for (version, text, number) in order {
            let is_equal =
                before.is_some_and(
                    |(v, t)| if version.is_none() { v == version && t == text } else { v == version },
                );
            if !is_equal {
                rank += 1;
            }
            before = Some((version, text));
            if let Some(place) = ranks.get_mut(number as usize) {
                *place = rank;
            }
        }
        self.ranks = ranks;
    }

    /// A version's place in the order.
    pub fn ranked(&self, number: u32) -> u32 {
        self.ranks.get(number as usize).copied().unwrap_or(0)
    }

    /// A version; `None` when it is none.
    pub fn get(&self, number: u32) -> Option<&Version> {
        self.parsed.get(number as usize)?.as_ref()
    }

    /// Whether `version` is what the spec `=of` means: that version, or one that goes on where it ends (1.2 → 1.2rc1, 1.2.1).
    /// What is no version is only like itself.
    pub fn is_like(&self, version: u32, of: u32) -> bool {
        match (self.get(version), self.get(of)) {
            _ if version == of => true,
            (Some(version), Some(of)) => version == of || version.starts_with(of),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order() {
        let mut versions = Versions::default();
        let ascending =
            ["", "/", "not a version", "0.1", "1.0rc1", "1.0", "1.0.1", "1.0.1post1", "1.10", "2020", "1!0"];
        let numbers: Vec<_> = ascending.iter().rev().map(|text| versions.number(text)).collect();
        let (one, again) = (versions.number("1.0"), versions.number("1.0.0"));
        versions.rank();
        let ranks: Vec<_> = numbers.iter().rev().map(|number| versions.ranked(*number)).collect();
        assert!(ranks.windows(2).all(|pair| pair[0] < pair[1]), "{ranks:?}");
        assert_eq!(versions.ranked(one), versions.ranked(again));
        assert_ne!(one, again);
    }

    #[test]
    fn likeness() {
        let mut versions = Versions::default();
        for (version, of, is) in [
            ("1.2", "1.2", true),
            ("1.2rc1", "1.2", true),
            ("1.2.1", "1.2", true),
            ("1.2.0", "1.2", true),
            ("1.2", "1.2.0", true),
            ("1.20", "1.2", false),
            ("?", "?", true),
            ("?", "1", false),
            ("1", "?", false),
        ] {
            let (a, b) = (versions.number(version), versions.number(of));
            assert_eq!(versions.is_like(a, b), is, "{version} {of}");
        }
    }
}
