//! A new process takes over: no request fails, what is under way goes on, what can't be is left as it was.

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::harness::process::{run, text_of};
use crate::harness::secure::{Authority, H2};
use crate::harness::wait::PATIENCE;
use crate::harness::{
    Act, Channel, Home, Latch, Process, Request, Upstream, eventually, eventually_true, package, rules,
};

const BIG: usize = 1_000_000;
/// Packages that are fetched in passing.
const COLD: usize = 40;
/// Clients of each kind, and upgrades under them.
const CLIENTS: usize = 4;
const ROUNDS: usize = 3;

/// A gate, and the processes that took over from it.
struct Line {
    gate: Process,
    heirs: Vec<u32>,
}

impl Line {
    fn of(gate: Process) -> Self {
        Self { gate, heirs: Vec::new() }
    }

    fn arguments(&self, command: &str) -> Vec<String> {
        let home = self.gate.home();
        let mut arguments = vec![command.to_owned(), "--data".to_owned(), home.data().display().to_string()];
        if home.config().exists() {
            arguments.extend(["--config".to_owned(), home.config().display().to_string()]);
        }
        arguments
    }

    /// Runs `condagate upgrade`; its exit code and what it says.
    fn try_upgrade(&self) -> (Option<i32>, String) {
        let arguments = self.arguments("upgrade");
        let output = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        (output.status.code(), text_of(&output))
    }

    /// Takes note of who took over.
    fn goes_on(&mut self, (code, said): (Option<i32>, String)) {
        assert_eq!(code, Some(0), "{said}{}", self.gate.home().log());
        assert!(said.contains("has taken over as process"), "{said}");
        self.heirs.push(said.split_whitespace().last().unwrap().parse().unwrap());
    }

    fn upgrade(&mut self) {
        let said = self.try_upgrade();
        self.goes_on(said);
    }

    /// Ends the last one well.
    fn end(mut self) {
        let last = self.heirs.pop().expect("an heir");
        signal(last, "TERM");
        eventually_true("the end of the last one", || !is_there(last));
        for heir in &self.heirs {
            eventually_true("the end of all before", || !is_there(*heir));
        }
        self.heirs.clear();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        for heir in &self.heirs {
            signal(*heir, "KILL");
        }
    }
}

fn signal(pid: u32, name: &str) {
    let _may_be_gone = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).output();
}

