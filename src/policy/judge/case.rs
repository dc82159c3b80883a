//! One record under judgement: the subject, and what of it is worked out at most once.
//!
//! Belongs here: borrowed views of a subject. Does not: any question that a rule asks.

use std::borrow::Cow;

use crate::clock::UnixMillis;
use crate::conda::spec::{Candidate, LazyVersion};
use crate::policy::verdict::Subject;

/// A subject with its name in lower case and its version ready to be parsed.
#[derive(Debug)]
pub struct Case<'s> {
    /// The record.
    pub subject: &'s Subject<'s>,
    /// Package name in lower case: conda compares names that way.
    pub name: Option<Cow<'s, str>>,
    /// The same record as specs see it.
    pub candidate: Candidate<'s>,
}

impl<'s> Case<'s> {
    /// A case for `subject`.
    #[must_use]
    pub fn new(subject: &'s Subject<'s>) -> Self {
        let name = subject.name.as_deref().map(|name| {
            if name.bytes().any(|b| b.is_ascii_uppercase()) {
                Cow::Owned(name.to_ascii_lowercase())
            } else {
                Cow::Borrowed(name)
            }
        });
        let candidate = Candidate {
            version: LazyVersion::new(subject.version.as_deref()),
            build: subject.build.as_deref(),
            build_number: subject.build_number,
            file: subject.file,
            md5: subject.md5,
            sha256: subject.sha256,
        };
        Self { subject, name, candidate }
    }

    /// When the record was first seen, if anybody knows.
    #[must_use]
    pub const fn first_seen(&self) -> Option<UnixMillis> {
        self.subject.first_seen
    }
}
