//! `Via` (RFC 9110, 7.6.3): how a gate notices that a request went through it before.

use super::list::commented;

/// Whether a `Via` value names `pseudonym` as one of the hops (ASCII case does not matter). Comments are not looked at.
#[must_use]
pub fn mentions(via: &str, pseudonym: &str) -> bool {
    commented(via).any(|hop| {
        let received_by = hop.split([' ', '\t']).filter(|word| !word.is_empty()).nth(1);
        let received_by = received_by.map(|name| name.split_once('(').map_or(name, |(name, _)| name));
        received_by.is_some_and(|name| name.eq_ignore_ascii_case(pseudonym))
    })
}

/// The `Via` value to send on: what came in, then this hop. `version` is the protocol it came in by, without the name
/// `HTTP/`: `1.1`, `1.0` or `2`.
#[must_use]
pub fn append(inbound: Option<&str>, version: &str, pseudonym: &str) -> String {
    let inbound = inbound.map_or("", str::trim);
    let mut value = String::with_capacity(inbound.len() + version.len() + pseudonym.len() + 3);
    if !inbound.is_empty() {
        value.push_str(inbound);
        value.push_str(", ");
    }
    value.push_str(version);
    value.push(' ');
    value.push_str(pseudonym);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_hop_and_nothing_else() {
        for via in [
            "1.1 gate-7",
            "1.0 fred, 1.1 GATE-7",
            "HTTP/1.1 gate-7 (condagate)",
            "1.1\tgate-7(x),1.1 b",
            "1.0 a (one, two), 1.1  gate-7 , 2 c",
        ] {
            assert!(mentions(via, "gate-7"), "{via}");
        }
        for via in [
            "",
            "gate-7",
            "1.1 gate-77",
            "1.1 my-gate-7",
            "1.1 a (1.1 gate-7)",
            "1.1 a (x, 1.1 gate-7)",
            ", ,",
        ] {
            assert!(!mentions(via, "gate-7"), "{via}");
        }
    }

    #[test]
    fn what_was_appended_is_found() {
        assert_eq!(append(None, "1.1", "gate-7"), "1.1 gate-7");
        assert_eq!(append(Some(" "), "1.1", "gate-7"), "1.1 gate-7");
        let twice = append(Some("1.0 fred (a, b)"), "1.1", "gate-7");
        assert_eq!(twice, "1.0 fred (a, b), 1.1 gate-7");
        assert!(mentions(&twice, "gate-7") && mentions(&twice, "fred"));
    }
}
