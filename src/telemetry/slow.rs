//! Lines about what took too long, one each, with where the time went.
//!
//! The access line and the answer have the same request id. Neither paths nor queries are told: the access line has them, masked.
//!
//! Belongs here: from when on something is slow, and the lines. Does not: measuring (`proxy`, `cache`).

use std::time::Duration;

use super::access::End;
use super::labels::{Outcome, RouteKind};
use crate::id::RequestId;

/// From when on something is told as slow; zero for never.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slow {
    /// Requests: the time that they were held up for, whatever their clients took.
    pub request: Duration,
    /// Downloads from upstream into the cache.
    pub fill: Duration,
}

impl Slow {
    /// Nothing is slow.
    pub const OFF: Self = Self { request: Duration::ZERO, fill: Duration::ZERO };

    /// Whether a request that was held up so long is to be told.
    #[must_use]
    pub fn is_slow_request(&self, held_up: Duration) -> bool {
        !self.request.is_zero() && held_up >= self.request
    }

    /// Whether a download that took so long is to be told.
    #[must_use]
    pub fn is_slow_fill(&self, took: Duration) -> bool {
        !self.fill.is_zero() && took >= self.fill
    }
}

/// A request that was held up.
#[derive(Clone, Copy, Debug)]
pub struct SlowRequest<'a> {
    /// Its id.
    pub request: RequestId,
    /// What it asked for.
    pub kind: RouteKind,
    /// Of which channel.
    pub channel: Option<&'a str>,
    /// As answered.
    pub status: u16,
    /// Body bytes sent.
    pub bytes: u64,
    /// Where they came from.
    pub outcome: Outcome,
    /// How the answer ended.
    pub end: End,
    /// The upstream it waited for, by its name in the rules.
    pub upstream: Option<&'a str>,
    /// The printable address of the mirror that sent the bytes.
    pub from: Option<&'a str>,
    /// How long it took to know who asks.
    pub let_in: Duration,
    /// How long it waited for upstream.
    pub upstream_wait: Option<Duration>,
    /// From the complete head to the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// From the complete head to the last byte.
    pub took: Duration,
}

impl SlowRequest<'_> {
    /// Writes the line.
    pub fn log(&self) {
        tracing::warn!(
            request = %self.request,
            kind = self.kind.as_str(),
            channel = self.channel,
            status = self.status,
            bytes = self.bytes,
            outcome = self.outcome.as_str(),
            end = self.end.as_str(),
            upstream = self.upstream,
            mirror = self.from,
            let_in_ms = millis(self.let_in),
            upstream_ms = self.upstream_wait.map(millis),
            first_byte_ms = self.first_byte.map(millis),
            ms = millis(self.took),
            "slow request"
        );
    }
}

/// A download that took long.
#[derive(Clone, Copy, Debug)]
pub struct SlowFill<'a> {
    /// The request that began it.
    pub request: Option<RequestId>,
    /// What it is called: the path below the gate, without credentials.
    pub file: &'a str,
    /// The printable address of the mirror that sent the bytes.
    pub from: Option<&'a str>,
    /// Bytes on disk at its end.
    pub bytes: u64,
    /// How long it waited for its turn.
    pub queued: Duration,
    /// From its begin to the head of upstream's answer.
    pub first_byte: Option<Duration>,
    /// From its begin to its end.
    pub took: Duration,
    /// How often upstream was asked again.
    pub asked_again: u32,
    /// Whether the file is stored.
    pub stored: bool,
}

impl SlowFill<'_> {
    /// Writes the line.
    pub fn log(&self) {
        let request = self.request.map(|request| request.to_string());
        tracing::warn!(
            request,
            file = self.file,
            bytes = self.bytes,
            mirror = self.from,
            queued_ms = millis(self.queued),
            first_byte_ms = self.first_byte.map(millis),
            ms = millis(self.took),
            asked_again = self.asked_again,
            stored = self.stored,
            "slow download from upstream"
        );
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_off() {
        let hour = Duration::from_hours(1);
        assert!(!Slow::OFF.is_slow_request(hour) && !Slow::OFF.is_slow_fill(hour));
        let slow = Slow { request: hour, fill: Duration::from_millis(1) };
        assert!(slow.is_slow_request(hour) && !slow.is_slow_request(hour / 2));
        assert!(slow.is_slow_fill(Duration::from_millis(1)));
    }
}
