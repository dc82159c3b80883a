//! Names that look like others: what a person takes for the same name when reading it.
//!
//! Two names look alike when they are the same after folding: upper and lower case are one, so are the separators `-`, `_` and `.` (clients
//! and servers of other ecosystems take them for each other too), `0` and `o`, `1`, `i` and `l`, and `rn` and `m`. That is all: every
//! further pair would hide more good names than bad ones.
//!
//! Belongs here: folding names and patterns over them. Does not: whose names they are (`virtual_rule`).

/// A name as it looks.
#[must_use]
pub fn fold(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    for c in name.chars() {
        match c.to_ascii_lowercase() {
            '_' | '.' | '-' => folded.push('-'),
            '0' => folded.push('o'),
            '1' | 'i' => folded.push('l'),
            'n' if folded.ends_with('r') => {
                folded.pop();
                folded.push('m');
            }
            other => folded.push(other),
        }
    }
    folded
}

/// A pattern that matches the folded forms of what a pattern matches; `None` where it has a set of characters, which can't be folded.
#[must_use]
pub fn fold_glob(glob: &str) -> Option<String> {
    (!glob.contains(['[', ']', '!', '^'])).then(|| fold(glob))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::NameGlobs;

    #[test]
    fn what_looks_alike() {
        let globs =
            NameGlobs::new(vec!["acme-*".to_owned(), "In1Tech".to_owned(), "x[0-9]".to_owned()]).unwrap();
        for like in ["acme_x", "acme.x", "acrne-x", "ACRNE_x", "lnitech", "inltech", "1n1tech", "acme_-"] {
            assert!(globs.has_like(like), "{like}");
        }
        for other in [
            "acme-x",
            "Acme-X",
            "in1tech",
            "acmex",
            "acme",
            "acne-x",
            "acorn-x",
            "x0",
            "xo",
            "initech-x",
            "numpy",
        ] {
            assert!(!globs.has_like(other), "{other}");
        }
        assert!(NameGlobs::new(vec!["torn-*".to_owned()]).unwrap().has_like("tom_x"));
    }

    proptest! {
        #[test]
        fn what_a_pattern_matches_its_folded_form_matches_folded(name in "[a-z0-9rnm._-]{1,12}", star in 0_usize..12) {
            let mut glob = name.clone();
            glob.truncate(star);
            glob.push('*');
            let exact = NameGlobs::new(vec![glob.clone()]).unwrap();
            prop_assert!(exact.contains(&name));
            let folded = NameGlobs::new(vec![fold_glob(&glob).unwrap()]).unwrap();
            // A pattern that ends between `r` and `n` matches what its folded form does not; such names are matched as they are.
            let is_split = glob.ends_with("r*") && name[glob.len() - 1..].starts_with('n');
            prop_assert!(is_split || folded.contains(&fold(&name)), "{} {}", glob, name);
        }
    }
}
