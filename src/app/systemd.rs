//! What the service manager passes and wants to hear: sockets (LISTEN_FDS) and notes on how things stand (NOTIFY_SOCKET).
//!
//! Belongs here: the protocol of systemd, which others speak too. Without such a manager nothing here does anything.
//! Does not: deciding when the gate is ready or stops (`serve`).

use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::runtime::Runtime;

use crate::proxy::listen::{Bound, ListenError};
use crate::proxy::server::Pulse;

/// The name (`FileDescriptorName=`) of sockets for TLS.
const TLS: &str = "tls";

/// Takes the sockets that were passed to this process; none where none were. Call it once, while the process has one thread: it
/// takes the variables away, so that no child believes them.
///
/// # Errors
/// One for each socket that is of no use.
pub(super) fn sockets() -> Result<Vec<Bound>, Vec<ListenError>> {
    // What systemd calls them, in their order.
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let is_tls: Vec<bool> = names.split(':').map(|name| name == TLS).collect();
    let mut passed = ListenFd::from_env();
    let (mut taken, mut errors) = (Vec::new(), Vec::new());
    for index in 0..passed.len() {
        match passed.take_tcp_listener(index).and_then(|socket| socket.map(Bound::given).transpose()) {
            Ok(socket) if is_tls.get(index) == Some(&true) => taken.extend(socket.map(Bound::with_tls)),
            Ok(socket) => taken.extend(socket),
            Err(source) => errors.push(ListenError::Given { number: index + 1, source }),
        }
    }
    if errors.is_empty() { Ok(taken) } else { Err(errors) }
}

/// Requests are answered.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Settings are being read again; [`ready`] ends it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => {
            tracing::warn!(%error, "the service manager can't be told of a reload: there is no clock");
        }
    }
}

/// Another process is the service now.
pub(super) fn main_process(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

/// The end has begun.
pub(super) fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

fn tell(notes: &[NotifyState<'_>]) {
    // Ok where nobody wants to hear it.
    if let Err(error) = sd_notify::notify(notes) {
        tracing::warn!(%error, "the service manager can't be told how things stand");
    }
}

/// Tells the manager again and again that the gate lives, as long as every worker takes its turns. A manager that hears nothing
/// starts the gate anew.
pub(super) fn keep_alive(runtime: &Runtime, pulse: Pulse) {
    let Some(within) = sd_notify::watchdog_enabled().filter(|within| *within > Duration::ZERO) else {
        return;
    };
    runtime.spawn(async move {
        let mut ticks = tokio::time::interval(within / 3);
        loop {
            ticks.tick().await;
            if tokio::time::timeout(within / 3, pulse.beat()).await == Ok(true) {
                tell(&[NotifyState::Watchdog]);
            } else {
                tracing::error!(
                    "a worker has not had a turn for long; the service manager may start the gate anew"
                );
            }
        }
    });
}
