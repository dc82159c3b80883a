//! A disk that changes indexes: what rules refuse stays refused, and nothing is made of wrong bytes.
//!
//! Belongs here: every file of a generation that decides, damaged in every way, while the gate was away and while it ran. Does not: trouble
//! with writing (`own_disk`), package files (`hits`).

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::archive::noise;
use crate::harness::views::{by_file, unzst};
use crate::harness::{Channel, Gate, Home, Records, Setup, Upstream, eventually_true, package, rules};

/// Decided by what only the record says.
const POLICY: &str = "policy:\n  - {id: no-gpl, deny: {licenses: [GPL-3.0-only]}}\n";
/// The same with another revision: the records are asked, not the table.
const MORE: &str = "  - {id: more, deny: {names: [nobody]}}\n";
const DECIDING: [&str; 3] = ["packages.table", "withheld.json", "repodata.json"];
/// Of one length, so that only a digest tells.
const FREE: (&str, &str) = ("GPL-3.0-only", "BSD-3-Clause");

fn channel() -> Channel {
    channel_with(0)
}

/// With so much in a record that nothing packs.
fn channel_with(noisy: usize) -> Channel {
    let licensed = |record: &mut serde_json::Map<String, serde_json::Value>| {
        record.insert("license".into(), json!(FREE.0));
    };
    let large = |record: &mut serde_json::Map<String, serde_json::Value>| {
        record.insert("noise".into(), json!(hex::encode(noise("record", noisy))));
    };
    Channel::new("chan")
        .with_record("noarch", &package("alpha", "1.0"), large)
        .with_record("noarch", &package("beta", "1.0"), licensed)
        .with("noarch", &package("delta", "1.0"))
}

fn text(upstream: &Upstream, unlisted: &str, policy: &str) -> String {
    let all = rules::all_from(upstream);
    let own = format!(
        "channels:\n  - {{name: all, virtual: [chan, other]}}\n  \
         - {{name: chan, upstream: up, ttl: 20m, unlisted: {unlisted}}}\n"
    );
    all.replace("channels:\n", &own) + policy
}

/// What a gate left on its disk, to be put there again.
struct Scene {
    upstream: Upstream,
    home: Option<Home>,
    kept: tempfile::TempDir,
    /// The same files of a generation that no rule was about.
    open: Vec<(&'static str, Vec<u8>)>,
    unlisted: &'static str,
}

impl Scene {
    fn new(unlisted: &'static str) -> Self {
        Self::of(&channel(), unlisted)
    }

    fn of(channel: &Channel, unlisted: &'static str) -> Self {
        let upstream = Upstream::start();
        channel.publish(&upstream);
        Channel::new("other").with("noarch", &package("omega", "1.0")).publish(&upstream);
        let gate = Setup::rules(&text(&upstream, unlisted, "")).start();
        for name in ["alpha", "beta", "delta"] {
            gate.settle(&channel.path(name));
        }
        gate.get("/chan/noarch/repodata.json").expect(200);
        let dir = generation(gate.home(), "chan");
        let open = DECIDING.iter().map(|file| (*file, fs::read(dir.join(file)).unwrap())).collect();
        gate.set_rules(&text(&upstream, unlisted, POLICY)).unwrap();
        eventually_true("the rule acts on the index", || !lists_beta(&gate, "chan"));
        eventually_true("and on the merged one", || {
            gate.get("/all/noarch/repodata.json").status == 200 && !lists_beta(&gate, "all")
        });
        gate.get(&channel.path("beta")).expect_problem(403);
        let home = gate.stop();
        let kept = tempfile::tempdir().unwrap();
        copy(&home.data().join("cache"), kept.path());
        Self { upstream, home: Some(home), kept, open, unlisted }
    }

    /// A new life on the same disk, changed in between.
    fn again(&mut self, policy: &str, damage: impl FnOnce(&Home)) -> Gate {
        let home = self.home.take().expect("the last gate was stopped");
        let cache = home.data().join("cache");
        fs::remove_dir_all(&cache).unwrap();
        copy(self.kept.path(), &cache);
        home.write_rules(&text(&self.upstream, self.unlisted, policy));
        damage(&home);
        Setup::again(home).start()
    }

    fn damages(&self, file: &str) -> Vec<(String, Vec<u8>)> {
        let home = self.home.as_ref().expect("no gate is running");
        let good = fs::read(generation(home, "chan").join(file)).unwrap();
        let mut damages = vec![
            ("empty".to_owned(), Vec::new()),
            ("half of it".to_owned(), good[..good.len() / 2].to_vec()),
            ("zeros".to_owned(), vec![0; good.len()]),
            ("of a generation without rules".to_owned(), self.open(file)),
        ];
        for at in (0..4).map(|n| good.len() * (2 * n + 1) / 8) {
            let mut bytes = good.clone();
            bytes[at] ^= 0x11;
            damages.push((format!("byte {at} flipped"), bytes));
        }
        if let Some(lies) = freed(&good) {
            damages.push(("another licence".to_owned(), lies));
        }
        if file == "packages.table" {
            damages.push(("every stance open".to_owned(), opened(&good)));
        }
        damages.retain(|(_, bytes)| *bytes != good);
        damages
    }

