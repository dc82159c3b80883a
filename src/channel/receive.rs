//! Bytes on their way in.
//!
//! Belongs here: limits on them. Does not: what they are (`publish`, `inspect`), how they come (`api`).

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::{HostError, Hosting, inspect};
use crate::cache::Taken;
use crate::conda::digest::{Expected, Md5, Sha256};

/// Limits of what comes in.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveSettings {
    /// The longest package, in bytes.
    pub longest: u64,
    /// Files received at one time; more are told to come again.
    pub at_once: usize,
    /// Packages opened at one time; more wait.
    pub inspected_at_once: usize,
    /// What a package may need while it is opened.
    pub inspection: inspect::Limits,
}

impl Default for ReceiveSettings {
    fn default() -> Self {
        Self { longest: 16 << 30, at_once: 256, inspected_at_once: 4, inspection: inspect::Limits::default() }
    }
}

/// A file that came in whole and that nobody can see. Dropping it deletes it.
#[derive(Clone, Debug)]
pub struct Received {
    /// Of its bytes.
    pub sha256: Sha256,
    /// Of its bytes.
    pub md5: Md5,
    /// How many.
    pub size: u64,
    pub(super) taken: Arc<Taken>,
}

impl Received {
    /// Whether it is what its sender says.
    ///
    /// # Errors
    /// [`HostError::WrongDigest`], which names what differs.
    pub fn check(&self, expected: &Expected) -> Result<(), HostError> {
        let differs = |what: &str, sent: String, found: String| {
            Err(HostError::WrongDigest(format!(
                "the file that arrived has {what} {found}, its sender said {sent}; it was damaged on its way, or is another one. Send it again"
            )))
        };
        match expected {
            Expected { size: Some(size), .. } if *size != self.size => {
                differs("a length of", size.to_string(), self.size.to_string())
            }
            Expected { sha256: Some(sha256), .. } if *sha256 != self.sha256 => {
                differs("the SHA-256", sha256.to_hex(), self.sha256.to_hex())
            }
            Expected { md5: Some(md5), .. } if *md5 != self.md5 => {
                differs("the MD5", md5.to_hex(), self.md5.to_hex())
            }
            _ => Ok(()),
        }
    }
}

impl Hosting {
    /// Takes a file to disk while hashing it. `announced` is how long it says it is.
    ///
    /// # Errors
    /// [`HostError::TooLarge`], [`HostError::NoSpace`], [`HostError::Busy`]; [`HostError::Invalid`] where the body breaks off.
    pub async fn receive(
        &self,
        body: impl Stream<Item = io::Result<Bytes>> + Send,
        announced: Option<u64>,
    ) -> Result<Received, HostError> {
        let longest = self.0.limits.longest;
        let too_long = || {
            HostError::TooLarge(format!(
                "the package is longer than the {longest} bytes that this gate takes; its administrator can raise `upload: {{max_size: …}}`"
            ))
        };
        if announced.is_some_and(|announced| announced > longest) {
            return Err(too_long());
        }
        let _turn = self.0.receiving.try_acquire().map_err(|_| {
            HostError::Busy("too many uploads at once; try again in a few seconds".to_owned())
        })?;
        let mut intake = self.0.cache.intake(announced).await?;
        let mut body = std::pin::pin!(body);
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| {
                HostError::Invalid(format!(
                    "the upload broke off after {} bytes ({error}); nothing was published",
                    intake.len()
                ))
            })?;
            if intake.len() + piece.len() as u64 > longest {
                return Err(too_long());
            }
            intake.write(&piece).await?;
        }
        let taken = intake.finish().await?;
        if announced.is_some_and(|announced| announced != taken.len) {
            return Err(HostError::Invalid(format!(
                "the upload broke off after {} bytes; nothing was published",
                taken.len
            )));
        }
        Ok(Received { sha256: taken.sha256, md5: taken.md5, size: taken.len, taken: Arc::new(taken) })
    }
}
