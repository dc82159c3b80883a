//! What the rules say of uploads into a hosted channel: it counts, it is shown, and nobody can change it elsewhere.

use condagate::policy::access::Right;
use serde_json::json;

use crate::harness::channel::Package;
use crate::harness::digest::sha256_hex;
use crate::harness::people::{Made, Society};
use crate::harness::{Answer, Gate, Request, Setup, package};
use crate::people_cli::{done, ends_with};

const RULES: &str = "channels:\n  - {name: team, hosted: true, upload: {overwrite: true, names: [\"acme-*\"], max_size: 50KB, \
                     licenses: [Apache-2.0], require: [license, summary]}}\n  - {name: free, hosted: true}\n";

struct Scene {
    gate: Gate,
    ada: Made,
}

impl Scene {
    fn new() -> Self {
        let gate = Setup::rules(RULES).start();
        let society = Society::of(gate.home(), gate.now());
        society.user("ada");
        for channel in ["team", "free"] {
            society.grant(channel, "ada", Right::Manage);
        }
        let ada = society.token("ada", &["manage:*"]);
        Self { gate, ada }
    }

    fn ask(&self, request: Request) -> Answer {
        self.gate.ask(&request.header("Authorization", &format!("Bearer {}", self.ada.secret)))
    }

    fn put(&self, channel: &str, package: &Package, query: &str) -> Answer {
        let path = format!("/api/channels/{channel}/upload/{}{query}", package.file);
        self.ask(Request::new("POST", &path).body(&package.bytes))
    }
}

#[test]
fn uploads_are_held_to_the_rules() {
    let scene = Scene::new();
    let good = package("acme-tool", "1.0").about().build("noarch");
    scene.put("team", &good, "").expect(201);
    for (bad, status, says) in [
        (package("other", "1.0").about(), 403, "named acme-*"),
        (package("acme-large", "1.0").about().payload(100_000), 413, "up to 50000 bytes"),
        (package("acme-bare", "1.0"), 403, "`summary`"),
    ] {
        let bad = bad.build("noarch");
        let problem = scene.put("team", &bad, "").expect_problem(status);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
        scene.put("free", &bad, "").expect(201);
    }
    let other = package("acme-tool", "1.0").about().payload(10).build("noarch");
    scene.put("team", &other, "").expect_problem(409);
    scene.put("team", &other, "?force=true").expect(201);
    let record = scene.ask(Request::get("/team/noarch/repodata.json")).json();
    assert_eq!(record["packages.conda"]["acme-tool-1.0-0.conda"]["sha256"], sha256_hex(&other.bytes));
    scene
        .put("free", &package("other", "1.0").payload(10).build("noarch"), "?force=true")
        .expect_problem(409);
}

#[test]
fn nobody_can_change_them_elsewhere() {
    let scene = Scene::new();
    scene.put("team", &package("acme-tool", "1.0").about().build("noarch"), "").expect(201);
    let page = "/-/api/v1/channels/team";
    let shown = scene.ask(Request::get(page)).json();
    assert_eq!(shown["in_rules"], json!(["upload"]));
    assert_eq!(shown["settings"]["upload"]["names"], json!(["acme-*"]));
    let patch = |settings: &serde_json::Value| {
        scene.ask(Request::new("PATCH", page).json(&json!({"settings": settings})))
    };
    let refused = patch(&json!({"upload": {"names": ["*"]}})).expect_problem(409);
    assert!(refused["detail"].as_str().unwrap().contains("written in the rules"), "{refused}");
    // What was shown may be sent back, with a change of something else.
    let mut same = shown["settings"].clone();
    same["owns"] = json!(["acme-*"]);
    patch(&same).expect(200);
    let now = scene.ask(Request::get(page)).json();
    assert_eq!(
        (&now["settings"]["owns"], &now["settings"]["upload"]),
        (&json!(["acme-*"]), &shown["settings"]["upload"])
    );
    let home = scene.gate.home();
    std::fs::write(home.config(), format!("rules: {}\n", home.rules().display())).unwrap();
    let said = ends_with(home, 1, &["channel", "set", "team", "--names", "x-*"], "");
    assert!(said.contains("written in the rules"), "{said}");
    done(home, &["channel", "set", "team", "--quota", "1GiB"]);
    let shown = done(home, &["channel", "show", "team"]);
    assert!(shown.contains("names        acme-*") && shown.contains("in the rules `upload`"), "{shown}");
    let checked = done(home, &["check"]);
    assert!(
        checked.contains(
            "note: uploads into `team` are held to the rules: overwrite: with `force`; names: acme-*"
        ),
        "{checked}"
    );
}
