//! Grants: rights on channels that users and groups have beside those in the rules.
//!
//! Belongs here: giving, taking, listing. Does not: what rules and grants come to together (`policy`).

use serde_json::json;

use super::record::{Done, fresh};
use super::{By, PAGE, People, PeopleError, Refusal};
use crate::policy::access::{Globs, Right};
use crate::store::StoreError;
use crate::store::model::{Grant, GrantId, Subject};

/// Who is to have a right, by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Who {
    /// One user.
    User(String),
    /// Everybody in a group.
    Group(String),
}

/// A grant that there is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Given {
    /// What is stored.
    pub grant: Grant,
    /// The name of who has it.
    pub name: String,
    /// `false` when there was such a grant before.
    pub is_new: bool,
}

/// Who a name belongs to.
struct Named {
    subject: Subject,
    name: String,
}

impl Named {
    /// As in sentences.
    fn shown(&self) -> String {
        match &self.subject {
            Subject::User(_) => format!("the user `{}`", self.name),
            Subject::Group(_) => format!("the group `{}`", self.name),
        }
    }
}

impl People {
    /// Gives a right on all channels that a glob matches. Giving it again changes nothing.
    ///
    /// # Errors
    /// [`PeopleError::NoUser`], [`PeopleError::NoGroup`]; globs that match no channel are refused.
    pub async fn give(&self, by: &By, channels: &str, who: &Who, right: Right) -> Result<Given, PeopleError> {
        let channels = glob(channels)?;
        let Named { subject, name } = self.named(who).await?;
        let grant =
            Grant { id: fresh(GrantId::new), subject, channels, right, created: self.now(), revision: 1 };
        match self.store.grants().create(&grant).await {
            Ok(()) => {}
            Err(StoreError::Conflict { what }) => {
                let same = self.grants_on(&grant.subject, &grant.channels, Some(right)).await?;
                let had = same.into_iter().next().ok_or(StoreError::Conflict { what })?;
                return Ok(Given { grant: had, name, is_new: false });
            }
            Err(error) => return Err(error.into()),
        }
        self.record(by, done("grant.give", &grant, &name)).await?;
        Ok(Given { grant, name, is_new: true })
    }

    /// Takes a right on exactly this glob away, or with `None` every right on it.
    ///
    /// # Errors
    /// [`PeopleError::NoGrant`], [`PeopleError::NoUser`], [`PeopleError::NoGroup`]
    pub async fn take(
        &self,
        by: &By,
        channels: &str,
        who: &Who,
        right: Option<Right>,
    ) -> Result<Vec<Grant>, PeopleError> {
        let channels = glob(channels)?;
        let named = self.named(who).await?;
        let grants = self.grants_on(&named.subject, &channels, right).await?;
        if grants.is_empty() {
            return Err(PeopleError::NoGrant { whose: named.shown(), channels });
        }
        for grant in &grants {
            self.store.grants().delete(&grant.id).await?;
            self.record(by, done("grant.take", grant, &named.name)).await?;
        }
        Ok(grants)
    }

    /// Takes one away; `false` when it is gone already.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn take_grant(&self, by: &By, grant: &Grant) -> Result<bool, PeopleError> {
        let name = self.names().subject(&grant.subject).await?;
        let taken = self.store.grants().delete(&grant.id).await?;
        if taken {
            self.record(by, done("grant.take", grant, name.as_deref().unwrap_or_default())).await?;
        }
        Ok(taken)
    }

    /// A page of grants in the order of ids, behind one of them; of one subject or of all.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn grants(
        &self,
        subject: Option<&Subject>,
        after: Option<&Grant>,
        limit: u32,
    ) -> Result<Vec<Grant>, PeopleError> {
        let (grants, after) = (self.store.grants(), after.map(|grant| &grant.id));
        Ok(match subject {
            Some(subject) => grants.of_subject(subject, after, limit).await?,
            None => grants.list(after, limit).await?,
        })
    }

    /// The grant with an id.
    ///
    /// # Errors
    /// [`PeopleError::Store`]
    pub async fn grant(&self, id: &str) -> Result<Option<Grant>, PeopleError> {
        match GrantId::new(id) {
            Some(id) => Ok(self.store.grants().get(&id).await?),
            None => Ok(None),
        }
    }

    /// Who a name belongs to.
    ///
    /// # Errors
    /// [`PeopleError::NoUser`], [`PeopleError::NoGroup`]
    pub async fn subject(&self, who: &Who) -> Result<Subject, PeopleError> {
        Ok(self.named(who).await?.subject)
    }

    async fn named(&self, who: &Who) -> Result<Named, PeopleError> {
        Ok(match who {
            Who::User(name) => {
                let user = self.user(name).await?;
                Named { subject: Subject::User(user.id), name: user.name }
            }
            Who::Group(name) => {
                let group = self.group(name).await?;
                Named { subject: Subject::Group(group.id), name: group.name }
            }
        })
    }

    /// What a subject has on exactly this glob.
    async fn grants_on(
        &self,
        subject: &Subject,
        channels: &str,
        right: Option<Right>,
    ) -> Result<Vec<Grant>, StoreError> {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.grants().of_subject(subject, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.id.clone());
            let wanted =
                |grant: &Grant| grant.channels == channels && right.is_none_or(|right| right == grant.right);
            found.extend(page.into_iter().filter(wanted));
        }
    }

    /// Takes away everything a subject has; how many.
    pub(super) async fn take_all(&self, subject: &Subject) -> Result<u64, StoreError> {
        let mut taken = 0;
        loop {
            let some = self.store.grants().of_subject(subject, None, PAGE).await?;
            if some.is_empty() {
                return Ok(taken);
            }
            for grant in some {
                taken += u64::from(self.store.grants().delete(&grant.id).await?);
            }
        }
    }
}

/// A glob of channels as it is kept: case means nothing, so one grant can't be given twice in two spellings.
fn glob(text: &str) -> Result<String, Refusal> {
    let globs = Globs::channels(vec![text.to_ascii_lowercase()]);
    globs.check().map_err(|(_, why)| Refusal::Channels {
        glob: text.chars().take(60).flat_map(char::escape_debug).collect(),
        why,
    })?;
    Ok(text.to_ascii_lowercase())
}

fn done(kind: &'static str, grant: &Grant, name: &str) -> Done {
    let (subject, id) = match &grant.subject {
        Subject::User(id) => ("user", id.as_str()),
        Subject::Group(id) => ("group", id.as_str()),
    };
    let detail = json!({
        subject: id, "subject_name": name, "channels": grant.channels, "right": grant.right.as_str(),
    });
    Done { kind, target: format!("grant:{}", grant.id), detail }
}
