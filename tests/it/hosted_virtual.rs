//! Virtual channels with hosted members: what is published is in them at once, and owned names come from their owners only.

use condagate::policy::access::Right;
use condagate::store::model::PackageState;

use crate::harness::people::Society;
use crate::harness::{Channel, Publishers, Request, Setup, package};
use crate::hosted::Scene;

const PROD: &str = "channels:\n  - {name: team, hosted: true, owns: [\"acme-*\"]}\n  - {name: prod, virtual: [team, theirs], priority: flexible}\n  - {name: outer, virtual: [stock, prod], priority: flexible}\n";

#[test]
fn a_team_name_never_comes_from_upstream() {
    let scene = Scene::new(PROD);
    let id = scene.stock.channel("team", true);
    let a = scene.stock.put(&id, "noarch", &package("alpha", "1"), &[]);
    scene.until_listed("team", "noarch", &[&a]);
    for name in ["prod", "outer"] {
        let view = scene.view(name, "noarch");
        let records = view.agreed();
        assert_eq!(records[&a.row.file], a.record(), "{name}");
        assert!(records.contains_key("foreign-9.9-0.conda"), "{name}");
        assert!(!records.contains_key("acme-tool-9.9-0.conda"), "{name}: an owned name from upstream");
        assert_eq!(view.get("repodata.json").must("cache-control"), "no-cache");
        assert_eq!(view.get(&a.row.file).expect(200), a.bytes);
        let status = view.get("acme-tool-9.9-0.conda").status;
        assert!(status == 403 || status == 404, "{name}: {status}");
    }
    // One of the team's own.
    let own = scene.stock.put(&id, "noarch", &package("acme-tool", "1.0"), &[]);
    scene.until_listed("team", "noarch", &[&a, &own]);
    for name in ["prod", "outer"] {
        let records = scene.view(name, "noarch").agreed();
        assert_eq!(records[&own.row.file], own.record(), "{name}");
        assert!(!records.contains_key("acme-tool-9.9-0.conda"), "{name}");
    }
    let yanked = scene.stock.set(&own, PackageState::Yanked);
    scene.until_listed("team", "noarch", &[&a]);
    for name in ["prod", "outer"] {
        let view = scene.view(name, "noarch");
        assert!(!view.agreed().contains_key(&yanked.row.file), "{name}");
        assert_eq!(view.get(&yanked.row.file).expect(200), own.bytes, "{name}: lock files need it");
        assert!(!view.agreed().contains_key("acme-tool-9.9-0.conda"), "{name}");
    }
    // Where only the hosted member has a subdir that comes later.
    scene.view("prod", "osx-arm64").get("repodata.json").expect_problem(404);
    let mac = scene.stock.put(&id, "osx-arm64", &package("mac", "1"), &[]);
    scene.until_listed("team", "osx-arm64", &[&mac]);
    assert_eq!(scene.view("prod", "osx-arm64").agreed()[&mac.row.file], mac.record());
    assert_eq!(scene.view("outer", "osx-arm64").agreed().len(), 1);
}

#[test]
fn channels_of_the_store_own_names_too_and_keep_them_when_deleted() {
    let scene = Scene::new("channels:\n  - {name: prod, virtual: [theirs, stock]}\n");
    let id = scene.stock.channel_with("stock", true, "{\"owns\": [\"acme-*\", \"no good\"], \"other\": 1}");
    let a = scene.stock.put(&id, "noarch", &package("acme-tool", "1.0"), &[]);
    scene.until_hosted("stock");
    scene.until_listed("stock", "noarch", &[&a]);
    let files = || scene.view("prod", "noarch").agreed().into_keys().collect::<Vec<_>>();
    assert_eq!(
        files(),
        [a.row.file.clone(), "foreign-9.9-0.conda".to_owned()],
        "although the other one is first"
    );
    let explained = scene.gate.get("/-/api/v1/explain?spec=acme-tool&channel=prod&subdir=noarch").json();
    assert!(explained.to_string().contains("`owns` of `prod` lets only `stock` answer"), "{explained}");
    scene.stock.delete_channel(&id);
    crate::harness::eventually_true("it is left out", || {
        !scene.view("prod", "noarch").get("repodata.json").text().contains(&a.row.file)
    });
    assert_eq!(files(), ["foreign-9.9-0.conda"]);
    scene.view("prod", "noarch").get(&a.row.file).expect_problem(404);
}

