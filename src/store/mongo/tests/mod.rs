mod killed;

use mongodb::bson::{Bson, doc};

use super::document::{bson, document, filter, row, update};
use super::setup::setup;
use super::{Mongo, Settings};
use crate::secret::Secret;
use crate::store::StoreError;
use crate::store::contract::{databases, drop_databases, on_a_runtime, server};
use crate::store::engine::SCHEMA;
use crate::store::model::{GONE, HEADS, USERS};
use crate::store::query::{Change, Compare, Edit, Filter, behind, is};
use crate::store::table::Row;
use crate::store::value::Value;

#[test]
fn conditions_stand_side_by_side() {
    let range = Filter::Every(vec![
        is("id", "u"),
        Filter::Column("created", Compare::AtLeast, Value::Time(1)),
        Filter::Every(vec![Filter::Column("created", Compare::Below, Value::Time(2))]),
    ]);
    let time = |millis| bson(&Value::Time(millis));
    let wanted = doc! {"_id": {"$eq": "u"}, "created": {"$gte": time(1), "$lt": time(2)}};
    assert_eq!(filter(&USERS, &range), wanted);
    assert_eq!(filter(&USERS, &Filter::Every(Vec::new())), doc! {});
    let behind = behind(HEADS.key, Some(vec!["c".into(), "s".into()]), true);
    let ways = [
        Bson::from(doc! {"channel": {"$lt": "c"}}),
        Bson::from(doc! {"channel": {"$eq": "c"}, "subdir": {"$lt": "s"}}),
    ];
    let wanted = doc! {"channel": {"$lte": "c"}, "$and": [{"$or": ways}]};
    assert_eq!(filter(&HEADS, &behind), wanted);
}

#[test]
fn rows_come_back_and_damage_is_named() {
    let gone = Row(vec!["a/b".into(), "c".into(), Value::Int(i64::MAX)]);
    let stored = document(&GONE, &gone);
    assert_eq!(stored.get_str("_id").unwrap(), "a%2Fb/c");
    assert_eq!(row(&GONE, stored.clone()), Ok(gone));
    for damage in [doc! {"changed": "secret"}, doc! {"changed": 1.5}] {
        let mut damaged = stored.clone();
        damaged.extend(damage);
        let said = row(&GONE, damaged).unwrap_err().to_string();
        assert!(said.contains("`gone.changed`") && !said.contains("secret"), "{said}");
    }
}

#[test]
fn changes_are_gathered_by_operator() {
    let changes = [Change::Set("a", Value::Null), Change::Add("n", -1), Change::Set("b", Value::Bool(true))];
    assert_eq!(update(&USERS, &changes), doc! {"$set": {"a": null, "b": true}, "$inc": {"n": -1_i64}});
}

fn on_a_server<F: Future<Output = ()>>(test: impl FnOnce(Settings) -> F) {
    if server::uri().is_none() {
        return;
    }
    on_a_runtime(|| async {
        let settings = databases().unwrap();
        test(settings.clone()).await;
        drop_databases(&settings).await;
    });
}

#[test]
fn setup_says_what_it_does_and_does_it_once() {
    on_a_server(|settings| async move {
        let missing = Mongo::open(&settings).await.err().unwrap();
        assert_eq!(missing, StoreError::NotSetUp { found: 0, known: SCHEMA });
        let planned = setup(&settings, false).await.unwrap();
        let (main, queue) = (&settings.database, &settings.queue_database);
        for step in [
            format!("create unique index users_name on {main}.users"),
            format!("create index jobs_due on {queue}.jobs"),
            format!("note schema 3 in {main}"),
        ] {
            assert!(planned.contains(&step), "{step}: {planned:?}");
        }
        assert!(Mongo::open(&settings).await.is_err(), "only planned");
        let (one, other) = tokio::join!(setup(&settings, true), setup(&settings, true));
        assert_eq!((one.is_ok(), other.is_ok()), (true, true), "two at once");
        assert_eq!(setup(&settings, true).await.unwrap(), [""; 0]);
        assert!(Mongo::open(&settings).await.is_ok());
    });
}

