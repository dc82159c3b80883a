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
        let (mut after, mut found, now) = (after.and_then(SessionId::new), Vec::new(), self.now());
        // Those that are over are passed over, and do not make a page shorter: a short one is the last.
        while found.len() < limit as usize {
            let page = self.store.sessions().of_user(&user.id, after.as_ref(), limit).await?;
            let is_last = page.len() < limit as usize;
            after = page.last().map(|last| last.id.clone());
            found.extend(page.into_iter().filter(|session| session.expires > now));
            if is_last {
                break;
            }
        }
        found.truncate(limit as usize);
        Ok(found)
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
