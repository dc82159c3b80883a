//! An announced upload as it is written down for the time after a restart.
//!
//! Belongs here: the shape of that note. Does not: when it is written (`stages`).

use serde::{Deserialize, Serialize};

use super::stages::Announced;
use crate::clock::UnixMillis;
use crate::conda::archive::ArchiveName;
use crate::conda::channel::ChannelName;
use crate::conda::digest::{Expected, Md5, Sha256};
use crate::conda::subdir::Subdir;
use crate::conda::url::dialect::Dist;

/// Of the secret there is the digest only.
#[derive(Serialize, Deserialize)]
pub(super) struct Note {
    secret: String,
    until: i64,
    /// Whether the bytes are here.
    pub(super) arrived: bool,
    actor: String,
    owner: String,
    package: String,
    version: String,
    subdir: Option<String>,
    file: String,
    labels: Vec<String>,
    sha256: Option<String>,
    md5: Option<String>,
    size: Option<u64>,
}

impl Note {
    pub(super) fn new(secret: &Sha256, until: UnixMillis, what: &Announced, arrived: bool) -> Self {
        let Announced { actor, dist, labels, expected } = what;
        Self {
            secret: secret.to_hex(),
            until: until.0,
            arrived,
            actor: actor.clone(),
            owner: dist.owner.to_string(),
            package: dist.package.to_string(),
            version: dist.version.to_string(),
            subdir: dist.subdir.as_ref().map(ToString::to_string),
            file: dist.archive.to_string(),
            labels: labels.clone(),
            sha256: expected.sha256.map(|digest| digest.to_hex()),
            md5: expected.md5.map(|digest| digest.to_hex()),
            size: expected.size,
        }
    }

    pub(super) fn text(&self) -> String {
        // Texts, numbers and flags: this can't fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The secret's digest, the end of its time, and what was announced; `None` for what no gate has written.
    pub(super) fn read(self) -> Option<(Sha256, UnixMillis, Announced)> {
        let dist = Dist {
            owner: ChannelName::parse(&self.owner)?,
            package: self.package.into(),
            version: self.version.into(),
            subdir: match self.subdir {
                Some(subdir) => Some(Subdir::parse(&subdir)?),
                None => None,
            },
            archive: ArchiveName::parse(&self.file)?,
        };
        let expected = Expected {
            sha256: self.sha256.as_deref().and_then(Sha256::from_hex),
            md5: self.md5.as_deref().and_then(Md5::from_hex),
            size: self.size,
        };
        let what = Announced { actor: self.actor, dist, labels: self.labels, expected };
        Some((Sha256::from_hex(&self.secret)?, UnixMillis(self.until), what))
    }
}
