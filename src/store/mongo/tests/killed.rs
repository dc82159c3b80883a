use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio::sync::watch;

use super::super::Mongo;
use super::super::setup::setup;
use super::Settings;
use crate::secret::Secret;
use crate::store::contract::{a_user, on_a_runtime, server};
use crate::store::{Store, StoreError};

/// A server of this test's own, without authentication: a process that can be killed and started again.
struct Own {
    binary: PathBuf,
    dir: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Own {
    fn start() -> Option<Self> {
        // Says loudly when there is none, and fails where there must be one.
        server::uri()?;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut own = Self { binary: server::find()?, dir: tempfile::tempdir().unwrap(), port, child: None };
        own.run();
        Some(own)
    }

    fn run(&mut self) {
        let child = Command::new(&self.binary)
            .args([
                "--host",
                "127.0.0.1",
                "--log-level",
                "ERROR",
                "--port",
                &self.port.to_string(),
                "--storage-path",
            ])
            .arg(self.dir.path().join("data"))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
        assert!(server::listens(self.port), "the server did not listen within a minute");
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Adds users until the server is gone; how many it confirmed.
async fn add_users(store: Store, confirmed: watch::Sender<usize>) -> usize {
    for n in 0.. {
        match store.users().create(&a_user(&format!("name-{n}"))).await {
            Ok(()) => drop(confirmed.send_replace(n + 1)),
            Err(error) => {
                assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
                return n;
            }
        }
    }
    0
}

#[test]
fn what_was_confirmed_survives_a_killed_server_and_the_client_goes_on() {
    let Some(mut own) = Own::start() else { return };
    on_a_runtime(|| async {
        let uri = format!("mongodb://127.0.0.1:{}/?serverSelectionTimeoutMS=3000", own.port);
        let (database, queue_database) = ("a".to_owned(), "b".to_owned());
        let settings = Settings { uri: Secret::new(uri), database, queue_database, ca_file: None };
        setup(&settings, true).await.unwrap();
        let store = Store::new(Mongo::open(&settings).await.unwrap());
        let (sender, mut confirmed) = watch::channel(0);
        let adding = tokio::spawn(add_users(store.clone(), sender));
        confirmed.wait_for(|n| *n >= 20).await.unwrap();
        own.kill();
        let confirmed = adding.await.unwrap();
        let away = store.users().by_name("name-0").await;
        assert!(matches!(away, Err(StoreError::Unavailable { .. })), "{away:?}");
        own.run();
        for n in 0..confirmed {
            let found = store.users().by_name(&format!("name-{n}")).await.unwrap();
            assert!(found.is_some(), "{n} of {confirmed} is lost");
        }
        let told = store.settings().changes(0, 10_000).await.unwrap();
        assert!(told.users.len() >= confirmed);
        store.users().create(&a_user("after")).await.unwrap();
    });
}
