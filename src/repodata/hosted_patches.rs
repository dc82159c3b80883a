//! The patches of a hosted channel: what one of its own packages says about the others.
//!
//! Belongs here: these patches as the document of a subdir needs them. Does not: finding the package (`delivery`), what instructions mean
//! (`policy::judge::hotfix`).

use std::sync::Arc;

use crate::conda::digest::Sha256;
use crate::policy::judge::hotfix::Hotfix;
use crate::policy::node::At;
use crate::policy::verdict::{Patch, RuleRef};

/// Instructions for one subdir. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HostedPatches {
    package: Sha256,
    hotfix: Arc<Hotfix>,
    rule: Arc<RuleRef>,
}

impl HostedPatches {
    /// Those of a package with this digest, which is called `file`.
    ///
    /// # Errors
    /// A clause that completes "it …", as [`Hotfix::read`] has it.
    pub fn read(text: &str, package: Sha256, file: &str) -> Result<Self, String> {
        let hotfix = Arc::new(Hotfix::read(text, true)?);
        let rule = RuleRef { id: file.to_owned(), at: At::outside(file), reason: None };
        Ok(Self { package, hotfix, rule: Arc::new(rule) })
    }

    /// The digest of the package that they are from.
    #[must_use]
    pub const fn package(&self) -> &Sha256 {
        &self.package
    }

    /// Whether a file is to leave the index.
    pub(super) fn removes(&self, file: &str) -> bool {
        self.hotfix.removes(file)
    }

    /// What is to change in a file's record.
    pub(super) fn of(&self, file: &str) -> Option<Arc<Patch>> {
        self.hotfix.patch(file, &self.rule).map(Arc::new)
    }
}
