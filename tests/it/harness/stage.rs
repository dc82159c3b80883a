//! The usual scene: one channel on one scripted upstream behind one gate.

use std::time::Duration;

use super::channel::Channel;
use super::client::{Answer, End};
use super::gate::{Gate, Setup};
use super::rules;
use super::upstream::Upstream;
use super::wait::eventually;

/// An upstream with a channel, and a gate in front.
pub struct Stage {
    /// The gate (first, so that it stops before its upstream).
    pub gate: Gate,
    /// The upstream.
    pub upstream: Upstream,
    /// What the upstream was given.
    pub channel: Channel,
}

impl Stage {
    /// Publishes the channel and starts a gate with the usual rules.
    pub fn new(channel: Channel) -> Self {
        Self::with(channel, "timeouts: {connect: 5s}")
    }

    /// The same with further settings of the upstream.
    pub fn with(channel: Channel, settings: &str) -> Self {
        let upstream = Upstream::start();
        channel.publish(&upstream);
        let gate = Setup::rules(&rules::all_from_with(&upstream, settings)).start();
        Self { gate, upstream, channel }
    }

    /// The same with a gate that gives up on a stalling upstream quickly.
    pub fn impatient(channel: Channel) -> Self {
        Self::with(channel, rules::IMPATIENT)
    }

    /// A GET.
    pub fn get(&self, path: &str) -> Answer {
        self.gate.get(path)
    }

    /// Has the gate read the index of `noarch`, so that it knows every package's digest.
    pub fn know_index(&self) {
        self.get(&self.channel.at("noarch", "repodata.json")).expect(200);
    }

    /// Gets a package and asserts that it is the right one.
    pub fn fetch(&self, name: &str) {
        let body = self.get(&self.channel.path(name)).expect(200);
        assert!(body == self.channel.get(name).bytes, "wrong bytes of {name}");
    }

    /// Gets a package until it is right: an upstream that was in trouble may be left alone for a while.
    pub fn fetch_eventually(&self, name: &str) {
        let path = self.channel.path(name);
        let answer = eventually("the right bytes once upstream is well", || {
            self.gate.advance(Duration::from_secs(10));
            Some(self.get(&path)).filter(|a| a.status == 200 && a.end == End::Complete)
        });
        assert!(answer.body == self.channel.get(name).bytes, "wrong bytes of {name}");
    }

    /// True when no blob claims to be this package.
    pub fn home_has_no_blob(&self, name: &str) -> bool {
        let digest = super::digest::sha256_hex(&self.channel.get(name).bytes);
        !self.gate.home().blobs().iter().any(|p| p.ends_with(&digest))
    }
}
