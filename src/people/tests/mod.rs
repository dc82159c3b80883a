//! The use cases on a SQLite file, with a database beneath them that fails or is changed at any write.

mod groups;
mod seen;
mod setup;
mod tokens;
mod users;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Handle;

use super::{Account, By, NewUser, People};
use crate::auth::password::{Argon2Settings, Passwords};
use crate::clock::{ManualClock, UnixMillis};
use crate::secret::Secret;
use crate::store::Store;
use crate::store::model::{AuditEvent, User};
use crate::store::repo::AuditFilter;
use crate::store::sqlite::Sqlite;
use watched::Watched;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
/// How long tokens live that are made without saying so.
const TOKEN_LIFE: Duration = Duration::from_hours(90 * 24);
const GOOD: &str = "four words without sense";

/// A directory with a store in it.
struct Home {
    dir: TempDir,
    clock: Arc<ManualClock>,
}

impl Home {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), clock: ManualClock::new(NOW) }
    }

    fn sqlite(&self) -> Sqlite {
        Sqlite::open(&self.dir.path().join("store.db"), Handle::current()).unwrap()
    }

    fn store(&self) -> Store {
        Store::new(self.sqlite())
    }

    fn people(&self) -> People {
        self.on(self.store())
    }

    /// On a database that is watched.
    fn watched(&self, watched: Watched) -> People {
        self.on(Store::new(watched))
    }

    fn on(&self, store: Store) -> People {
        let cheap = Argon2Settings { memory_kib: 8, iterations: 1, lanes: 1 };
        let passwords = Passwords::new(cheap).unwrap();
        People::new(store, passwords, self.clock.clone(), TOKEN_LIFE)
    }

    fn later(&self, by: Duration) {
        self.clock.advance(by);
    }
}

fn by() -> By {
    By::command_line("root", Some("ada"))
}

fn person(name: &str) -> NewUser {
    let account = Account::Person(Secret::new(GOOD.to_owned()));
    NewUser { name: name.to_owned(), email: None, superuser: false, account }
}

fn service(name: &str) -> NewUser {
    NewUser { account: Account::Service, ..person(name) }
}

async fn make(people: &People, name: &str) -> User {
    people.create_user(&by(), person(name)).await.unwrap()
}

async fn make_superuser(people: &People, name: &str) -> User {
    people.create_user(&by(), NewUser { superuser: true, ..person(name) }).await.unwrap()
}

/// Everything in the trail, the oldest first.
async fn trail(people: &People) -> Vec<AuditEvent> {
    let mut events = people.events(&AuditFilter::default(), None, 1000).await.unwrap();
    events.reverse();
    events
}

async fn kinds(people: &People) -> Vec<String> {
    trail(people).await.into_iter().map(|event| event.kind).collect()
}
