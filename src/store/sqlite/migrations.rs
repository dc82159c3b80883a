//! The schema of the file and the steps that lead to it.
//!
//! Step n leads from schema n - 1 to n and is never edited once released. Integers are 64 bits; lists are JSON texts.
//! `changed` is described in `store::engine`.
//!
//! Belongs here: steps, the copy before them. Does not: queries.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::fault;
use crate::store::engine::SCHEMA;
use crate::store::error::StoreError;

/// Marks the file as a store (`PRAGMA application_id`): "cdgt".
const APPLICATION: i64 = 0x6364_6774;

/// In order.
pub(super) const STEPS: &[&str] = &[STEP_1, STEP_2, STEP_3];

const STEP_1: &str = r#"
CREATE TABLE counter (one INTEGER PRIMARY KEY CHECK (one = 1), value INTEGER NOT NULL, floor INTEGER NOT NULL,
    loading INTEGER NOT NULL);
INSERT INTO counter VALUES (1, 0, 0, 0);
CREATE TABLE users (
    "id" TEXT PRIMARY KEY, "name" TEXT NOT NULL, "name_key" TEXT NOT NULL, "email" TEXT, "password" TEXT,
    "superuser" INTEGER NOT NULL, "service" INTEGER NOT NULL, "disabled" INTEGER NOT NULL, "created" INTEGER NOT NULL,
    "revision" INTEGER NOT NULL, "changed" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX users_name ON users ("name_key");
CREATE INDEX users_superuser ON users ("superuser", "disabled", "name_key");
CREATE INDEX users_changed ON users ("changed");
CREATE TABLE groups (
    "id" TEXT PRIMARY KEY, "name" TEXT NOT NULL, "description" TEXT NOT NULL, "created" INTEGER NOT NULL,
    "revision" INTEGER NOT NULL, "changed" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX groups_name ON groups ("name");
CREATE INDEX groups_changed ON groups ("changed");
CREATE TABLE members (
    "group" TEXT NOT NULL, "user" TEXT NOT NULL, "active" INTEGER NOT NULL, "since" INTEGER NOT NULL,
    "revision" INTEGER NOT NULL, "changed" INTEGER NOT NULL, PRIMARY KEY ("group", "user")
) WITHOUT ROWID;
CREATE INDEX members_user ON members ("user", "group");
CREATE INDEX members_changed ON members ("changed");
CREATE TABLE grants (
    "id" TEXT PRIMARY KEY, "subject" TEXT NOT NULL, "channels" TEXT NOT NULL, "right" TEXT NOT NULL,
    "created" INTEGER NOT NULL, "revision" INTEGER NOT NULL, "changed" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX grants_same ON grants ("subject", "channels", "right");
CREATE INDEX grants_subject ON grants ("subject", "id");
CREATE INDEX grants_changed ON grants ("changed");
CREATE TABLE tokens (
    "id" TEXT PRIMARY KEY, "hash" BLOB NOT NULL, "owner" TEXT NOT NULL, "name" TEXT NOT NULL, "scopes" TEXT NOT NULL,
    "created" INTEGER NOT NULL, "expires" INTEGER, "revoked" INTEGER, "last_use" INTEGER, "successor" TEXT,
    "revision" INTEGER NOT NULL, "changed" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX tokens_hash ON tokens ("hash");
CREATE INDEX tokens_owner ON tokens ("owner", "id");
CREATE INDEX tokens_changed ON tokens ("changed");
CREATE TABLE sessions (
    "id" TEXT PRIMARY KEY, "hash" BLOB NOT NULL, "user" TEXT NOT NULL, "created" INTEGER NOT NULL,
    "expires" INTEGER NOT NULL, "last_use" INTEGER NOT NULL, "address" TEXT NOT NULL, "agent" TEXT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX sessions_hash ON sessions ("hash");
CREATE INDEX sessions_user ON sessions ("user", "id");
CREATE INDEX sessions_expires ON sessions ("expires");
CREATE TABLE keys (
    "id" TEXT PRIMARY KEY, "secret" TEXT NOT NULL, "created" INTEGER NOT NULL, "ends" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX keys_ends ON keys ("ends");
CREATE TABLE channels (
    "id" TEXT PRIMARY KEY, "name" TEXT NOT NULL, "owner" TEXT NOT NULL, "public" INTEGER NOT NULL,
    "description" TEXT NOT NULL, "quota" INTEGER, "settings" TEXT NOT NULL, "created" INTEGER NOT NULL,
    "deleted_at" INTEGER, "revision" INTEGER NOT NULL, "changed" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX channels_name ON channels ("name");
CREATE INDEX channels_changed ON channels ("changed");
CREATE TABLE packages (
    "channel" TEXT NOT NULL, "subdir" TEXT NOT NULL, "file" TEXT NOT NULL, "sha256" BLOB NOT NULL, "size" INTEGER NOT NULL,
    "record" BLOB NOT NULL, "labels" TEXT NOT NULL, "state" TEXT NOT NULL, "uploaded_by" TEXT NOT NULL,
    "uploaded_at" INTEGER NOT NULL, "revision" INTEGER NOT NULL, PRIMARY KEY ("channel", "subdir", "file")
);
CREATE INDEX packages_digest ON packages ("sha256");
CREATE TABLE heads (
    "channel" TEXT NOT NULL, "subdir" TEXT NOT NULL, "generation" TEXT NOT NULL, "since" INTEGER NOT NULL,
    PRIMARY KEY ("channel", "subdir")
) WITHOUT ROWID;
CREATE TABLE downloads (
    "sha256" BLOB NOT NULL, "file" TEXT NOT NULL, "day" INTEGER NOT NULL, "actor" TEXT NOT NULL, "token" TEXT NOT NULL,
    "address" TEXT NOT NULL, "count" INTEGER NOT NULL,
    PRIMARY KEY ("sha256", "file", "day", "actor", "token", "address")
) WITHOUT ROWID;
CREATE INDEX downloads_day ON downloads ("day");
CREATE TABLE audit (
    "at" INTEGER NOT NULL, "id" TEXT NOT NULL, "actor" TEXT NOT NULL, "kind" TEXT NOT NULL, "target" TEXT NOT NULL,
    "address" TEXT NOT NULL, "result" TEXT NOT NULL, "detail" TEXT NOT NULL, PRIMARY KEY ("at", "id")
) WITHOUT ROWID;
CREATE INDEX audit_actor ON audit ("actor", "at", "id");
CREATE INDEX audit_kind ON audit ("kind", "at", "id");
CREATE TABLE jobs (
    "id" TEXT PRIMARY KEY, "kind" TEXT NOT NULL, "input" TEXT NOT NULL, "only" TEXT NOT NULL, "state" TEXT NOT NULL,
    "due" INTEGER NOT NULL, "attempts" INTEGER NOT NULL, "attempts_left" INTEGER NOT NULL, "lease" TEXT, "error" TEXT,
    "created" INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX jobs_only ON jobs ("only");
CREATE INDEX jobs_due ON jobs ("state", "due", "id");
CREATE INDEX jobs_state ON jobs ("state", "id");
CREATE TABLE gone (
    "source" TEXT NOT NULL, "id" TEXT NOT NULL, "changed" INTEGER NOT NULL, PRIMARY KEY ("source", "id")
) WITHOUT ROWID;
CREATE INDEX gone_changed ON gone ("changed");
"#;

/// Gates follow packages. Those that were there have no number: whoever begins to follow reads them all anyway.
const STEP_2: &str = r#"
ALTER TABLE packages ADD COLUMN "name" TEXT NOT NULL DEFAULT '';
ALTER TABLE packages ADD COLUMN "changed_at" INTEGER NOT NULL DEFAULT 0;
ALTER TABLE packages ADD COLUMN "attestations" BLOB;
ALTER TABLE packages ADD COLUMN "changed" INTEGER NOT NULL DEFAULT 0;
CREATE INDEX packages_name ON packages ("channel", "name");
CREATE INDEX packages_attestations ON packages ("attestations");
CREATE INDEX packages_changed ON packages ("changed");
CREATE INDEX packages_place ON packages ("channel", "subdir", "changed");
"#;

const STEP_3: &str = r#"
CREATE TABLE traffic (
    "span" TEXT NOT NULL, "start" INTEGER NOT NULL, "channel" TEXT NOT NULL, "hits" INTEGER NOT NULL, "misses" INTEGER NOT NULL,
    "refused" INTEGER NOT NULL, "indexes" INTEGER NOT NULL, "bytes" INTEGER NOT NULL,
    PRIMARY KEY ("span", "start", "channel")
) WITHOUT ROWID;
"#;

/// Creates the tables in a new file; takes the steps that an older one lacks.
pub(super) fn bring_up_to_date(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    run(connection, path, STEPS)
}

/// The schema of an open file.
pub(super) fn schema_of(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

pub(super) fn run(connection: &mut Connection, path: &Path, steps: &[&str]) -> Result<(), StoreError> {
    let why = |error: rusqlite::Error| fault(path, &error);
    let known = i64::try_from(steps.len()).unwrap_or(SCHEMA);
    // Two processes may come at once: the second one sees what the first did.
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate);
    let transaction = transaction.map_err(why)?;
    let found = schema_of(&transaction).map_err(why)?;
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(why)?;
    let mark: i64 = transaction.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(why)?;
    if tables > 0 && mark != APPLICATION {
        return Err(StoreError::damaged(format_args!("{} is some other program's database", path.display())));
    }
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    if found == known {
        return Ok(());
    }
    if tables > 0 {
        copy(path, found)?;
    }
    for step in &steps[usize::try_from(found).unwrap_or(0)..] {
        transaction.execute_batch(step).map_err(why)?;
    }
    transaction.pragma_update(None, "user_version", known).map_err(why)?;
    transaction.pragma_update(None, "application_id", APPLICATION).map_err(why)?;
    transaction.commit().map_err(why)
}

/// Where the copy of a file with that schema goes.
pub(super) fn copy_of(path: &Path, schema: i64) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".schema-{schema}"));
    path.with_file_name(name)
}

/// Copies the file beside itself, by a connection of its own: what was committed, nothing that is under way.
fn copy(path: &Path, schema: i64) -> Result<(), StoreError> {
    let beside = copy_of(path, schema);
    let why = |error: std::io::Error| {
        StoreError::unavailable(format_args!("cannot make the copy {}: {error}", beside.display()))
    };
    // SQLite fills an empty file and leaves its mode alone. An older copy of the same schema makes way.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(why(error)),
        _ => {}
    }
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside);
    file.and_then(|file| file.sync_all()).map_err(why)?;
    let connection = super::connect(path)?;
    let text = beside.to_str().ok_or_else(|| {
        StoreError::unavailable(format_args!("{} is not a name in UTF-8", beside.display()))
    })?;
    connection.execute("VACUUM INTO ?1", [text]).map_err(|error| fault(path, &error))?;
    std::fs::File::open(&beside).and_then(|file| file.sync_all()).map_err(why)
}
