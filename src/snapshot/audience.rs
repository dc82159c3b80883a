//! Views of a channel: callers for whom other rules count see other indexes, which are kept under names of their own.
//!
//! Belongs here: these names. Does not: for whom a rule counts (`policy::judge::audience`), building (`delivery`).

use crate::conda::channel::ChannelName;
use crate::conda::digest::Sha256;

/// Under which name a view of the channel `identity` is kept. View 0 is the channel itself. The others are one component, so that
/// they never meet `<upstream>/<channel>`, whatever a client asks for.
pub(super) fn kept_as(identity: &ChannelName, view: u64) -> ChannelName {
    if view == 0 {
        return identity.clone();
    }
    let name = format!("{}{view:016x}", prefix(identity));
    // A name of digits, letters and dots always is one.
    ChannelName::parse(&name).unwrap_or_else(|| identity.clone())
}

/// What the names of all views of a channel begin with.
pub(super) fn prefix(identity: &ChannelName) -> String {
    let digest = Sha256::of(format!("view {identity}").as_bytes()).to_hex();
    let flat: String = identity.as_str().replace('/', ".").chars().take(80).collect();
    format!("{flat}.{}.", &digest[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_told_apart_and_from_channels() {
        let of = |name: &str| ChannelName::parse(name).unwrap();
        let long = of(&format!("up/{}", "a".repeat(100)));
        for identity in [of("up/chan"), of("up/a/b"), long] {
            assert_eq!(kept_as(&identity, 0), identity);
            let (one, two) = (kept_as(&identity, 1), kept_as(&identity, 2));
            assert_ne!(one, two);
            for view in [one, two] {
                assert!(
                    !view.as_str().contains('/') && view.as_str().starts_with(&prefix(&identity)),
                    "{view}"
                );
            }
        }
        assert_ne!(kept_as(&of("up/a.b"), 1), kept_as(&of("up/a/b"), 1));
    }
}
