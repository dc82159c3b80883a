//! `licenses:` of a matcher: which license expressions it means.
//!
//! A record matches when whoever takes it can't avoid the licenses of the list: its expression can't be satisfied without
//! one of them. With `[GPL-3.0-only]`, `GPL-3.0-only AND MIT` matches and `GPL-3.0-only OR MIT` does not; with
//! `[GPL-2.0-only, GPL-3.0-only]`, `GPL-2.0-only OR GPL-3.0-only` matches too. An entry is
//!
//! * a license id, alone or `WITH` an exception: the term that is exactly this. `GPL-3.0-only` is neither
//!   `GPL-3.0-or-later` nor `GPL-3.0-only WITH GCC-exception-3.1`; older spellings (`GPL-3.0`, `GPL-3.0+`) are the same as
//!   the present ones;
//! * a glob over such terms: `GPL-*`, `*WITH*`;
//! * an expression: it counts as unavoidable when every way to satisfy the record's expression satisfies it.
//!
//! Records whose license is no SPDX expression, and entries that are none, are compared as text, whole and in any case; globs
//! match that text. A record without a license never matches.
//!
//! Belongs here: the one use of the SPDX library. Does not: `license_family`, which is only a word.

use ahash::AHashMap;
use parking_lot::RwLock;
use spdx::expression::{ExprNode, Operator};
use spdx::{Expression, LicenseReq, ParseMode};

use super::patterns::{Kind, Patterns, is_glob};

/// Longer licenses are compared as text, without being read.
const MAX_LEN: usize = 1024;
/// Ways to satisfy an expression that are looked at, where an entry is an expression itself.
const MAX_WAYS: usize = 64;
/// Verdicts on license texts kept in memory; a channel has a few hundred short ones.
const MAX_REMEMBERED: usize = 1024;
const MAX_REMEMBERED_LEN: usize = 128;

/// The licenses of one matcher.
#[derive(Debug)]
pub struct Licenses {
    written: Vec<String>,
    /// Ids and globs, over single terms and over texts that can't be read.
    terms: Patterns,
    expressions: Vec<Terms>,
    remembered: RwLock<AHashMap<Box<str>, bool>>,
}

impl Licenses {
    /// Compiles a list.
    ///
    /// # Errors
    /// As [`Patterns::compile`].
    pub fn compile(entries: &[String]) -> Result<Self, (usize, String)> {
        let mut terms = Vec::new();
        let mut expressions = Vec::new();
        for entry in entries {
            match parse(entry).filter(|_| !is_glob(entry)) {
                Some(read) if read.is_single() => {
                    terms.push(read.nodes.into_iter().find_map(Node::term).unwrap_or_else(|| entry.clone()));
                }
                Some(read) => expressions.push(read),
                None => {}
            }
            // As text too: for records that can't be read, and to keep positions in step for the limits.
            terms.push(entry.clone());
        }
        let limits = Patterns::compile(Kind::AnyCase, entries).map(drop);
        limits?;
        let terms = Patterns::compile(Kind::AnyCase, &terms).map_err(|(_, why)| (0, why))?;
        let written = entries.iter().map(|e| e.to_ascii_lowercase()).collect();
        Ok(Self { written, terms, expressions, remembered: RwLock::default() })
    }

    /// Whether a record's `license` can't be satisfied without one of these.
    #[must_use]
    pub fn is_match(&self, license: &str) -> bool {
        if license.len() > MAX_LEN {
            return self.terms.is_match(license);
        }
        if let Some(known) = self.remembered.read().get(license) {
            return *known;
        }
        let found = self.judge(license);
        if license.len() > MAX_REMEMBERED_LEN {
            return found;
        }
        let mut remembered = self.remembered.write();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(license.into(), found);
        found
    }

    fn judge(&self, license: &str) -> bool {
        let Some(read) = parse(license) else { return self.terms.is_match(license.trim()) };
        let avoidable = |term: &str| !self.terms.is_match(term);
        if !read.evaluate(&avoidable) {
            return true;
        }
        if self.expressions.is_empty() {
            return false;
        }
        let Some(ways) = read.ways() else { return false };
        ways.iter().all(|way| {
            way.iter().any(|term| !avoidable(term))
                || self.expressions.iter().any(|e| e.evaluate(&|term| way.contains(&term)))
        })
    }

    /// Whether this list certainly takes what `other` takes.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.written.iter().all(|entry| self.written.contains(entry))
    }
}

/// A license expression in postfix order, its terms in their present spelling.
#[derive(Debug)]
struct Terms {
    nodes: Vec<Node>,
}

#[derive(Debug)]
enum Node {
    Term(String),
    And,
    Or,
}

impl Node {
    fn term(self) -> Option<String> {
        match self {
            Self::Term(term) => Some(term),
            Self::And | Self::Or => None,
        }
    }
}

fn parse(text: &str) -> Option<Terms> {
    if text.len() > MAX_LEN {
        return None;
    }
    let expression = Expression::parse_mode(text.trim(), ParseMode::LAX).ok()?;
    let node = |node: &ExprNode| match node {
        ExprNode::Req(req) => Node::Term(spelling(&req.req)),
        ExprNode::Op(Operator::And) => Node::And,
        ExprNode::Op(Operator::Or) => Node::Or,
    };
    Some(Terms { nodes: expression.iter().map(node).collect() })
}

