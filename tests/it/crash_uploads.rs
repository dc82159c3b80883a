//! Killed while clients publish: the gate with -9 at random moments, again and again, on both stores; and the database under it.
//! What was acknowledged is there, whole and in every form of the index; the rest is there whole or not at all; nothing stays on the disk.
//!
//! Belongs here: whole processes that end. Does not: each step of an upload by itself (`channel`, `cache`), downloads (`crash`).

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use condagate::clock::{Clock as _, SystemClock};
use condagate::policy::access::Right;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::harness::channel::Package;
use crate::harness::digest::sha256_hex;
use crate::harness::people::{Made, Society};
use crate::harness::wait::PATIENCE;
use crate::harness::{Home, Process, Request, Server, Setup, eventually, eventually_true, package};

const CLIENTS: usize = 4;
const ROUNDS: usize = 5;
const SUBDIRS: [&str; 2] = ["noarch", "linux-64"];

/// What somebody tried to publish, and what came of it.
struct Try {
    subdir: &'static str,
    package: Package,
    acknowledged: bool,
}

struct Team {
    root: Made,
    writer: Made,
    tries: Mutex<Vec<Try>>,
}

impl Team {
    fn of(society: &Society) -> Self {
        society.superuser("root").user("ada");
        society.grant("team", "ada", Right::Write);
        let (root, writer) = (society.token("root", &["manage:*"]), society.token("ada", &["write:team"]));
        Self { root, writer, tries: Mutex::default() }
    }

    fn make_channel(&self, gate: &Process) {
        let request = Request::new("POST", "/-/api/v1/channels").json(&json!({"name": "team"}));
        bearer(request, &self.root).send(gate.address()).expect(201);
    }

    /// Uploads until the gate is gone or `stop` says so; what is refused for another reason than `spared` fails the test.
    fn upload(&self, gate: SocketAddr, name: &str, acknowledged: &AtomicUsize, until: &dyn Fn(u16) -> bool) {
        for n in 0.. {
            let subdir = SUBDIRS[n % 2];
            // From one piece to many, so that there is something to break off.
            let package = package(&format!("{name}-{n}"), "1.0").payload(1000 << (n % 9)).build(subdir);
            let status = put(gate, subdir, &package, &self.writer);
            let done = status.is_some_and(|status| (200..300).contains(&status));
            self.tries.lock().push(Try { subdir, package, acknowledged: done });
            match status {
                Some(_) if done => drop(acknowledged.fetch_add(1, Ordering::SeqCst)),
                Some(status) => assert!(until(status), "{name}-{n}: {status}"),
                None => return,
            }
            if until(status.unwrap_or_default()) {
                return;
            }
        }
    }

    /// Asserts that the gate has what it acknowledged and nothing that is half there.
    fn check(&self, gate: &Process) {
        let tries = self.tries.lock();
        let listed: BTreeMap<_, _> = SUBDIRS.map(|subdir| (subdir, self.listed(gate, subdir))).into();
        let attempted: BTreeSet<_> = tries.iter().map(|one| one.package.file.as_str()).collect();
        assert!(listed.values().flat_map(BTreeMap::keys).all(|file| attempted.contains(file.as_str())));
        for Try { subdir, package, acknowledged } in &*tries {
            let found = listed[subdir].get(&package.file);
            assert!(found.is_some() || !acknowledged, "{} was acknowledged and is lost", package.file);
            let request = Request::get(&format!("/team/{subdir}/{}", package.file));
            let answer = bearer(request, &self.writer).send(gate.address());
            match found {
                Some(digest) => {
                    assert_eq!(*digest, sha256_hex(&package.bytes), "{}", package.file);
                    assert!(answer.expect(200) == package.bytes, "other bytes of {}", package.file);
                }
                None => drop(answer.expect_problem(404)),
            }
        }
    }

    /// Waits until the index has caught up with a store that was away: until then clients get it as it was.
    fn wait_for_index(&self, gate: &Process) {
        let tries = self.tries.lock();
        eventually_true("the index has all that was acknowledged", || {
            let listed = SUBDIRS.map(|subdir| self.listed(gate, subdir));
            let is_listed = |file: &str| listed.iter().any(|of_subdir| of_subdir.contains_key(file));
            tries.iter().all(|one| !one.acknowledged || is_listed(&one.package.file))
        });
    }

    /// File names and digests, as every form of the index has them.
    fn listed(&self, gate: &Process, subdir: &str) -> BTreeMap<String, String> {
        let get = |file: &str| {
            let request = Request::get(&format!("/team/{subdir}/{file}"));
            bearer(request, &self.writer).send(gate.address())
        };
        if get("repodata.json").status == 404 {
            // Nothing was published there yet.
            return BTreeMap::new();
        }
        // An index may be made anew between two requests.
        let (plain, packed) = eventually("two forms of one index", || {
            let [plain, packed, again] =
                ["repodata.json", "repodata.json.zst", "repodata.json"].map(|file| get(file).expect(200));
            (plain == again).then_some((plain, packed))
        });
        assert!(zstd::decode_all(&*packed).unwrap() == plain, "the forms of an index differ");
        let plain: Value = serde_json::from_slice(&plain).unwrap();
        let records = plain["packages.conda"].as_object().unwrap();
        let digest = |record: &Value| record["sha256"].as_str().unwrap().to_owned();
        records.iter().map(|(file, record)| (file.clone(), digest(record))).collect()
    }

