//! A graceful stop: accepted requests finish, new ones are not taken, an idle gate ends at once.

use std::net::TcpStream;

use crate::harness::{
    Act, Channel, Home, Latch, Process, Request, Upstream, eventually_true, package, rules,
};

const BIG: usize = 1_000_000;

fn scene() -> (Upstream, Channel, Process) {
    let upstream = Upstream::start();
    let channel = Channel::new("chan").with("noarch", &package("big", "1.0").payload(BIG));
    channel.publish(&upstream);
    let home = Home::new();
    home.write_rules(&rules::all_from(&upstream));
    home.write_config("timeouts: {stop: 10s}\n");
    (upstream, channel, Process::serve(home))
}

#[test]
fn an_idle_gate_ends_well() {
    for signal in ["TERM", "INT"] {
        let (_upstream, _channel, gate) = scene();
        gate.get("/-/healthz").expect(200);
        gate.signal(signal);
        let (status, _home) = gate.wait();
        assert!(status.success(), "{signal}: {status}");
    }
}

#[test]
fn an_idle_keep_alive_connection_does_not_hold_it_up() {
    let (_upstream, _channel, gate) = scene();
    let mut idle = Request::get("/-/healthz").begin(gate.address());
    idle.answer("GET").expect(200);
    gate.stop();
    assert!(idle.is_closed_by_gate());
}

#[test]
fn an_accepted_download_finishes() {
    let (upstream, channel, gate) = scene();
    let path = channel.path("big");
    gate.get(&channel.at("noarch", "repodata.json")).expect(200);
    let latch = Latch::new();
    upstream.script(&path, [Act::HoldBody(BIG / 2, latch.clone())]);
    let mut client = Request::get(&path).begin(gate.address());
    let head = client.head();
    let first = client.exactly(BIG / 4);
    gate.signal("TERM");
    let address = gate.address();
    eventually_true("no new connections", || TcpStream::connect(address).is_err());
    latch.open();
    client.must_become(&head, &first, &channel.get("big").bytes);
    let (status, home) = gate.wait();
    assert!(status.success(), "{status}");
    home.check_blobs();
}

#[test]
fn nothing_half_written_is_trusted_afterwards() {
    let (upstream, channel, gate) = scene();
    let path = channel.path("big");
    gate.get(&channel.at("noarch", "repodata.json")).expect(200);
    upstream.script(&path, [Act::StallBody(BIG / 2)]);
    let mut client = Request::get(&path).begin(gate.address());
    client.head();
    client.exactly(BIG / 4);
    drop(client);
    let home = gate.stop();
    home.check_blobs();
    let gate = Process::serve(home);
    assert!(gate.get(&path).expect(200) == channel.get("big").bytes);
}
