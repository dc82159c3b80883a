//! A MongoDB server of one test's own, without authentication, that can be killed and started again.
//!
//! Belongs here: the process. Does not: the server that tests share (`mongodb`), what is asked of it.

use std::process::{Child, Command, Stdio};

use condagate::secret::Secret;
use condagate::store::mongo::{Mongo, Settings, setup};
use condagate::store::{Store, StoreError};

use super::people::Society;
use super::{mongodb, secrets, skipped};

/// See the module's description.
pub struct Server {
    dir: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// A new one; `None` where there is none and none is needed.
    pub fn start() -> Option<Self> {
        if mongodb::find().is_none() {
            let required = std::env::var("CONDAGATE_REQUIRE_MONGODB").is_ok_and(|v| v == "1");
            assert!(!required, "no secantusd-py; tests/run makes .venv");
            skipped("no secantusd-py, so nothing was tried on MongoDB; run tests/run");
            return None;
        }
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let dir = tempfile::TempDir::with_prefix("condagate-mongodb-").expect("a directory");
        let mut server = Self { dir, port, child: None };
        server.run();
        Some(server)
    }

    /// Starts it (again).
    pub fn run(&mut self) {
        let mut command = Command::new(mongodb::find().expect("the server's program"));
        command.args([
            "--host",
            "127.0.0.1",
            "--port",
            &self.port.to_string(),
            "--log-level",
            "ERROR",
            "--storage-path",
        ]);
        command
            .arg(self.dir.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(command.spawn().expect("starting the server"));
        assert!(mongodb::listens(self.port), "the server does not listen");
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("a running server");
        child.kill().and_then(|()| child.wait()).expect("the end of the server");
    }

    fn settings(&self) -> Settings {
        Settings {
            uri: Secret::new(format!("mongodb://127.0.0.1:{}/", self.port)),
            database: "condagate".to_owned(),
            queue_database: "condagate_mq".to_owned(),
            ca_file: None,
        }
    }

    /// The lines of configuration with which a gate uses it.
    pub fn config(&self) -> String {
        format!("store: {{mongodb: {{uri: \"mongodb://127.0.0.1:{}/\"}}}}\n", self.port)
    }

    /// Its people, after setting it up.
    pub fn society(&self) -> Society {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let settings = self.settings();
        let opened: Result<Store, StoreError> = runtime.block_on(async {
            setup::setup(&settings, true).await?;
            Mongo::open(&settings).await.map(Store::new)
        });
        Society::in_store(runtime, opened.expect("a store"), None)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
        if !std::thread::panicking() {
            let leaks = secrets::in_files(self.dir.path(), &[], &|_| true, &|_| Vec::new());
            assert!(leaks.is_empty(), "secrets are in the files of the database: {leaks:#?}");
        }
    }
}
