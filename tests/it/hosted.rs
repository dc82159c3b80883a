//! Channels that the gate hosts: what is in the store is served in every form, and nothing of it comes from an upstream.

use std::collections::BTreeSet;

use condagate::store::model::{ChannelId, PackageState};
use serde_json::json;

use crate::harness::views::Records;
use crate::harness::{
    Channel, Gate, Request, Setup, Stock, Stocked, Upstream, View, eventually, eventually_true, package,
    rules,
};

/// A gate whose catch-all upstream has a channel of every name that tests host.
pub struct Scene {
    pub upstream: Upstream,
    pub gate: Gate,
    pub stock: Stock,
}

impl Scene {
    /// `rules` beside the upstream that answers for everything else.
    pub fn new(more: &str) -> Self {
        Self::with(more, |setup| setup)
    }

    pub fn with(more: &str, tune: impl FnOnce(Setup) -> Setup) -> Self {
        let upstream = Upstream::start();
        for name in ["team", "stock", "theirs"] {
            let theirs = Channel::new(name)
                .with("noarch", &package("foreign", "9.9"))
                .with("noarch", &package("acme-tool", "9.9"))
                .with("linux-64", &package("foreign", "9.9"));
            theirs.publish(&upstream);
        }
        let all = rules::all_from(&upstream);
        let text = match more.strip_prefix("channels:\n") {
            Some(_) => all.replacen("channels:\n", more, 1),
            None => format!("{all}{more}"),
        };
        let gate = tune(Setup::rules(&text)).start();
        let stock = Stock::of(&gate);
        Self { upstream, gate, stock }
    }

    /// A public channel of the store that the gate has heard of.
    pub fn public(&self, name: &str) -> ChannelId {
        let id = self.stock.channel(name, true);
        self.until_hosted(name);
        id
    }

    pub fn until_hosted(&self, name: &str) {
        eventually_true("the gate knows the channel", || {
            let answer = self.view(name, "noarch").get("repodata.json");
            answer.status == 200 && !answer.text().contains("foreign")
        });
    }

    pub fn view<'a>(&'a self, channel: &'a str, subdir: &'a str) -> View<'a> {
        View::of(&self.gate, channel, subdir)
    }

    /// Until the index lists exactly these, as every form of it says.
    pub fn until_listed(&self, channel: &str, subdir: &str, all: &[&Stocked]) -> Records {
        let files: BTreeSet<_> = all.iter().map(|one| one.row.file.clone()).collect();
        eventually("the index lists what is there", || {
            let answer = self.view(channel, subdir).get("repodata.json");
            // Before the gate has heard of it, there may be nothing at all.
            let document: serde_json::Value = (answer.status == 200).then(|| answer.json())?;
            let listed: BTreeSet<String> = ["packages", "packages.conda"]
                .iter()
                .flat_map(|group| document[group].as_object().unwrap().keys().cloned())
                .collect();
            (listed == files).then_some(())
        });
        self.view(channel, subdir).agreed()
    }
}

#[test]
fn what_is_in_the_store_is_served_in_every_form() {
    let scene = Scene::new("");
    let id = scene.public("team");
    let before = scene.upstream.total();
    assert!(scene.view("team", "noarch").agreed().is_empty(), "noarch is there from the start");
    scene.view("team", "linux-64").get("repodata.json").expect_problem(404);
    let a = scene.stock.put(&id, "noarch", &package("alpha", "1.0").needs("beta"), &[]);
    let old = scene.stock.put(&id, "noarch", &package("alpha", "0.9").tar_bz2(), &["main", "dev"]);
    let b = scene.stock.put(&id, "linux-64", &package("beta", "1.0"), &[]);
    let records = scene.until_listed("team", "noarch", &[&a, &old]);
    assert_eq!(records[&a.row.file], a.record());
    assert_eq!(records[&old.row.file], old.record());
    scene.until_listed("team", "linux-64", &[&b]);
    for (subdir, one) in [("noarch", &a), ("noarch", &old), ("linux-64", &b)] {
        let path = scene.view("team", subdir).path(&one.row.file);
        let answer = scene.gate.get(&path);
        assert!(answer.must("cache-control").contains("max-age"));
        assert_eq!(answer.expect(200), one.bytes);
        let part = scene.gate.ask(&Request::get(&path).header("Range", "bytes=10-19"));
        assert_eq!(part.expect(206), one.bytes[10..20]);
        assert!(scene.gate.ask(&Request::new("HEAD", &path)).expect(200).is_empty());
    }
    for form in ["repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst", "current_repodata.json"]
    {
        let answer = scene.view("team", "noarch").get(form);
        assert_eq!(answer.must("cache-control"), "no-cache", "{form}");
        let again = Request::get(&scene.view("team", "noarch").path(form));
        scene.gate.ask(&again.header("If-None-Match", answer.must("etag"))).expect(304);
    }
    for absent in ["patch_instructions.json", "foreign-9.9-0.conda", "alpha-1.0-0.conda.sigs"] {
        scene.view("team", "noarch").get(absent).expect_problem(404);
    }
    for present in ["channeldata.json", "rss.xml"] {
        assert!(!scene.gate.get(&format!("/team/{present}")).text().contains("foreign"));
    }
    let notices: serde_json::Value =
        serde_json::from_slice(&scene.gate.get("/team/notices.json").expect(200)).unwrap();
    assert_eq!(notices, json!({"notices": []}));
    assert_eq!(scene.upstream.total(), before, "nothing was asked of an upstream");
}

