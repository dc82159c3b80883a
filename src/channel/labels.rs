//! A label of a whole channel: renamed, given to more files, taken away. Each file is changed by itself, in the order of subdirs and names.
//!
//! What is cut short by a crash is half done, and the same request again does the rest.
//!
//! Belongs here: which files are meant, what becomes of their labels. Does not: one file's labels (`promote`), counting (`sight`).

use super::{Author, Desk, HostError, Hosting, Labels, row};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelName;
use crate::conda::subdir::Subdir;
use crate::identity::Visitor;
use crate::policy::access::Right;
use crate::store::model::{Package, PackageState};
use crate::store::repo::LONGEST_PAGE;

/// How often a file is tried that somebody else changes at the same moment.
const TRIES: usize = 3;

/// What is to become of a label.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LabelChange {
    /// Its files get this one instead.
    Rename(String),
    /// Its files get this one as well.
    Copy(String),
    /// Its files lose it; those that have no other get this one.
    Remove(Option<String>),
}

/// Which of the files that have it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LabelOf {
    /// Of this package only.
    pub package: Option<String>,
    /// Of this version only.
    pub version: Option<String>,
}

impl LabelOf {
    fn means(&self, package: &Package) -> bool {
        let version = || ArchiveName::parse(&package.file)?.parts().map(|(_, version, _)| version.to_owned());
        self.package.as_ref().is_none_or(|name| *name == package.name)
            && self.version.as_ref().is_none_or(|wanted| version().as_ref() == Some(wanted))
    }
}

/// A file that is to be changed.
struct Place {
    subdir: Subdir,
    file: ArchiveName,
    change: Labels,
}

impl Hosting {
    /// Changes a label of a channel, for whoever may write every package that has it; how many files were changed.
    ///
    /// # Errors
    /// [`HostError::NotFound`] where nothing that is meant has the label, [`HostError::Conflict`] where files would have none, and everything that
    /// [`HostError`] says.
    pub async fn change_label(
        &self,
        visitor: &Visitor,
        (channel, label): (&ChannelName, &str),
        of: &LabelOf,
        change: &LabelChange,
    ) -> Result<u64, HostError> {
        let nobody = || HostError::Unauthenticated("this needs a credential".to_owned());
        let author = Author::of(visitor).ok_or_else(nobody)?;
        let may = |package: &str| self.check(visitor, channel, Right::Write, Some(package));
        self.desk().change_label_as(&author, (channel, label), of, change, may).await
    }
}

impl Desk {
    /// As [`Hosting::change_label`]; `may` says of each package whether the author may write it. Nothing is done unless all may be.
    async fn change_label_as(
        &self,
        author: &Author,
        (channel, label): (&ChannelName, &str),
        of: &LabelOf,
        change: &LabelChange,
        may: impl Fn(&str) -> Result<(), HostError>,
    ) -> Result<u64, HostError> {
        if let LabelChange::Rename(new) | LabelChange::Copy(new) | LabelChange::Remove(Some(new)) = change {
            row::labels(std::slice::from_ref(new))?;
        }
        if matches!(change, LabelChange::Remove(Some(new)) if new == label) {
            return Err(HostError::Invalid(
                "the label that goes can't be the one that takes its place".to_owned(),
            ));
        }
        let places = self.labelled((channel, label), of, change, may).await?;
        if places.is_empty() {
            return Err(HostError::NotFound(format!(
                "nothing that is meant in `{channel}` has the label `{label}`"
            )));
        }
        let mut changed = 0;
        for place in &places {
            if self.relabel_one(author, channel, place).await? {
                changed += 1;
            }
        }
        Ok(changed)
    }

    /// The files that have a label, and what is to become of their labels.
    async fn labelled(
        &self,
        (channel, label): (&ChannelName, &str),
        of: &LabelOf,
        change: &LabelChange,
        may: impl Fn(&str) -> Result<(), HostError>,
    ) -> Result<Vec<Place>, HostError> {
        let (mut places, mut bare, mut after) = (Vec::new(), 0_u64, None::<(String, String)>);
        loop {
            let behind = after.as_ref().map(|(subdir, file)| (subdir.as_str(), file.as_str()));
            let rows = self.packages(channel, behind, LONGEST_PAGE).await?;
            let is_meant = |row: &&Package| {
                row.state != PackageState::Deleted
                    && of.means(row)
                    && row::labels_of(row).iter().any(|has| has == label)
            };
            for row in rows.iter().filter(is_meant) {
                may(&row.name)?;
                let place = (Subdir::parse(&row.subdir), ArchiveName::parse(&row.file));
                let (Some(subdir), Some(file)) = place else { continue };
                let is_only = row::labels_of(row).len() == 1;
                let change = becomes(label, change, is_only);
                bare += u64::from(change.is_none());
                places.extend(change.map(|change| Place { subdir, file, change }));
            }
            let Some(last) = rows.last().filter(|_| rows.len() == LONGEST_PAGE as usize) else { break };
            after = Some((last.subdir.clone(), last.file.clone()));
        }
        if bare > 0 {
            return Err(HostError::Conflict(format!(
                "{bare} files have no label but `{label}`; say which one they get instead (`instead`). Nothing was changed"
            )));
        }
        Ok(places)
    }

    /// Whether there was anything to change.
    async fn relabel_one(
        &self,
        author: &Author,
        channel: &ChannelName,
        place: &Place,
    ) -> Result<bool, HostError> {
        let Place { subdir, file, change } = place;
        let mut tries = 0;
        loop {
            let was = self.package(channel, subdir, file).await?.map(|row| row::labels_of(&row));
            match self.relabel_as(author, (channel, subdir, file), change).await {
                Ok(now) => return Ok(was.as_ref() != Some(&now)),
                // Deleted meanwhile.
                Err(HostError::NotFound(_)) => return Ok(false),
                Err(HostError::Conflict(_)) if tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

/// What becomes of a file's labels; `None` where it would have none.
fn becomes(label: &str, change: &LabelChange, is_only: bool) -> Option<Labels> {
    let gone = || vec![label.to_owned()];
    Some(match change {
        LabelChange::Copy(new) => Labels { add: vec![new.clone()], remove: Vec::new() },
        LabelChange::Rename(new) if new == label => Labels::default(),
        LabelChange::Rename(new) => Labels { add: vec![new.clone()], remove: gone() },
        LabelChange::Remove(_) if !is_only => Labels { add: Vec::new(), remove: gone() },
        LabelChange::Remove(instead) => Labels { add: vec![instead.clone()?], remove: gone() },
    })
}
