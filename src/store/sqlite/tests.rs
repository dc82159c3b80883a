use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::runtime::Handle;

use super::{Sqlite, connect, migrations};
use crate::store::contract::on_a_runtime;
use crate::store::model::TABLES;
use crate::store::{Store, StoreError};

fn open(path: &Path) -> Result<Store, StoreError> {
    Sqlite::open(path, Handle::current()).map(Store::new)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_tables_have_the_columns_that_records_have() {
    on_a_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        drop(open(&path).unwrap());
        let db = connect(&path).unwrap();
        for table in TABLES {
            let mut statement =
                db.prepare("SELECT name, \"notnull\" OR pk FROM pragma_table_info(?1)").unwrap();
            let found = statement.query_map([table.name], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            let found: Vec<(String, bool)> = found.map(Result::unwrap).collect();
            let mut wanted: Vec<_> = table.columns.iter().map(|c| (c.name.to_owned(), !c.nullable)).collect();
            if table.tracked {
                wanted.push(("changed".to_owned(), true));
            }
            assert_eq!(found, wanted, "{}", table.name);
        }
    });
}

/// A gate and the command line, say, that both find none.
#[test]
fn a_new_file_may_be_opened_by_many_at_once() {
    on_a_runtime(|| async {
        let handle = Handle::current();
        for _ in 0..20 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("store.db");
            let barrier = std::sync::Barrier::new(6);
            let opened: Vec<_> = std::thread::scope(|scope| {
                let open = || {
                    barrier.wait();
                    Sqlite::open(&path, handle.clone()).map(drop)
                };
                let threads: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            for one in opened {
                one.unwrap();
            }
        }
    });
}

/// The key has an index of its own in SQLite.
#[test]
fn the_tables_have_the_indexes_that_are_described() {
    on_a_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        drop(open(&path).unwrap());
        let db = connect(&path).unwrap();
        for index in TABLES.iter().flat_map(|t| t.indexes.iter().filter(|index| index.columns != t.key)) {
            let mut statement = db.prepare("SELECT name FROM pragma_index_info(?1) ORDER BY seqno").unwrap();
            let found = statement.query_map([index.name], |row| row.get::<_, String>(0)).unwrap();
            assert_eq!(found.map(Result::unwrap).collect::<Vec<_>>(), index.columns, "{}", index.name);
            let sql: String = db
                .query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [index.name], |row| row.get(0))
                .unwrap();
            assert_eq!(sql.starts_with("CREATE UNIQUE"), index.unique.is_some(), "{sql}");
        }
    });
}

#[test]
fn only_this_user_can_read_the_files() {
    on_a_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir.path().join("deep/store.db")).unwrap();
        store.settings().bump().await.unwrap();
        let files: Vec<_> =
            fs::read_dir(dir.path().join("deep")).unwrap().map(|f| f.unwrap().path()).collect();
        assert!(files.len() >= 2, "{files:?}");
        assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
    });
}

#[test]
fn a_newer_a_foreign_and_a_broken_file_are_refused() {
    on_a_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        drop(open(&path).unwrap());
        connect(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
        let newer = open(&path).err().unwrap();
        assert_eq!(newer, StoreError::NewerSchema { found: 7, known: 3 });
        let foreign = dir.path().join("foreign.db");
        connect(&foreign).unwrap().execute_batch("CREATE TABLE blobs (x)").unwrap();
        let refused = open(&foreign).err().unwrap().to_string();
        assert!(refused.contains("foreign.db is some other program's database"), "{refused}");
        let broken = dir.path().join("broken.db");
        fs::write(&broken, "not a database at all, but long enough to have a header".repeat(99)).unwrap();
        let refused = open(&broken).err().unwrap().to_string();
        assert!(refused.contains("broken.db is not a database that SQLite can read"), "{refused}");
        let nowhere = open(Path::new("/proc/nowhere/store.db")).err().unwrap();
        assert!(matches!(nowhere, StoreError::Unavailable { .. }), "{nowhere}");
    });
}

#[test]
fn an_older_file_is_copied_before_it_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    super::create(&path).unwrap();
    let steps = ["CREATE TABLE t (x); INSERT INTO t VALUES (1);", "DROP TABLE t;"];
    let mut db = connect(&path).unwrap();
    migrations::run(&mut db, &path, &steps[..1]).unwrap();
    let beside = migrations::copy_of(&path, 1);
    assert!(!beside.exists(), "a new file needs no copy");
    fs::write(&beside, "an earlier copy").unwrap();
    migrations::run(&mut db, &path, &steps).unwrap();
    migrations::run(&mut db, &path, &steps).unwrap();
    assert_eq!(migrations::schema_of(&db).unwrap(), 2);
    assert!(db.prepare("SELECT x FROM t").is_err());
    let copy = connect(&beside).unwrap();
    assert_eq!(migrations::schema_of(&copy).unwrap(), 1);
    assert_eq!(copy.query_row("SELECT x FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    assert_eq!((mode(&path), mode(&beside)), (0o600, 0o600));
}

#[test]
fn a_step_that_fails_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let mut db = connect(&path).unwrap();
    migrations::run(&mut db, &path, &["CREATE TABLE t (x);"]).unwrap();
    let broken = ["CREATE TABLE t (x);", "CREATE TABLE u (x); NONSENSE;"];
    assert!(migrations::run(&mut db, &path, &broken).is_err());
    assert_eq!(migrations::schema_of(&db).unwrap(), 1);
    assert!(db.prepare("SELECT x FROM u").is_err());
    assert!(db.prepare("SELECT x FROM t").is_ok());
}

#[test]
fn a_value_of_the_wrong_type_is_a_sentence() {
    on_a_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let store = open(&path).unwrap();
        let row = "INSERT INTO heads VALUES ('c', 'noarch', 'g', 'yesterday')";
        connect(&path).unwrap().execute(row, []).unwrap();
        let damaged = store.heads().get("c", "noarch").await.unwrap_err();
        assert!(matches!(damaged, StoreError::Damaged { .. }), "{damaged}");
        assert!(!damaged.to_string().contains("yesterday"), "{damaged}");
    });
}

#[test]
fn packages_of_the_first_schema_are_followed_from_now_on() {
    on_a_runtime(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        super::create(&path).unwrap();
        let mut db = connect(&path).unwrap();
        migrations::run(&mut db, &path, &migrations::STEPS[..1]).unwrap();
        db.execute_batch(
            "INSERT INTO packages VALUES ('c', 'noarch', 'a-1-0.conda', zeroblob(32), 1, CAST('{}' AS BLOB), '[]', 'listed', 'u', 5, 1)",
        )
        .unwrap();
        drop(db);
        let store = open(&path).unwrap();
        assert!(migrations::copy_of(&path, 1).exists());
        let channel = crate::store::model::ChannelId::new("c").unwrap();
        let row = store.packages().get(&channel, "noarch", "a-1-0.conda").await.unwrap().unwrap();
        let before = store.settings().revision().await.unwrap();
        assert!(store.packages().changed(before, 9).await.unwrap().packages.is_empty());
        store.packages().update(&row).await.unwrap();
        assert_eq!(store.packages().changed(before, 9).await.unwrap().packages.len(), 1);
    });
}
