//! The last good state as files, so that a gate that starts while its database is down still knows everybody.
//!
//! `people.json` has everything but most tokens and names the file of tokens it belongs with; it is put in place last, so the two are
//! always a pair. `seen` says when the store was last heard of. All of it is this user's only; no secret and no hash of a
//! password is in it.
//!
//! Belongs here: writing and reading. Does not: when (`follow`).

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ahash::AHashMap;
use serde::{Deserialize, Serialize};

use super::entries::{ChannelEntry, GrantEntry, UserEntry};
use super::state::State;
use super::tokens::{TokenEntry, TokenFile, TokenWriter};
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;

const VERSION: u32 = 1;

/// What `people.json` has.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    version: u32,
    /// Which store it is of.
    place: String,
    revision: u64,
    users: AHashMap<String, Arc<UserEntry>>,
    groups: AHashMap<String, String>,
    members: AHashMap<String, Vec<String>>,
    grants: Vec<(String, GrantEntry)>,
    channels: AHashMap<String, ChannelEntry>,
    /// Name of the file of tokens, if there is one.
    tokens: Option<String>,
    /// Tokens that changed since that was written, by digest.
    overlay: Vec<(String, Arc<TokenEntry>)>,
    gone: Vec<String>,
}

/// The directory of the snapshot.
#[derive(Clone, Debug)]
pub struct Disk {
    dir: PathBuf,
    place: String,
}

impl Disk {
    /// The files of one store, `place`, in a directory that is made where it is missing.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn open(dir: &Path, place: &str) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        Ok(Self { dir: dir.to_owned(), place: place.to_owned() })
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What was saved last, and when the store was last heard of; `None` when there is nothing for this store.
    ///
    /// # Errors
    /// Trouble with the disk, or a sentence on what is wrong with the files.
    pub fn load(&self) -> io::Result<Option<(State, UnixMillis)>> {
        let text = match fs::read(self.people()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let saved: Saved = serde_json::from_slice(&text)?;
        if saved.version != VERSION || saved.place != self.place {
            return Ok(None);
        }
        let seen = fs::read_to_string(self.dir.join("seen"))?;
        let seen = seen.trim().parse().map(UnixMillis).map_err(|_| io::Error::other("`seen` is no time"))?;
        Ok(Some((self.state(saved)?, seen)))
    }

    fn state(&self, saved: Saved) -> io::Result<State> {
        let tokens = saved.tokens.map(|name| TokenFile::open(&self.dir.join(name)));
        let names = saved.users.iter().map(|(id, user)| (user.key.clone(), id.clone())).collect();
        let overlay = saved.overlay.into_iter().map(|(hash, entry)| Some((Sha256::from_hex(&hash)?, entry)));
        let overlay = overlay.collect::<Option<AHashMap<_, _>>>();
        let overlay = overlay.ok_or_else(|| io::Error::other("a digest of a token is none"))?;
        let members = saved.members.into_iter().map(|(user, groups)| (user, groups.into_iter().collect()));
        Ok(State {
            revision: saved.revision,
            users: Arc::new(saved.users),
            names: Arc::new(names),
            groups: Arc::new(saved.groups),
            members: Arc::new(members.collect()),
            grants: Arc::new(saved.grants.into_iter().collect()),
            channels: Arc::new(saved.channels),
            file: tokens.transpose()?.map(Arc::new),
            overlay: Arc::new(overlay),
            gone: Arc::new(saved.gone.into_iter().collect()),
        })
    }

    /// Saves `state`.
    ///
    /// # Errors
    /// Trouble with the disk; what was saved before stays.
    pub fn save(&self, state: &State) -> io::Result<()> {
        let members =
            state.members.iter().map(|(user, groups)| (user.clone(), groups.iter().cloned().collect()));
        let saved = Saved {
            version: VERSION,
            place: self.place.clone(),
            revision: state.revision,
            users: (*state.users).clone(),
            groups: (*state.groups).clone(),
            members: members.collect(),
            grants: state.grants.iter().map(|(id, grant)| (id.clone(), grant.clone())).collect(),
            channels: (*state.channels).clone(),
            tokens: state.file.as_ref().map(|file| file.name().to_owned()),
            overlay: state.overlay.iter().map(|(hash, entry)| (hash.to_hex(), Arc::clone(entry))).collect(),
            gone: state.gone.iter().cloned().collect(),
        };
        self.put("people.json", &serde_json::to_vec(&saved)?)
    }

    /// Notes when the store was last heard of.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn note_seen(&self, at: UnixMillis) -> io::Result<()> {
        self.put("seen", at.0.to_string().as_bytes())
    }

    /// A new file of tokens under a name of its own.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn new_tokens(&self, revision: u64, at: UnixMillis) -> io::Result<TokenWriter> {
        TokenWriter::create(&self.dir.join(format!("tokens-{revision}-{}", at.0)))
    }

    /// Removes files of tokens that `state` does not use; one that is open is still read.
    ///
    /// # Errors
    /// Trouble with the disk.
    pub fn sweep(&self, state: &State) -> io::Result<()> {
        let current = state.file.as_ref().map(|file| file.name());
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("tokens-") && current != Some(&*name) {
                fs::remove_file(self.dir.join(&*name))?;
            }
        }
        Ok(())
    }

    fn people(&self) -> PathBuf {
        self.dir.join("people.json")
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (path, beside) = (self.dir.join(name), self.dir.join(format!("{name}.partial")));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        fs::File::open(&self.dir)?.sync_all()
    }
}