    fn open(&self, file: &str) -> Vec<u8> {
        self.open.iter().find(|(name, _)| *name == file).unwrap().1.clone()
    }
}

/// The bytes with a licence in which nobody finds fault.
fn freed(good: &[u8]) -> Option<Vec<u8>> {
    let at = good.windows(FREE.0.len()).position(|window| window == FREE.0.as_bytes())?;
    let mut bytes = good.to_vec();
    bytes[at..at + FREE.0.len()].copy_from_slice(FREE.1.as_bytes());
    Some(bytes)
}

/// A table that has nothing against any file: byte 30 of each entry, see its layout.
fn opened(good: &[u8]) -> Vec<u8> {
    let (header, entry) = (32, 112);
    let count = u32::from_le_bytes(good[12..16].try_into().unwrap()) as usize;
    let mut bytes = good.to_vec();
    (0..count).for_each(|n| bytes[header + n * entry + 30] &= !3);
    bytes
}

/// The directory of the generation in force.
fn generation(home: &Home, channel: &str) -> PathBuf {
    let place = place(home, channel);
    let pointer: serde_json::Value =
        serde_json::from_slice(&fs::read(place.join("current")).unwrap()).unwrap();
    place.join(pointer["id"].as_str().unwrap())
}

fn place(home: &Home, channel: &str) -> PathBuf {
    let generations = home.data().join("cache/generations");
    let dirs = fs::read_dir(&generations).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name == format!("up%{channel}") || name.starts_with(&format!("{channel}."))
    };
    dirs.into_iter().find(named).expect("an index on disk").join("noarch")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn records(gate: &Gate, channel: &str) -> Records {
    by_file(&gate.get(&format!("/{channel}/noarch/repodata.json")).json())
}

fn lists_beta(gate: &Gate, channel: &str) -> bool {
    records(gate, channel).contains_key("beta-1.0-0.conda")
}

/// Without what the denied record says, in both channels.
fn expected(channel_name: &str) -> Vec<&'static str> {
    let mut all = vec!["alpha-1.0-0.conda", "delta-1.0-0.conda"];
    all.extend((channel_name == "all").then_some("omega-1.0-0.conda"));
    all
}

fn assert_right(gate: &Gate, channel_name: &str, what: &str) {
    let whole = gate.get(&format!("/{channel_name}/noarch/repodata.json"));
    assert_eq!(whole.status, 200, "{what}: {}", whole.text());
    let whole = by_file(&whole.json());
    assert_eq!(whole.keys().collect::<Vec<_>>(), expected(channel_name), "{what}");
    let packed = gate.get(&format!("/{channel_name}/noarch/repodata.json.zst")).expect(200);
    assert_eq!(by_file(&serde_json::from_slice(&unzst(&packed)).unwrap()), whole, "{what}");
}

#[test]
fn what_is_denied_stays_denied_when_the_disk_has_changed_the_index() {
    for unlisted in ["auto", "allow"] {
        let mut scene = Scene::new(unlisted);
        for (file, policy) in DECIDING.iter().flat_map(|file| [(file, ""), (file, MORE)]) {
            for (how, bytes) in scene.damages(file) {
                let what = format!("{file}: {how}, then {policy:?}");
                let policy = format!("{POLICY}{policy}");
                let gate = scene.again(&policy, |home| {
                    fs::write(generation(home, "chan").join(file), &bytes).unwrap();
                });
                let first = gate.get(&channel().path("beta"));
                assert_eq!(first.status, 403, "{what}: {}", first.text());
                assert_eq!(gate.get(&channel().path("alpha")).status, 200, "{what}");
                assert_right(&gate, "chan", &what);
                assert_eq!(gate.get(&channel().path("beta")).status, 403, "{what}");
                scene.home = Some(gate.stop());
            }
        }
    }
}

#[test]
fn without_upstream_a_damaged_index_vouches_for_nothing() {
    for unlisted in ["auto", "allow"] {
        let mut scene = Scene::new(unlisted);
        scene.upstream.stop();
        // Upstream's document is in the cache, so that only what it can't be asked about is lost.
        for (file, policy) in DECIDING.iter().flat_map(|file| [(file, ""), (file, MORE)]) {
            for (how, bytes) in scene.damages(file) {
                let what = format!("{file}: {how}, then {policy:?}");
                let gate = scene.again(&format!("{POLICY}{policy}"), |home| {
                    fs::write(generation(home, "chan").join(file), &bytes).unwrap();
                    // Not even a merged index that was right.
                    fs::remove_dir_all(place(home, "all")).unwrap();
                });
                for path in [channel().path("beta"), "/all/noarch/beta-1.0-0.conda".to_owned()] {
                    let status = gate.get(&path).status;
                    assert!([403, 503].contains(&status), "{what}: {path} is {status}");
                }
                let index = gate.get("/all/noarch/repodata.json");
                if index.status == 200 {
                    let listed = by_file(&index.json());
                    assert_eq!(listed.keys().collect::<Vec<_>>(), expected("all"), "{what}");
                } else {
                    assert_eq!(index.status, 503, "{what}: {}", index.text());
                }
                scene.home = Some(gate.stop());
            }
        }
    }
}