/// A process that has ended and that nobody has asked about is no more.
fn is_there(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

fn scene(config: &str) -> (Upstream, Channel, Line) {
    let upstream = Upstream::start();
    let channel = Channel::new("chan").with("noarch", &package("big", "1.0").payload(BIG));
    let channel = channel.with("noarch", &package("small", "1.0"));
    let channel = (0..COLD).fold(channel, |all, n| all.with("noarch", &package(&format!("cold{n}"), "1.0")));
    channel.publish(&upstream);
    let home = Home::new();
    home.write_rules(&rules::all_from(&upstream));
    home.write_config(config);
    let gate = Process::serve(home);
    (upstream, channel, Line::of(gate))
}

/// Asks for the same file on one connection after another, each as long as it lasts or for one request.
fn client(gate: SocketAddr, path: &str, expected: &[u8], keeps: bool, load: &Load) {
    while load.goes_on() {
        let mut connection = Request::get(path).begin(gate);
        loop {
            let answer = connection.answer("GET");
            let is_last = !keeps || answer.header("connection") == Some("close");
            assert!(answer.expect(200) == expected);
            load.answered.fetch_add(1, Ordering::SeqCst);
            if is_last || !load.goes_on() {
                break;
            }
            connection.send(&Request::get(path));
        }
    }
}

/// Asks for one file after another that nobody has asked for, so that each is fetched.
fn explorer(gate: SocketAddr, channel: &Channel, load: &Load) {
    for number in 0..COLD {
        if !load.goes_on() {
            return;
        }
        let name = format!("cold{number}");
        let answer = Request::get(&channel.path(&name)).send(gate);
        assert!(answer.expect(200) == channel.get(&name).bytes);
        load.answered.fetch_add(1, Ordering::SeqCst);
    }
}

/// Asks by HTTP/2, and again on another connection where it is told that it was not heard.
fn modern_client(gate: SocketAddr, authority: &Authority, path: &str, expected: &[u8], load: &Load) {
    while load.goes_on() {
        let h2 = H2::connect(authority, gate, "gate.test");
        while load.goes_on() {
            let Some(answer) = h2.heard(path) else { break };
            assert!(answer.expect(200) == expected);
            load.answered.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// What all clients see.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    answered: AtomicUsize,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }
}

#[test]
fn no_request_fails_under_load() {
    let authority = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let entry = authority.issue(&["gate.test"]).write(dir.path(), "gate");
    let (_upstream, channel, mut line) =
        scene(&format!("tls: {{listen: [\"127.0.0.1:0\"], certificates: [{entry}]}}\n"));
    let (small, big) = (channel.path("small"), channel.path("big"));
    let [of_small, of_big] = [&small, &big].map(|path| line.gate.settle(path).body);
    let (plain, tls) = (line.gate.addresses()[0], line.gate.addresses()[1]);
    let load = Load::default();
    std::thread::scope(|scope| {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(scope.spawn(|| client(plain, &small, &of_small, true, &load)));
            clients.push(scope.spawn(|| client(plain, &big, &of_big, true, &load)));
            clients.push(scope.spawn(|| client(plain, &small, &of_small, false, &load)));
        }
        clients.push(scope.spawn(|| explorer(plain, &channel, &load)));
        clients.push(scope.spawn(|| modern_client(tls, &authority, &small, &of_small, &load)));
        for _ in 0..ROUNDS {
            let before = load.answered.load(Ordering::SeqCst);
            line.upgrade();
            eventually_true("answers of the new one", || {
                load.answered.load(Ordering::SeqCst) > before + 20 * CLIENTS
            });
        }
        load.stop.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().expect("a client without a failure");
        }
    });
    line.gate.settle(&small);
    line.end();
}

#[test]
fn a_download_under_way_is_finished_by_who_began_it() {
    let (upstream, channel, mut line) = scene("");
    let path = channel.path("big");
    line.gate.get(&channel.at("noarch", "repodata.json")).expect(200);
    let latch = Latch::new();
    upstream.script(&path, [Act::HoldBody(BIG / 2, latch.clone())]);
    let mut client = Request::get(&path).begin(line.gate.address());
    let head = client.head();
    let first = client.exactly(BIG / 4);
    line.upgrade();
    line.gate.get(&channel.path("small")).expect(200);
    latch.open();
    client.must_become(&head, &first, &channel.get("big").bytes);
    drop(client);
    assert!(line.gate.settle(&path).body == channel.get("big").bytes);
    line.end();
}

#[test]
fn a_connection_outlives_the_process_that_took_it() {
    let authority = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let entry = authority.issue(&["gate.test"]).write(dir.path(), "gate");
    let (_upstream, channel, mut line) =
        scene(&format!("tls: {{listen: [\"127.0.0.1:0\"], certificates: [{entry}]}}\n"));
    let path = channel.path("small");
    let expected = line.gate.settle(&path).body;
    let mut plain = Request::get("/-/healthz").begin(line.gate.address());
    let client = plain.local_address();
    plain.answer("GET").expect(200);
    let config = authority.client(&["http/1.1"], None);
    let stream = std::net::TcpStream::connect(line.gate.addresses()[1]).unwrap();
    let mut tls = crate::harness::secure::connect(&config, stream, "gate.test").unwrap();
    line.upgrade();
    // The address is still the client's own, and the answer says that it was the last.
    plain.send(&Request::get(&path));
    let answer = plain.answer("GET");
    assert_eq!(answer.must("connection"), "close");
    let written = line.gate.home().access_line(answer.must("x-request-id"));
    assert!(answer.expect(200) == expected);
    assert!(written.contains(&client.to_string()), "{written}");
    let said = crate::harness::secure::ask_once(&mut tls, "/-/healthz", "").unwrap();
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    drop(tls);
    // New ones by TLS too.
    let stream = std::net::TcpStream::connect(line.gate.addresses()[1]).unwrap();
    let mut tls = crate::harness::secure::connect(&config, stream, "gate.test").unwrap();
    crate::harness::secure::ask_once(&mut tls, "/-/healthz", "").unwrap();
    line.end();
}

#[test]
fn what_cannot_take_over_changes_nothing() {
    let (_upstream, channel, mut line) = scene("log: {level: info}\n");
    let path = channel.path("small");
    line.gate.settle(&path);
    line.gate.home().write_config("lgo: {level: info}\n");
    line.gate.signal("USR2");
    eventually_true("word of it", || line.gate.home().log().contains("This one goes on as before"));
    line.gate.home().write_config("log: {level: info}\n");
    assert_eq!(line.gate.get(&path).status, 200);
    // It can still be upgraded, and still be stopped.
    line.gate.signal("USR2");
    let log = || line.gate.home().log();
    let heir: u32 = eventually("an heir", || {
        let log = log();
        let said = log.lines().find(|said| said.contains("another process has taken over"))?.to_owned();
        said.split("pid=").nth(1)?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    });
    line.heirs.push(heir);
    line.end();
}

#[test]
fn a_stop_comes_while_the_old_one_still_answers() {
    let (upstream, channel, mut line) = scene("");
    let path = channel.path("big");
    line.gate.get(&channel.at("noarch", "repodata.json")).expect(200);
    upstream.script(&path, [Act::StallBody(BIG / 2)]);
    let mut client = Request::get(&path).begin(line.gate.address());
    client.head();
    client.exactly(BIG / 4);
    line.upgrade();
    let last = *line.heirs.last().expect("an heir");
    signal(last, "TERM");
    eventually_true("the end of the new one", || !is_there(last));
    // The old one does not keep the address for it.
    std::net::TcpStream::connect(line.gate.address()).expect_err("nobody listens any more");
    drop(client);
    line.end();
}

#[test]
fn an_address_that_is_taken_calls_it_off() {
    let (_upstream, channel, mut line) = scene("log: {level: info}\n");
    let path = channel.path("small");
    line.gate.settle(&path);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let entry = Authority::new().issue(&["gate.test"]).write(dir.path(), "gate");
    let with_tls = format!("tls: {{listen: [\"{address}\"], certificates: [{entry}]}}\n");
    line.gate.home().write_config(&with_tls);
    let (code, said) = line.try_upgrade();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("This one goes on as before"), "{said}");
    assert!(line.gate.home().log().contains(&address.to_string()), "{}", line.gate.home().log());
    line.gate.get(&path).expect(200);
    // With the address free it takes both.
    drop(taken);
    line.upgrade();
    std::net::TcpStream::connect(address).unwrap();
    line.gate.get(&path).expect(200);
    line.end();
}

