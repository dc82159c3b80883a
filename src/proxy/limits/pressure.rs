//! How much all callers together have taken, and when it is enough: connections, requests, file descriptors.
//!
//! Descriptors are counted, and memory asked for, once a second; connections that came since then are added, so that a rush is noticed while it comes.
//!
//! Belongs here: counting, and the point from which on new ones are turned away. Does not: turning them away (`front`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::telemetry::Metrics;
use crate::telemetry::metrics::Limit;

/// Connections above the limit that are listened to, so that health can be asked for; beyond them nobody is.
const LISTENED_TO: usize = 64;

/// What all callers together may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PressureSettings {
    /// Open connections.
    pub connections: usize,
    /// Requests being answered; 0 for any number.
    pub requests: usize,
    /// Percent of the file descriptors that the process may have; 0 for all.
    pub descriptors: u8,
    /// Percent of the memory that may be in use; 0 for all.
    pub memory: u8,
}

impl Default for PressureSettings {
    fn default() -> Self {
        Self { connections: 10_000, requests: 0, descriptors: 90, memory: 95 }
    }
}

/// See the module's description.
pub struct Pressure {
    settings: PressureSettings,
    open: AtomicUsize,
    under_way: AtomicUsize,
    /// Descriptors that are not connections of clients, when they were last counted.
    others: AtomicU64,
    /// Too much memory was in use when that was last asked for.
    heavy: AtomicBool,
    /// From so many descriptors on only health is told, and from so many on nobody is listened to; none for never.
    most: Option<(u64, u64)>,
    metrics: Arc<Metrics>,
}

/// What is to be done with a new connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::proxy) enum Room {
    /// It is served.
    Enough,
    /// Only what tells of the gate's health is answered.
    Short(Limit),
    /// It is told so at once.
    Gone(Limit),
}

/// An open connection.
pub(in crate::proxy) struct OpenConnection(Arc<Pressure>);

/// A request being answered.
pub(in crate::proxy) struct UnderWay<'a>(Option<&'a Pressure>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.connections.dec();
    }
}

impl UnderWay<'_> {
    /// One that is answered however many there are.
    pub(in crate::proxy) const fn uncounted() -> Self {
        Self(None)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(pressure) = self.0 {
            pressure.under_way.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Pressure {
    /// `descriptors`: how many the process may have; none where that is not known.
    #[must_use]
    pub fn new(settings: PressureSettings, descriptors: Option<u64>, metrics: Arc<Metrics>) -> Arc<Self> {
        let percent = u64::from(settings.descriptors.min(100));
        let most = descriptors.filter(|_| percent > 0).map(|all| {
            let most = all.saturating_mul(percent) / 100;
            (most, most + (all - most) / 2)
        });
        metrics.limits.descriptors_limit.set(descriptors.map_or(0, signed));
        Arc::new(Self {
            settings,
            open: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            others: AtomicU64::new(0),
            heavy: AtomicBool::new(false),
            most,
            metrics,
        })
    }

    /// So many descriptors are open.
    pub fn counted(&self, descriptors: u64) {
        self.metrics.limits.descriptors.set(signed(descriptors));
        let open = self.open.load(Ordering::Relaxed) as u64;
        self.others.store(descriptors.saturating_sub(open), Ordering::Relaxed);
    }

    /// So many percent of the memory are in use.
    pub fn weighed(&self, percent: u8) {
        let heavy = self.settings.memory > 0 && percent >= self.settings.memory;
        if self.heavy.swap(heavy, Ordering::Relaxed) != heavy {
            let most = self.settings.memory;
            if heavy {
                tracing::warn!(
                    percent,
                    most,
                    "hardly any memory is left; new requests are turned away until there is more"
                );
            } else {
                tracing::info!(percent, "there is memory again; requests are answered");
            }
        }
    }

    /// Counts a connection in.
    pub(in crate::proxy) fn connected(self: &Arc<Self>) -> (OpenConnection, Room) {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        self.metrics.accepted.inc();
        self.metrics.connections.inc();
        (OpenConnection(Arc::clone(self)), self.room(before))
    }

    fn room(&self, connections: usize) -> Room {
        let most = self.settings.connections;
        if connections >= most.saturating_add(LISTENED_TO) {
            return Room::Gone(Limit::Connections);
        }
        let descriptors = self.others.load(Ordering::Relaxed) + connections as u64;
        match self.most {
            // What is left is for files and upstreams of those who are served.
            Some((_, last)) if descriptors >= last => Room::Gone(Limit::Descriptors),
            Some((most, _)) if descriptors >= most => Room::Short(Limit::Descriptors),
            _ if connections >= most => Room::Short(Limit::Connections),
            _ => Room::Enough,
        }
    }

    /// Counts a request in, or says that there are too many.
    pub(in crate::proxy) fn begun(&self) -> Result<UnderWay<'_>, Limit> {
        if self.heavy.load(Ordering::Relaxed) {
            return Err(Limit::Memory);
        }
        if self.settings.requests == 0 {
            return Ok(UnderWay(None));
        }
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        let under_way = UnderWay(Some(self));
        if before < self.settings.requests { Ok(under_way) } else { Err(Limit::Requests) }
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_since_the_last_count_are_added() {
        let settings = PressureSettings { connections: 1000, ..PressureSettings::default() };
        let pressure = Pressure::new(settings, Some(1000), Arc::new(Metrics::new()));
        let first: Vec<_> = (0..100).map(|_| pressure.connected()).collect();
        assert!(first.iter().all(|(_, room)| *room == Room::Enough));
        pressure.counted(850);
        let more: Vec<_> = (0..150).map(|_| pressure.connected()).collect();
        let rooms: Vec<_> = more.iter().map(|(_, room)| *room).collect();
        assert_eq!((rooms[0], rooms[49]), (Room::Enough, Room::Enough));
        assert_eq!(
            (rooms[50], rooms[149]),
            (Room::Short(Limit::Descriptors), Room::Gone(Limit::Descriptors))
        );
        drop((first, more));
        assert_eq!(pressure.connected().1, Room::Enough);
    }

    #[test]
    fn limits_that_are_off_are_off() {
        let settings = PressureSettings { connections: 1, requests: 0, descriptors: 0, memory: 0 };
        let pressure = Pressure::new(settings, Some(10), Arc::new(Metrics::new()));
        pressure.counted(10);
        pressure.weighed(100);
        let held = (pressure.connected(), pressure.connected());
        assert_eq!((held.0.1, held.1.1), (Room::Enough, Room::Short(Limit::Connections)));
        assert!(pressure.begun().is_ok());
    }

    #[test]
    fn memory_comes_and_goes() {
        let pressure = Pressure::new(PressureSettings::default(), None, Arc::new(Metrics::new()));
        pressure.weighed(94);
        assert!(pressure.begun().is_ok());
        pressure.weighed(95);
        assert_eq!(pressure.begun().err(), Some(Limit::Memory));
        pressure.weighed(90);
        assert!(pressure.begun().is_ok());
    }

    #[test]
    fn requests_come_and_go() {
        let settings = PressureSettings { requests: 1, ..PressureSettings::default() };
        let pressure = Pressure::new(settings, None, Arc::new(Metrics::new()));
        let one = pressure.begun();
        assert!(one.is_ok() && pressure.begun().is_err() && pressure.begun().is_err());
        drop(one);
        assert!(pressure.begun().is_ok());
    }
}
