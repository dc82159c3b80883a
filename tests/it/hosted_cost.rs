//! What one more package costs in a small hosted channel and in a large one.
//!
//! Belongs here: figures for people to look at, on demand. Does not: limits, which would depend on the machine.

use rusqlite::params;
use tokio::time::Instant;

use crate::harness::{Request, package};
use crate::hosted::Scene;

/// CPU seconds of this process, all threads.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().map(|at| fields[*at].parse::<f64>().expect("ticks")).sum();
    ticks / 100.0
}

#[test]
#[ignore = "takes minutes and shows figures: cargo test --release --test it hosted_cost -- --ignored --nocapture"]
fn one_more_package_in_channels_of_two_sizes() {
    for rows in [1_000, 100_000_u32] {
        let scene = Scene::new("");
        let id = scene.public("team");
        let model = scene.stock.row(&id, "noarch", &package("model", "1"), &[]);
        let mut db = rusqlite::Connection::open(scene.gate.home().data().join("store.db")).unwrap();
        db.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
        let all = db.transaction().unwrap();
        for n in 0..rows {
            let text = String::from_utf8(model.row.record.clone()).unwrap();
            // Four builds of each package, as channels have them.
            let name = format!("package-{}", n / 4);
            let text = text.replace("\"model\"", &format!("\"{name}\""));
            all.execute(
                "INSERT INTO packages (channel, subdir, file, sha256, size, record, labels, state, uploaded_by, uploaded_at, revision, changed)
                 VALUES (?1, 'noarch', ?2, ?3, ?4, ?5, '[]', 'listed', 'u', ?6, 1, 0)",
                params![id.as_str(), format!("{name}-{n}-0.conda"), model.row.sha256.0, model.row.size.cast_signed(), text.as_bytes(), n],
            )
            .unwrap();
        }
        all.execute("UPDATE counter SET value = value + 1", []).unwrap();
        all.execute("UPDATE packages SET changed = (SELECT value FROM counter) WHERE rowid = 1", []).unwrap();
        all.commit().unwrap();
        let files = |path: &str| scene.view("team", "noarch").get(path).expect(200);
        crate::harness::eventually_true("all are listed", || {
            files("repodata.json").len() > rows as usize * 100
        });
        files("repodata_shards.msgpack.zst");
        for round in 0..3 {
            let etag =
                || scene.gate.ask(&Request::head("/team/noarch/repodata.json")).must("etag").to_owned();
            let old = etag();
            scene.stock.put(&id, "noarch", &package("more", &format!("{round}")), &[]);
            // The follower hears of it within a second; the rest is the build.
            let (begun, before) = (Instant::now(), cpu());
            crate::harness::eventually_true("it is listed", || etag() != old);
            println!(
                "{rows} rows, one more: {:.2} s CPU, visible after {:.2?}",
                cpu() - before,
                begun.elapsed()
            );
        }
    }
}
