//! Where somebody is signed in.
//!
//! Belongs here: listing and ending single sessions. Does not: signing in (`identity`), ending all of them (`state`).

use serde_json::json;

use super::record::Done;
use super::users::target;
use super::{By, People, PeopleError};
use crate::store::model::{Session, SessionId, User};
use crate::store::repo::LONGEST_PAGE;

impl People {
    /// A page of a user's sessions in the order of ids, behind one of them.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn sessions(
        &self,
        user: &User,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Session>, PeopleError> {
        let after = after.and_then(SessionId::new);
        let found = self.store.sessions().of_user(&user.id, after.as_ref(), limit).await?;
        let now = self.now();
        Ok(found.into_iter().filter(|session| session.expires > now).collect())
    }

    /// Ends one session of a user; `false` when there is none with this id.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn end_session(&self, by: &By, user: &User, id: &str) -> Result<bool, PeopleError> {
        let Some(id) = SessionId::new(id) else { return Ok(false) };
        let mut after: Option<SessionId> = None;
        loop {
            let page = self.store.sessions().of_user(&user.id, after.as_ref(), LONGEST_PAGE).await?;
            let Some(last) = page.last() else { return Ok(false) };
            if page.iter().any(|session| session.id == id) {
                break;
            }
            after = Some(last.id.clone());
        }
        let ended = self.store.sessions().delete(&id).await?;
        if ended {
            let detail = json!({"name": user.name, "session": id.as_str()});
            self.record(by, Done { kind: "session.end", target: target(user), detail }).await?;
        }
        Ok(ended)
    }
}
