//! A package that is about to change the records of all others in its channel: its instructions must be good before it is published.
//!
//! Belongs here: finding them in the package, and whose mistake it is. Does not: what they mean (`policy::judge::hotfix`), which package counts
//! (`delivery`).

use std::fs::File;

use super::HostError;
use super::inspect::{self, Limits};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelName;
use crate::conda::patches;
use crate::policy::judge::hotfix::{self, Hotfix};

/// Looks at the instructions in a package, if they would count in this channel. Blocks.
///
/// # Errors
/// [`HostError::Invalid`] with the file and the place in it; those of [`inspect::pick`].
pub(super) fn check(
    file: &File,
    (name, size): (&ArchiveName, u64),
    channel: &ChannelName,
    limits: &Limits,
) -> Result<(), HostError> {
    let counts = name.parts().is_some_and(|(package, _, _)| package == patches::package_of(channel.as_str()));
    if !counts {
        return Ok(());
    }
    let is_wanted = |path: &str| patches::subdir_at(path).is_some();
    for (path, bytes) in inspect::pick(file, (name, size), (limits, hotfix::MAX_BYTES), &is_wanted)? {
        let read = std::str::from_utf8(&bytes)
            .map_err(|error| format!("is no UTF-8 behind byte {}", error.valid_up_to()))
            .and_then(|text| Hotfix::read(text, true).map(drop));
        read.map_err(|why| {
            HostError::Invalid(format!(
                "`{path}` in `{name}` {why}. This package changes the records of all others in `{channel}`, so nothing was published"
            ))
        })?;
    }
    Ok(())
}
