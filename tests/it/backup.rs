//! `condagate backup | restore`: what comes back is the same gate, and what is not whole is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::harness::channel::Package;
use crate::harness::digest::sha256_hex;
use crate::harness::home::files_below;
use crate::harness::process::{run, text_of};
use crate::harness::{
    Channel, Gate, Home, Publishers, Request, Setup, Upstream, eventually, mongodb, package, rules,
};

const SETTINGS: &str = "audit: {downloads: false}\n";
const COOLDOWN: &str = "policy:\n  - {id: cool, channels: [chan], hide: {younger_than: 7d}}\n";

/// Runs a command on a home; exit code and everything printed.
fn command(home: &Home, arguments: &[&str]) -> (i32, String, String) {
    let (data, rules) = (home.data().display().to_string(), home.rules().display().to_string());
    let config = home.config().display().to_string();
    let mut all = [arguments, &["--data", &data, "--rules", &rules]].concat();
    if home.config().exists() {
        all.extend(["--config", &config]);
    }
    let output = run(&all);
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().expect("an exit code"), out, text_of(&output))
}

fn done(home: &Home, arguments: &[&str]) -> Value {
    let (code, out, text) = command(home, &[arguments, &["--json"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {text}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

fn refused(home: &Home, arguments: &[&str]) -> String {
    let (code, out, text) = command(home, arguments);
    assert_eq!((code, out.as_str()), (1, ""), "{arguments:?}: {text}");
    text
}

fn verified(dir: &str) -> (i32, Value) {
    let output = run(&["backup", "verify", dir, "--json"]);
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text_of(&output)));
    (output.status.code().expect("an exit code"), value)
}

fn upload(hosted: &Publishers, name: &str) -> Package {
    let package = package(name, "1.0").build("noarch");
    let put = Request::new("PUT", &format!("/team/noarch/{}", package.file));
    hosted.ask(put.body(&package.bytes)).expect(201);
    package
}

/// A directory for backups, and a gate with one hosted package.
struct Scene {
    hosted: Publishers,
    package: Package,
    shelf: tempfile::TempDir,
    dir: String,
}

fn scene() -> Scene {
    let hosted = Publishers::new(SETTINGS);
    let package = upload(&hosted, "alpha");
    let shelf = tempfile::tempdir().unwrap();
    let dir = shelf.path().join("backups").display().to_string();
    Scene { hosted, package, shelf, dir }
}

impl Scene {
    fn kept(&self, package: &Package) -> PathBuf {
        let hex = sha256_hex(&package.bytes);
        self.hosted.home().data().join("packages/hosted/sha256").join(&hex[..2]).join(hex)
    }

    /// The bytes of something in the backup.
    fn blob(&self, hex: &str) -> PathBuf {
        Path::new(&self.dir).join("blobs/sha256").join(&hex[..2]).join(hex)
    }

    fn manifests(&self) -> Vec<PathBuf> {
        files_below(&Path::new(&self.dir).join("manifests"))
    }

    fn back_up(&self) -> Value {
        done(self.hosted.home(), &["backup", &self.dir])
    }
}

/// Every document that clients with this token get of the two channels.
fn seen(gate: &Gate, token: &str) -> Vec<(String, Vec<u8>)> {
    let documents =
        ["repodata.json", "repodata.json.zst", "current_repodata.json", "repodata_shards.msgpack.zst"];
    let mut all = Vec::new();
    for channel in ["team", "chan"] {
        for document in documents {
            let path = format!("/{channel}/noarch/{document}");
            let ask = Request::get(&path).header("X-API-Key", token);
            all.push((path, gate.ask(&ask).expect(200)));
        }
    }
    all
}

/// With first sightings of different ages, one file too young for the rules, an attestation, a yanked and a deleted package.
fn lived_in(upstream: &Upstream) -> (Publishers, Package) {
    let channel = Channel::new("chan").with("noarch", &package("old", "1.0"));
    channel.publish(upstream);
    let text = format!("{}{COOLDOWN}", rules::all_from(upstream));
    let hosted = Publishers::of(Setup::rules(&text).config(SETTINGS));
    hosted.gate.get("/chan/noarch/repodata.json").expect(200);
    hosted.gate.advance(Duration::from_mins(21));
    channel.clone().with("noarch", &package("late", "1.0")).publish(upstream);
    eventually("the new index", || {
        let refused = hosted.gate.get("/chan/noarch/late-1.0-0.conda");
        (refused.status == 403).then_some(())
    });
    let alpha = package("alpha", "1.0").build("noarch");
    let bundle = &br#"{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}"#[..];
    let form = [("file", Some(alpha.file.as_str()), &alpha.bytes[..]), ("attestation", None, bundle)];
    hosted.ask(Request::new("POST", "/api/v1/upload/team").form(&form)).expect(201);
    upload(&hosted, "yanked");
    upload(&hosted, "deleted");
    for (name, what) in [("yanked", "yank"), ("deleted", "delete")] {
        let place = format!("noarch/{name}-1.0-0.conda");
        let extra: &[&str] = if what == "delete" { &["--yes"] } else { &[] };
        let all = [&["package", what, "team", &place], extra].concat();
        crate::people_cli::done(hosted.home(), &all);
    }
    eventually("the index without them", || {
        let index = hosted
            .gate
            .ask(&Request::get("/team/noarch/repodata.json").header("X-API-Key", &hosted.reader.secret));
        (!index.text().contains("deleted-1.0")).then_some(())
    });
    (hosted, alpha)
}

/// The same gate as before, in other directories.
fn is_the_same(gate: &Gate, before: &[(String, Vec<u8>)], alpha: &Package, tokens: [&str; 2]) {
    let [reader, writer] = tokens;
    let key = |path: &str, token: &str| gate.ask(&Request::get(path).header("X-API-Key", token));
    for ((path, then), (_, now)) in before.iter().zip(seen(gate, reader)) {
        assert!(*then == now, "{path} is another one");
    }
    let path = format!("/team/noarch/{}", alpha.file);
    assert_eq!(key(&path, reader).expect(200), alpha.bytes);
    assert!(key(&format!("{path}.sigs"), reader).text().contains("sigstore"));
    assert_eq!(gate.get(&path).status, 401);
    gate.get("/chan/noarch/late-1.0-0.conda").expect_problem(403);
    gate.get("/chan/noarch/old-1.0-0.conda").expect(200);
    assert_eq!(key("/team/noarch/yanked-1.0-0.conda", reader).status, 200, "lock files");
    assert_eq!(key("/team/noarch/deleted-1.0-0.conda", reader).status, 404);
    let beta = package("beta", "1.0").build("noarch");
    for (token, status) in [(reader, 403), (writer, 201)] {
        let put = Request::new("PUT", &format!("/team/noarch/{}", beta.file)).body(&beta.bytes);
        assert_eq!(gate.ask(&put.header("X-API-Key", token)).status, status);
    }
}

#[test]
fn a_restored_gate_gives_the_same_answers() {
    let upstream = Upstream::start();
    let (hosted, alpha) = lived_in(&upstream);
    let Publishers { gate, reader, writer, .. } = hosted;
    let before = seen(&gate, &reader.secret);
    let shelf = tempfile::tempdir().unwrap();
    let dir = shelf.path().display().to_string();
    let made = done(gate.home(), &["backup", &dir]);
    assert_eq!((&made["missing"], &made["new_files"]), (&serde_json::json!([]), &made["files"]));
    let (now, old) = (gate.now(), gate.stop());

    let home = Home::new();
    let settings = home.path("").display().to_string();
    let restored = done(&home, &["restore", &dir, "--settings", &settings]);
    assert_eq!((&restored["backup"], &restored["rows"]), (&made["backup"], &made["rows"]));
    assert_eq!(fs::read_to_string(home.config()).unwrap(), SETTINGS);
    assert_eq!(
        fs::read(home.rules().join("50-test.yaml")).unwrap(),
        fs::read(old.rules().join("50-test.yaml")).unwrap()
    );
    let again = Setup::again(home).at(now).start();
    is_the_same(&again, &before, &alpha, [&reader.secret, &writer.secret]);
    // What was deleted can still be restored, as on the gate before.
    crate::people_cli::done(again.home(), &["package", "restore", "team", "noarch/deleted-1.0-0.conda"]);

    let Some(uri) = mongodb::uri() else { return };
    let home = Home::new();
    fs::write(home.path("uri"), uri).unwrap();
    let database = format!("condagate_backup_{}", std::process::id());
    home.write_config(&format!(
        "{SETTINGS}store: {{mongodb: {{uri_file: uri, database: {database}, queue_database: {database}_mq}}}}\n"
    ));
    let said = refused(&home, &["restore", &dir]);
    assert!(said.contains("condagate db setup --execute"), "{said}");
    let setup = ["db", "setup", "--execute"];
    assert_eq!(crate::people_cli::done(&home, &setup).lines().last(), Some("done; the store is ready"));
    done(&home, &["restore", &dir]);
    let gate = Setup::again(home).at(now).start();
    is_the_same(&gate, &before, &alpha, [&reader.secret, &writer.secret]);
    // And from there a backup again.
    let second = done(gate.home(), &["backup", &dir]);
    assert_eq!(second["missing"], serde_json::json!([]));
    let other = Home::new();
    let said = refused(&other, &["restore", &dir, "--backup", "000009-none"]);
    assert!(said.contains("condagate backup list"), "{said}");
    done(&other, &["restore", &dir]);
}

#[test]
fn only_what_is_new_is_copied_and_only_its_owner_may_read_it() {
    let mut scene = scene();
    scene.back_up();
    let now = scene.hosted.gate.now();
    // Without a gate nothing changes by itself.
    let Publishers { gate, society, writer, reader, root } = scene.hosted;
    let home = gate.stop();
    done(&home, &["backup", &scene.dir]);
    let same = done(&home, &["backup", &scene.dir]);
    assert_eq!((&same["new_files"], &same["new_bytes"]), (&0.into(), &0.into()));
    scene.hosted = Publishers { gate: Setup::again(home).at(now).start(), society, writer, reader, root };
    let beta = upload(&scene.hosted, "beta");
    let third = scene.back_up();
    assert_eq!(third["new_files"], 2, "a package and a dump: {third}");
    assert_eq!(fs::read(scene.blob(&sha256_hex(&beta.bytes))).unwrap(), beta.bytes);
    let text = command(scene.hosted.home(), &["backup", &scene.dir]).2;
    assert!(text.contains("password hashes and signing keys are in it"), "{text}");
    for file in files_below(Path::new(&scene.dir)) {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0, "{}", file.display());
    }
    assert_eq!(fs::metadata(&scene.dir).unwrap().permissions().mode() & 0o777, 0o700);
    let listed = run(&["backup", "list", &scene.dir]);
    assert_eq!(text_of(&listed).lines().count(), 5, "{}", text_of(&listed));
    assert_eq!(verified(&scene.dir).0, 0);
    // All of them name the first package, which therefore stays.
    let kept = done(scene.hosted.home(), &["backup", &scene.dir, "--keep", "2"]);
    assert_eq!(kept["deleted_backups"].as_array().unwrap().len(), 4);
    assert!(kept["deleted_files"].as_u64().unwrap() >= 1, "{kept}");
    let (code, whole) = verified(&scene.dir);
    assert_eq!((code, &whole["backups"]), (0, &2.into()), "{whole}");
    done(&Home::new(), &["restore", &scene.dir]);
}

#[test]
fn a_backup_that_breaks_off_leaves_the_older_ones() {
    let scene = scene();
    let first = scene.back_up();
    let beta = upload(&scene.hosted, "beta");
    let gamma = upload(&scene.hosted, "gamma");
    let kept = scene.kept(&gamma);
    fs::remove_file(&kept).unwrap();
    fs::create_dir(&kept).unwrap();
    let said = refused(scene.hosted.home(), &["backup", &scene.dir]);
    assert!(said.contains(&kept.display().to_string()), "{said}");
    fs::write(Path::new(&scene.dir).join("incoming/next.part"), "half").unwrap();
    assert_eq!(scene.manifests().len(), 1);
    assert_eq!(verified(&scene.dir).0, 0);
    let home = Home::new();
    assert_eq!(done(&home, &["restore", &scene.dir])["backup"], first["backup"]);
    // What was copied already is used by the next one.
    fs::remove_dir(&kept).unwrap();
    fs::write(&kept, &gamma.bytes).unwrap();
    let next = scene.back_up();
    let was_copied = fs::read(scene.blob(&sha256_hex(&beta.bytes))).unwrap() == beta.bytes;
    assert!(was_copied && next["new_files"].as_u64().unwrap() <= 3, "{next}");
}

#[test]
fn files_that_are_not_there_are_said_and_the_rest_is_saved() {
    let scene = scene();
    let beta = upload(&scene.hosted, "beta");
    fs::remove_file(scene.kept(&beta)).unwrap();
    // Bytes that are not what they were don't count as a copy.
    let kept = scene.kept(&scene.package);
    scene.hosted.home().tampered();
    fs::remove_file(&kept).unwrap();
    fs::write(&kept, vec![7; scene.package.bytes.len()]).unwrap();
    let (code, out, text) = command(scene.hosted.home(), &["backup", &scene.dir, "--json"]);
    let made: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, made["missing"].as_array().unwrap().len()), (1, 2), "{text}");
    assert!(text.contains("2 files that the store names are not on this gate"), "{text}");
    assert!(!scene.blob(&sha256_hex(&scene.package.bytes)).exists());
    let home = Home::new();
    assert_eq!(done(&home, &["restore", &scene.dir])["missing"], 2);
}