#[test]
fn what_waits_is_waited_for() {
    let (upstream, channel, mut line) = scene("log: {level: info}\n");
    let index = channel.at("noarch", "repodata.json");
    let latch = Latch::new();
    let asked = format!("{index}.zst");
    upstream.script(&asked, [Act::HoldBody(10, latch.clone())]);
    let gate = line.gate.address();
    let said = std::thread::scope(|scope| {
        let first = scope.spawn(|| Request::get(&index).send(gate).expect(200));
        eventually_true("the index is asked for", || upstream.gets(&asked) > 0);
        let upgrade = scope.spawn(|| line.try_upgrade());
        eventually_true("the upgrade", || line.gate.home().log().contains("starting the process"));
        let second = scope.spawn(|| Request::get(&index).send(gate).expect(200));
        latch.open();
        assert_eq!(first.join().unwrap(), second.join().unwrap());
        upgrade.join().unwrap()
    });
    line.goes_on(said);
    line.gate.get(&index).expect(200);
    line.end();
}

#[test]
fn the_service_manager_hears_who_serves_now() {
    let home = Home::new();
    home.write_rules(&rules::all_from(&Upstream::start()));
    let manager = UnixDatagram::bind(home.path("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let hears = |beginning: &str| {
        loop {
            let mut note = [0; 1024];
            let length = manager.recv(&mut note).unwrap_or_else(|error| panic!("no {beginning}: {error}"));
            let note = String::from_utf8(note[..length].to_vec()).unwrap();
            if note.starts_with(beginning) {
                return note;
            }
        }
    };
    let socket = home.path("notify").display().to_string();
    let mut line = Line::of(Process::serve_in(home, &[], &[("NOTIFY_SOCKET", &socket)]));
    hears("READY=1");
    line.upgrade();
    assert_eq!(hears("MAINPID=").trim(), format!("MAINPID={}", line.heirs[0]));
    hears("READY=1");
    line.end();
}

#[test]
fn what_all_processes_were_asked_for_adds_up() {
    let (_upstream, channel, mut line) = scene("");
    let path = channel.path("small");
    let ask = |line: &Line, times| (0..times).for_each(|_| drop(line.gate.get(&path).expect(200)));
    ask(&line, 3);
    // One that the first process answers while the next one serves already.
    let mut slow = Request::get(&channel.path("big")).begin(line.gate.address());
    let head = slow.head();
    line.upgrade();
    ask(&line, 4);
    slow.body("GET", &head);
    line.upgrade();
    ask(&line, 2);
    eventually_true("all ten", || crate::traffic::dumped(line.gate.home()) == 10);
    line.end();
}
