//! The circuit and the rest, by a clock that is moved by hand.

use super::super::health::{Admission, Health, Pass};
use super::*;

fn fresh() -> (Arc<ManualClock>, Arc<Health>) {
    let clock = ManualClock::new(START);
    let settings = HealthSettings {
        threshold: 2,
        base_open: Duration::from_secs(2),
        max_open: Duration::from_secs(5),
        default_rest: Duration::from_secs(15),
        max_rest: Duration::from_mins(10),
    };
    let health = Health::new(Arc::clone(&clock) as _, settings);
    (clock, health)
}

fn go(health: &Arc<Health>) -> Pass {
    match health.admit() {
        Admission::Go(pass) => pass,
        Admission::Open(left) => panic!("open for {left:?}"),
        Admission::Resting(left) => panic!("resting for {left:?}"),
    }
}

fn open_for(health: &Arc<Health>) -> Option<Duration> {
    match health.admit() {
        Admission::Open(left) => Some(left),
        Admission::Go(_) | Admission::Resting(_) => None,
    }
}

#[test]
fn open_periods_double_up_to_a_cap() {
    let (clock, health) = fresh();
    go(&health).failed("reset");
    go(&health).failed("reset");
    for seconds in [2, 4, 5, 5] {
        let period = Duration::from_secs(seconds);
        assert_eq!(open_for(&health), Some(period));
        assert_eq!(health.view().open_until, Some(clock_now(&clock).plus(period)));
        clock.advance(period);
        go(&health).failed("reset");
    }
}

fn clock_now(clock: &ManualClock) -> UnixMillis {
    use crate::clock::Clock;
    clock.now()
}

#[test]
fn one_probe_at_a_time_and_a_dropped_one_is_given_back() {
    let (clock, health) = fresh();
    go(&health).failed("reset");
    go(&health).failed("reset");
    clock.advance(Duration::from_secs(2));
    let probe = go(&health);
    assert_eq!(open_for(&health), Some(Duration::ZERO));
    drop(probe);
    let probe = go(&health);
    health.last_resort().failed("reset");
    assert_eq!(open_for(&health), Some(Duration::ZERO), "others don't speak for the probe");
    probe.answered();
    assert!(health.view().healthy);
}

#[test]
fn after_a_probe_one_more_failure_opens_again() {
    let (clock, health) = fresh();
    go(&health).failed("reset");
    go(&health).failed("reset");
    clock.advance(Duration::from_secs(2));
    go(&health).answered();
    go(&health).failed("reset");
    assert!(open_for(&health).is_some(), "its body never came through");
}

#[test]
fn a_complete_exchange_forgets_failures() {
    let (_, health) = fresh();
    for _ in 0..3 {
        go(&health).failed("reset");
        go(&health).answered();
        health.completed();
    }
    assert!(health.view().healthy);
    assert_eq!((health.view().failures, health.view().last_error), (0, None));
}

#[test]
fn late_failures_do_not_lengthen_an_open_period() {
    let (clock, health) = fresh();
    let late = [go(&health), go(&health), go(&health)];
    go(&health).failed("reset");
    go(&health).failed("reset");
    clock.advance(Duration::from_secs(1));
    for pass in late {
        pass.failed("timeout");
    }
    assert_eq!(open_for(&health), Some(Duration::from_secs(1)));
}

#[test]
fn rests_are_bounded_and_not_shortened() {
    let (clock, health) = fresh();
    let secs = Duration::from_secs;
    assert_eq!(health.rest(Some(secs(86_400))), secs(600));
    assert_eq!(health.rest(Some(secs(5))), secs(5));
    assert_eq!(health.resting(), Some(secs(600)));
    clock.advance(secs(600));
    assert_eq!(health.resting(), None);
    assert_eq!(health.rest(Some(Duration::ZERO)), secs(1));
    clock.advance(secs(1));
    assert_eq!(health.rest(None), secs(15));
}

#[test]
fn a_clock_set_back_frees_everything() {
    let clock = ManualClock::new(START);
    let health =
        Health::new(Arc::clone(&clock) as _, HealthSettings { threshold: 1, ..HealthSettings::default() });
    go(&health).failed("reset");
    health.rest(Some(Duration::from_mins(1)));
    // A manual clock only moves forward, so it goes around: to the far past.
    clock.advance(Duration::from_millis(u64::MAX));
    assert_eq!(health.resting(), None);
    drop(go(&health));
}