    /// What nobody acknowledged is published when somebody tries again.
    fn again(&self, gate: &Process) {
        for one in self.tries.lock().iter_mut().filter(|one| !one.acknowledged) {
            let status = put(gate.address(), one.subdir, &one.package, &self.writer);
            assert!(matches!(status, Some(200 | 201)), "{}: {status:?}", one.package.file);
            one.acknowledged = true;
        }
    }

    /// Two days later nothing is on the disk but what is published.
    fn check_disk(&self, home: Home) {
        let later = SystemClock.now().plus(Duration::from_hours(48));
        let gate = Setup::again(home).at(later).start();
        let tries = self.tries.lock();
        let published: BTreeSet<_> =
            tries.iter().filter(|one| one.acknowledged).map(|one| sha256_hex(&one.package.bytes)).collect();
        eventually_true("nothing but what is published is kept", || {
            let blobs = gate.home().blobs();
            let blobs = blobs.iter().filter_map(|blob| Some(blob.file_name()?.to_str()?.to_owned()));
            blobs.collect::<BTreeSet<_>>() == published && gate.home().partials().is_empty()
        });
    }
}

fn bearer(request: Request, token: &Made) -> Request {
    request.header("Authorization", &format!("Bearer {}", token.secret))
}

/// The answer's status; `None` when none came whole.
fn put(gate: SocketAddr, subdir: &str, package: &Package, token: &Made) -> Option<u16> {
    let request = Request::new("PUT", &format!("/team/{subdir}/{}", package.file)).body(&package.bytes);
    let mut stream = TcpStream::connect(gate).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(&bearer(request.header("Connection", "close"), token).bytes(gate)).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let text = String::from_utf8_lossy(&answer);
    text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// From 1 to `most`.
fn random(most: usize) -> usize {
    let any = RandomState::new().hash_one(0_u8);
    1 + usize::try_from(any % u64::try_from(most).unwrap()).unwrap()
}

/// Kills the gate in the middle of uploads, and looks at what a new one makes of it; several times.
fn killed_again_and_again(home: Home, team: &Team) {
    let mut gate = Process::serve(home);
    team.make_channel(&gate);
    for round in 0..ROUNDS {
        let (address, acknowledged, enough) = (gate.address(), AtomicUsize::new(0), random(20));
        gate = std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let acknowledged = &acknowledged;
                let name = format!("p{round}-{client}");
                scope.spawn(move || team.upload(address, &name, acknowledged, &|_| false));
            }
            eventually_true("some uploads", || acknowledged.load(Ordering::SeqCst) >= enough);
            Process::serve(gate.kill())
        });
        team.check(&gate);
        if round % 2 == 1 {
            team.again(&gate);
            team.check(&gate);
        }
    }
    team.again(&gate);
    team.check(&gate);
    team.check_disk(gate.kill());
}

#[test]
fn the_gate_is_killed_while_clients_publish() {
    let home = Home::new();
    let team = Team::of(&Society::of(&home, SystemClock.now()));
    killed_again_and_again(home, &team);
}

#[test]
fn the_gate_is_killed_while_clients_publish_on_mongodb() {
    let Some(server) = Server::start() else { return };
    let home = Home::new();
    home.write_config(&server.config());
    let team = Team::of(&server.society());
    killed_again_and_again(home, &team);
}

#[test]
fn the_database_is_killed_while_clients_publish() {
    let Some(mut server) = Server::start() else { return };
    let home = Home::new();
    home.write_config(&server.config());
    let team = Team::of(&server.society());
    let gate = Process::serve(home);
    team.make_channel(&gate);
    for round in 0..2 {
        let (address, acknowledged, away) = (gate.address(), AtomicUsize::new(0), AtomicBool::new(false));
        let enough = random(20);
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (acknowledged, away) = (&acknowledged, &away);
                let (team, name) = (&team, format!("p{round}-{client}"));
                scope.spawn(move || {
                    team.upload(address, &name, acknowledged, &|status| {
                        status == 503 && away.load(Ordering::SeqCst)
                    });
                });
            }
            eventually_true("some uploads", || acknowledged.load(Ordering::SeqCst) >= enough);
            away.store(true, Ordering::SeqCst);
            server.kill();
        });
        server.run();
        eventually_true("the gate has its store again", || {
            gate.get("/-/readyz").json()["store"] == "current"
        });
        team.wait_for_index(&gate);
        team.check(&gate);
        team.again(&gate);
        team.check(&gate);
    }
    team.check_disk(gate.stop());
}