/// A term as SPDX spells it today: `GPL-3.0` is `GPL-3.0-only`, `GPL-3.0+` is `GPL-3.0-or-later`.
fn spelling(term: &LicenseReq) -> String {
    let text = term.to_string();
    let is_gnu = term.license.id().is_some_and(spdx::LicenseId::is_gnu);
    let (id, with) = text.split_once(" WITH ").map_or((text.as_str(), None), |(id, with)| (id, Some(with)));
    let id = match id {
        id if !is_gnu || id.ends_with("-only") || id.ends_with("-or-later") => id.to_owned(),
        id => id.strip_suffix('+').map_or_else(|| format!("{id}-only"), |base| format!("{base}-or-later")),
    };
    with.map_or_else(|| id.clone(), |with| format!("{id} WITH {with}"))
}

impl Terms {
    const fn is_single(&self) -> bool {
        self.nodes.len() == 1
    }

    /// Whether the expression holds when exactly the terms hold that `holds` says.
    fn evaluate(&self, holds: &dyn Fn(&str) -> bool) -> bool {
        let mut stack: Vec<bool> = Vec::with_capacity(8);
        for node in &self.nodes {
            let value = match node {
                Node::Term(term) => holds(term),
                Node::And => stack.pop().unwrap_or(true) & stack.pop().unwrap_or(true),
                Node::Or => stack.pop().unwrap_or(false) | stack.pop().unwrap_or(false),
            };
            stack.push(value);
        }
        stack.pop().unwrap_or(false)
    }

    /// The ways to satisfy it, each a set of terms; `None` when there are too many to look at.
    fn ways<'t>(&'t self) -> Option<Vec<Vec<&'t str>>> {
        let mut stack: Vec<Vec<Vec<&'t str>>> = Vec::new();
        for node in &self.nodes {
            let ways = match node {
                Node::Term(term) => vec![vec![term.as_str()]],
                Node::Or => {
                    let mut ways = stack.pop()?;
                    ways.extend(stack.pop()?);
                    ways
                }
                Node::And => {
                    let (right, left) = (stack.pop()?, stack.pop()?);
                    if left.len() * right.len() > MAX_WAYS {
                        return None;
                    }
                    let join = |l: &Vec<&'t str>| -> Vec<Vec<&'t str>> {
                        right.iter().map(|r| l.iter().chain(r).copied().collect()).collect()
                    };
                    left.iter().flat_map(join).collect()
                }
            };
            if ways.len() > MAX_WAYS {
                return None;
            }
            stack.push(ways);
        }
        stack.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(entries: &[&str], license: &str) -> bool {
        let entries: Vec<_> = entries.iter().map(|e| (*e).to_owned()).collect();
        Licenses::compile(&entries).unwrap().is_match(license)
    }

    #[test]
    fn what_cannot_be_avoided() {
        for (entries, license, expected) in [
            (&["GPL-3.0-only"][..], "GPL-3.0-only", true),
            (&["GPL-3.0-only"], "gpl-3.0-only", true),
            (&["GPL-3.0-only"], "GPL-3.0", true),
            (&["GPL-3.0-only"], "GPL-3.0+", false),
            (&["GPL-3.0-or-later"], "GPL-3.0+", true),
            (&["GPL-3.0-only"], "GPL-3.0-only AND MIT", true),
            (&["GPL-3.0-only"], "GPL-3.0-only OR MIT", false),
            (&["GPL-3.0-only"], "MIT AND (GPL-3.0-only OR BSD-3-Clause)", false),
            (&["GPL-3.0-only", "BSD-3-Clause"], "MIT AND (GPL-3.0-only OR BSD-3-Clause)", true),
            (&["GPL-2.0-only", "GPL-3.0-only"], "GPL-2.0-only OR GPL-3.0-only", true),
            (&["GPL-3.0-only"], "GPL-3.0-only WITH GCC-exception-3.1", false),
            (&["GPL-3.0-only WITH GCC-exception-3.1"], "GPL-3.0-only WITH GCC-exception-3.1", true),
            (&["GPL-*"], "GPL-3.0-only WITH GCC-exception-3.1", true),
            (&["GPL-*"], "LGPL-2.1-only", false),
            (&["*GPL-*"], "MIT OR LGPL-2.1-only", false),
            (&["MIT AND BSD-3-Clause"], "BSD-3-Clause AND MIT", true),
            (&["MIT AND BSD-3-Clause"], "MIT", false),
            (&["MIT OR Apache-2.0"], "MIT", true),
            (&["MIT OR Apache-2.0"], "MIT OR Apache-2.0", true),
            (&["MIT OR Apache-2.0"], "MIT OR BSL-1.0", false),
            (&["Proprietary"], "proprietary", true),
            (&["LicenseRef-Acme"], "LicenseRef-Acme", true),
            (&["Some text"], "SOME TEXT", true),
            (&["*commercial*"], "A Commercial, closed thing", true),
            (&["MIT"], "", false),
        ] {
            assert_eq!(matches(entries, license), expected, "{entries:?} {license}");
        }
    }

    #[test]
    fn hostile_licenses() {
        let many = vec!["(MIT OR Apache-2.0)"; 40].join(" AND ");
        assert!(!matches(&["MIT AND BSD-3-Clause"], &many));
        assert!(matches(&["MIT", "Apache-2.0"], &many));
        assert!(!matches(&["MIT"], &"(".repeat(1000)));
        assert!(!matches(&["MIT"], &"MIT ".repeat(1 << 20)));
        let licenses = Licenses::compile(&["MIT".to_owned()]).unwrap();
        for n in 0..3 * MAX_REMEMBERED {
            assert!(!licenses.is_match(&format!("no {n}")));
        }
        assert!(licenses.remembered.read().len() <= MAX_REMEMBERED);
    }
}
