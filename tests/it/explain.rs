//! Why a file or a package is as it is: the page, the command line, with a gate and without.

use std::time::Duration;

use serde_json::{Value, json};

use crate::credentials::outside_address;
use crate::harness::home::files_below;
use crate::harness::process::{run, text_of};
use crate::harness::{
    Channel, Gate, Home, Process, Request, Setup, Upstream, eventually_true, package, rules, skipped,
};

const POLICY: &str = "policy:\n  \
      - id: recall\n    deny: {specs: [\"xz >=5.6.0,<5.6.2\"]}\n    reason: CVE-2024-3094\n  \
      - {id: fixes, allow: {names: [beta]}}\n  \
      - {id: big, hide: {names: [alpha, beta]}, download: keep}\n  \
      - {id: new-xz, patch: {match: {specs: [\"xz 5.6.3\"]}, add_depends: [\"libgcc >=13\"]}}\n  \
      - {id: cooldown, hide: {younger_than: 7d}, unless: {names: [xz]}}\n";

fn channel() -> Channel {
    Channel::new("chan")
        .with("noarch", &package("xz", "5.4.10"))
        .with("noarch", &package("xz", "5.6.0"))
        .with("noarch", &package("xz", "5.6.1"))
        .with("noarch", &package("xz", "5.6.3"))
        .with("noarch", &package("alpha", "1.0"))
        .with("noarch", &package("beta", "1.0"))
        .with_record("noarch", &package("young", "1.0"), |record| {
            // Two days before the gate's clock.
            record.insert("indexed_timestamp".into(), json!(1_793_577_600_000_u64));
        })
        .with("linux-64", &package("xz", "5.6.0"))
}

struct Scene {
    gate: Gate,
    upstream: Upstream,
}

impl Scene {
    fn new() -> Self {
        let upstream = Upstream::start();
        channel().publish(&upstream);
        let gate = Setup::rules(&format!("{}{POLICY}", rules::all_from(&upstream))).start();
        Self { gate, upstream }
    }

    fn knowing_indexes() -> Self {
        let scene = Self::new();
        for subdir in ["noarch", "linux-64"] {
            scene.gate.get(&channel().at(subdir, "repodata.json")).expect(200);
        }
        scene
    }

    fn file(&self, url: &str) -> Value {
        explained(&self.gate, &[("url", url)])
    }

    fn spec(&self, spec: &str) -> Value {
        explained(&self.gate, &[("spec", spec)])
    }
}

fn page(question: &[(&str, &str)]) -> String {
    let pairs: url::form_urlencoded::Serializer<'_, String> =
        url::form_urlencoded::Serializer::new(String::new());
    let query = { pairs }.extend_pairs(question).finish();
    format!("/-/api/v1/explain?{query}")
}