#[test]
fn a_merged_index_is_never_made_of_damaged_members() {
    let mut scene = Scene::new("auto");
    for file in DECIDING {
        for (how, bytes) in scene.damages(file) {
            for fresh in [true, false] {
                let what = format!("{file}: {how}; without a merged index: {fresh}");
                let gate = scene.again(POLICY, |home| {
                    fs::write(generation(home, "chan").join(file), &bytes).unwrap();
                    if fresh {
                        fs::remove_dir_all(place(home, "all")).unwrap();
                    }
                });
                assert_right(&gate, "all", &what);
                assert_eq!(gate.get("/all/noarch/beta-1.0-0.conda").status, 403, "{what}");
                assert_eq!(gate.get("/all/noarch/alpha-1.0-0.conda").status, 200, "{what}");
                scene.home = Some(gate.stop());
            }
        }
    }
}

#[test]
fn a_damaged_merged_index_is_made_anew() {
    let mut scene = Scene::new("auto");
    for file in ["packages.table", "repodata.json", "repodata.json.zst"] {
        let gate = scene.again(POLICY, |home| {
            let path = generation(home, "all").join(file);
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, &bytes).unwrap();
        });
        assert_eq!(gate.get("/all/noarch/beta-1.0-0.conda").status, 403, "{file}");
        assert_right(&gate, "all", file);
        scene.home = Some(gate.stop());
    }
}

/// In place, as a failing disk does it: the map and every open file see the new bytes.
fn overwrite(path: &Path, bytes: &[u8]) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

#[test]
fn damage_under_a_running_gate_is_noticed_before_it_decides() {
    for unlisted in ["auto", "allow"] {
        let mut scene = Scene::new(unlisted);
        for file in DECIDING {
            for (how, bytes) in scene.damages(file) {
                let what = format!("{file}: {how}");
                let gate = scene.again(POLICY, |_| {});
                gate.get(&channel().path("beta")).expect_problem(403);
                assert_right(&gate, "chan", &what);
                let path = generation(gate.home(), "chan").join(file);
                overwrite(&path, &bytes);
                let first = gate.get(&channel().path("beta"));
                assert!([403, 503].contains(&first.status), "{what}: {}", first.text());
                // The records are read where other rules are to be asked.
                gate.set_rules(&text(&scene.upstream, unlisted, &format!("{POLICY}{MORE}"))).unwrap();
                let second = gate.get(&channel().path("beta"));
                assert!([403, 503].contains(&second.status), "{what}: {}", second.text());
                eventually_true("everything is right again", || {
                    let records = gate.get("/chan/noarch/repodata.json");
                    records.status == 200 && by_file(&records.json()).keys().eq(&expected("chan"))
                });
                eventually_true("for downloads, too", || gate.get(&channel().path("alpha")).status == 200);
                let last = gate.get(&channel().path("beta"));
                assert_eq!(last.status, 403, "{what}: {}", last.text());
                scene.home = Some(gate.stop());
            }
        }
    }
}

/// A document is read from the disk whenever somebody asks.
#[test]
fn documents_that_change_on_disk_are_not_sent() {
    // More than is kept in memory, in every packing.
    let mut scene = Scene::of(&channel_with(100_000), "auto");
    for file in ["repodata.json", "repodata.json.zst", "repodata.json.bz2"] {
        let gate = scene.again(POLICY, |_| {});
        let path = format!("/chan/noarch/{file}");
        let good = gate.get(&path).expect(200);
        let on_disk = generation(gate.home(), "chan").join(file);
        let mut bytes = fs::read(&on_disk).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        overwrite(&on_disk, &bytes);
        let again = gate.get(&path);
        assert!(again.status == 503 || again.body == good, "{file}");
        eventually_true("it is made anew", || gate.get(&path).status == 200);
        assert_eq!(gate.get(&path).expect(200), good, "{file}");
        scene.home = Some(gate.stop());
    }
}

#[test]
fn pages_tell_of_what_was_written_or_of_nothing() {
    let mut scene = Scene::new("auto");
    scene.upstream.stop();
    for (how, bytes) in scene.damages("packages.table") {
        let gate = scene.again(POLICY, |home| {
            fs::write(generation(home, "chan").join("packages.table"), &bytes).unwrap();
        });
        for path in ["/-/ui/channels/chan", "/-/ui/search?q=a"] {
            let page = gate.get(path);
            assert_eq!(page.status, 200, "{how}: {path}");
            assert!(!page.text().contains("/-/ui/channels/chan/-/"), "{how}: {path}: {}", page.text());
        }
        scene.home = Some(gate.stop());
    }
    let gate = scene.again(POLICY, |_| {});
    let page = gate.get("/-/ui/channels/chan").text();
    assert!(page.contains("/-/ui/channels/chan/-/alpha") && !page.contains("/-/beta\""), "{page}");
}
