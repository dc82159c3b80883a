use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::disk::Disk;
use super::follow::Follower;
use super::{People, Principal, Refused};
use crate::auth::token::{Minted, hash_of, mint};
use crate::clock::{ManualClock, UnixMillis};
use crate::policy::access::{Right, Scope};
use crate::secret::Secret;
use crate::store::lazy::LazyStore;
use crate::store::model::{Grant, GrantId, Group, GroupId, Subject, Token, TokenId, User, UserId};
use crate::store::sqlite::Sqlite;
use crate::store::{Store, StoreError};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const DAY: Duration = Duration::from_hours(24);

fn user(name: &str) -> User {
    User {
        id: UserId::new(name).unwrap(),
        name: name.to_owned(),
        name_key: name.to_owned(),
        email: None,
        password: Some(Secret::new("opaque".to_owned())),
        superuser: false,
        service: false,
        disabled: false,
        created: NOW,
        revision: 1,
    }
}

fn token(id: &str, owner: &str, minted: &Minted) -> Token {
    Token {
        id: TokenId::new(id).unwrap(),
        hash: minted.hash,
        owner: UserId::new(owner).unwrap(),
        name: id.to_owned(),
        scopes: vec![Scope::parse("read:team").unwrap()],
        created: NOW,
        expires: None,
        revoked: None,
        last_use: None,
        successor: None,
        revision: 1,
    }
}

fn acme() -> Group {
    let id = GroupId::new("g").unwrap();
    Group { id, name: "acme".into(), description: String::new(), created: NOW, revision: 1 }
}

/// A directory with a store and a snapshot.
struct Bed {
    dir: TempDir,
    clock: Arc<ManualClock>,
}

/// Somebody who follows.
struct Life {
    people: Arc<People>,
    stop: oneshot::Sender<()>,
    following: JoinHandle<()>,
}

impl Bed {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), clock: ManualClock::new(NOW) }
    }

    fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("store.db")
    }

    fn snapshot(&self) -> std::path::PathBuf {
        self.dir.path().join("people")
    }

    fn store(&self) -> Store {
        Store::new(Sqlite::open(&self.file(), Handle::current()).unwrap())
    }

    /// With a store that can't be reached where there is none to open.
    fn live(&self, store: Option<Store>) -> Life {
        let lazy = LazyStore::new(Arc::new(move || {
            let found = store.clone().ok_or(StoreError::Unavailable { why: "it is switched off".to_owned() });
            Box::pin(async move { found })
        }));
        let disk = Disk::open(&self.snapshot(), "here").unwrap();
        let (people, asked) = People::new(disk.load().unwrap(), self.clock.clone(), DAY);
        let follower = Follower::new(lazy, Arc::clone(&people), disk, self.clock.clone(), asked);
        let (stop, stopped) = oneshot::channel();
        let following = tokio::spawn(follower.run(async move { drop(stopped.await) }));
        Life { people, stop, following }
    }
}

impl Life {
    async fn end(self) {
        drop(self.stop);
        self.following.await.unwrap();
    }

    async fn who(&self, minted: &Minted) -> Result<Arc<Principal>, Refused> {
        self.people.by_token(&minted.secret).await
    }

