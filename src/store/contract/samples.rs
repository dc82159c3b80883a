//! Things to store.
//!
//! Belongs here: values that tests begin with. Does not: assertions.

use crate::clock::UnixMillis;
use crate::conda::digest::Sha256;
use crate::policy::access::Globs;
use crate::secret::Secret;
use crate::store::model::*;

pub(super) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// Seconds after [`NOW`].
pub(super) fn at(seconds: i64) -> UnixMillis {
    UnixMillis(NOW.0 + seconds * 1000)
}

macro_rules! id {
    ($($name:ident $type:ident;)+) => {$(
        pub(super) fn $name(text: &str) -> $type {
            $type::new(text).expect("an id")
        }
    )+};
}
id! {
    user_id UserId; group_id GroupId; grant_id GrantId; token_id TokenId; session_id SessionId;
    channel_id ChannelId; key_id KeyId; audit_id AuditId; job_id JobId;
}

pub(super) fn user(name: &str) -> User {
    named_user(&format!("u-{name}"), name)
}

pub(super) fn named_user(id: &str, name: &str) -> User {
    User {
        id: user_id(id),
        name: name.to_owned(),
        name_key: name.to_lowercase(),
        email: Some(format!("{name}@example.org")),
        password: Some(Secret::new("$argon2id$v=19$opaque".to_owned())),
        superuser: false,
        service: false,
        disabled: false,
        created: NOW,
        revision: 1,
    }
}

pub(super) fn group(name: &str) -> Group {
    let id = group_id(&format!("g-{name}"));
    Group { id, name: name.to_owned(), description: "for tests".to_owned(), created: NOW, revision: 1 }
}

pub(super) fn grant(id: &str, subject: Subject, channels: &str) -> Grant {
    let (id, channels) = (grant_id(id), channels.to_owned());
    Grant { id, subject, channels, right: Right::Write, created: NOW, revision: 1 }
}

pub(super) fn token(id: &str) -> Token {
    Token {
        id: token_id(id),
        hash: Sha256::of(id.as_bytes()),
        owner: user_id("u-ada"),
        name: "laptop".to_owned(),
        scopes: vec![Scope {
            right: Right::Read,
            channels: Globs::channels(vec!["team-*".to_owned()]),
            packages: Globs::packages(vec!["acme-*".to_owned(), "a\"b".to_owned()]),
        }],
        created: NOW,
        expires: Some(at(90 * 86_400)),
        revoked: None,
        last_use: None,
        successor: None,
        revision: 1,
    }
}

pub(super) fn session(id: &str, user: &str) -> Session {
    Session {
        id: session_id(id),
        hash: Sha256::of(id.as_bytes()),
        user: user_id(user),
        created: NOW,
        expires: at(3600),
        last_use: NOW,
        address: "192.0.2.7".to_owned(),
        agent: "a browser".to_owned(),
    }
}

pub(super) fn channel(name: &str) -> Channel {
    Channel {
        id: channel_id(&format!("c-{name}")),
        name: name.to_owned(),
        owner: user_id("u-ada"),
        public: false,
        description: String::new(),
        quota: Some(u64::MAX),
        settings: r#"{"a.b":{"$set":1}}"#.to_owned(),
        created: NOW,
        deleted_at: None,
        revision: 1,
    }
}

pub(super) fn package(channel: &str, file: &str) -> Package {
    Package {
        channel: channel_id(channel),
        subdir: "noarch".to_owned(),
        file: file.to_owned(),
        sha256: Sha256::of(file.as_bytes()),
        size: 5 << 30,
        record: br#"{"name":"a","$where":"1"}"#.to_vec(),
        labels: vec!["main".to_owned(), "rc.1".to_owned()],
        state: PackageState::Listed,
        uploaded_by: user_id("u-ada"),
        uploaded_at: NOW,
        revision: 1,
        name: "a".to_owned(),
        changed_at: NOW,
        attestations: None,
    }
}

pub(super) fn event(seconds: i64, id: &str, actor: &str, kind: &str) -> AuditEvent {
    AuditEvent {
        at: at(seconds),
        id: audit_id(id),
        actor: actor.to_owned(),
        kind: kind.to_owned(),
        target: "channel:team".to_owned(),
        address: "192.0.2.7".to_owned(),
        result: "ok".to_owned(),
        detail: "{}".to_owned(),
    }
}

pub(super) fn job(id: &str, kind: &str, due: i64) -> Job {
    Job {
        id: job_id(id),
        kind: kind.to_owned(),
        input: "{}".to_owned(),
        only: id.to_owned(),
        state: JobState::Waiting,
        due: at(due),
        attempts: 0,
        attempts_left: 3,
        lease: None,
        error: None,
        created: NOW,
    }
}
