//! A channel's own patches: a package called `<channel>-repodata-patches` changes the records of all others.

use condagate::store::model::PackageState;
use serde_json::{Value, json};

use crate::harness::channel::{Package, Recipe};
use crate::harness::{Publishers, Request, eventually_true, package};
use crate::hosted;

/// Publishers, and how what they have published looks to Bob.
struct Scene(Publishers);

impl Scene {
    fn new() -> Self {
        Self(Publishers::new(""))
    }

    fn put(&self, channel: &str, subdir: &str, recipe: &Recipe) -> Package {
        let built = recipe.build(subdir);
        let request = Request::new("PUT", &format!("/{channel}/{subdir}/{}", built.file));
        self.0.ask(request.body(&built.bytes)).expect(201);
        built
    }

    fn get(&self, path: &str) -> crate::harness::Answer {
        self.0.ask(Request::get(path))
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path).expect(200)).unwrap()
    }

    /// A record of the index of `team` for linux-64.
    fn record(&self, file: &str) -> Value {
        self.record_of("team", "repodata.json", file)
    }

    fn record_of(&self, channel: &str, document: &str, file: &str) -> Value {
        let index = self.json(&format!("/{channel}/linux-64/{document}"));
        let group = if file.ends_with(".conda") { "packages.conda" } else { "packages" };
        index[group][file].clone()
    }

    fn say(&self, package: &str, what: &str) {
        let request =
            Request::new("POST", &format!("/-/api/v1/channels/team/-/packages/noarch/{package}/{what}"));
        self.0.ask(request.json(&json!({}))).expect(200);
    }
}

fn patches(version: &str, instructions: &Value) -> Recipe {
    package("team-repodata-patches", version)
        .file("linux-64/patch_instructions.json", &instructions.to_string())
}

fn set(file: &str, fields: &Value) -> Value {
    json!({"patch_instructions_version": 1, "packages": {file: fields}})
}

const TOOL: &str = "tool-1.0-0.conda";

#[test]
fn every_form_of_the_index_is_patched_and_from_packages_is_not() {
    let scene = Scene::new();
    scene.put("team", "linux-64", &package("tool", "1.0").needs("numpy"));
    scene.put("team", "linux-64", &package("tool", "1.0").needs("numpy").tar_bz2());
    scene.put("team", "linux-64", &package("bad", "1.0").needs("numpy").tar_bz2());
    scene.put("team", "linux-64", &package("gone", "1.0"));
    assert_eq!(scene.record(TOOL)["depends"], json!(["numpy"]));
    assert_eq!(scene.get("/team/linux-64/patch_instructions.json").status, 404);
    let before = scene.json("/team/linux-64/repodata.json");
    let instructions = json!({
        "patch_instructions_version": 1,
        "packages": {"tool-1.0-0.tar.bz2": {"depends": ["numpy <2"], "license": "MIT"}},
        "packages.conda": {TOOL: {"license": "BSD-3-Clause"}},
        "revoke": ["bad-1.0-0.tar.bz2"],
        "remove": ["gone-1.0-0.tar.bz2"],
    });
    scene.put("team", "noarch", &patches("2026.1", &instructions));
    // The very next answer has it, in another subdir than the package's.
    let conda = scene.record(TOOL);
    assert_eq!((&conda["depends"], &conda["license"]), (&json!(["numpy <2"]), &json!("BSD-3-Clause")));
    let old = scene.record("tool-1.0-0.tar.bz2");
    assert_eq!((&old["depends"], &old["license"]), (&json!(["numpy <2"]), &json!("MIT")));
    let bad = scene.record("bad-1.0-0.tar.bz2");
    assert_eq!(bad["depends"], json!(["numpy", "package_has_been_revoked"]));
    assert_eq!(bad["revoked"], true);
    let index = scene.json("/team/linux-64/repodata.json");
    assert_eq!(index["removed"], json!(["gone-1.0-0.conda"]));
    assert!(index["packages.conda"].get("gone-1.0-0.conda").is_none());
    assert_eq!(scene.get("/team/linux-64/gone-1.0-0.conda").status, 200, "who knows its name still gets it");
    let raw = scene.json("/team/linux-64/repodata_from_packages.json");
    assert_eq!(raw["packages.conda"], before["packages.conda"]);
    assert_eq!(raw["packages"], before["packages"]);
    assert_eq!(scene.json("/team/linux-64/patch_instructions.json"), instructions);
    assert_eq!(scene.record_of("team", "current_repodata.json", TOOL)["depends"], json!(["numpy <2"]));
}

#[test]
fn the_newest_counts_and_taking_it_back_takes_its_patches_back() {
    let scene = Scene::new();
    scene.put("team", "linux-64", &package("tool", "1.0"));
    let license = || scene.record(TOOL)["license"].as_str().map(str::to_owned);
    scene.put("team", "noarch", &patches("2026.10", &set("tool-1.0-0.tar.bz2", &json!({"license": "MIT"}))));
    assert_eq!(license().as_deref(), Some("MIT"));
    scene.put("team", "noarch", &patches("2026.9", &set("tool-1.0-0.tar.bz2", &json!({"license": "0BSD"}))));
    assert_eq!(license().as_deref(), Some("MIT"), "9 comes before 10");
    scene.put("team", "linux-64", &patches("2026.11", &set("tool-1.0-0.tar.bz2", &json!({"license": null}))));
    assert_eq!(license(), None, "one for the subdir");
    scene.0.ask(Request::new("DELETE", "/team/linux-64/team-repodata-patches-2026.11-0.conda")).expect(204);
    assert_eq!(license().as_deref(), Some("MIT"));
    scene.say("team-repodata-patches-2026.10-0.conda", "yank");
    assert_eq!(license().as_deref(), Some("0BSD"));
    scene.0.ask(Request::new("DELETE", "/team/noarch/team-repodata-patches-2026.9-0.conda")).expect(204);
    assert_eq!(license().as_deref(), Some("Apache-2.0"));
    scene.say("team-repodata-patches-2026.10-0.conda", "restore");
    assert_eq!(license().as_deref(), Some("MIT"));
    // Another channel's patches are a package like any other.
    scene.put(
        "team",
        "noarch",
        &package("other-repodata-patches", "2027").file("linux-64/patch_instructions.json", "no JSON"),
    );
    assert_eq!(license().as_deref(), Some("MIT"));
}

