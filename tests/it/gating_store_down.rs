//! The database goes away and comes back: whom the gate knows is served, whom it doesn't is told to come again.

use serde_json::Value;

use crate::harness::process::Process;
use crate::harness::{Channel, Home, Request, Server, Upstream, eventually_true, package, rules};

const RULES: &str = "access:\n  - {id: team, channels: [team], read: [\"group:acme\"]}\n";

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
