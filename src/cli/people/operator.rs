//! Who is at the command line.
//!
//! Belongs here: asking the system. Does not: believing it (whoever can write the store can write anything into it).

use nix::unistd::{Uid, User};

use crate::config::Variables;
use crate::people::By;

/// The account that runs this process and, as far as they say so, who took it on with `sudo` or `doas`.
pub(super) fn of(variables: &Variables) -> By {
    let uid = Uid::current();
    let account = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    let behind = ["SUDO_USER", "DOAS_USER"].iter().find_map(|name| variables.get(name));
    By::command_line(&account, behind)
}
