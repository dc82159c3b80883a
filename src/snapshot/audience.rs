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

/// The channel whose view is kept under `name`, where that can be told: the name says it but for slashes, and a digest says which dots
/// are those. Long names are cut.
#[must_use]
pub fn channel_of(name: &ChannelName) -> Option<ChannelName> {
    let mut parts = name.as_str().rsplitn(3, '.');
    let (_view, _digest, flat) = (parts.next()?, parts.next()?, parts.next()?);
    let dots: Vec<usize> = flat.match_indices('.').map(|(at, _)| at).collect();
    if dots.len() > MOST_DOTS {
        return None;
    }
    let candidate = |which: u32| {
        let is_slash =
            |at: usize| dots.iter().position(|dot| *dot == at).is_some_and(|n| which >> n & 1 == 1);
        let letters = flat.char_indices().map(|(at, letter)| if is_slash(at) { '/' } else { letter });
        ChannelName::parse(&letters.collect::<String>())
    };
    let mut all = (0..1_u32 << dots.len()).filter_map(candidate);
    all.find(|identity| name.as_str().starts_with(&prefix(identity)))
}

/// More dots than in any name that channels have.
const MOST_DOTS: usize = 8;

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
            let is_short = identity.as_str().len() < 80;
            assert_eq!(channel_of(&one), is_short.then(|| identity.clone()));
            for view in [one, two] {
                assert!(
                    !view.as_str().contains('/') && view.as_str().starts_with(&prefix(&identity)),
                    "{view}"
                );
            }
        }
        for odd in ["up", "up.chan", "a.b.c.d", &format!("{}.0.0", "x.".repeat(20))] {
            assert_eq!(ChannelName::parse(odd).and_then(|odd| channel_of(&odd)), None, "{odd}");
        }
        assert_eq!(channel_of(&kept_as(&of("up/a.b"), 1)), Some(of("up/a.b")));
        assert_ne!(kept_as(&of("up/a.b"), 1), kept_as(&of("up/a/b"), 1));
    }
}