#[test]
fn damage_is_found_and_nothing_of_it_restored() {
    let scene = scene();
    scene.back_up();
    let blob = scene.blob(&sha256_hex(&scene.package.bytes));
    let mut bytes = fs::read(&blob).unwrap();
    bytes[100] ^= 1;
    fs::write(&blob, &bytes).unwrap();
    let home = Home::new();
    let said = refused(&home, &["restore", &scene.dir]);
    assert!(said.contains("the backup is damaged") && said.contains("taken away again"), "{said}");
    for dir in [home.data(), home.rules()] {
        let left = files_below(&dir);
        assert!(left.is_empty(), "{left:?}");
    }
    let (code, found) = verified(&scene.dir);
    let sentence = found["damaged"][0].as_str().unwrap();
    assert!(code == 1 && sentence.contains("set aside"), "{found}");
    assert!(!blob.exists());
    // One that is gone is known before anything is written.
    let said = refused(&home, &["restore", &scene.dir]);
    assert!(said.contains("is gone; nothing was restored"), "{said}");
    assert!(!home.data().exists() || files_below(&home.data()).is_empty());
    // The gate still has it.
    scene.back_up();
    assert_eq!(verified(&scene.dir).0, 0);
    done(&home, &["restore", &scene.dir]);

    let manifest = scene.manifests().pop().unwrap();
    let text = fs::read_to_string(&manifest).unwrap();
    let newer = text.replacen("\"version\":1", "\"version\":2", 1);
    for (text, says) in [
        (text[..text.len() - 30].to_owned(), "ends in the middle"),
        (text.replacen("\"size\":", "\"size\":1", 1), "its digest is another one"),
        (String::new(), "ends in the middle"),
        (newer, "run the newer version"),
    ] {
        fs::write(&manifest, text).unwrap();
        let said = refused(&Home::new(), &["restore", &scene.dir]);
        assert!(said.contains(says), "{said}");
        assert_eq!(verified(&scene.dir).0, 1);
        // Nobody knows what it needs.
        let (code, _, text) = command(scene.hosted.home(), &["backup", &scene.dir, "--keep", "2"]);
        assert!(code == 0 && text.contains("no file was deleted"), "{text}");
        fs::remove_file(scene.manifests().pop().unwrap()).unwrap();
    }
}