#[test]
fn unpatched_records_are_those_of_the_index() {
    let scene = Scene::new(
        "policy:\n  - {id: fix, channels: [patched], patch: {match: {names: [alpha]}, add_depends: [gamma]}}\n",
    );
    for name in ["team", "patched"] {
        let id = scene.public(name);
        let a = scene.stock.put(&id, "noarch", &package("alpha", "1.0"), &[]);
        let shown = scene.until_listed(name, "noarch", &[&a]);
        let raw = scene.view(name, "noarch").get("repodata_from_packages.json").expect(200);
        let raw: serde_json::Value = serde_json::from_slice(&raw).unwrap();
        assert_eq!(raw["packages.conda"][&a.row.file], a.record(), "{name}");
        assert_eq!(shown[&a.row.file] == a.record(), name == "team", "{name}");
    }
}

#[test]
fn yanked_files_leave_the_index_and_deleted_ones_are_gone() {
    let scene = Scene::new("");
    let id = scene.public("team");
    let [a, b, c] = ["a", "b", "c"].map(|name| scene.stock.put(&id, "noarch", &package(name, "1"), &[]));
    scene.until_listed("team", "noarch", &[&a, &b, &c]);
    let b = scene.stock.set(&b, PackageState::Yanked);
    let c = scene.stock.set(&c, PackageState::Deleted);
    scene.until_listed("team", "noarch", &[&a]);
    let view = scene.view("team", "noarch");
    assert_eq!(view.removed(), BTreeSet::from([b.row.file.clone()]));
    assert_eq!(view.get(&b.row.file).expect(200), b.bytes);
    view.get(&c.row.file).expect_problem(404);
    scene.stock.set(&b, PackageState::Listed);
    scene.until_listed("team", "noarch", &[&a, &b]);
    assert!(view.removed().is_empty());
    scene.stock.forget(&a);
    scene.stock.forget(&c);
    scene.until_listed("team", "noarch", &[&b]);
    view.get(&a.row.file).expect_problem(404);
    scene.stock.forget(&b);
    scene.until_listed("team", "noarch", &[]);
}

#[test]
fn what_was_yanked_before_the_gate_ever_saw_it_is_downloaded_too() {
    let scene = Scene::new("");
    let id = scene.stock.channel("team", true);
    let a = scene.stock.put(&id, "linux-64", &package("a", "1"), &[]);
    let a = scene.stock.set(&a, PackageState::Yanked);
    scene.until_hosted("team");
    let view = scene.view("team", "linux-64");
    // By its row, then by the table.
    assert_eq!(view.get(&a.row.file).expect(200), a.bytes);
    scene.until_listed("team", "linux-64", &[]);
    assert_eq!(view.removed(), BTreeSet::from([a.row.file.clone()]));
    assert_eq!(view.get(&a.row.file).expect(200), a.bytes);
}

#[test]
fn labels_are_views_of_their_own() {
    let scene = Scene::new("");
    let id = scene.public("team");
    let main = scene.stock.put(&id, "noarch", &package("main", "1"), &[]);
    let both = scene.stock.put(&id, "noarch", &package("both", "1"), &["dev", "main"]);
    let dev = scene.stock.put(&id, "linux-64", &package("dev", "1"), &["dev", "rc/1"]);
    for path in ["team", "team/label/main"] {
        scene.until_listed(path, "noarch", &[&main, &both]);
        scene.view(path, "linux-64").get("repodata.json").expect_problem(404);
        scene.view(path, "linux-64").get(&dev.row.file).expect_problem(404);
    }
    scene.until_listed("team/label/dev", "noarch", &[&both]);
    scene.until_listed("team/label/dev", "linux-64", &[&dev]);
    scene.until_listed("team/label/rc/1", "linux-64", &[&dev]);
    // Clients ask for noarch whatever is in it.
    scene.until_listed("team/label/rc/1", "noarch", &[]);
    scene.view("team/label/nobody", "noarch").get("repodata.json").expect_problem(404);
    assert_eq!(scene.view("team/label/dev", "linux-64").get(&dev.row.file).expect(200), dev.bytes);
    scene.view("team/label/dev", "noarch").get(&main.row.file).expect_problem(404);
    // Moved.
    let main = scene.stock.change(&main, |row| row.labels = vec!["nobody".to_owned()]);
    scene.until_listed("team", "noarch", &[&both]);
    scene.until_listed("team/label/nobody", "noarch", &[&main]);
    scene.view("team", "noarch").get(&main.row.file).expect_problem(404);
}

