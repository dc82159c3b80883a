//! Publishing, restarts, damage and removal.

use std::time::Duration;

use super::*;

#[test]
fn a_publish_replaces_everything_at_once_and_outlives_a_restart() {
    let bench = Bench::new();
    assert!(bench.current().is_none());
    assert!(bench.store.subdirs(&bench.channel).is_empty());
    let first = bench.publish(&document(&record("a", 1)));
    let second = bench.publish(&document(&record("b", 2)));
    assert_ne!(first.id(), second.id());
    assert!(first.lookup("a-1-0.conda").is_some(), "who holds the old one keeps all of it");
    assert!(!body(&first, ZST).is_empty());
    assert_eq!(bench.left_behind(), 0);
    let bench = bench.reopen();
    let current = bench.current().unwrap();
    assert_eq!(current.id(), second.id());
    assert_eq!(current.lookup("b-1-0.conda").unwrap().size, Some(2));
    assert_eq!(bench.store.subdirs(&bench.channel), std::slice::from_ref(&bench.subdir));
    let manifest = current.manifest();
    assert_eq!((manifest.channel.as_str(), manifest.label.as_deref()), ("pkgs/main", Some("rc/1")));
    assert_eq!(manifest.source.unwrap().etag.as_deref(), Some("\"up-1\""));
}

#[test]
fn checks_outlive_a_restart_and_never_go_back() {
    let bench = Bench::new();
    let generation = bench.publish(&document(""));
    assert_eq!(generation.checked_at(), bench.now);
    let later = bench.now.plus(Duration::from_mins(1));
    bench.store.touch(&generation, later).unwrap();
    assert_eq!(generation.checked_at(), later);
    let bench = bench.reopen();
    assert_eq!(bench.current().unwrap().checked_at(), later);
    fs::write(bench.place().join("checked"), "garbage").unwrap();
    let bench = bench.reopen();
    assert_eq!(
        bench.current().unwrap().checked_at(),
        bench.now,
        "an unreadable note means: as old as the build"
    );
}

#[test]
fn what_a_crash_leaves_is_removed_or_ignored() {
    let bench = Bench::new();
    let kept = bench.publish(&document(&record("a", 1)));
    let half = bench.store.staging().join("half");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("repodata.json"), "{").unwrap();
    // Renamed, but the pointer was never replaced.
    let built = bench.build(document(&record("b", 2)).as_bytes(), Packing::Json).unwrap();
    fs::rename(built.dir(), bench.place().join("orphan")).unwrap();
    fs::write(bench.place().join("current.new"), "{\"id\":").unwrap();
    let bench = bench.reopen();
    assert!(!half.exists());
    assert_eq!(bench.current().unwrap().id(), kept.id());
    assert_eq!(bench.store.prune(bench.now).unwrap().generations, 1);
    assert!(!bench.place().join("orphan").exists());
    assert!(bench.current().is_some());
}

#[test]
fn a_damaged_generation_counts_as_absent() {
    type Damage = fn(&Path, &Path);
    let damages: [(&str, Damage); 7] = [
        ("missing", |_, generation| fs::remove_file(generation.join("repodata.json.zst")).unwrap()),
        ("cut", |_, generation| fs::write(generation.join("repodata.json"), "{").unwrap()),
        ("table", |_, generation| {
            let len = fs::metadata(generation.join("packages.table")).unwrap().len();
            fs::write(generation.join("packages.table"), vec![0; usize::try_from(len).unwrap()]).unwrap();
        }),
        ("manifest", |_, generation| fs::write(generation.join("manifest.json"), "{}").unwrap()),
        ("version", |_, generation| {
            let path = generation.join("manifest.json");
            let text = fs::read_to_string(&path).unwrap().replace("\"format\": 2", "\"format\": 99");
            fs::write(path, text).unwrap();
        }),
        ("pointer", |place, _| {
            fs::write(place.join("current"), r#"{"id":"../../x","previous":null}"#).unwrap();
        }),
        ("all", |_, generation| fs::remove_dir_all(generation).unwrap()),
    ];
    for (name, damage) in damages {
        let bench = Bench::new();
        let id = bench.publish(&document(&record("a", 1))).id().to_owned();
        let bench = bench.reopen();
        damage(&bench.place(), &bench.place().join(&id));
        assert!(bench.current().is_none(), "{name}");
        let again = bench.publish(&document(&record("a", 1)));
        assert_eq!(bench.current().unwrap().id(), again.id(), "{name}: and is built anew");
    }
}

#[test]
fn another_channels_generation_is_not_taken() {
    let bench = Bench::new();
    bench.publish(&document(""));
    let other = ChannelRef { name: ChannelName::parse("other").unwrap(), label: None };
    let place = bench.dir.path().join("store/other/noarch");
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::rename(bench.place(), &place).unwrap();
    let bench = bench.reopen();
    assert!(bench.store.open_current(&other, &bench.subdir).is_err());
    assert!(bench.store.current(&other, &bench.subdir).is_none());
}

#[test]
fn discarding_lasts() {
    let bench = Bench::new();
    let id = bench.publish(&document("")).id().to_owned();
    bench.store.discard(&bench.channel, &bench.subdir, "another", "test").unwrap();
    assert!(bench.current().is_some(), "only the one that was meant");
    bench.store.discard(&bench.channel, &bench.subdir, &id, "test").unwrap();
    assert!(bench.current().is_none());
    assert!(bench.reopen().current().is_none());
}

#[test]
fn pruning_keeps_what_is_used_and_the_one_before() {
    let bench = Bench::new();
    let held = bench.publish(&document(&record("a", 1)));
    for n in 2..6 {
        bench.publish(&document(&record("a", n)));
    }
    assert_eq!(
        bench.store.prune(bench.now).unwrap().generations,
        2,
        "of five: current, the one before, the held one stay"
    );
    assert!(!body(&held, JSON).is_empty());
    drop(held);
    assert_eq!(bench.store.prune(bench.now).unwrap().generations, 1);
    let bench = bench.reopen();
    assert!(bench.current().is_some());
    assert_eq!(bench.store.prune(bench.now).unwrap().generations, 0, "after a restart too");
}