#[test]
fn places_that_are_in_use_are_refused() {
    let scene = scene();
    let home = scene.hosted.home();
    let said = refused(home, &["restore", &scene.dir]);
    assert!(said.contains("there is no backup in"), "{said}");
    scene.back_up();
    let said = refused(home, &["restore", &scene.dir]);
    assert!(said.contains("is not empty; a backup is restored into an empty data directory only"), "{said}");
    let inside = home.data().join("backups").display().to_string();
    let said = refused(home, &["backup", &inside]);
    assert!(said.contains("would be lost with it") && !Path::new(&inside).exists(), "{said}");
    fs::write(scene.shelf.path().join("letters"), "dear").unwrap();
    let said = refused(home, &["backup", &scene.shelf.path().display().to_string()]);
    assert!(said.contains("has other files in it"), "{said}");
    let (code, _, text) = command(home, &["backup"]);
    assert!(code == 2 && text.contains("Usage"), "{text}");
    let other = Home::new();
    other.write_rules("# Somebody else's rules.\n");
    let said = refused(&other, &["restore", &scene.dir]);
    assert!(said.contains("50-test.yaml` is there already"), "{said}");
    assert!(!other.data().exists());
    // One writer at a time.
    let lock = fs::File::open(Path::new(&scene.dir).join("lock")).unwrap();
    lock.lock().unwrap();
    let said = refused(home, &["backup", &scene.dir]);
    assert!(said.contains("somebody else is writing"), "{said}");
}

