//! The database goes away and comes back: whom the gate knows is served, whom it doesn't is told to come again.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::harness::people::Society;
use crate::harness::process::Process;
use crate::harness::{Channel, Home, Request, Upstream, eventually_true, mongodb, package, rules, skipped};
use condagate::secret::Secret;
use condagate::store::mongo::{Mongo, Settings, setup};
use condagate::store::{Store, StoreError};

const RULES: &str = "access:\n  - {id: team, channels: [team], read: [\"group:acme\"]}\n";

/// A MongoDB server of this test's own, without authentication, that can be killed and started again.
struct Server {
    dir: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Server {
    fn start() -> Option<Self> {
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

    fn run(&mut self) {
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

    fn kill(&mut self) {
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

    fn config(&self) -> String {
        format!("store: {{mongodb: {{uri: \"mongodb://127.0.0.1:{}/\"}}}}\n", self.port)
    }

    fn society(&self) -> Society {
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
    }
}

fn gate(home: Home) -> Process {
    Process::serve(home)
}

fn home(upstream: &Upstream, server: &Server) -> Home {
    let home = Home::new();
    home.write_rules(&format!("{}{RULES}", rules::all_from(upstream)));
    home.write_config(&server.config());
    home
}

#[test]
fn who_is_known_is_served_while_the_database_is_down() {
    let Some(mut server) = Server::start() else { return };
    let upstream = Upstream::start();
    let team = Channel::new("team").with("noarch", &package("alpha", "1.0"));
    team.publish(&upstream);
    let society = server.society();
    society.user("ada").user("bob").group("acme", &["ada", "bob"]);
    let (ada, bob) = (society.token("ada", &["read:*"]), society.token("bob", &["read:*"]));
    let path = team.path("alpha");
    let ask =
        |gate: &Process, secret: &str| Request::get(&path).header("X-API-Key", secret).send(gate.address());
    let running = gate(home(&upstream, &server));
    assert_eq!(ask(&running, &ada.secret).expect(200), team.get("alpha").bytes);
    let state = |gate: &Process| -> Value { gate.get("/-/readyz").json()["store"].clone() };
    eventually_true("the store is known to answer", || state(&running) == "current");

    server.kill();
    // Also somebody who had not come by yet.
    ask(&running, &bob.secret).expect(200);
    let stranger = condagate::auth::token::mint().secret.reveal().clone();
    eventually_true("the store is known to be down", || state(&running) == "degraded");
    let told = ask(&running, &stranger);
    assert!(told.header("retry-after").is_some());
    told.expect_problem(503);
    assert_eq!(running.get("/-/readyz").status, 200, "who is known is served");
    running.get(&path).expect_problem(401);

    // A second life without the database.
    let running = gate(running.stop());
    ask(&running, &ada.secret).expect(200);
    ask(&running, &stranger).expect_problem(503);

    // It comes back, and what changes there is known again.
    server.run();
    let society = server.society();
    society.revoke(&ada);
    eventually_true("the revocation is known", || ask(&running, &ada.secret).status == 401);
    ask(&running, &bob.secret).expect(200);
    let id = society.id("bob");
    drop(running.stop());
    let digest = crate::harness::digest::sha256_hex(&team.get("alpha").bytes);
    let got = society.downloads(&digest);
    let by_bob =
        got.iter().filter(|(actor, _, _)| *actor == format!("user:{id}")).map(|(_, _, n)| n).sum::<u64>();
    assert!(by_bob >= 2, "downloads while the database was down are written down: {got:?}");
}

#[test]
fn a_database_that_is_not_set_up_is_refused_with_what_to_do() {
    let Some(server) = Server::start() else { return };
    let upstream = Upstream::start();
    let home = home(&upstream, &server);
    let output = crate::harness::process::run(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data",
        &home.data().display().to_string(),
        "--rules",
        &home.rules().display().to_string(),
        "--config",
        &home.config().display().to_string(),
    ]);
    let text = crate::harness::process::text_of(&output);
    assert!(!output.status.success() && text.contains("condagate db setup --execute"), "{text}");
}
