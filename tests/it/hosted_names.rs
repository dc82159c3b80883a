//! Names of hosted channels: who gets in, and that no upstream ever answers for one.

use condagate::policy::access::Right;

use crate::harness::people::Society;
use crate::harness::{Answer, Request, Setup, View, eventually_true, package};
use crate::hosted::Scene;

/// Every kind of thing that a channel has.
fn paths(name: &str) -> Vec<String> {
    let mut all: Vec<String> = [
        "repodata.json",
        "repodata.json.zst",
        "repodata.json.bz2",
        "current_repodata.json",
        "run_exports.json",
        "repodata_from_packages.json",
        "repodata_shards.msgpack.zst",
        "foreign-9.9-0.conda",
        "foreign-9.9-0.conda.sigs",
        "acme-tool-9.9-0.conda",
    ]
    .iter()
    .flat_map(|file| {
        [
            format!("/{name}/noarch/{file}"),
            format!("/{name}/linux-64/{file}"),
            format!("/{name}/label/dev/noarch/{file}"),
        ]
    })
    .collect();
    all.push(format!("/{name}/noarch/shards/{}.msgpack.zst", "ab".repeat(32)));
    all.extend(["channeldata.json", "rss.xml"].map(|doc| format!("/{name}/{doc}")));
    all
}

#[test]
fn hosted_channels_are_private_until_somebody_says_otherwise() {
    let scene = Scene::new("channels:\n  - {name: ruled, hosted: true, owns: [\"acme-*\"]}\n");
    let society = Society::of(scene.gate.home(), scene.gate.now());
    society.user("ada").user("eve");
    let (ada, eve) = (society.token("ada", &["read:*"]), society.token("eve", &["read:*"]));
    society.grant("ruled", "ada", Right::Read);
    society.grant("made", "ada", Right::Read);
    let id = scene.stock.channel("made", false);
    let a = scene.stock.put(&id, "noarch", &package("alpha", "1"), &[]);
    let file = format!("/made/noarch/{}", a.row.file);
    eventually_true("it is hosted", || scene.gate.get(&file).status == 401);
    let before = scene.upstream.seen().len();
    let with = |path: &str, token: &str| -> Answer {
        scene.gate.ask(&Request::get(path).header("Authorization", &format!("Bearer {token}")))
    };
    for name in ["made", "ruled"] {
        for path in paths(name) {
            // Clients remember what the first answer says.
            scene.gate.get(&path).expect_problem(401);
            with(&path, &eve.secret).expect_problem(403);
            let status = with(&path, &ada.secret).status;
            assert!(status == 200 || status == 404, "{path}: {status}");
        }
    }
    for path in ["/made/noarch/repodata.json", "/ruled/noarch/repodata.json", &file] {
        let answer = with(path, &ada.secret);
        assert!(!answer.must("cache-control").contains("public"), "{path}");
        answer.expect(200);
        scene.gate.get(&format!("/t/{}{path}", ada.secret)).expect(200);
    }
    assert_eq!(with(&file, &ada.secret).expect(200), a.bytes);
    assert_eq!(scene.upstream.seen().len(), before, "nothing was asked of an upstream");
}

#[test]
fn no_upstream_answers_for_a_hosted_name_whatever_became_of_the_channel() {
    let scene = Scene::new("channels:\n  - {name: theirs, hosted: true}\n");
    let id = scene.public("team");
    let a = scene.stock.put(&id, "noarch", &package("alpha", "1"), &[]);
    scene.until_listed("team", "noarch", &[&a]);
    let asked = || {
        let seen = scene.upstream.seen();
        seen.iter().filter(|seen| seen.path.starts_with("/team") || seen.path.starts_with("/theirs")).count()
    };
    let before = asked();
    let nothing_foreign = || {
        for name in ["team", "Team", "TEAM", "theirs", "Theirs"] {
            for path in paths(name) {
                let answer = scene.gate.get(&path);
                assert!(answer.status >= 400 || !answer.text().contains("foreign"), "{path}");
            }
        }
    };
    nothing_foreign();
    let index = scene.view("Team", "noarch").records();
    assert!(index.contains_key(&a.row.file), "another spelling is the same channel");
    scene.stock.delete_channel(&id);
    eventually_true("it is gone", || scene.view("team", "noarch").get("repodata.json").status == 404);
    nothing_foreign();
    let problem = scene.view("team", "noarch").get(&a.row.file).expect_problem(404);
    assert!(problem.to_string().contains("was deleted"), "{problem}");
    assert_eq!(asked(), before, "an upstream was asked for a hosted name");

    // Nor after a restart without a store.
    let Scene { upstream, gate, stock: _ } = scene;
    let (before, home) = (upstream.seen().len(), gate.stop());
    std::fs::remove_file(home.data().join("store.db")).unwrap();
    let gate = Setup::again(home)
        .config("store: {mongodb: {uri: \"mongodb://127.0.0.1:1\", database: x, queue_database: y}}\n")
        .start();
    for name in ["team", "theirs", "anything"] {
        let answer = View::of(&gate, name, "noarch").get("repodata.json");
        assert!(answer.status >= 400, "{name}: {}", answer.status);
    }
    View::of(&gate, "anything", "noarch").get("repodata.json").expect_problem(503);
    assert_eq!(upstream.seen().len(), before);
}

#[test]
fn rules_win_over_the_store_and_the_store_over_patterns() {
    let up = "channels:\n  - {name: stock, upstream: up}\n  - {match: \"te*\", upstream: up}\n  - {name: ruled, hosted: true, owns: [\"x-*\"]}\n";
    let scene = Scene::new(up);
    scene.stock.channel("stock", true);
    let ruled = scene.stock.channel("ruled", true);
    let a = scene.stock.put(&ruled, "noarch", &package("alpha", "1"), &[]);
    scene.public("team");
    assert!(scene.view("stock", "noarch").records().contains_key("foreign-9.9-0.conda"), "an exact rule");
    assert!(scene.view("team", "noarch").records().is_empty(), "the store beats a glob");
    scene.until_listed("ruled", "noarch", &[&a]);
}

/// Whoever takes the gate for another host must not get that host's channel of a hosted name.
#[test]
fn another_host_does_not_answer_for_a_hosted_name() {
    let scene = Scene::new("");
    scene.public("team");
    for path in paths("team") {
        let problem = scene.gate.ask(&Request::get(&path).host("conda.example.org")).expect_problem(404);
        assert!(problem.to_string().contains("hosted by this gate"), "{problem}");
    }
    let theirs = Request::get("/theirs/noarch/repodata.json").host("conda.example.org");
    assert!(scene.gate.ask(&theirs).text().contains("foreign"));
}

#[test]
fn what_is_here_is_served_while_the_store_is_away() {
    let scene = Scene::new("");
    let id = scene.public("team");
    let a = scene.stock.put(&id, "noarch", &package("alpha", "1"), &[]);
    scene.until_listed("team", "noarch", &[&a]);
    let Scene { upstream: _upstream, gate, stock } = scene;
    drop(stock);
    let home = gate.stop();
    // The same people, whose store does not answer: its file is no database any more.
    let store = home.data().join("store.db");
    for name in ["store.db", "store.db-wal", "store.db-shm"] {
        let _absent = std::fs::remove_file(home.data().join(name));
    }
    std::fs::create_dir(&store).unwrap();
    let gate = Setup::again(home).start();
    let view = View::of(&gate, "team", "noarch");
    assert_eq!(view.records().len(), 1);
    assert_eq!(view.get(&a.row.file).expect(200), a.bytes);
}
