//! What came of a question about access, and why.
//!
//! Belongs here: verdicts and their sentences. Does not: statuses of HTTP (`proxy`).

use std::sync::Arc;

use super::Right;
use crate::policy::node::At;

/// An entry of `access:` as people are told about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessRef {
    /// Its `id`, or `access#N` for the N-th entry of all files; unique among access and policy rules.
    pub id: String,
    /// File and line; only for those who may see the gate's insides.
    pub at: At,
}

/// What came of a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It may be done.
    Allowed(Why),
    /// It may not.
    Denied(Why),
}

/// The reason of a verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// The caller is a superuser.
    Superuser,
    /// Public things may be read.
    Public,
    /// An entry of `access:` gives it.
    Rule(Arc<AccessRef>),
    /// A grant of the store gives it.
    Grant(Box<str>),
    /// It is not for strangers, and the caller shows no credential: ask again with one (401).
    NeedsCredential,
    /// No rule and no grant gives the caller this right.
    NotGiven(Right),
    /// What gives the caller this right is about other packages.
    OtherPackages(Right),
    /// The caller might, with a token of wider scopes.
    Scopes(Right),
}

impl Verdict {
    /// Whether it may be done.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }

    /// The reason.
    #[must_use]
    pub const fn why(&self) -> &Why {
        match self {
            Self::Allowed(why) | Self::Denied(why) => why,
        }
    }
}

impl Why {
    /// A sentence for everybody: names the rule or the grant, nothing else of the gate's insides.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Superuser => "The caller is a superuser, who passes every access rule.".to_owned(),
            Self::Public => "It is public: no access rule is about it.".to_owned(),
            Self::Rule(rule) => format!("The access rule `{}` gives it.", rule.id),
            Self::Grant(id) => format!("The grant `{id}` gives it."),
            Self::NeedsCredential => {
                "It is not for everybody: show a token, or a user name and a password.".to_owned()
            }
            Self::NotGiven(right) => format!(
                "No access rule and no grant gives this user the right to {}; ask those who run this gateway.",
                does(*right)
            ),
            Self::OtherPackages(right) => format!(
                "What gives this user the right to {} is about other packages of the channel; ask those who run this gateway.",
                does(*right)
            ),
            Self::Scopes(right) => format!(
                "The scopes of this token don't cover it, though its owner may {}; make a token with a wider scope.",
                does(*right)
            ),
        }
    }

    /// The same behind a colon.
    #[must_use]
    pub fn clause(&self) -> String {
        let sentence = self.sentence();
        let mut rest = sentence.chars();
        let first = rest.next().map(|first| first.to_ascii_lowercase());
        first.into_iter().chain(rest).collect()
    }

    /// Where the rule stands that gives it; only for those who may see the gate's insides.
    #[must_use]
    pub fn at(&self) -> Option<&At> {
        match self {
            Self::Rule(rule) => Some(&rule.at),
            _ => None,
        }
    }

    /// One word, for logs and metrics.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Superuser => "superuser",
            Self::Public => "public",
            Self::Rule(_) => "rule",
            Self::Grant(_) => "grant",
            Self::NeedsCredential => "needs_credential",
            Self::NotGiven(_) => "not_given",
            Self::OtherPackages(_) => "other_packages",
            Self::Scopes(_) => "scopes",
        }
    }
}

const fn does(right: Right) -> &'static str {
    match right {
        Right::Read => "read it",
        Right::Write => "write to it",
        Right::Manage => "manage it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_name_the_rule_and_not_its_place() {
        let at = At { file: "/etc/condagate/proxy-rules/50.yaml".into(), line: 7, column: 3 };
        let why = Why::Rule(Arc::new(AccessRef { id: "team".into(), at: at.clone() }));
        assert_eq!(why.sentence(), "The access rule `team` gives it.");
        assert_eq!(why.clause(), "the access rule `team` gives it.");
        assert_eq!((why.at(), why.word()), (Some(&at), "rule"));
        for why in [
            Why::Superuser,
            Why::Public,
            Why::Grant("g1".into()),
            Why::NeedsCredential,
            Why::NotGiven(Right::Write),
            Why::OtherPackages(Right::Read),
            Why::Scopes(Right::Manage),
        ] {
            assert!(why.at().is_none() && why.sentence().ends_with('.'), "{why:?}");
        }
    }
}
