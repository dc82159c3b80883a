//! The set-up code: how the first administrator is made without a shell.
//!
//! While a store has no superuser, a gate lays down a code in a file that only its own account can read. Who shows the
//! code within an hour makes the first superuser. The user's id is made from the code, so of two who show it at once the
//! store lets one in, whatever names they choose and whichever gates they ask.
//!
//! Belongs here: the file, the comparison, the order of steps. Does not: the page and the endpoint (`api`), limits on
//! guessing (the endpoint's; a code has 160 bits).

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use subtle::ConstantTimeEq as _;

use super::{Account, By, NewUser, People, PeopleError};
use crate::auth::token::new_id;
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::policy::units::moment;
use crate::secret::Secret;
use crate::store::StoreError;
use crate::store::model::{User, UserId};

/// How long a code is good for.
pub const LIFE: Duration = Duration::from_hours(1);
/// Below the data directory.
const FILE: &str = "setup-code";
/// The file is two short lines.
const MAX_BYTES: u64 = 1024;

/// Why a code was not taken, or not laid down.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// There is an administrator.
    #[error("there is a superuser already; set-up codes are for the first one only")]
    NotNeeded,
    /// Wrong, too old, used, or there is none: strangers are not told which.
    #[error(
        "the set-up code is not good (any more); the file {FILE} in the gate's data directory has the one that is, and a restart of the gate makes a new one"
    )]
    NotGood,
    /// The file.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// As in "write".
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A code that lies ready.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// The file that has it in its first line.
    pub file: PathBuf,
    /// Good until then.
    pub until: UnixMillis,
}

/// What the file says.
struct Code {
    text: Secret<String>,
    until: UnixMillis,
}

/// Lays a code down when the store has no superuser; one that is still good stays. Removes the file when there is one
/// (who made that one needs no code).
///
/// # Errors
/// [`SetupError::File`], [`PeopleError::Store`]
pub async fn offer(people: &People, data: &Path) -> Result<Option<Offer>, PeopleError> {
    let file = data.join(FILE);
    if is_set_up(people).await? {
        remove(&file)?;
        return Ok(None);
    }
    let now = people.now();
    if let Some(code) = read(&file)?.filter(|code| now < code.until) {
        return Ok(Some(Offer { file, until: code.until }));
    }
    let until = now.plus(LIFE);
    write(&file, until)?;
    Ok(Some(Offer { file, until }))
}

/// Makes the first superuser for who shows the code. The file goes once the user is there; a crash in between leaves a
/// code that nobody can use again.
///
/// # Errors
/// [`SetupError::NotNeeded`], [`SetupError::NotGood`], and what [`People::create_user`] says: a name or password that was
/// refused does not use the code up.
pub async fn redeem(
    people: &People,
    data: &Path,
    shown: &Secret<String>,
    name: &str,
    password: Secret<String>,
    address: &str,
) -> Result<User, PeopleError> {
    let file = data.join(FILE);
    let code = read(&file)?.filter(|code| people.now() < code.until).ok_or(SetupError::NotGood)?;
    // Digests have one length, so not even that of the code can be told from how long this takes.
    let [theirs, ours] =
        [shown.reveal().trim(), code.text.reveal()].map(|text| Sha256::of(text.as_bytes()).0);
    if !bool::from(theirs.ct_eq(&ours)) {
        return Err(SetupError::NotGood.into());
    }
    if is_set_up(people).await? {
        remove(&file)?;
        return Err(SetupError::NotNeeded.into());
    }
    let id = id_of(&code.text);
    let new =
        NewUser { name: name.to_owned(), email: None, superuser: true, account: Account::Person(password) };
    let by = By::anonymous(address);
    let made = people.create_user_with_id(&by, id.clone(), new, "setup.redeem").await;
    if let Err(PeopleError::Store(StoreError::Conflict { .. }) | PeopleError::Taken { .. }) = &made
        && people.store.users().get(&id).await?.is_some()
    {
        return Err(SetupError::NotGood.into());
    }
    if matches!(made, Ok(_) | Err(PeopleError::NotRecorded { .. })) {
        remove(&file)?;
    }
    made
}

/// Whether there is nobody yet who may do everything.
///
/// # Errors
/// The store can't be asked.
pub async fn is_needed(people: &People) -> Result<bool, StoreError> {
    Ok(!is_set_up(people).await?)
}

/// The file that has the code.
#[must_use]
pub fn file(data: &Path) -> PathBuf {
    data.join(FILE)
}

async fn is_set_up(people: &People) -> Result<bool, StoreError> {
    Ok(!people.store.users().superusers(1).await?.is_empty())
}

/// The id of the user that a code makes; says nothing about the code.
#[expect(clippy::expect_used, reason = "digits are an id")]
fn id_of(code: &Secret<String>) -> UserId {
    let digest = Sha256::of(format!("set-up {}", code.reveal()).as_bytes()).to_hex();
    UserId::new(&digest[..24]).expect("an id")
}

/// The code in the file; `None` when there is none, or it is not as it was written.
fn read(file: &Path) -> Result<Option<Code>, SetupError> {
    let opened = match fs::File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed("open", file))?,
    };
    let mut bytes = Vec::new();
    opened.take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed("read", file))?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    let mut lines = text.lines();
    let (code, until) = (lines.next(), lines.next().and_then(|line| line.strip_prefix("good until ")));
    let code = code.filter(|code| code.len() == CODE_BYTES);
    Ok(code
        .zip(until.and_then(moment))
        .map(|(code, until)| Code { text: Secret::new(code.to_owned()), until }))
}

/// Two ids and a dash.
const CODE_BYTES: usize = 33;

/// Writes a new code beside the file and puts it in its place.
fn write(file: &Path, until: UnixMillis) -> Result<(), SetupError> {
    let beside = file.with_extension("part");
    remove(&beside)?;
    let write = || {
        let mut out = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside)?;
        write!(out, "{}-{}\ngood until {}\n", new_id(), new_id(), crate::http::date::rfc3339(until))?;
        out.sync_all()?;
        fs::rename(&beside, file)
    };
    write().map_err(failed("write", file))
}

fn remove(file: &Path) -> Result<(), SetupError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", file)(error)),
        _ => Ok(()),
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SetupError {
    let path = path.to_owned();
    move |source| SetupError::File { doing, path, source }
}
