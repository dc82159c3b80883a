//! The labels of a hosted channel, counted over the files that a caller is told of.
//!
//! Belongs here: counting. Does not: changing them (`channel::labels`).

use std::collections::BTreeMap;

use super::Sight;
use crate::channel::HostError;
use crate::channel::view::PackageView;
use crate::conda::channel::ChannelName;
use crate::identity::Visitor;
use crate::store::model::PackageState;
use crate::store::repo::LONGEST_PAGE;

/// How much has a label.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LabelUse {
    /// Files.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
}

impl Sight {
    /// The labels that files of a channel have, or files of one package in it. Deleted files don't count.
    ///
    /// # Errors
    /// [`HostError::NotFound`] for the channel, [`HostError::Unavailable`]
    pub async fn labels(
        &self,
        visitor: &Visitor,
        name: &ChannelName,
        package: Option<&str>,
    ) -> Result<BTreeMap<String, LabelUse>, HostError> {
        let (desk, mut labels) = (self.hosting.desk(), BTreeMap::<String, LabelUse>::new());
        let mut after = None::<(String, String)>;
        loop {
            let behind = after.as_ref().map(|(subdir, file)| (subdir.as_str(), file.as_str()));
            let mut rows = match package {
                Some(package) => desk.packages_named(name, package).await?,
                None => desk.packages(name, behind, LONGEST_PAGE).await?,
            };
            let last = rows.last().filter(|_| package.is_none() && rows.len() == LONGEST_PAGE as usize);
            after = last.map(|last| (last.subdir.clone(), last.file.clone()));
            rows.retain(|row| row.state != PackageState::Deleted);
            for seen in self.seen(visitor, name, rows).await? {
                for label in PackageView::from(&seen.package).labels {
                    let count = labels.entry(label).or_default();
                    count.files += 1;
                    count.bytes = count.bytes.saturating_add(seen.package.size);
                }
            }
            if after.is_none() {
                return Ok(labels);
            }
        }
    }
}
