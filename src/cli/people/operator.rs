//! Who is at the command line.
//!
//! Belongs here: asking the system. Does not: believing it (whoever can write the store can write anything into it).

use nix::unistd::{Uid, User};

use super::Failed;
use crate::channel::{Author, HostError};
use crate::config::Variables;
use crate::people::By;

/// The account that runs this process and, as far as they say so, who took it on with `sudo` or `doas`.
pub(super) fn of(variables: &Variables) -> By {
    let account = account();
    let behind = ["SUDO_USER", "DOAS_USER"].iter().find_map(|name| variables.get(name));
    By::command_line(&account, behind)
}

/// The same, for what is published.
pub(super) fn author() -> Result<Author, Failed> {
    let nobody = || HostError::Internal("it is not known which account runs this command".to_owned());
    Author::command_line(&account()).ok_or_else(|| nobody().into())
}

/// The account that runs this process.
pub(in super::super) fn account() -> String {
    let uid = Uid::current();
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}
