//! Readiness: a few facts other rooms set, one answer for `/-/readyz`.
//!
//! Belongs here: the facts and their two printed forms. Does not: finding them out (`app`, `cache`), or deciding who gets
//! the detailed form (`proxy`): strangers get the short one.

use bytes::Bytes;
use parking_lot::RwLock;
use serde_json::{Map, Value, json};

/// The rules the gate works with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum RulesState {
    /// Nothing loaded yet.
    #[default]
    Loading,
    /// The files on disk are what is in force.
    Current {
        /// Counts reloads.
        revision: u64,
    },
    /// The files on disk have mistakes; the rules of `revision` stay in force.
    Kept {
        /// What is in force.
        revision: u64,
        /// The mistakes, each with file and line.
        mistakes: Vec<String>,
    },
}

/// Whether the cache can take new files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum CacheState {
    /// Not opened yet.
    #[default]
    Opening,
    /// Reads and writes work.
    Writable,
    /// Reads work; the sentence says why writes do not. Still ready: what is cached is served, the rest streams.
    ReadOnly(String),
    /// Nothing works; the sentence says why.
    Broken(String),
}

/// Whether the store of users and tokens can be asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum StoreState {
    /// Not asked yet.
    #[default]
    Opening,
    /// It answers.
    Current,
    /// It does not; the sentence says why. Still ready: who is known is served.
    Degraded(String),
    /// It does not, and nothing that could be believed was saved: only what anybody may have is served.
    Unknown(String),
}

/// Whether clients that come by TLS will be content.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum CertificatesState {
    /// There are none.
    #[default]
    None,
    /// All are right.
    Current,
    /// The sentences say which have ended, will soon, or can't be read again. Still ready: others may be right, and there is plain HTTP.
    Troubled(Vec<String>),
}

#[derive(Debug, Default)]
struct State {
    certificates: CertificatesState,
    store: StoreState,
    rules: RulesState,
    cache: CacheState,
    listening: bool,
    stopping: bool,
}

/// The facts behind `/-/readyz`.
#[derive(Debug, Default)]
pub struct Health(RwLock<State>);

/// An answer for `/-/readyz`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// 200 when requests are answered, else 503.
    pub status: u16,
    /// `application/json`.
    pub body: Bytes,
}

impl Health {
    /// What the last look at the rules gave.
    pub fn set_rules(&self, rules: RulesState) {
        self.0.write().rules = rules;
    }

    /// What the cache can do.
    pub fn set_cache(&self, cache: CacheState) {
        self.0.write().cache = cache;
    }

    /// Whether the store can be asked.
    pub fn set_store(&self, store: StoreState) {
        self.0.write().store = store;
    }

    /// What is to be known about certificates.
    pub fn set_certificates(&self, certificates: CertificatesState) {
        self.0.write().certificates = certificates;
    }

    /// Sockets are accepting.
    pub fn set_listening(&self) {
        self.0.write().listening = true;
    }

    /// A stop was asked for: load balancers should look elsewhere.
    pub fn set_stopping(&self) {
        self.0.write().stopping = true;
    }

    /// What is wrong with the rules on disk, where older ones are in force.
    #[must_use]
    pub fn mistakes(&self) -> Vec<String> {
        match &self.0.read().rules {
            RulesState::Kept { mistakes, .. } => mistakes.clone(),
            RulesState::Loading | RulesState::Current { .. } => Vec::new(),
        }
    }

    /// Whether requests are answered as they should be.
    #[must_use]
    pub fn ready(&self) -> bool {
        let state = self.0.read();
        state.listening
            && !state.stopping
            && state.rules != RulesState::Loading
            && matches!(state.cache, CacheState::Writable | CacheState::ReadOnly(_))
    }

    /// The short form (words only) or the detailed one (sentences with file names).
    #[must_use]
    pub fn report(&self, detailed: bool) -> Report {
        let ready = self.ready();
        let state = self.0.read();
        let (rules, revision, mistakes): (_, _, &[String]) = match &state.rules {
            RulesState::Loading => ("loading", None, &[]),
            RulesState::Current { revision } => ("current", Some(*revision), &[]),
            RulesState::Kept { revision, mistakes } => ("kept", Some(*revision), mistakes),
        };
        let (cache, trouble) = match &state.cache {
            CacheState::Opening => ("opening", None),
            CacheState::Writable => ("writable", None),
            CacheState::ReadOnly(why) => ("read-only", Some(why)),
            CacheState::Broken(why) => ("broken", Some(why)),
        };
        let (store, store_trouble) = match &state.store {
            StoreState::Opening => ("opening", None),
            StoreState::Current => ("current", None),
            StoreState::Degraded(why) => ("degraded", Some(why)),
            StoreState::Unknown(why) => ("unknown", Some(why)),
        };
        let mut body = Map::new();
        body.insert("ready".into(), ready.into());
        body.insert("rules".into(), rules.into());
        body.insert("cache".into(), cache.into());
        body.insert("store".into(), store.into());
        let (certificates, troubles): (_, &[String]) = match &state.certificates {
            CertificatesState::None => (None, &[]),
            CertificatesState::Current => (Some("current"), &[]),
            CertificatesState::Troubled(why) => (Some("troubled"), why),
        };
        if let Some(certificates) = certificates {
            body.insert("certificates".into(), certificates.into());
        }
        body.insert("listening".into(), state.listening.into());
        body.insert("stopping".into(), state.stopping.into());
        if detailed {
            let mut detail = json!({"rules_revision": revision, "mistakes": mistakes, "cache": trouble, "store": store_trouble});
            if !troubles.is_empty() {
                detail["certificates"] = json!(troubles);
            }
            body.insert("detail".into(), detail);
        }
        Report { status: if ready { 200 } else { 503 }, body: Value::Object(body).to_string().into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_when_everything_is() {
        let health = Health::default();
        assert_eq!(health.report(false).status, 503);
        health.set_rules(RulesState::Current { revision: 1 });
        health.set_cache(CacheState::Writable);
        assert!(!health.ready());
        health.set_listening();
        assert_eq!(health.report(false).status, 200);
        health.set_stopping();
        assert_eq!(health.report(false).status, 503);
    }

    #[test]
    fn a_bad_edit_is_told_and_details_only_where_allowed() {
        let health = Health::default();
        health.set_listening();
        health.set_cache(CacheState::ReadOnly("the disk is full".into()));
        health.set_store(StoreState::Degraded("it is off".into()));
        health.set_rules(RulesState::Kept {
            revision: 3,
            mistakes: vec!["rules/a.yaml:2: no such upstream".into()],
        });
        assert!(!String::from_utf8_lossy(&health.report(true).body).contains("certificates"));
        let short: Value = serde_json::from_slice(&health.report(false).body).unwrap();
        assert_eq!(
            short,
            json!({"ready": true, "rules": "kept", "cache": "read-only", "store": "degraded", "listening": true, "stopping": false})
        );
        let long: Value = serde_json::from_slice(&health.report(true).body).unwrap();
        assert_eq!(
            long["detail"],
            json!({"rules_revision": 3, "mistakes": ["rules/a.yaml:2: no such upstream"], "cache": "the disk is full", "store": "it is off"})
        );
        health.set_certificates(CertificatesState::Troubled(vec!["gate.pem expires".into()]));
        let long: Value = serde_json::from_slice(&health.report(true).body).unwrap();
        assert_eq!((&long["certificates"], &long["ready"]), (&json!("troubled"), &json!(true)));
        assert_eq!(long["detail"]["certificates"], json!(["gate.pem expires"]));
    }
}