#[test]
fn half_a_restore_is_not_served() {
    let home = Home::new();
    fs::create_dir(home.data()).unwrap();
    fs::write(home.data().join("restoring"), "").unwrap();
    let (code, _, text) = command(&home, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(code == 1 && text.contains("was not finished"), "{text}");
    let scene = scene();
    scene.back_up();
    let said = refused(&home, &["restore", &scene.dir]);
    assert!(said.contains("an earlier restore into"), "{said}");
}

/// Whatever is published meanwhile: every row of every backup has its file in it.
#[test]
fn backups_of_a_busy_gate_are_whole() {
    let scene = scene();
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            for n in 0..30 {
                upload(&scene.hosted, &format!("busy{n}"));
            }
        });
        let mut files = 0;
        while !publishing.is_finished() {
            let made = scene.back_up();
            assert!(made["files"].as_u64().unwrap() >= files, "{made}");
            files = made["files"].as_u64().unwrap();
        }
    });
    let last = scene.back_up();
    let (code, found) = verified(&scene.dir);
    assert_eq!((code, &found["missing"]), (0, &0.into()), "{found}");
    let home = Home::new();
    assert_eq!(done(&home, &["restore", &scene.dir])["files"], last["files"]);
    let kept = files_below(&home.data().join("packages/hosted/sha256"));
    assert_eq!(kept.len(), 31);
}
