//! An index that is made of what changed is the index that is made of everything.

use condagate::store::model::{ChannelId, PackageState};

use crate::harness::process::{run, text_of};
use crate::harness::{Gate, Home, Setup, Stock, Stocked, View, eventually_true, package};
use crate::hosted::Scene;

/// A generator of its own, so that a failure comes back.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// Every form of an index, with what was answered.
fn snapshot(gate: &Gate, channel: &str) -> Vec<(String, (u16, Vec<u8>))> {
    let get = |form: &str| {
        let answer = View::of(gate, channel, "noarch").get(form);
        let status = answer.status;
        (form.to_owned(), (status, if status == 200 { answer.body } else { Vec::new() }))
    };
    [
        "repodata.json",
        "repodata.json.zst",
        "current_repodata.json",
        "repodata_shards.msgpack.zst",
        "run_exports.json.zst",
    ]
    .map(get)
    .into()
}

fn change(stock: &Stock, dice: &mut Dice, all: &mut Vec<Stocked>, id: &ChannelId) {
    let labels: [&[&str]; 4] = [&[], &["rc"], &["main", "rc"], &["other"]];
    if all.len() < 4 || dice.below(3) == 0 {
        let recipe =
            package(["alpha", "beta", "gamma"][dice.below(3)], &format!("1.{}", dice.below(1 << 30)));
        let recipe = if dice.below(3) == 0 { recipe.tar_bz2() } else { recipe };
        return all.push(stock.put(id, "noarch", &recipe, labels[dice.below(4)]));
    }
    let at = dice.below(all.len());
    match dice.below(5) {
        0 => all[at] = stock.set(&all[at], PackageState::Yanked),
        1 => all[at] = stock.set(&all[at], PackageState::Deleted),
        2 => all[at] = stock.set(&all[at], PackageState::Listed),
        3 => {
            let labels = labels[dice.below(4)].iter().map(|&label| label.to_owned()).collect();
            all[at] = stock.change(&all[at], |row| row.labels = labels);
        }
        _ => stock.forget(&all.swap_remove(at)),
    }
}

#[test]
fn what_is_made_of_changes_is_what_is_made_of_everything() {
    let scene = Scene::new("");
    let id = scene.public("team");
    let (mut dice, mut all) = (Dice(7), Vec::new());
    let mut last = Vec::new();
    for n in 0..40 {
        for _ in 0..=dice.below(3) {
            change(&scene.stock, &mut dice, &mut all, &id);
        }
        // The gate hears of what is written beside it within a second; a mark in the index says that it has.
        let mark = scene.stock.put(&id, "noarch", &package("mark", &format!("{n}")), &["main", "rc"]);
        for channel in ["team", "team/label/rc"] {
            eventually_true("the change is there", || {
                scene.view(channel, "noarch").get("repodata.json").text().contains(&mark.row.file)
            });
        }
        all.push(mark);
        if n % 4 == 3 {
            scene.view("team", "noarch").agreed();
        }
    }
    for channel in ["team", "team/label/rc"] {
        last.push(snapshot(&scene.gate, channel));
    }
    let home = scene.gate.stop();
    std::fs::remove_dir_all(home.data().join("cache/generations")).unwrap();
    let gate = Setup::again(home).start();
    for (channel, before) in ["team", "team/label/rc"].into_iter().zip(last) {
        eventually_true("the store was read", || {
            View::of(&gate, channel, "noarch").get("repodata.json").status == 200
        });
        for ((form, was), (_, is)) in before.into_iter().zip(snapshot(&gate, channel)) {
            assert!(was == is, "{channel} {form}");
        }
    }
}

/// The value of a counter without labels.
fn counted(gate: &Gate, name: &str) -> u64 {
    let page = gate.get("/-/metrics").text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.expect("a counter").parse().unwrap()
}

#[test]
fn one_more_package_reads_no_others() {
    let scene = Scene::new("");
    let id = scene.public("team");
    let mut all: Vec<_> =
        (0..60).map(|n| scene.stock.put(&id, "noarch", &package("alpha", &format!("1.{n}")), &[])).collect();
    scene.until_listed("team", "noarch", &all.iter().collect::<Vec<_>>());
    let before = counted(&scene.gate, "condagate_hosted_rows_read_total");
    assert!(before >= 60, "{before}");
    all.push(scene.stock.put(&id, "noarch", &package("beta", "1"), &[]));
    scene.until_listed("team", "noarch", &all.iter().collect::<Vec<_>>());
    all[0] = scene.stock.set(&all[0], PackageState::Yanked);
    scene.until_listed("team", "noarch", &all[1..].iter().collect::<Vec<_>>());
    let read = counted(&scene.gate, "condagate_hosted_rows_read_total") - before;
    assert!(read < 10, "{read} rows were read for two that changed");
}

#[test]
fn explanations_know_what_was_uploaded_a_moment_ago() {
    let scene = Scene::new("");
    let id = scene.public("team");
    let explain = |question: &str| -> serde_json::Value {
        serde_json::from_slice(&scene.gate.get(&format!("/-/api/v1/explain?{question}")).expect(200)).unwrap()
    };
    let alpha = scene.stock.put(&id, "linux-64", &package("alpha", "1"), &[]);
    let file = format!("url=/team/linux-64/{}", alpha.row.file);
    // Nobody has asked for an index of that subdir.
    eventually_true("the gate hears of it", || explain(&file)["state"] == "shown");
    let beta = scene.stock.put(&id, "osx-64", &package("beta", "1"), &[]);
    for spec in ["spec=beta", "spec=team::beta", "spec=beta&channel=team&subdir=osx-64"] {
        eventually_true("it is found", || {
            let found = explain(spec);
            found["records"].as_array().is_some_and(|all| all.len() == 1 && all[0]["file"] == *beta.row.file)
        });
    }
}

#[test]
fn an_older_store_that_is_put_back_has_its_own_index() {
    let scene = Scene::new("");
    let id = scene.public("team");
    let alpha = scene.stock.put(&id, "noarch", &package("alpha", "1"), &[]);
    scene.until_listed("team", "noarch", &[&alpha]);
    let home = scene.gate.stop();
    let db = |home: &Home, arguments: &[&str]| {
        let data = home.data();
        let output = run(&[&["db"], arguments, &["--data", data.to_str().unwrap()]].concat());
        assert!(output.status.success(), "{}", text_of(&output));
    };
    let dump = home.path("then.dump");
    let dump = dump.to_str().unwrap();
    db(&home, &["dump", dump]);
    let gate = Setup::again(home).start();
    let stock = Stock::of(&gate);
    let listed = |gate: &Gate, subdir: &str, file: &str| {
        View::of(gate, "team", subdir).get("repodata.json").text().contains(file)
    };
    // One beside what the dump has, and one where it has nothing.
    let beta = stock.put(&id, "noarch", &package("beta", "1"), &[]);
    let gamma = stock.put(&id, "linux-64", &package("gamma", "1"), &[]);
    eventually_true("both are listed", || {
        listed(&gate, "noarch", &beta.row.file) && listed(&gate, "linux-64", &gamma.row.file)
    });
    let home = gate.stop();
    db(&home, &["load", "--replace", dump]);
    let gate = Setup::again(home).start();
    eventually_true("alpha is listed", || listed(&gate, "noarch", &alpha.row.file));
    assert!(!listed(&gate, "noarch", &beta.row.file));
    assert_eq!(View::of(&gate, "team", "linux-64").get("repodata.json").status, 404);
}
