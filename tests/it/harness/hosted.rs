//! Hosted channels as rows of the store and files beside a running gate, as another gate would make them.
//!
//! Belongs here: channels, packages, their states and labels. Does not: uploads (they have a front door of their own).

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use condagate::clock::UnixMillis;
use condagate::conda::digest::Sha256;
use condagate::store::Store;
use condagate::store::model::{Channel, ChannelId, Package, PackageState, UserId};
use condagate::store::sqlite::Sqlite;
use rusqlite::params;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::channel::{self, Recipe};
use super::gate::Gate;

/// What a gate hosts.
pub struct Stock {
    runtime: Runtime,
    store: Store,
    packages: PathBuf,
    now: UnixMillis,
}

/// A package of a hosted channel.
#[derive(Clone)]
pub struct Stocked {
    /// Its row.
    pub row: Package,
    /// The archive.
    pub bytes: Vec<u8>,
}

impl Stocked {
    /// Its record as clients get it.
    pub fn record(&self) -> Value {
        let mut record: Value = serde_json::from_slice(&self.row.record).expect("JSON");
        record["indexed_timestamp"] = self.row.uploaded_at.0.into();
        record
    }
}

impl Stock {
    /// That of a running gate.
    pub fn of(gate: &Gate) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let data = gate.home().data();
        let store = Sqlite::open(&data.join("store.db"), runtime.handle().clone()).expect("a store");
        Self { runtime, store: Store::new(store), packages: data.join("packages"), now: gate.now() }
    }

    /// A new channel, for everybody or for nobody yet.
    pub fn channel(&self, name: &str, public: bool) -> ChannelId {
        self.channel_with(name, public, "{}")
    }

    /// The same with settings.
    pub fn channel_with(&self, name: &str, public: bool, settings: &str) -> ChannelId {
        let id = ChannelId::new(&format!("id-{}", name.replace(['/', '.'], "_"))).expect("an id");
        let channel = Channel {
            id: id.clone(),
            name: name.to_owned(),
            owner: owner(),
            public,
            description: String::new(),
            quota: None,
            settings: settings.to_owned(),
            created: self.now,
            deleted_at: None,
            revision: 1,
        };
        self.runtime.block_on(self.store.channels().create(&channel)).expect("a channel");
        id
    }

    /// Takes a channel away; its name stays.
    pub fn delete_channel(&self, id: &ChannelId) {
        let found = self.runtime.block_on(self.store.channels().get(id)).expect("a store");
        let channel = Channel { deleted_at: Some(self.now), ..found.expect("a channel") };
        self.runtime.block_on(self.store.channels().update(&channel)).expect("a change");
    }

    /// A package that somebody uploaded: its file, then its row.
    pub fn put(&self, channel: &ChannelId, subdir: &str, recipe: &Recipe, labels: &[&str]) -> Stocked {
        let stocked = self.row(channel, subdir, recipe, labels);
        self.keep(&stocked);
        self.add(&stocked);
        stocked
    }

    /// A package that is nowhere yet.
    pub fn row(&self, channel: &ChannelId, subdir: &str, recipe: &Recipe, labels: &[&str]) -> Stocked {
        let channel::Package { file, bytes, record } = recipe.build(subdir);
        let row = Package {
            channel: channel.clone(),
            subdir: subdir.to_owned(),
            file,
            sha256: Sha256::of(&bytes),
            size: bytes.len() as u64,
            record: serde_json::to_vec(&record).expect("JSON"),
            labels: labels.iter().map(|&label| label.to_owned()).collect(),
            state: PackageState::Listed,
            uploaded_by: owner(),
            uploaded_at: self.now,
            revision: 1,
            name: record["name"].as_str().expect("a name").to_owned(),
            changed_at: self.now,
            attestations: None,
        };
        Stocked { row, bytes }
    }

    /// Adds a row.
    pub fn add(&self, stocked: &Stocked) {
        self.runtime.block_on(self.store.packages().create(&stocked.row)).expect("a package");
    }

    /// Changes the row of a package.
    pub fn change(&self, stocked: &Stocked, change: impl FnOnce(&mut Package)) -> Stocked {
        let Package { channel, subdir, file, .. } = &stocked.row;
        let found = self.runtime.block_on(self.store.packages().get(channel, subdir, file));
        let mut row = found.expect("a store").expect("a package");
        change(&mut row);
        row.revision = self.runtime.block_on(self.store.packages().update(&row)).expect("a change");
        Stocked { row, bytes: stocked.bytes.clone() }
    }

    /// Yanks, deletes or restores.
    pub fn set(&self, stocked: &Stocked, state: PackageState) -> Stocked {
        self.change(stocked, |row| row.state = state)
    }

    /// Forgets a row.
    pub fn forget(&self, stocked: &Stocked) {
        let Package { channel, subdir, file, .. } = &stocked.row;
        let gone = self.runtime.block_on(self.store.packages().forget(channel, subdir, file));
        assert!(gone.expect("a store"));
    }

    /// Lays the file where the gate keeps it.
    pub fn keep(&self, stocked: &Stocked) {
        let hex = stocked.row.sha256.to_hex();
        let path = self.packages.join("blobs/sha256").join(&hex[..2]).join(&hex);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(&path, &stocked.bytes).expect("a blob");
        let meta = std::fs::metadata(&path).expect("a blob");
        let nanos = |seconds: i64, nanos: i64| seconds * 1_000_000_000 + nanos;
        let db = rusqlite::Connection::open(self.packages.join("cache.db")).expect("the cache's index");
        db.busy_timeout(std::time::Duration::from_secs(10)).expect("a timeout");
        db.execute(
            "INSERT OR IGNORE INTO blobs (sha256, size, mtime, ctime, inode, last_use, verified_at, origin, md5, pinned)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 'hosted', NULL, 1)",
            params![
                stocked.row.sha256.0,
                meta.len().cast_signed(),
                nanos(meta.mtime(), meta.mtime_nsec()),
                nanos(meta.ctime(), meta.ctime_nsec()),
                meta.ino().cast_signed(),
                self.now.0
            ],
        )
        .expect("a row");
    }
}

fn owner() -> UserId {
    UserId::new("somebody").expect("an id")
}
