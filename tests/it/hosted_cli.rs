//! `condagate channel | package`, and the API behind them: the team's own channels from the command line and over `/-/api/v1`.

use std::fs;

use serde_json::{Value, json};

use crate::harness::channel::Package;
use crate::harness::{Gate, Request, Setup, Society, Upstream, eventually_true, package, rules};
use crate::people_cli::{done, ends_with, json_of};

fn gate() -> (Upstream, Gate) {
    let upstream = Upstream::start();
    let gate = Setup::rules(&rules::all_from(&upstream)).start();
    (upstream, gate)
}

fn files(rows: &Value) -> Vec<String> {
    let row = |row: &Value| {
        format!(
            "{}/{} {}",
            row["subdir"].as_str().unwrap(),
            row["file"].as_str().unwrap(),
            row["state"].as_str().unwrap()
        )
    };
    rows.as_array().unwrap().iter().map(row).collect()
}

/// A channel with two packages, and where they came from.
struct Imported {
    _upstream: Upstream,
    gate: Gate,
    source: tempfile::TempDir,
    alpha: Package,
    beta: Package,
}

/// As quetz and Anaconda Repository lay them down, and something that is no package.
fn imported() -> Imported {
    let (upstream, gate) = gate();
    let source = tempfile::tempdir().unwrap();
    let (alpha, beta) = (package("alpha", "1.0").build("noarch"), package("beta", "2.0").build("linux-64"));
    for (dir, file, bytes) in [
        ("channels/old/noarch", alpha.file.as_str(), &alpha.bytes[..]),
        ("owner/beta/2.0", &beta.file, &beta.bytes),
        ("", "broken-1.0-0.conda", b"no package"),
        ("", "notes.txt", b"text"),
    ] {
        fs::create_dir_all(source.path().join(dir)).unwrap();
        fs::write(source.path().join(dir).join(file), bytes).unwrap();
    }
    let home = gate.home();
    let said =
        done(home, &["channel", "create", "team", "--public", "--description", "Ours", "--owns", "acme-*"]);
    assert!(
        said.contains("everybody may read it") && said.contains("condagate channel grant team"),
        "{said}"
    );
    let from = source.path().display().to_string();
    let planned = ends_with_json(home, 0, &["channel", "import", "team", &from, "--dry-run"]);
    assert_eq!((&planned["taken"], &planned["dry_run"]), (&json!(3), &json!(true)));
    let account = ends_with_json(home, 1, &["channel", "import", "team", &from]);
    assert_eq!((&account["taken"], &account["were_there"]), (&json!(2), &json!(0)));
    assert_eq!(account["refused"].as_array().unwrap().len(), 1, "{account}");
    assert!(account["refused"][0]["why"].as_str().unwrap().contains("nothing was published"));
    Imported { _upstream: upstream, gate, source, alpha, beta }
}

#[test]
fn an_import_goes_on_where_it_was() {
    let Imported { gate, source, alpha, beta, .. } = &imported();
    let home = gate.home();
    fs::remove_file(source.path().join("broken-1.0-0.conda")).unwrap();
    let from = source.path().display().to_string();
    let again = ends_with_json(home, 0, &["channel", "import", "team", &from]);
    assert_eq!((&again["taken"], &again["were_there"]), (&json!(0), &json!(2)));
    let listed = files(&json_of(home, &["package", "list", "team"]));
    assert_eq!(listed, [format!("linux-64/{} listed", beta.file), format!("noarch/{} listed", alpha.file)]);
    // The channel was made a moment ago, beside the gate: its packages are there at once all the same.
    assert_eq!(gate.get(&format!("/team/noarch/{}", alpha.file)).expect(200), alpha.bytes);
    ends_with(home, 1, &["channel", "import", "team", "/nowhere/at/all"], "");
}

#[test]
fn packages_are_looked_after_from_the_command_line() {
    let Imported { gate, alpha, .. } = &imported();
    let (home, place) = (gate.home(), format!("noarch/{}", alpha.file));
    done(home, &["package", "yank", "team", &place, "--reason", "wrong data"]);
    let index = || gate.get("/team/noarch/repodata.json").json();
    eventually_true("the yanked one is out", || index()["removed"] == json!([alpha.file]));
    assert_eq!(gate.get(&format!("/team/{place}")).expect(200), alpha.bytes, "lock files");
    done(home, &["package", "restore", "team", &place]);
    eventually_true("it is back", || index()["packages.conda"].get(&alpha.file).is_some());
    let labels = json_of(home, &["package", "promote", "team", &place, "--to", "rc", "--from", "main"]);
    assert_eq!(labels["labels"], json!(["rc"]));
    ends_with(home, 2, &["package", "promote", "team", &place, "--to", "no label!"], "");
    done(home, &["channel", "create", "prod", "--public"]);
    assert_eq!(json_of(home, &["package", "copy", "team", &place, "prod"])["changed"], true);
    assert_eq!(json_of(home, &["package", "copy", "team", &place, "prod"])["changed"], false);
    eventually_true("the copy is served", || gate.get(&format!("/prod/{place}")).status == 200);
    ends_with(home, 2, &["package", "delete", "team", &place], "");
    done(home, &["package", "delete", "team", &place, "--yes"]);
    eventually_true("the deleted one is gone", || gate.get(&format!("/team/{place}")).status == 404);
    assert_eq!(gate.get(&format!("/prod/{place}")).status, 200);
    let kinds = json_of(home, &["audit", "list", "--kind", "package.yank"]);
    assert!(kinds[0]["detail"].to_string().contains("wrong data"), "{kinds}");
}