fn explained(gate: &Gate, question: &[(&str, &str)]) -> Value {
    let answer = gate.get(&page(question));
    assert_eq!((answer.status, answer.must("content-type")), (200, "application/json"), "{}", answer.text());
    answer.json()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

#[test]
fn a_refused_file_is_explained_with_rule_file_line_and_reason() {
    let scene = Scene::knowing_indexes();
    let path = "/chan/noarch/xz-5.6.0-0.conda";
    let file = scene.file(path);
    assert_eq!((&file["about"], &file["state"]), (&json!("file"), &json!("withheld")));
    assert_eq!((&file["channel"], &file["subdir"]), (&json!("chan"), &json!("noarch")));
    let rule = &file["rules"][0];
    assert_eq!((&rule["id"], &rule["effect"]), (&json!("recall"), &json!("deny")));
    assert_eq!((&rule["standing"], &rule["reason"]), (&json!("decides"), &json!("CVE-2024-3094")));
    let package = &file["package"];
    assert_eq!((&package["name"], &package["version"]), (&json!("xz"), &json!("5.6.0")));
    assert_eq!(text(&package["sha256"]).len(), 64);
    assert_eq!(package["license"], "Apache-2.0");
    assert_eq!(
        file["first_seen"],
        json!({"at": "2025-10-09T08:53:20+00:00", "origin": "the record's timestamp"})
    );
    assert_eq!(file["index"]["current"], json!(true));

    let problem = scene.gate.get(path).expect_problem(403);
    assert_eq!((&problem["rule"], &problem["at"]), (&json!("recall"), &rule["at"]));
    assert!(text(&rule["at"]).contains("50-test.yaml:"), "{rule}");
    assert!(text(&problem["detail"]).contains("CVE-2024-3094"), "{problem}");
    assert_eq!(file["download"]["sentence"], problem["detail"]);
    assert_eq!((&file["sentence"], &file["download"]["at"]), (&problem["detail"], &rule["at"]));
}

#[test]
fn a_served_file_is_explained_too() {
    let scene = Scene::knowing_indexes();
    let changed = scene.file("/chan/noarch/xz-5.6.3-0.conda");
    assert_eq!(
        changed["sentence"],
        "`xz-5.6.3-0.conda` of `chan/noarch` is in the index, changed by the rule `new-xz`; its file is served"
    );
    assert_eq!((&changed["state"], &changed["download"]["outcome"]), (&json!("shown"), &json!("served")));
    assert_eq!(changed["patches"][0]["add_depends"], json!(["libgcc >=13"]));
    let standings = |file: &Value| {
        let rules = file["rules"].as_array().unwrap().iter();
        rules.map(|rule| format!("{} {}", text(&rule["id"]), text(&rule["standing"]))).collect::<Vec<_>>()
    };
    assert_eq!(standings(&changed), ["new-xz changes"]);
    let allowed = scene.file("/chan/noarch/beta-1.0-0.conda");
    assert!(text(&allowed["sentence"]).contains("allowed by the rule `fixes`"), "{allowed}");
    assert_eq!(standings(&allowed), ["fixes decides", "big outranked"]);
    let kept = scene.file("/chan/noarch/alpha-1.0-0.conda");
    assert_eq!((&kept["state"], &kept["download"]["outcome"]), (&json!("withheld"), &json!("served")));
    scene.gate.get("/chan/noarch/alpha-1.0-0.conda").expect(200);
    let young = scene.file("/chan/noarch/young-1.0-0.conda");
    assert_eq!((&young["state"], &young["until"]), (&json!("withheld"), &json!("2026-11-09T00:00:00+00:00")));
    assert_eq!(young["first_seen"]["origin"], "upstream's indexed_timestamp");
}

#[test]
fn nothing_is_fetched_for_an_explanation() {
    let scene = Scene::new();
    let file = scene.file("/chan/noarch/xz-5.6.0-0.conda");
    assert_eq!((&file["state"], &file["download"]["outcome"]), (&json!("no_index"), &json!("unknown")));
    assert!(text(&file["sentence"]).starts_with("there is no index of `chan/noarch` here yet"), "{file}");
    let by_name: Vec<_> = file["rules"].as_array().unwrap().iter().map(|rule| text(&rule["id"])).collect();
    assert_eq!(by_name, ["recall"], "what its name alone tells");
    let young = scene.file("/chan/noarch/young-1.0-0.conda");
    assert_eq!((&young["rules"], &young["until"]), (&json!([]), &json!(null)), "its age is not known");
    let spec = scene.spec("chan::xz");
    assert_eq!((&spec["searched"], &spec["counts"]["records"]), (&json!([]), &json!(0)));
    assert_eq!(scene.upstream.total(), 0);
}

#[test]
fn a_file_may_be_given_in_many_ways() {
    let scene = Scene::knowing_indexes();
    for url in [
        format!("{}/chan/noarch/xz-5.6.0-0.conda", scene.gate.url()),
        format!("{}/t/tk-1/chan/noarch/xz-5.6.0-0.conda", scene.gate.url()),
        "/t/tk-1/chan/noarch/xz-5.6.0-0.conda".to_owned(),
        "chan/noarch/xz-5.6.0-0.conda".to_owned(),
        "https://conda.example.org/chan/noarch/xz-5.6.0-0.conda".to_owned(),
        "https://conda.example.org/t/tk-1/chan/noarch/xz-5.6.0-0.conda".to_owned(),
        format!("{}/chan/noarch/xz-5.6.0-0.conda", scene.upstream.url()),
    ] {
        let file = scene.file(&url);
        assert_eq!(
            (&file["state"], &file["file"]),
            (&json!("withheld"), &json!("xz-5.6.0-0.conda")),
            "{url}"
        );
        assert!(!file.to_string().contains("tk-1"), "{file}");
    }
    let upstream = Upstream::start();
    channel().publish(&upstream);
    let base = Setup::rules(&rules::all_from(&upstream))
        .config("public_url: http://conda.example.org/conda\n")
        .start();
    base.get("/conda/chan/noarch/repodata.json").expect(200);
    let file = explained(&base, &[("url", "http://conda.example.org/conda/chan/noarch/xz-5.6.0-0.conda")]);
    assert_eq!((&file["channel"], &file["state"]), (&json!("chan"), &json!("shown")));
}

#[test]
fn files_that_left_the_index_are_told_from_those_that_never_were_in_it() {
    let scene = Scene::knowing_indexes();
    assert_eq!(scene.file("/chan/noarch/never-1-0.conda")["state"], "unlisted");
    let refused = scene.file("/chan/noarch/xz-5.6.1-h7.conda");
    assert_eq!((&refused["state"], &refused["download"]["rule"]), (&json!("unlisted"), &json!("recall")));
    let fewer = Channel::new("chan").with("noarch", &package("xz", "5.4.10"));
    fewer.publish(&scene.upstream);
    let mut document = fewer.repodata("noarch");
    document["removed"] = json!(["beta-1.0-0.conda", "old-1-0.conda"]);
    scene.upstream.put("/chan/noarch/repodata.json", document.to_string());
    scene.upstream.remove("/chan/noarch/repodata.json.zst");
    scene.gate.advance(Duration::from_mins(30));
    eventually_true("the smaller index", || {
        scene.gate.get("/chan/noarch/repodata.json");
        scene.file("/chan/noarch/xz-5.6.3-0.conda")["state"] == "departed"
    });
    let departed = scene.file("/chan/noarch/xz-5.6.3-0.conda");
    assert!(text(&departed["sentence"]).contains("listed `xz-5.6.3-0.conda`"), "{departed}");
    assert_eq!(departed["download"]["outcome"], "served");
    assert_eq!(scene.file("/chan/noarch/xz-5.6.0-0.conda")["download"]["rule"], "recall");
    for removed in ["beta-1.0-0.conda", "old-1-0.conda"] {
        assert_eq!(scene.file(&format!("/chan/noarch/{removed}"))["state"], "removed", "{removed}");
    }
    let spec = scene.spec("chan/noarch::xz 5.6.3");
    let record = &spec["records"][0];
    assert_eq!((&record["shown"], record.get("hidden_by")), (&json!(false), None));
    assert_eq!(record["sentence"], "upstream's index listed it once and does not any more.");
}

#[test]
fn downloads_of_unlisted_files_go_by_the_channels_rule() {
    let upstream = Upstream::start();
    channel().publish(&upstream);
    let rules = rules::all_from(&upstream);
    let young = "policy: [{id: cooldown, hide: {younger_than: 7d}}]\n";
    for (unlisted, policy, outcome, rule) in [
        ("auto", "", "served", None),
        ("auto", young, "refused", Some("cooldown")),
        ("allow", young, "served", None),
        ("deny", "", "refused", Some("unlisted")),
    ] {
        let rules = rules.replacen("ttl: 20m", &format!("ttl: 20m, unlisted: {unlisted}"), 1);
        let gate = Setup::rules(&format!("{rules}{policy}")).start();
        gate.get("/chan/noarch/repodata.json").expect(200);
        let file = explained(&gate, &[("url", "/chan/noarch/never-1-0.conda")]);
        assert_eq!((&file["state"], &file["download"]["outcome"]), (&json!("unlisted"), &json!(outcome)));
        assert_eq!(file["download"]["rule"].as_str(), rule, "{file}");
        let status = gate.get("/chan/noarch/never-1-0.conda").status;
        assert_eq!(status, if rule.is_some() { 403 } else { 404 }, "{unlisted}: {file}");
    }
}

#[test]
fn a_spec_lists_every_version_and_who_hides_it() {
    let scene = Scene::knowing_indexes();
    let lines = |spec: &Value| {
        let line = |record: &Value| {
            let by = record["hidden_by"]["id"].as_str().unwrap_or("-");
            format!("{}/{} {by}", text(&record["subdir"]), text(&record["version"]))
        };
        spec["records"].as_array().unwrap().iter().map(line).collect::<Vec<_>>()
    };
    let all = scene.spec("xz");
    let expected = [
        "noarch/5.6.3 -",
        "noarch/5.6.1 recall",
        "linux-64/5.6.0 recall",
        "noarch/5.6.0 recall",
        "noarch/5.4.10 -",
    ];
    assert_eq!(lines(&all), expected);
    assert_eq!(all["counts"], json!({"records": 5, "shown": 2, "hidden": 3, "by_rule": {"recall": 3}}));
    assert_eq!(all["searched"], json!(["chan/linux-64", "chan/noarch"]));
    assert_eq!(all["sentence"], "5 records in 2 indexes fit `xz`: 2 shown, 3 not");
    let hidden = &all["records"][1]["hidden_by"];
    assert!(text(&hidden["at"]).contains("50-test.yaml:"), "{hidden}");
    assert_eq!(hidden["reason"], "CVE-2024-3094");

    for spec in ["chan::xz >=5.6", "XZ>=5.6", "x* >=5.6"] {
        assert_eq!(lines(&scene.spec(spec)), expected[..4], "{spec}");
    }
    assert_eq!(lines(&scene.spec("chan/linux-64::xz 5.6.*")), ["linux-64/5.6.0 recall"]);
    let narrow = explained(&scene.gate, &[("spec", "xz"), ("channel", "chan"), ("subdir", "linux-64")]);
    assert_eq!(lines(&narrow), ["linux-64/5.6.0 recall"]);
    assert_eq!(lines(&scene.spec("xz-5.6.1-0.conda")), ["noarch/5.6.1 recall"]);
    let other = scene.spec("xz >=9");
    assert_eq!(
        other["sentence"],
        "no record in 2 indexes fits `xz >=9`; there are 5 other records of that name"
    );
    let nobody = scene.spec("alpah");
    assert_eq!(nobody["sentence"], "no record in 2 indexes has the name of `alpah`; near it: `alpha`");
    assert_eq!(nobody["nearest"], json!(["alpha"]));
    let young = scene.spec("young");
    assert_eq!(young["records"][0]["until"], "2026-11-09T00:00:00+00:00");
}

/// `team` and `forge` in several virtual channels.
fn virtual_scene() -> Scene {
    let upstream = Upstream::start();
    let team = Channel::new("team")
        .with("noarch", &package("acme-core", "1.0"))
        .with("noarch", &package("lib", "1.0"));
    let forge = Channel::new("forge")
        .with("noarch", &package("acme-core", "9.0"))
        .with("noarch", &package("lib", "1.0").payload(77))
        .with("noarch", &package("lib", "2.0"))
        .with("noarch", &package("numpy", "2.0"))
        .with("noarch", &package("xz", "5.6.0"));
    team.publish(&upstream);
    forge.publish(&upstream);
    let all = rules::all_from(&upstream);
    let before = all.split("files:").next().expect("rules");
    let virtuals = "  - {name: prod, virtual: [team, forge], owns: [\"acme-*\"], owned_by: [team]}\n  \
                      - {name: flex, virtual: [team, forge], priority: flexible}\n  \
                      - {name: past, virtual: [forge], as_of: 2020-01-31}\n  \
                      - {name: top, virtual: [prod]}\n";
    let gate = Setup::rules(&format!("{before}{virtuals}{POLICY}")).start();
    Scene { gate, upstream }
}

#[test]
fn virtual_channels_say_which_member_answers_and_why_not_the_others() {
    let scene = virtual_scene();
    let file = |file: &str| scene.file(&format!("/prod/noarch/{file}"));
    assert_eq!(file("numpy-2.0-0.conda")["state"], "no_index");
    assert_eq!(scene.upstream.total(), 0);
    scene.gate.get("/prod/noarch/repodata.json").expect(200);

    let numpy = file("numpy-2.0-0.conda");
    assert_eq!((&numpy["member"], &numpy["state"]), (&json!("forge"), &json!("shown")));
    assert!(text(&numpy["sentence"]).contains("comes from `forge`"), "{numpy}");
    assert_eq!(numpy["index"]["current"], json!(true));
    let why = |file: &Value, member: usize| text(&file["members"][member]["sentence"]).to_owned();
    assert_eq!(why(&numpy, 0), "its index does not list the file.");
    let trap = file("acme-core-9.0-0.conda");
    assert_eq!((trap.get("member"), &trap["download"]["outcome"]), (None, &json!("refused")));
    assert!(why(&trap, 1).starts_with("`owns` of `prod` lets only `team` answer"), "{trap}");
    let problem = scene.gate.get("/prod/noarch/acme-core-9.0-0.conda").expect_problem(403);
    assert_eq!(trap["download"]["sentence"], problem["detail"]);
    let second = file("lib-2.0-0.conda");
    assert_eq!((&second["state"], &second["download"]["rule"]), (&json!("withheld"), &json!("unlisted")));
    assert!(
        why(&second, 1).starts_with("`priority: strict` of `prod` takes this name from `team`"),
        "{second}"
    );
    let recalled = file("xz-5.6.0-0.conda");
    assert_eq!((&recalled["state"], &recalled["download"]["rule"]), (&json!("withheld"), &json!("recall")));
    assert!(why(&recalled, 1).starts_with("the rule `recall` denies it"), "{recalled}");
    let problem = scene.gate.get("/prod/noarch/xz-5.6.0-0.conda").expect_problem(403);
    assert_eq!(recalled["download"]["sentence"], problem["detail"]);
    let unlisted = file("acme-core-7.0-0.conda");
    assert_eq!(why(&unlisted, 1), "`owns` of `prod` does not let it answer for this name.");
    let inner = scene.file("/top/noarch/numpy-2.0-0.conda");
    assert_eq!(
        (&inner["member"], &inner["members"][0]["explanation"]["member"]),
        (&json!("prod"), &json!("forge"))
    );
}

#[test]
fn a_spec_in_a_virtual_channel_lists_what_its_rule_leaves_out() {
    let scene = virtual_scene();
    scene.gate.get("/prod/noarch/repodata.json").expect(200);
    let lines = |spec: &str| {
        let line = |record: &Value| {
            let why = record["sentence"].as_str().unwrap_or("shown").split(' ').take(2).collect::<Vec<_>>();
            format!("{} {} {}", text(&record["member"]), text(&record["version"]), why.join(" "))
        };
        scene.spec(spec)["records"].as_array().unwrap().iter().map(line).collect::<Vec<_>>()
    };
    let strict = ["forge 2.0 `priority: strict`", "forge 1.0 `priority: strict`", "team 1.0 shown"];
    assert_eq!(sorted(lines("prod::lib")), sorted(strict.map(str::to_owned).to_vec()));
    let flexible = ["forge 2.0 shown", "forge 1.0 `flex` takes", "team 1.0 shown"];
    assert_eq!(sorted(lines("flex::lib")), sorted(flexible.map(str::to_owned).to_vec()));
    assert_eq!(lines("past::lib 2.0"), ["forge 2.0 `as_of` of"]);
    assert_eq!(lines("prod/noarch::acme-core >=9"), ["forge 9.0 `owns` of"]);
    assert_eq!(lines("prod::xz"), ["forge 5.6.0 denies it:"]);
    assert_eq!(sorted(lines("top::lib >=2")), ["prod 2.0 `priority: strict`"]);
    let everywhere = scene.spec("numpy");
    assert_eq!(everywhere["searched"], json!(["forge/noarch", "prod/noarch", "team/noarch"]));
    let label = scene.gate.get(&page(&[("spec", "prod/label/dev::lib")])).expect_problem(400);
    assert!(text(&label["detail"]).contains("has no labels"), "{label}");
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn questions_without_sense_are_told_so() {
    let upstream = Upstream::start();
    let only = format!(
        "builtins: false\nupstreams: {{up: {{urls: [{}]}}}}\nchannels:\n  - {{name: chan, upstream: up}}\n",
        upstream.url()
    );
    let gate = Setup::rules(&only).start();
    for (question, says) in [
        (&[][..], "`url` or a `spec`"),
        (&[("url", "/a/noarch/a-1-0.conda"), ("spec", "a")], "`url` or a `spec`"),
        (&[("url", "/a/noarch/a-1-0.conda"), ("channel", "a")], "go with a `spec`"),
        (&[("spec", "xz >=")], "spec"),
        (&[("spec", "a"), ("name", "b")], "each once"),
        (&[("spec", "a"), ("subdir", "linux")], "not a subdir"),
        (&[("url", "/chan/noarch/repodata.json")], "package file"),
        (&[("url", "/chan/../x")], "segment"),
        (&[("url", "/no/where/at-1-0.conda")], "package file"),
        (&[("url", "/unknown/noarch/at-1-0.conda")], "no rule places"),
        (&[("spec", "unknown::xz")], "no rule places"),
    ] {
        let problem = gate.get(&page(question)).expect_problem(400);
        assert!(text(&problem["detail"]).contains(says), "{question:?}: {problem}");
    }
    gate.get("/-/api/v1/nothing").expect_problem(404);
}

#[test]
fn strangers_are_told_nothing() {
    let Some(outside) = outside_address() else {
        skipped("this machine has no address but loopback");
        return;
    };
    let home = Home::new();
    home.write_rules("builtins: false\n");
    let gate = Process::serve_with(home, &["--listen", &format!("{outside}:0")]);
    let stranger = *gate.addresses().iter().find(|a| a.ip() == outside).expect("the second address");
    let page = page(&[("spec", "xz")]);
    Request::get(&page).send(stranger).expect_problem(403);
    gate.get(&page).expect(200);
}

#[test]
fn the_command_line_says_the_same_with_a_gate_and_without() {
    let upstream = Upstream::start();
    channel().publish(&upstream);
    let home = Home::new();
    home.write_rules(&format!("{}{POLICY}", rules::all_from(&upstream)));
    let gate = Process::serve(home);
    gate.get("/chan/noarch/repodata.json").expect(200);
    let (data, dir) = (gate.home().data(), gate.home().rules());
    let explain = |what: &[&str]| {
        let place = ["--data", data.to_str().unwrap(), "--rules", dir.to_str().unwrap()];
        run(&[&["rules", "explain"], what, &place].concat())
    };
    let questions = [("url", "/chan/noarch/xz-5.6.0-0.conda"), ("spec", "chan::xz")];
    let ask = |(_, what): (&str, &str)| -> Value {
        let output = explain(&[what, "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", text_of(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let online = questions.map(ask);
    assert_eq!(online, questions.map(|question| gate.get(&page(&[question])).json()));
    let said = text_of(&explain(&["chan::xz >=5.6"]));
    assert!(said.starts_with("3 records in 1 index fit `xz >=5.6`: 1 shown, 2 not\n"), "{said}");
    assert!(said.contains("not shown: `recall` ("), "{said}");
    let said = text_of(&explain(&["/chan/noarch/xz-5.6.0-0.conda"]));
    assert!(said.starts_with("`xz-5.6.0-0.conda` of `chan/noarch` is denied by the rule `recall`"), "{said}");
    assert!(said.contains("50-test.yaml:") && said.contains("Reason: CVE-2024-3094"), "{said}");
    assert_eq!(explain(&["xz >="]).status.code(), Some(1));
    let as_user = explain(&["xz", "--as", "anna"]);
    assert_eq!(as_user.status.code(), Some(1), "{}", text_of(&as_user));
    assert!(text_of(&as_user).contains("there is no user `anna`"), "{}", text_of(&as_user));

    let home = gate.stop();
    let before = files_below(&home.data());
    assert_eq!(questions.map(ask), online);
    assert_eq!(files_below(&home.data()), before, "explaining leaves no trace");
    let nowhere = home.path("nowhere");
    let output = run(&["rules", "explain", "xz", "--data", nowhere.to_str().unwrap()]);
    assert!(text_of(&output).contains("no such index here yet"), "{}", text_of(&output));
    assert!(!nowhere.exists());
}