#[test]
fn a_view_of_the_past_has_what_was_uploaded_by_then() {
    let scene = Scene::new(
        "channels:\n  - {name: team, hosted: true}\n  - {name: then, virtual: [team], as_of: \"2026-11-05T00:00:00Z\"}\n",
    );
    let id = scene.stock.channel("team", true);
    let early = scene.stock.put(&id, "noarch", &package("early", "1"), &[]);
    let mut late = scene.stock.row(&id, "noarch", &package("late", "1"), &[]);
    late.row.uploaded_at.0 += 2 * 86_400_000;
    scene.stock.keep(&late);
    scene.stock.add(&late);
    scene.until_listed("team", "noarch", &[&early, &late]);
    assert_eq!(scene.view("then", "noarch").agreed().into_keys().collect::<Vec<_>>(), [early.row.file]);
}

#[test]
fn reading_a_virtual_channel_needs_reading_its_hosted_members() {
    let scene = Scene::new(PROD);
    let society = Society::of(scene.gate.home(), scene.gate.now());
    society.user("ada");
    let token = society.token("ada", &["read:*"]);
    let asks = || {
        let index = Request::get("/prod/noarch/repodata.json");
        scene.gate.ask(&index.header("Authorization", &format!("Bearer {}", token.secret)))
    };
    scene.view("prod", "noarch").get("repodata.json").expect_problem(401);
    asks().expect_problem(403);
    society.grant("team", "ada", Right::Read);
    crate::harness::eventually_true("the grant counts", || asks().status == 200);
    scene.view("prod", "noarch").get("repodata.json").expect_problem(401);
}

#[test]
fn what_looks_like_an_owned_name_comes_from_the_owner_only() {
    let scene = Scene::new(PROD);
    Channel::new("theirs")
        .with("noarch", &package("acme_tool", "9.9"))
        .with("noarch", &package("acrne-tool", "9.9"))
        .with("noarch", &package("acmetool", "9.9"))
        .publish(&scene.upstream);
    let id = scene.stock.channel("team", true);
    let own = scene.stock.put(&id, "noarch", &package("acme-tool", "1"), &[]);
    let odd = scene.stock.put(&id, "noarch", &package("acme.tool", "1"), &[]);
    scene.until_listed("team", "noarch", &[&own, &odd]);
    for name in ["prod", "outer"] {
        let view = scene.view(name, "noarch");
        let files: Vec<_> = view.agreed().into_keys().filter(|file| !file.starts_with("foreign")).collect();
        assert_eq!(files, ["acme-tool-1-0.conda", "acme.tool-1-0.conda", "acmetool-9.9-0.conda"], "{name}");
        let refused = view.get("acrne-tool-9.9-0.conda").expect_problem(403);
        assert!(refused["detail"].as_str().unwrap().contains("looks like a name"), "{refused}");
    }
    let explained = scene.gate.get("/-/api/v1/explain?url=/prod/noarch/acme_tool-9.9-0.conda").text();
    assert!(explained.contains("which looks like one of theirs"), "{explained}");
}

#[test]
fn what_looks_like_an_owned_name_is_not_taken_elsewhere() {
    let hosted =
        Publishers::of(Setup::rules("channels:\n  - {name: team, hosted: true, owns: [\"acme-*\"]}\n"));
    let put = |channel: &str, name: &str| {
        let package = package(name, "1.0").build("noarch");
        let request = Request::new("PUT", &format!("/{channel}/noarch/{}", package.file));
        hosted.ask(request.body(&package.bytes))
    };
    for (channel, name) in [
        ("team", "acme-x"),
        ("team", "acme_x"),
        ("team/dev", "acme-x"),
        ("team/dev", "acmex"),
        ("team/dev", "numpy"),
    ] {
        put(channel, name).expect(201);
    }
    for name in ["acme_x", "acme.x", "acrne-x"] {
        let problem = put("team/dev", name).expect_problem(403);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("`{name}` looks like `acme-*`")), "{detail}");
    }
}