#[test]
fn channels_are_set_and_deleted_from_the_command_line() {
    let (_upstream, gate) = gate();
    let home = gate.home();
    done(home, &["channel", "create", "team", "--public", "--owns", "acme-*"]);
    ends_with(home, 1, &["channel", "create", "team"], "");
    ends_with(home, 2, &["channel", "create", "api"], "");
    eventually_true("it is there", || gate.get("/team/noarch/repodata.json").status == 200);
    let set = json_of(
        home,
        &["channel", "set", "team", "--public", "off", "--quota", "1GiB", "--require", "license"],
    );
    assert_eq!((&set["public"], &set["quota"]), (&json!(false), &json!(1_u64 << 30)));
    let settings = &set["settings"];
    assert_eq!(
        (&settings["owns"], &settings["upload"]["require"]),
        (&json!(["acme-*"]), &json!(["license"]))
    );
    eventually_true("it is private", || gate.get("/team/noarch/repodata.json").status == 401);
    ends_with(home, 2, &["channel", "delete", "team"], "");
    done(home, &["channel", "delete", "team", "--yes"]);
    ends_with(home, 1, &["package", "list", "team"], "");
    done(home, &["channel", "restore", "team"]);
}

/// The JSON of a command that ends with this code.
fn ends_with_json(home: &crate::harness::Home, code: i32, arguments: &[&str]) -> Value {
    let output = crate::people_cli::output(home, &[arguments, &["--json"]].concat(), "");
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_api_does_what_the_command_line_does() {
    let (_upstream, gate) = gate();
    let society = Society::of(gate.home(), gate.now());
    let root = society.superuser("root").token("root", &["manage:*"]).secret;
    let ask = |method: &str, path: &str, body: Option<Value>| {
        let request = Request::new(method, &format!("/-/api/v1/{path}"));
        let request = request.header("Authorization", &format!("Bearer {root}"));
        gate.ask(&match body {
            Some(body) => request.json(&body),
            None => request.header("Content-Length", "0"),
        })
    };
    let made = ask("POST", "channels", Some(json!({"name": "lab/team", "description": "Ours"})));
    assert_eq!((made.status, &made.json()["name"]), (201, &json!("lab/team")));
    ask("POST", "channels", Some(json!({"name": "lab/team"}))).expect_problem(409);
    ask("POST", "channels", Some(json!({"name": "Bad Name"}))).expect_problem(422);
    ask("POST", "channels", Some(json!({"nmae": "x"}))).expect_problem(422);
    let alpha = package("alpha", "1.0").build("noarch");
    let put = Request::new("PUT", &format!("/lab/team/noarch/{}", alpha.file));
    let put = put.header("Authorization", &format!("Bearer {root}"));
    assert_eq!(gate.ask(&put.body(&alpha.bytes)).status, 201);
    let packages = ask("GET", "channels/lab/team/-/packages", None).json();
    assert_eq!(files(&packages["packages"]), [format!("noarch/{} listed", alpha.file)]);
    let one = format!("channels/lab/team/-/packages/noarch/{}", alpha.file);
    let shown = ask("GET", &one, None).json();
    assert_eq!(shown["record"]["name"], "alpha");
    for (query, count) in
        [("name=alp", 1), ("spec=alpha%3E%3D1", 1), ("spec=alpha%3E%3D2", 0), ("file=nowhere", 0)]
    {
        let found = ask("GET", &format!("search?{query}"), None).json();
        assert_eq!(found["found"].as_array().unwrap().len(), count, "{query}: {found}");
    }
    ask("GET", "search", None).expect_problem(422);
    assert_eq!(ask("POST", &format!("{one}/yank"), Some(json!({"reason": "wrong"}))).json()["changed"], true);
    assert_eq!(ask("POST", &format!("{one}/restore"), None).json()["changed"], true);
    assert_eq!(
        ask("POST", &format!("{one}/labels"), Some(json!({"add": ["rc"]}))).json()["labels"],
        json!(["main", "rc"])
    );
    strangers_are_told_nothing(&gate, &one);
    ask("PATCH", "channels/lab/team", Some(json!({"public": true, "quota": 5}))).expect(200);
    assert_eq!(gate.get("/-/api/v1/channels/lab/team").json()["quota"], 5);
    ask("PATCH", "channels/lab/team", Some(json!({"quota": null}))).expect(200);
    assert_eq!(gate.get("/-/api/v1/channels/lab/team").json()["quota"], Value::Null);
    ask("DELETE", "channels/lab/team", None).expect_problem(422);
    assert_eq!(ask("DELETE", "channels/lab/team?confirm=lab/team", None).json()["changed"], true);
    ask("GET", "channels/lab/team", None).expect_problem(404);
    assert_eq!(ask("POST", "channels/lab/team/-/restore", None).json()["changed"], true);
}

/// Of what is private.
fn strangers_are_told_nothing(gate: &Gate, one: &str) {
    for path in ["channels/lab/team", one] {
        assert_eq!(gate.get(&format!("/-/api/v1/{path}")).status, 401, "{path}");
    }
    assert_eq!(gate.get("/-/api/v1/channels").json()["channels"], json!([]));
    assert_eq!(gate.get("/-/api/v1/search?name=alpha").json()["found"], json!([]));
}