    async fn name(&self, minted: &Minted) -> String {
        match self.who(minted).await {
            Ok(principal) => principal.name.to_string(),
            Err(refused) => format!("{refused:?}").split(['(', ' ']).next().unwrap().to_owned(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_store_is_known_and_what_changes_is_learned() {
    let bed = Bed::new();
    let (store, [ada, bob]) = (bed.store(), [mint(), mint()]);
    store.users().create(&user("ada")).await.unwrap();
    store.tokens().create(&token("a", "ada", &ada)).await.unwrap();
    let life = bed.live(Some(store.clone()));
    assert_eq!(life.name(&ada).await, "ada");
    assert_eq!(life.name(&bob).await, "Unknown");

    // Found at the first use, without waiting for the next look.
    store.users().create(&user("bob")).await.unwrap();
    let group = acme();
    store.groups().create(&group).await.unwrap();
    store.groups().join(&group.id, &UserId::new("bob").unwrap(), NOW).await.unwrap();
    for (id, subject) in
        [("1", Subject::Group(group.id.clone())), ("2", Subject::User(UserId::new("ada").unwrap()))]
    {
        let channels = format!("of-{id}");
        let grant = Grant {
            id: GrantId::new(id).unwrap(),
            subject,
            channels,
            right: Right::Write,
            created: NOW,
            revision: 1,
        };
        store.grants().create(&grant).await.unwrap();
    }
    let other = mint();
    store.tokens().create(&token("b", "bob", &other)).await.unwrap();
    let principal = life.who(&other).await.unwrap();
    assert_eq!((&*principal.name, principal.groups()), ("bob", vec!["acme"]));
    let caller = principal.caller();
    assert_eq!(caller.grants.iter().map(|grant| &*grant.id).collect::<Vec<_>>(), ["1"]);
    assert_eq!(principal.scopes(), Some(vec!["read:team".to_owned()]));
    assert!(!principal.is_more_than_reader() && !principal.is_superuser());

    life.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_away_is_gone() {
    let bed = Bed::new();
    let (store, [ada, other]) = (bed.store(), [mint(), mint()]);
    for (name, minted) in [("ada", &ada), ("bob", &other)] {
        store.users().create(&user(name)).await.unwrap();
        store.tokens().create(&token(&name[..1], name, minted)).await.unwrap();
    }
    let group = acme();
    store.groups().create(&group).await.unwrap();
    store.groups().join(&group.id, &UserId::new("bob").unwrap(), NOW).await.unwrap();
    let life = bed.live(Some(store.clone()));
    assert_eq!(
        (life.name(&ada).await, life.who(&other).await.unwrap().groups()),
        ("ada".to_owned(), vec!["acme"])
    );

    store.groups().leave(&group.id, &UserId::new("bob").unwrap()).await.unwrap();
    store.tokens().revoke(&TokenId::new("a").unwrap(), NOW).await.unwrap();
    assert!(life.people.catch_up().await);
    assert!(life.who(&other).await.unwrap().groups().is_empty());
    assert_eq!(life.name(&ada).await, "Revoked");
    store.tokens().delete(&TokenId::new("a").unwrap()).await.unwrap();
    store.users().update(&User { disabled: true, ..user("bob") }).await.unwrap();
    assert!(life.people.catch_up().await);
    assert_eq!(life.name(&ada).await, "Unknown");
    assert_eq!(life.name(&other).await, "NoUser");
    store.users().update(&User { revision: 2, ..user("bob") }).await.unwrap();
    assert!(life.people.catch_up().await);
    assert_eq!(life.name(&other).await, "bob");
    store.users().delete(&UserId::new("bob").unwrap()).await.unwrap();
    assert!(life.people.catch_up().await);
    assert_eq!(life.name(&other).await, "NoUser");
    life.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_the_store_knows_who_was_known() {
    let bed = Bed::new();
    let (store, [ada, eve]) = (bed.store(), [mint(), mint()]);
    store.users().create(&user("ada")).await.unwrap();
    let expires = Some(NOW.plus(Duration::from_hours(2)));
    store.tokens().create(&Token { expires, ..token("a", "ada", &ada) }).await.unwrap();
    let life = bed.live(Some(store.clone()));
    assert_eq!(life.name(&ada).await, "ada");
    life.end().await;
    assert_private(&bed.snapshot());

    let life = bed.live(None);
    assert_eq!(life.name(&ada).await, "ada");
    assert_eq!(life.name(&eve).await, "Unavailable", "nobody can say that it is unknown");
    assert!(life.people.is_usable() && life.people.trouble().is_some());
    // Time goes on without the store.
    bed.clock.advance(Duration::from_hours(2));
    assert_eq!(life.name(&ada).await, "Expired");
    bed.clock.advance(Duration::from_hours(23));
    assert_eq!(life.name(&ada).await, "Unavailable", "what is older than a day is not believed");
    assert!(!life.people.is_usable());
    life.end().await;
    // The store is back.
    let life = bed.live(Some(store));
    assert_eq!(life.name(&ada).await, "Expired");
    life.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_revoked_stays_so_after_a_start_without_the_store() {
    let bed = Bed::new();
    let (store, ada) = (bed.store(), mint());
    store.users().create(&user("ada")).await.unwrap();
    store.tokens().create(&token("a", "ada", &ada)).await.unwrap();
    let life = bed.live(Some(store.clone()));
    assert_eq!(life.name(&ada).await, "ada");
    store.tokens().revoke(&TokenId::new("a").unwrap(), NOW).await.unwrap();
    assert!(life.people.catch_up().await);
    life.end().await;
    let life = bed.live(None);
    assert_eq!(life.name(&ada).await, "Revoked");
    life.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_or_foreign_files_are_read_anew() {
    let bed = Bed::new();
    let (store, ada) = (bed.store(), mint());
    store.users().create(&user("ada")).await.unwrap();
    store.tokens().create(&token("a", "ada", &ada)).await.unwrap();
    let life = bed.live(Some(store.clone()));
    assert_eq!(life.name(&ada).await, "ada");
    life.end().await;
    let elsewhere = Disk::open(&bed.snapshot(), "elsewhere").unwrap();
    assert!(elsewhere.load().unwrap().is_none(), "another store's people are nobody here");
    let here = || Disk::open(&bed.snapshot(), "here").unwrap().load();
    assert!(here().unwrap().is_some());
    let tokens = std::fs::read_dir(bed.snapshot()).unwrap().map(|entry| entry.unwrap().path());
    let tokens = tokens.into_iter().find(|path| path.to_string_lossy().contains("tokens-")).unwrap();
    let good = std::fs::read(&tokens).unwrap();
    std::fs::write(&tokens, &good[1..]).unwrap();
    assert!(here().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_tokens_do_not_become_questions() {
    let bed = Bed::new();
    let store = bed.store();
    let life = bed.live(Some(store));
    for bad in ["", "x", "cg-", "cg-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "\u{0}é"] {
        let refused = life.people.by_token(&Secret::new(bad.to_owned())).await.unwrap_err();
        assert_eq!(refused, Refused::Malformed, "{bad:?}");
    }
    // Well-formed ones that nobody made: many at once are one or two questions.
    let asks = (0..200).map(|_| mint()).collect::<Vec<_>>();
    let answers = futures_util::future::join_all(asks.iter().map(|minted| life.who(minted))).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(Refused::Unknown))));
    assert_ne!(hash_of(asks[0].secret.reveal()), hash_of(asks[1].secret.reveal()));
    life.end().await;
}

fn assert_private(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir), 0o700);
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        let text = std::fs::read(&path).unwrap();
        assert!(!text.windows(6).any(|window| window == b"opaque"), "a password in {}", path.display());
    }
}
