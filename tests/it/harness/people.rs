//! Users, tokens and rights, made in the store beside a running gate, as the command line does.
//!
//! Belongs here: making them. Does not: what a gate makes of them.

use std::sync::Arc;
use std::time::Duration;

use condagate::auth::password::{Argon2Settings, Passwords};
use condagate::clock::{ManualClock, SystemClock, UnixMillis};
use condagate::people::{Account, By, Life, NewToken, NewUser, People, Who};
use condagate::policy::access::{Right, Scope};
use condagate::secret::Secret;
use condagate::store::Store;
use condagate::store::model::AuditEvent;
use condagate::store::repo::AuditFilter;
use condagate::store::sqlite::Sqlite;
use tokio::runtime::Runtime;

use super::home::Home;

/// The password of everybody who has one.
pub const PASSWORD: &str = "wrong horse battery MARKED-PASSWORD";

/// The people of a store.
pub struct Society {
    runtime: Runtime,
    people: People,
    store: Store,
}

/// A token that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Public.
    pub id: String,
    /// What is shown.
    pub secret: String,
}

impl Society {
    /// Those of a gate that lives here, by its clock.
    pub fn of(home: &Home, now: UnixMillis) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        std::fs::create_dir_all(home.data()).expect("a data directory");
        let store = Sqlite::open(&home.data().join("store.db"), runtime.handle().clone()).expect("a store");
        Self::in_store(runtime, Store::new(store), Some(now))
    }

    /// Those of any store.
    pub fn in_store(runtime: Runtime, store: Store, now: Option<UnixMillis>) -> Self {
        // As cheap as allowed: hashing is not what these tests are about.
        let passwords = Passwords::new(Argon2Settings { memory_kib: 64, iterations: 1, lanes: 1 });
        let clock: condagate::clock::SharedClock = match now {
            Some(now) => ManualClock::new(now),
            None => Arc::new(SystemClock),
        };
        let people =
            People::new(store.clone(), passwords.expect("settings"), clock, Duration::from_hours(24 * 90));
        Self { runtime, people, store }
    }

    fn by() -> By {
        By::anonymous("")
    }

    /// Somebody with [`PASSWORD`].
    pub fn user(&self, name: &str) -> &Self {
        self.account(name, false, Account::Person(Secret::new(PASSWORD.to_owned())))
    }

    /// Somebody who may do everything.
    pub fn superuser(&self, name: &str) -> &Self {
        self.account(name, true, Account::Person(Secret::new(PASSWORD.to_owned())))
    }

    fn account(&self, name: &str, superuser: bool, account: Account) -> &Self {
        let new = NewUser { name: name.to_owned(), email: None, superuser, account };
        self.runtime.block_on(self.people.create_user(&Self::by(), new)).expect("a user");
        self
    }

    /// A group of these.
    pub fn group(&self, name: &str, users: &[&str]) -> &Self {
        self.runtime.block_on(self.people.create_group(&Self::by(), name, "")).expect("a group");
        let users: Vec<String> = users.iter().map(|&user| user.to_owned()).collect();
        self.runtime.block_on(self.people.join(&Self::by(), name, &users)).expect("members");
        self
    }

    /// A token with these scopes.
    pub fn token(&self, owner: &str, scopes: &[&str]) -> Made {
        let scopes = scopes.iter().map(|scope| Scope::parse(scope).expect("a scope")).collect();
        let new = NewToken { owner: owner.to_owned(), name: "test".to_owned(), scopes, life: Life::Usual };
        let issued = self.runtime.block_on(self.people.create_token(&Self::by(), new)).expect("a token");
        Made { id: issued.token.id.to_string(), secret: issued.secret.reveal().clone() }
    }

    /// Whether the store has it.
    pub fn has_token(&self, token: &Made) -> bool {
        let id = condagate::store::model::TokenId::new(&token.id).expect("an id");
        self.runtime.block_on(self.store.tokens().get(&id)).expect("a store").is_some()
    }

    /// Takes a token back.
    pub fn revoke(&self, token: &Made) {
        self.runtime.block_on(self.people.revoke_token(&Self::by(), &token.id)).expect("a revocation");
    }

    /// Locks somebody out.
    pub fn disable(&self, name: &str) {
        self.runtime.block_on(self.people.disable_user(&Self::by(), name)).expect("a change");
    }

    /// Gives a user a right.
    pub fn grant(&self, channels: &str, user: &str, right: Right) {
        let who = Who::User(user.to_owned());
        self.runtime.block_on(self.people.give(&Self::by(), channels, &who, right)).expect("a grant");
    }

    /// What is written of these kinds, the newest first.
    pub fn events(&self, kinds: &[&str]) -> Vec<AuditEvent> {
        let kinds = kinds.iter().map(|&kind| kind.to_owned()).collect();
        let filter = AuditFilter { kinds, ..AuditFilter::default() };
        self.runtime.block_on(self.store.audit().list(&filter, None, 1000)).expect("events")
    }

    /// Who got a file: actor, token, how often.
    pub fn downloads(&self, sha256: &str) -> Vec<(String, String, u64)> {
        let digest = condagate::conda::digest::Sha256::from_hex(sha256).expect("a digest");
        let rows =
            self.runtime.block_on(self.store.downloads().of_digest(&digest, None, 1000)).expect("rows");
        rows.into_iter().map(|row| (row.actor, row.token, row.count)).collect()
    }

    /// The id of a user.
    pub fn id(&self, name: &str) -> String {
        self.runtime.block_on(self.people.user(name)).expect("a user").id.to_string()
    }
}