#[test]
fn a_newer_schema_and_another_index_are_refused() {
    on_a_server(|settings| async move {
        let mongo = Mongo::connect(&settings).await.unwrap();
        let users = mongo.collection(&USERS);
        let model = mongodb::IndexModel::builder().keys(doc! {"email": 1});
        let options = mongodb::options::IndexOptions::builder().name("users_name".to_owned()).build();
        users.create_index(model.options(options).build()).await.unwrap();
        let refused = setup(&settings, true).await.unwrap_err().to_string();
        assert!(refused.contains("`users_name` of `users`"), "{refused}");
        users.drop().await.unwrap();
        mongo.meta().insert_one(doc! {"_id": "schema", "version": 9_i64}).await.unwrap();
        let newer = StoreError::NewerSchema { found: 9, known: SCHEMA };
        assert_eq!(setup(&settings, true).await, Err(newer.clone()));
        assert_eq!(Mongo::open(&settings).await.err(), Some(newer));
    });
}

/// A writer that died behind its write and before its number: the row is told every time, until somebody changes it.
#[test]
fn a_change_without_a_number_is_told() {
    on_a_server(|settings| async move {
        setup(&settings, true).await.unwrap();
        let mongo = Mongo::open(&settings).await.unwrap();
        let users = mongo.collection(&USERS);
        let store = crate::store::Store::new(mongo);
        let ada = crate::store::contract::a_user("ada");
        store.users().create(&ada).await.unwrap();
        let lost = doc! {"$set": {"disabled": true, "changed": i64::MAX}, "$inc": {"revision": 1_i64}};
        users.update_one(doc! {"_id": ada.id.as_str()}, lost).await.unwrap();
        let number = store.settings().revision().await.unwrap();
        for _ in 0..2 {
            let told = store.settings().changes(number, 10).await.unwrap();
            assert_eq!(told.users.iter().map(|user| user.disabled).collect::<Vec<_>>(), [true]);
        }
        let now = store.users().get(&ada.id).await.unwrap().unwrap();
        store.users().update(&now).await.unwrap();
        let number = store.settings().revision().await.unwrap();
        assert!(store.settings().changes(number, 10).await.unwrap().users.is_empty());
    });
}

#[test]
fn what_goes_wrong_is_said_without_secrets() {
    on_a_runtime(|| async {
        let settings = |uri: &str| Settings {
            uri: Secret::new(uri.to_owned()),
            database: "a".to_owned(),
            queue_database: "b".to_owned(),
            ca_file: None,
        };
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let away = format!("mongodb://gate:hunter2@{closed}/?serverSelectionTimeoutMS=200");
        for uri in
            [away.as_str(), "mongodb://gate:hunter2@[hunter2/", "hunter2", "mongodb://gate:hunter2@h:x/"]
        {
            let error = Mongo::open(&settings(uri)).await.err().unwrap();
            assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let Some(uri) = server::uri() else { return };
        let wrong = uri.replace(":p%40ss", ":hunter2");
        let error = Mongo::open(&settings(&wrong)).await.err();
        let said = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(!said.contains("hunter2") && (said.contains("refused") || wrong == uri), "{said}");
    });
}

#[test]
fn an_edit_of_an_absent_row_says_which_fields_are_new() {
    let row = Row(vec!["c".into(), "s".into(), "g".into(), Value::Time(1)]);
    let changes = vec![Change::Set("generation", "h".into())];
    let edit = Edit { key: HEADS.pick(&row, HEADS.key), row: Some(row), changes };
    let sent = super::engine::merged(&HEADS, &edit);
    let fixed = doc! {"channel": "c", "subdir": "s", "since": bson(&Value::Time(1))};
    let wanted = doc! {"$set": {"generation": "h"}, "$setOnInsert": fixed};
    assert_eq!(sent, doc! {"q": {"_id": "c/s"}, "u": wanted, "upsert": true});
}
