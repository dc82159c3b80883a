//! From a credential to a principal: tokens, passwords, access tokens (JWT), sessions.
//!
//! Tokens are answered from the snapshot ([`crate::snapshot::people`]). The rest needs work or the store, so it is done on the
//! background runtime, few at a time, and what was found out is remembered: a password for some minutes and only for the user as it
//! was, a JWT until the snapshot changes.
//!
//! Belongs here: proving who somebody is, logging in and out. Does not: reading credentials out of requests (`auth::credential`,
//! `proxy`), what a principal may do (`policy::access`), making users and tokens (`people`).

mod issuers;
mod jwt;
mod keys;
mod login;
mod pages;
mod passwords;
mod session;
mod visitor;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::auth::credential::{Credential, Presented};
use crate::auth::lockout::{Lockout, LockoutSettings};
use crate::auth::password::Passwords;
use crate::clock::SharedClock;
use crate::snapshot::people::{People, Principal, Refused};
use crate::store::lazy::LazyStore;
use crate::trail::Trail;
pub use issuers::{Fetch, IssuerSettings};
pub use pages::SignedIn;
pub use session::Issued;
pub use visitor::{Entrance, SessionState, Visitor};

/// What an [`Identity`] is made of.
pub struct IdentityParts {
    /// Who there is.
    pub people: Arc<People>,
    /// Where users, sessions and keys are.
    pub store: LazyStore,
    /// Hashes passwords.
    pub passwords: Arc<Passwords>,
    /// What happened is told to it.
    pub trail: Arc<Trail>,
    /// Where slow work is done.
    pub runtime: Handle,
    /// Now.
    pub clock: SharedClock,
    /// What is configured.
    pub settings: IdentitySettings,
    /// Fetches the keys of outside issuers.
    pub fetch: Fetch,
}

/// What is configured.
#[derive(Clone, Debug)]
pub struct IdentitySettings {
    /// `iss` of the gate's own access tokens.
    pub issuer: String,
    /// How long one is good.
    pub access_ttl: Duration,
    /// How long somebody stays logged in without using it.
    pub refresh_ttl: Duration,
    /// How long somebody stays signed in to the pages without using them.
    pub idle: Duration,
    /// How long at most.
    pub max_age: Duration,
    /// Outside issuers.
    pub issuers: Vec<IssuerSettings>,
}

/// See the module's description.
pub struct Identity {
    people: Arc<People>,
    store: LazyStore,
    trail: Arc<Trail>,
    runtime: Handle,
    clock: SharedClock,
    settings: IdentitySettings,
    login: login::Logins,
    jwt: jwt::Jwts,
    sessions: session::Sessions,
}

impl Identity {
    /// Puts the parts together; nothing is asked yet.
    #[must_use]
    pub fn new(parts: IdentityParts) -> Arc<Self> {
        let IdentityParts { people, store, passwords, trail, runtime, clock, settings, fetch } = parts;
        let work = passwords::Work::new(passwords, runtime.clone());
        Arc::new(Self {
            login: login::Logins::new(work, Lockout::new(LockoutSettings::default())),
            jwt: jwt::Jwts::new(keys::Keyring::new(), issuers::Issuers::new(settings.issuers.clone(), fetch)),
            sessions: session::Sessions::new(),
            people,
            store,
            trail,
            runtime,
            clock,
            settings,
        })
    }

    /// Whose credential this is.
    ///
    /// # Errors
    /// Why it is not good, as a sentence without the credential.
    pub async fn who(
        self: &Arc<Self>,
        presented: &Presented,
        from: Option<IpAddr>,
    ) -> Result<Arc<Principal>, Refused> {
        match &presented.credential {
            Credential::None => Err(Refused::Unknown),
            Credential::Token(secret) => self.people.by_token(secret).await,
            Credential::Jwt(token) => self.by_jwt(token).await,
            Credential::Password { user, password } => {
                self.by_password(user, password, from).await.map(|found| found.principal)
            }
            Credential::Session(secret) => self.by_page_session(secret).await,
        }
    }

    /// The people behind it.
    #[must_use]
    pub const fn people(&self) -> &Arc<People> {
        &self.people
    }
}
