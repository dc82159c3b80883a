//! Uploads that come in several requests, on disk between them.
//!
//! Belongs here: these files as what came in. Does not: the requests (`api`), the files (`cache`).

use std::sync::Arc;

use serde_json::json;

use super::{Author, HostError, Hosting, Received};

impl Hosting {
    /// Writes what is to be known of an upload after a restart.
    ///
    /// # Errors
    /// The disk.
    pub async fn note_staged(&self, id: &str, note: String) -> Result<(), HostError> {
        Ok(self.0.cache.note_staged(id.to_owned(), note).await?)
    }

    /// Puts what came in beside its note: it stays there until it is published or [`Hosting::unstage`] forgets it.
    ///
    /// # Errors
    /// The disk; nothing is left of it then.
    pub async fn stage(&self, id: &str, received: Received) -> Result<Received, HostError> {
        let Received { sha256, md5, size, taken } = received;
        match Arc::try_unwrap(taken) {
            Ok(taken) => {
                let taken = Arc::new(self.0.cache.stage(id.to_owned(), taken).await?);
                Ok(Received { sha256, md5, size, taken })
            }
            // Somebody is looking at it and it can't be moved: it is there until a restart.
            Err(taken) => Ok(Received { sha256, md5, size, taken }),
        }
    }

    /// What came in before a restart.
    ///
    /// # Errors
    /// The disk.
    pub async fn staged_file(&self, id: &str) -> Result<Option<Received>, HostError> {
        let taken = self.0.cache.staged_file(id.to_owned()).await?;
        Ok(taken.map(|taken| Received {
            sha256: taken.sha256,
            md5: taken.md5,
            size: taken.len,
            taken: Arc::new(taken),
        }))
    }

    /// Every note: id and text.
    ///
    /// # Errors
    /// The disk.
    pub async fn staged(&self) -> Result<Vec<(String, String)>, HostError> {
        Ok(self.0.cache.staged().await?)
    }

    /// Forgets an upload because somebody says so, and writes that down. `target`: where it was to go; `announced_by`: as audit events name users.
    ///
    /// # Errors
    /// [`HostError::Unavailable`] where it can't be written down.
    pub async fn give_up_staged(
        &self,
        (author, id): (&Author, &str),
        target: &str,
        announced_by: &str,
    ) -> Result<(), HostError> {
        self.unstage(id).await;
        let detail = json!({"upload": id, "announced_by": announced_by});
        Ok(self.desk().note(author, "upload.give_up", target, detail).await?)
    }

    /// Forgets an upload; what can't be deleted now is when its time is over.
    pub async fn unstage(&self, id: &str) {
        if let Err(error) = self.0.cache.unstage(id.to_owned()).await {
            tracing::warn!(%error, "an upload that is over can't be deleted");
        }
    }
}
