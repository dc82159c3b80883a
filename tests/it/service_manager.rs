//! Under a service manager: what it is told, the sockets it passes, the files that describe the service, port 80 without root.

use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::process::{BINARY, text_of};
use crate::harness::{Home, Process, Request, Upstream, eventually, rules, skipped};

fn home() -> Home {
    let home = Home::new();
    home.write_rules(&rules::all_from(&Upstream::start()));
    home
}

/// The manager's end of the notification socket.
struct Manager(UnixDatagram);

impl Manager {
    fn in_home(home: &Home) -> Self {
        let socket = UnixDatagram::bind(home.path("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(socket)
    }

    /// The next note that begins like this.
    fn hears(&self, beginning: &str) -> String {
        loop {
            let mut note = [0; 1024];
            let length = self.0.recv(&mut note).unwrap_or_else(|error| panic!("no {beginning}: {error}"));
            let note = String::from_utf8(note[..length].to_vec()).unwrap();
            if note.starts_with(beginning) {
                return note;
            }
        }
    }
}

#[test]
fn the_manager_hears_how_things_stand() {
    let home = home();
    let manager = Manager::in_home(&home);
    let socket = home.path("notify").display().to_string();
    let gate = Process::serve_in(home, &[], &[("NOTIFY_SOCKET", &socket), ("WATCHDOG_USEC", "300000")]);
    let ready = manager.hears("READY=1");
    assert!(ready.contains(&format!("STATUS=answers requests on {}", gate.address())), "{ready}");
    manager.hears("WATCHDOG=1");
    gate.signal("HUP");
    let reloading = manager.hears("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    assert!(!manager.hears("READY=1").contains("mistakes"));
    gate.home().write_rules("channels: [{name: x, upstream: nowhere}]\n");
    gate.signal("HUP");
    eventually("word of the mistakes", || manager.hears("READY=1").contains("mistakes").then_some(()));
    gate.signal("TERM");
    manager.hears("STOPPING=1");
    let (status, _home) = gate.wait();
    assert!(status.success());
}

#[test]
fn a_passed_socket_is_used_and_others_are_bound_beside() {
    let passed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = passed.local_addr().unwrap();
    // Sockets of this process are closed in its children unless this is said.
    rustix::io::fcntl_setfd(&passed, rustix::io::FdFlags::empty()).unwrap();
    let number = passed.as_raw_fd().to_string();
    let variables = [("LISTEN_FDS", "1"), ("LISTEN_FDS_FIRST_FD", &*number)];
    let gate = Process::serve_in(home(), &[], &variables);
    rustix::io::fcntl_setfd(&passed, rustix::io::FdFlags::CLOEXEC).unwrap();
    assert_eq!(gate.addresses()[0], address);
    assert_eq!(gate.addresses().len(), 2);
    for address in gate.addresses() {
        Request::get("/-/healthz").send(*address).expect(200);
    }
    gate.stop();
}

#[test]
fn the_unit_is_right_and_hardened() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return skipped("systemd-analyze is missing; the units in deploy/systemd were not checked");
    }
    let home = Home::new();
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd");
    for name in ["condagate.service", "condagate.socket"] {
        let unit = std::fs::read_to_string(units.join(name)).unwrap();
        std::fs::write(home.path(name), unit.replace("/usr/bin/condagate", BINARY)).unwrap();
    }
    let analyze = |arguments: &[&str]| {
        let (service, socket) = (home.path("condagate.service"), home.path("condagate.socket"));
        let mut command = Command::new("systemd-analyze");
        command.args(arguments).arg(service);
        if arguments == ["verify"] {
            command.arg(socket);
        }
        let output = command.output().unwrap();
        (output.status.success(), text_of(&output))
    };
    let (is_right, said) = analyze(&["verify"]);
    assert!(is_right && !said.contains("condagate."), "{said}");
    // In tenths; 20 is what systemd calls OK.
    let (is_hard, said) = analyze(&["security", "--offline=yes", "--no-pager", "--threshold=20"]);
    assert!(is_hard, "{said}");
}

#[test]
fn port_80_without_root() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/try-port-80");
    let output = Command::new(script).arg(BINARY).output().unwrap();
    let said = text_of(&output);
    if output.status.code() == Some(77) {
        return skipped(&said);
    }
    assert!(output.status.success(), "{said}");
    for line in said.lines().filter(|line| line.starts_with("SKIPPED")) {
        skipped(line);
    }
}