#[test]
fn rules_are_about_hosted_packages_as_about_others() {
    let scene = Scene::new(
        "policy:\n  - {id: recall, channels: [team], deny: {names: [bad]}}\n  - {id: young, channels: [team], hide: {younger_than: 7d, names: [new]}}\n",
    );
    let id = scene.stock.channel("team", true);
    let [good, bad, new] =
        ["good", "bad", "new"].map(|name| scene.stock.put(&id, "noarch", &package(name, "1"), &[]));
    let view = scene.view("team", "noarch");
    let yanked = scene.stock.put(&id, "noarch", &package("bad", "2"), &[]);
    scene.stock.set(&yanked, PackageState::Yanked);
    eventually_true("the gate knows the channel", || view.get(&good.row.file).status == 200);
    for _ in 0..2 {
        // By rows before there is an index, by its table then.
        view.get(&bad.row.file).expect_problem(403);
        view.get(&new.row.file).expect_problem(403);
        view.get(&yanked.row.file).expect_problem(403);
        assert_eq!(view.get(&good.row.file).expect(200), good.bytes);
        scene.until_listed("team", "noarch", &[&good]);
    }
    let said = scene.gate.get(&format!("/-/api/v1/explain?url={}", view.path(&bad.row.file))).text();
    assert!(said.contains("recall") && said.contains("denied"), "{said}");
    let said = scene.gate.get(&format!("/-/api/v1/explain?url={}", view.path(&good.row.file))).text();
    assert!(said.contains("is in the index"), "{said}");
    scene.gate.advance(std::time::Duration::from_hours(24 * 8));
    scene.until_listed("team", "noarch", &[&good, &new]);
    assert_eq!(view.get(&new.row.file).expect(200), new.bytes);
}

#[test]
fn bytes_that_are_missing_are_trouble_and_never_looked_for_elsewhere() {
    let scene = Scene::new("");
    let id = scene.public("team");
    let lost = scene.stock.row(&id, "noarch", &package("foreign", "9.9"), &[]);
    scene.stock.add(&lost);
    let before = scene.upstream.total();
    scene.until_listed("team", "noarch", &[&lost]);
    let problem = scene.view("team", "noarch").get(&lost.row.file).expect_problem(503);
    assert!(problem.to_string().contains("missing"), "{problem}");
    let metrics = scene.gate.get("/-/metrics").text();
    assert!(metrics.contains("hosted_files_missing_total 1"), "{metrics}");
    assert_eq!(scene.upstream.total(), before);
    scene.stock.keep(&lost);
    assert_eq!(scene.view("team", "noarch").get(&lost.row.file).expect(200), lost.bytes);
}

/// What a row says is what counts, whatever its record says.
#[test]
fn records_can_not_lie_about_their_files() {
    let scene = Scene::new("");
    let id = scene.public("team");
    let honest = scene.stock.put(&id, "noarch", &package("honest", "1"), &[]);
    let mut liar = scene.stock.row(&id, "noarch", &package("liar", "1"), &[]);
    let mut said: serde_json::Value = serde_json::from_slice(&liar.row.record).unwrap();
    let truth = liar.record();
    said["sha256"] = json!("00".repeat(32));
    said["size"] = json!(1);
    said["indexed_timestamp"] = json!(1_000_000_000_000_u64);
    liar.row.record = serde_json::to_vec_pretty(&said).unwrap();
    scene.stock.keep(&liar);
    scene.stock.add(&liar);
    let mut broken = scene.stock.row(&id, "noarch", &package("broken", "1"), &[]);
    broken.row.record = b"{\"name\":".to_vec();
    scene.stock.add(&broken);
    let records = scene.until_listed("team", "noarch", &[&honest, &liar]);
    assert_eq!(records[&liar.row.file], truth);
    assert_eq!(scene.view("team", "noarch").get(&liar.row.file).expect(200), liar.bytes);
}

#[test]
fn nothing_is_asked_of_the_store_or_built_while_nothing_changes() {
    let scene = Scene::new("");
    let id = scene.public("team");
    let a = scene.stock.put(&id, "noarch", &package("a", "1"), &[]);
    scene.until_listed("team", "noarch", &[&a]);
    let other = scene.public("stock");
    let etag = || scene.view("team", "noarch").get("repodata.json").must("etag").to_owned();
    let first = etag();
    let b = scene.stock.put(&other, "noarch", &package("b", "1"), &[]);
    scene.until_listed("stock", "noarch", &[&b]);
    assert_eq!(etag(), first);
    // After a restart the index is what it was, and what was published meanwhile is in the first answer.
    let Scene { upstream: _upstream, gate, stock } = scene;
    let c = stock.put(&other, "noarch", &package("c", "1"), &[]);
    let home = gate.stop();
    let gate = Setup::again(home).start();
    let view = |channel| View::of(&gate, channel, "noarch");
    assert_eq!(view("team").get("repodata.json").must("etag"), first);
    assert_eq!(view("stock").records().len(), 2);
    assert_eq!(view("stock").get(&c.row.file).expect(200), c.bytes);
}