#[test]
fn what_is_tried_out_under_a_label_changes_nothing_elsewhere() {
    let scene = Scene::new();
    let tool = package("tool", "1.0").build("linux-64");
    for place in ["team/linux-64", "team/label/rc/linux-64"] {
        let request = Request::new("PUT", &format!("/{place}/{}", tool.file));
        scene.0.ask(request.body(&tool.bytes));
    }
    let trial = patches("2026.1", &set("tool-1.0-0.tar.bz2", &json!({"license": "MIT"}))).build("noarch");
    let request = Request::new("PUT", &format!("/team/label/rc/noarch/{}", trial.file));
    scene.0.ask(request.body(&trial.bytes)).expect(201);
    assert_eq!(scene.record_of("team/label/rc", "repodata.json", TOOL)["license"], "MIT");
    assert_eq!(scene.record(TOOL)["license"], "Apache-2.0");
}

#[test]
fn bad_instructions_are_refused_with_their_place() {
    let scene = Scene::new();
    scene.put("team", "linux-64", &package("tool", "1.0"));
    for (text, says) in [
        ("{\"packages\": 5}", "line 1"),
        ("{\"patch_instructions_version\": 2}", "only 1 is understood"),
        (
            "{\"packages\": {\"tool-1.0-0.tar.bz2\": {\"sha256\": \"\"}}}",
            "sets `sha256` of `tool-1.0-0.tar.bz2`",
        ),
    ] {
        let bad = package("team-repodata-patches", "1")
            .file("linux-64/patch_instructions.json", text)
            .build("noarch");
        let request = Request::new("PUT", &format!("/team/noarch/{}", bad.file)).body(&bad.bytes);
        let problem = scene.0.ask(request).expect_problem(422);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(says) && detail.contains("`linux-64/patch_instructions.json`"), "{detail}");
    }
    assert_eq!(scene.record(TOOL)["license"], "Apache-2.0");
}

#[test]
fn all_forms_agree_whoever_made_the_package_and_rules_see_records_as_patched() {
    let scene =
        hosted::Scene::new("policy:\n  - {id: gpl, channels: [team], deny: {licenses: [GPL-3.0-only]}}\n");
    let id = scene.public("team");
    let tool = scene.stock.put(&id, "linux-64", &package("tool", "1.0"), &[]);
    let other = scene.stock.put(&id, "linux-64", &package("other", "1.0"), &[]);
    let gone = scene.stock.put(&id, "linux-64", &package("gone", "1.0"), &[]);
    scene.until_listed("team", "linux-64", &[&tool, &other, &gone]);
    let instructions = json!({
        "packages": {"tool-1.0-0.tar.bz2": {"constrains": ["x <1"]}, "other-1.0-0.tar.bz2": {"license": "GPL-3.0-only"}},
        "remove": ["gone-1.0-0.conda"],
    });
    // Another gate has written it.
    let package = scene.stock.put(&id, "noarch", &patches("1", &instructions), &[]);
    let records = scene.until_listed("team", "linux-64", &[&tool]);
    assert_eq!(records[TOOL]["constrains"], json!(["x <1"]));
    let view = scene.view("team", "linux-64");
    let refused = view.get("other-1.0-0.conda").expect_problem(403);
    assert_eq!(refused["rule"], "gpl");
    assert_eq!(view.get("gone-1.0-0.conda").expect(200), gone.bytes);
    let raw = view.get("repodata_from_packages.json").json();
    assert!(raw["packages.conda"][TOOL].get("constrains").is_none());
    assert!(raw["packages.conda"].get("other-1.0-0.conda").is_none(), "what a rule hides is in no form");
    scene.stock.set(&package, PackageState::Yanked);
    scene.until_listed("team", "linux-64", &[&tool, &other, &gone]);
}

#[test]
fn one_that_cannot_be_used_leaves_the_one_before_it_in_force() {
    let scene = hosted::Scene::new(
        "channels:\n  - {name: team, hosted: true}\n  - {name: prod, virtual: [team, theirs], priority: flexible}\n",
    );
    let id = scene.stock.channel("team", true);
    let tool = scene.stock.put(&id, "linux-64", &package("tool", "1.0"), &[]);
    scene.stock.put(
        &id,
        "noarch",
        &patches("1", &set("tool-1.0-0.tar.bz2", &json!({"license": "MIT"}))),
        &[],
    );
    // As a copy of another channel's package can be.
    let bad = package("team-repodata-patches", "2").file("linux-64/patch_instructions.json", "no JSON");
    scene.stock.put(&id, "noarch", &bad, &[]);
    eventually_true("the older one counts", || {
        let records = scene.until_listed("team", "linux-64", &[&tool]);
        records[TOOL]["license"] == "MIT"
    });
    assert_eq!(scene.view("prod", "linux-64").agreed()[TOOL]["license"], "MIT", "a view of it, too");
}
