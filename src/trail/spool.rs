//! What could not be written to the store, kept in a file so that it outlives the gate.
//!
//! Written while the store can't be asked, and removed once it took everything. A crash between these two counts downloads twice; events
//! have ids, so they are written once in any case.
//!
//! Belongs here: the file. Does not: when it is written (`super`).

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Download;
use super::traffic::Hour;
use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::store::model::{AuditEvent, AuditId, TokenId};
use crate::telemetry::metrics::Traffic;

/// Everything that waits.
#[derive(Default)]
pub(super) struct Left {
    pub(super) events: Vec<AuditEvent>,
    pub(super) downloads: Vec<(Download, u64)>,
    pub(super) uses: Vec<(TokenId, UnixMillis)>,
    pub(super) traffic: Vec<(Hour, Traffic)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    version: u32,
    events: Vec<Event>,
    downloads: Vec<Counter>,
    uses: Vec<(String, i64)>,
    /// An earlier version knew nothing of it.
    #[serde(default)]
    traffic: Vec<Total>,
}

#[derive(Serialize, Deserialize)]
struct Event {
    at: i64,
    id: String,
    actor: String,
    kind: String,
    target: String,
    address: String,
    result: String,
    detail: String,
}

#[derive(Serialize, Deserialize)]
struct Counter {
    sha256: String,
    file: Box<str>,
    day: u32,
    actor: Box<str>,
    token: Box<str>,
    address: Box<str>,
    count: u64,
}

#[derive(Serialize, Deserialize)]
struct Total {
    hour: i64,
    channel: Box<str>,
    hits: u64,
    misses: u64,
    refused: u64,
    indexes: u64,
    bytes: u64,
}

const VERSION: u32 = 1;

/// The file.
pub(super) struct Spool(PathBuf);

impl Spool {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// What an earlier life left; nothing when there is no file.
    pub(super) fn load(&self) -> io::Result<Left> {
        let text = match fs::read(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Left::default()),
            other => other?,
        };
        let saved: Saved = serde_json::from_slice(&text)?;
        let wrong = || io::Error::other("it is not what was written");
        if saved.version != VERSION {
            return Err(wrong());
        }
        let uses = saved.uses.into_iter().map(|(id, at)| Some((TokenId::new(&id)?, UnixMillis(at))));
        Ok(Left {
            events: saved.events.into_iter().map(Event::back).collect::<Option<_>>().ok_or_else(wrong)?,
            downloads: saved
                .downloads
                .into_iter()
                .map(Counter::back)
                .collect::<Option<_>>()
                .ok_or_else(wrong)?,
            uses: uses.collect::<Option<_>>().ok_or_else(wrong)?,
            traffic: saved.traffic.into_iter().map(Total::back).collect(),
        })
    }

    /// Writes all of it in the place of what was there.
    pub(super) fn save(&self, left: &Left) -> io::Result<()> {
        let saved = Saved {
            version: VERSION,
            events: left.events.iter().map(Event::of).collect(),
            downloads: left.downloads.iter().map(|(download, count)| Counter::of(download, *count)).collect(),
            uses: left.uses.iter().map(|(id, at)| (id.to_string(), at.0)).collect(),
            traffic: left.traffic.iter().map(Total::of).collect(),
        };
        let beside = self.0.with_extension("partial");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&serde_json::to_vec(&saved)?)?;
        file.sync_all()?;
        fs::rename(&beside, &self.0)
    }

    /// Nothing waits any more.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Event {
    fn of(event: &AuditEvent) -> Self {
        Self {
            at: event.at.0,
            id: event.id.to_string(),
            actor: event.actor.clone(),
            kind: event.kind.clone(),
            target: event.target.clone(),
            address: event.address.clone(),
            result: event.result.clone(),
            detail: event.detail.clone(),
        }
    }

    fn back(self) -> Option<AuditEvent> {
        let Self { at, id, actor, kind, target, address, result, detail } = self;
        Some(AuditEvent {
            at: UnixMillis(at),
            id: AuditId::new(&id)?,
            actor,
            kind,
            target,
            address,
            result,
            detail,
        })
    }
}

impl Counter {
    fn of(download: &Download, count: u64) -> Self {
        Self {
            sha256: download.sha256.to_hex(),
            file: download.file.clone(),
            day: download.day,
            actor: download.actor.clone(),
            token: download.token.clone(),
            address: download.address.clone(),
            count,
        }
    }

    fn back(self) -> Option<(Download, u64)> {
        let Self { sha256, file, day, actor, token, address, count } = self;
        Some((Download { sha256: Sha256::from_hex(&sha256)?, file, day, actor, token, address }, count))
    }
}

impl Total {
    fn of((hour, traffic): &(Hour, Traffic)) -> Self {
        let Traffic { hits, misses, refused, indexes, bytes } = *traffic;
        Self { hour: hour.0, channel: hour.1.clone(), hits, misses, refused, indexes, bytes }
    }

    fn back(self) -> (Hour, Traffic) {
        let Self { hour, channel, hits, misses, refused, indexes, bytes } = self;
        ((hour, channel), Traffic { hits, misses, refused, indexes, bytes })
    }
}
