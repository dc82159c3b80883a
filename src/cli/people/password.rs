//! Passwords as they are given: piped in, in a file, typed twice.
//!
//! Belongs here: reading them. Does not: which ones are accepted (`auth`).

use std::io::{self, Read as _};
use std::path::PathBuf;

use super::Desk;
use super::args::PasswordArgs;
use crate::policy::Outside as _;
use crate::secret::Secret;

/// What is read of an input; far more than any password may have.
const MAX_BYTES: u64 = 1 << 20;

/// Why there is no password. No message has anything of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPassword {
    #[error(
        "no password was given, and there is no terminal to ask at; pipe it in with --password-stdin, or name a file with \
         --password-file"
    )]
    NotAsked,
    #[error("the password file {} can't be read: {why}", path.display())]
    File { path: PathBuf, why: String },
    #[error("the password can't be read from standard input: {0}")]
    Input(io::Error),
    #[error("the password can't be read from the terminal: {0}")]
    Asked(io::Error),
    #[error("what was given as a password is empty")]
    Empty,
    #[error("what was given as a password has several lines; give one line with the password alone")]
    Lines,
    #[error("the two passwords are not the same; nothing was done")]
    Differ,
}

impl NoPassword {
    /// Whether the command was not typed as it should be.
    pub(super) const fn is_usage(&self) -> bool {
        matches!(self, Self::NotAsked)
    }
}

/// The password that the arguments name, else one that is typed twice.
pub(super) fn read(args: &PasswordArgs, desk: &mut Desk<'_, '_>) -> Result<Secret<String>, NoPassword> {
    if let Some(path) = &args.password_file {
        let found = desk.sources.machine().read_up_to(path, MAX_BYTES);
        return one_line(&found.map_err(|why| NoPassword::File { path: path.clone(), why })?);
    }
    if args.password_stdin {
        let mut text = String::new();
        let mut input = (&mut *desk.terminal.input).take(MAX_BYTES);
        input.read_to_string(&mut text).map_err(NoPassword::Input)?;
        return one_line(&text);
    }
    if !desk.terminal.is_person {
        return Err(NoPassword::NotAsked);
    }
    let ask = |prompt| rpassword::prompt_password(prompt).map_err(NoPassword::Asked);
    let first = ask("Password: ")?;
    if ask("The same again: ")? == first { one_line(&first) } else { Err(NoPassword::Differ) }
}

/// The one line of a text; editors and `echo` leave an end of line behind it.
fn one_line(text: &str) -> Result<Secret<String>, NoPassword> {
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Err(NoPassword::Empty);
    }
    if line.contains(['\r', '\n']) {
        return Err(NoPassword::Lines);
    }
    Ok(Secret::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_a_password() {
        assert_eq!(one_line(" four words \n").unwrap().reveal(), " four words ");
        assert_eq!(one_line("a\r\n").unwrap().reveal(), "a");
        assert!(
            matches!(one_line(""), Err(NoPassword::Empty))
                && matches!(one_line("\n"), Err(NoPassword::Empty))
        );
        assert!(matches!(one_line("a\nb\n"), Err(NoPassword::Lines)));
    }
}
