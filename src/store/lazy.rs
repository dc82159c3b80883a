//! A store that is opened when it is first needed, and again after that failed: a gate may start while its database is down.
//!
//! Belongs here: opening once. Does not: which engine (`app`), waiting for a database to come back (`snapshot`).

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::{Store, StoreError};

/// Opens the store.
pub type Open = Arc<dyn Fn() -> BoxFuture<'static, Result<Store, StoreError>> + Send + Sync>;

/// See the module's description. Cheap to clone.
#[derive(Clone)]
pub struct LazyStore {
    open: Open,
    opened: Arc<Mutex<Option<Store>>>,
}

impl LazyStore {
    /// A store that `open` opens.
    #[must_use]
    pub fn new(open: Open) -> Self {
        Self { open, opened: Arc::default() }
    }

    /// The store. Callers that come while it is being opened wait for the same attempt.
    ///
    /// # Errors
    /// Why it can't be opened now; the next call tries again.
    pub async fn get(&self) -> Result<Store, StoreError> {
        let mut opened = self.opened.lock().await;
        if let Some(store) = &*opened {
            return Ok(store.clone());
        }
        let store = (self.open)().await?;
        store.is_whole().await?;
        *opened = Some(store.clone());
        Ok(store)
    }
}
