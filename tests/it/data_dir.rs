//! The data directory: who uses it, who may, how it is laid out, a full volume, a clock that goes back.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::gate::START;
use crate::harness::process::{BINARY, run, text_of};
use crate::harness::{Channel, Gate, Home, Process, Setup, Upstream, package, rules, skipped};

/// What `serve` says when it does not start.
fn refused(home: &Home, data: &Path) -> String {
    let rules = home.rules();
    let words = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--rules",
        rules.to_str().unwrap(),
        "--data",
        data.to_str().unwrap(),
    ];
    let output = run(&words);
    let said = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[test]
fn a_second_gate_is_told_who_has_the_directory() {
    let gate = Process::serve(Home::new());
    let data = gate.home().data();
    let pid = fs::read_to_string(data.join("lock")).unwrap().lines().next().unwrap().to_owned();
    let said = refused(gate.home(), &data);
    assert!(said.contains(&format!("is used by another condagate (process {pid}, since 20")), "{said}");
    // What is taken is the directory, and not only the packages in it.
    let home = Home::new();
    home.write_config(&format!("storage: {{packages: {}}}\n", home.path("packages").display()));
    let config = home.config();
    let output = run(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--config",
        config.to_str().unwrap(),
        "--data",
        data.to_str().unwrap(),
    ]);
    assert!(text_of(&output).contains("is used by another condagate"), "{}", text_of(&output));
    // A gate that was killed leaves nothing that has to be cleared away.
    let home = gate.kill();
    Process::serve(home).stop();
}

#[test]
fn a_newer_layout_is_refused_and_an_older_one_taken_over() {
    let gate = Process::serve(Home::new());
    let home = gate.stop();
    let layout = home.data().join("layout");
    assert_eq!(fs::read_to_string(&layout).unwrap(), "1\n");
    fs::write(&layout, "2\n").unwrap();
    let before: Vec<_> = crate::harness::home::files_below(&home.data());
    let said = refused(&home, &home.data());
    assert!(
        said.contains("has layout 2, and this condagate knows up to 1; run the newer version again"),
        "{said}"
    );
    assert_eq!(crate::harness::home::files_below(&home.data()), before, "nothing was touched");
    fs::write(&layout, "two\n").unwrap();
    assert!(refused(&home, &home.data()).contains("does not say which layout"), "half a number");
    fs::remove_file(&layout).unwrap();
    let home = Process::serve(home).stop();
    assert_eq!(fs::read_to_string(&layout).unwrap(), "1\n");
    drop(home);
}

#[test]
fn somebody_elses_directory_is_refused_with_the_ways_out() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        skipped("only root can run a gate as somebody else");
        return;
    }
    let home = Home::new();
    fs::create_dir(home.data()).unwrap();
    for path in [home.path(""), home.data(), home.rules()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let serve = |data: &Path| {
        let mut command = Command::new(BINARY);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--rules"])
            .arg(home.rules())
            .arg("--data")
            .arg(data);
        command.uid(NOBODY).gid(NOBODY).current_dir("/").output()
    };
    let output = match serve(&home.data()) {
        Ok(output) => output,
        // The binary may lie where nobody else may look.
        Err(error) => {
            skipped(&format!("nobody can't run the binary: {error}"));
            return;
        }
    };
    let said = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("belongs to uid 0, and this process runs as uid 65534"), "{said}");
    let said = text_of(&serve(&home.data().join("below")).unwrap());
    assert!(said.contains("can't be used: Permission denied"), "{said}");
}

#[test]
fn a_full_volume_is_told_of() {
    let home = Home::new();
    let data = home.data();
    fs::create_dir(&data).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&data).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        skipped("no volume of its own can be mounted here");
        return;
    }
    fs::write(data.join("filler"), vec![0; 40_000]).unwrap();
    let _until_it_is_full = fs::write(data.join("more"), vec![0; 60_000]);
    let said = refused(&home, &data);
    let unmounted = Command::new("umount").arg(&data).status().unwrap();
    assert!(unmounted.success());
    assert!(said.contains("there is no room left on the volume"), "{said}");
}

#[test]
fn a_clock_that_goes_back_stops_nothing() {
    let upstream = Upstream::start();
    let channel = Channel::new("chan").with("noarch", &package("alpha", "1.0"));
    channel.publish(&upstream);
    let gate = Setup::rules(&rules::all_from(&upstream)).at(START).start();
    gate.settle(&channel.path("alpha"));
    gate.get("/chan/noarch/repodata.json").expect(200);
    gate.advance(Duration::from_hours(1));
    gate.get("/chan/noarch/repodata.json").expect(200);
    let home = gate.stop();
    let gate: Gate = Setup::again(home).at(START.before(Duration::from_hours(24 * 365))).start();
    assert_eq!(gate.get(&channel.path("alpha")).expect(200), channel.get("alpha").bytes);
    gate.get("/chan/noarch/repodata.json").expect(200);
    assert_eq!(upstream.gets(&channel.path("alpha")), 1, "what is cached stays cached");
}
