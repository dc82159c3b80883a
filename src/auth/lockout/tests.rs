use proptest::prelude::*;

use super::*;

const START: UnixMillis = UnixMillis(1_700_000_000_000);

fn name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(seconds: u64) -> UnixMillis {
    START.plus(Duration::from_secs(seconds))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const GO: Attempt = Attempt::Go(Duration::ZERO);

#[test]
fn waits_double_up_to_the_longest() {
    let lockout = Lockout::new(LockoutSettings::default());
    let (user, from) = (name("alice"), ip("192.0.2.1"));
    let mut now = START;
    for _ in 0..5 {
        assert_eq!(lockout.begin(&user, from, now), GO);
    }
    for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
        assert_eq!(lockout.begin(&user, from, now), Attempt::Wait(secs(expected), Reason::User));
        now = now.plus(secs(expected));
        assert!(matches!(lockout.begin(&user, from, now), Attempt::Go(_)));
    }
    now = now.plus(secs(3600));
    assert_eq!(lockout.begin(&user, from, now), GO);
    assert_eq!(lockout.begin(&user, from, now), GO, "starts anew");
}

#[test]
fn waiting_attempts_do_not_make_it_longer() {
    let lockout = Lockout::new(LockoutSettings::default());
    let (user, from) = (name("alice"), ip("192.0.2.1"));
    for _ in 0..5 {
        assert_eq!(lockout.begin(&user, from, START), GO);
    }
    for _ in 0..1000 {
        assert_eq!(lockout.begin(&user, from, START), Attempt::Wait(secs(1), Reason::User));
    }
    assert_eq!(lockout.begin(&user, from, at(1)), GO);
}

#[test]
fn a_success_starts_anew() {
    let lockout = Lockout::new(LockoutSettings::default());
    let (user, from) = (name("alice"), ip("192.0.2.1"));
    for _ in 0..200 {
        for _ in 0..4 {
            assert_eq!(lockout.begin(&user, from, START), GO);
        }
        assert_eq!(lockout.begin(&user, from, START), GO);
        lockout.succeeded(&user, from, START);
    }
}

#[test]
fn a_network_is_an_ipv4_address_or_a_64() {
    let same = [("192.0.2.1", "::ffff:192.0.2.1"), ("2001:db8::1", "2001:db8:0:0:ffff::2")];
    let other = [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8:0:1::1")];
    let blocked = |one: &str, two: &str| {
        let lockout = Lockout::new(LockoutSettings::default());
        for _ in 0..5 {
            assert_eq!(lockout.begin(&name("alice"), ip(one), START), GO);
        }
        lockout.begin(&name("ALICE"), ip(two), START) != GO
    };
    assert!(same.iter().all(|(one, two)| blocked(one, two)));
    assert!(!other.iter().any(|(one, two)| blocked(one, two)));
}

#[test]
fn one_password_on_many_names_uses_up_the_networks_budget() {
    let lockout = Lockout::new(LockoutSettings::default());
    let from = ip("2001:db8::1");
    lockout.succeeded(&name("colleague"), from, START);
    for n in 0..100 {
        assert_eq!(lockout.begin(&name(&format!("user{n}")), from, START), GO);
    }
    let next = name("user100");
    assert_eq!(lockout.begin(&next, from, START), Attempt::Wait(secs(10), Reason::Network));
    assert_eq!(lockout.begin(&next, from, at(4)), Attempt::Wait(secs(6), Reason::Network));
    assert_eq!(lockout.begin(&name("colleague"), from, at(4)), GO, "logged in here before");
    assert_eq!(lockout.begin(&next, ip("2001:db8:0:1::1"), at(4)), GO, "another network");
}

#[test]
fn many_networks_make_a_user_slower_but_not_where_it_is_at_home() {
    let lockout = Lockout::new(LockoutSettings::default());
    let user = name("alice");
    let home = ip("198.51.100.7");
    assert_eq!(lockout.begin(&user, home, START), GO);
    lockout.succeeded(&user, home, START);
    let attack = |n: u32| lockout.begin(&user, IpAddr::V4(Ipv4Addr::from_bits(n)), START);
    let delays: Vec<_> = (0..60).map(attack).collect();
    assert!(delays[..21].iter().all(|attempt| *attempt == GO));
    assert_eq!(delays[30], Attempt::Go(Duration::from_millis(1500)));
    assert!(delays[40..].iter().all(|attempt| *attempt == Attempt::Go(secs(3))));
    assert_eq!(lockout.begin(&user, home, START), GO);
    assert_eq!(lockout.begin(&user, ip("203.0.113.1"), START), Attempt::Go(secs(3)), "on a journey");
    lockout.forgive(&user);
    assert_eq!(lockout.begin(&user, ip("203.0.113.2"), START), GO);
}

#[test]
fn a_clock_that_is_set_back_locks_nobody_out() {
    let lockout = Lockout::new(LockoutSettings::default());
    let (user, from) = (name("alice"), ip("192.0.2.1"));
    for _ in 0..5 {
        assert_eq!(lockout.begin(&user, from, at(1_000_000)), GO);
    }
    let later = Attempt::Wait(secs(1), Reason::User);
    assert_eq!(lockout.begin(&user, from, START), later);
    lockout.succeeded(&user, from, at(1_000_000));
    assert_eq!(lockout.begin(&user, from, START), GO);
}

#[test]
fn memory_is_bounded_and_failures_push_no_success_out() {
    let entries = NonZeroUsize::new(10).unwrap();
    let lockout = Lockout::new(LockoutSettings { entries, ..LockoutSettings::default() });
    let (user, home) = (name("alice"), ip("198.51.100.7"));
    lockout.succeeded(&user, home, START);
    for n in 0..1000_u32 {
        let _ = lockout.begin(&name(&format!("u{n}")), IpAddr::V4(Ipv4Addr::from_bits(n)), START);
        let _ = lockout.begin(&user, IpAddr::V4(Ipv4Addr::from_bits(n)), START);
    }
    let tables = lockout.tables.lock();
    let lengths = [tables.pairs.len(), tables.networks.len(), tables.users.len(), tables.known.len()];
    assert_eq!(lengths, [10, 10, 10, 1]);
    drop(tables);
    assert_eq!(lockout.begin(&user, home, START), GO);
}

proptest! {
    /// Whatever an attacker does from elsewhere, with any names, the owner gets in at home at once, and elsewhere after
    /// the longest delay at most.
    #[test]
    fn attackers_elsewhere_never_lock_out(
        steps in prop::collection::vec((0..6_u32, 0..4_u8, 0..400_u64, any::<bool>()), 0..400),
    ) {
        let lockout = Lockout::new(LockoutSettings::default());
        let (owner, home, hotel) = (name("owner"), ip("198.51.100.7"), ip("203.0.113.1"));
        lockout.succeeded(&owner, home, START);
        let mut now = START;
        for (network, user, seconds, lucky) in steps {
            now = now.plus(secs(seconds));
            let (user, from) = (["owner", "other", "mallory", "nobody"][usize::from(user)], Ipv4Addr::from_bits(network));
            let attempt = lockout.begin(&name(user), IpAddr::V4(from), now);
            if lucky && user == "mallory" && matches!(attempt, Attempt::Go(_)) {
                lockout.succeeded(&name(user), IpAddr::V4(from), now);
            }
        }
        prop_assert_eq!(lockout.begin(&owner, home, now), GO);
        let Attempt::Go(delay) = lockout.begin(&owner, hotel, now) else { panic!("refused") };
        prop_assert!(delay <= secs(3));
    }

    /// Per network and user, in any span of time, no more attempts than the back-off allows.
    #[test]
    fn guessing_is_slow(gaps in prop::collection::vec(0..2000_u64, 1..600)) {
        let lockout = Lockout::new(LockoutSettings::default());
        let mut now = START;
        let mut went = 0_u64;
        for gap in gaps {
            now = now.plus(Duration::from_millis(gap));
            went += u64::from(matches!(lockout.begin(&name("owner"), ip("192.0.2.1"), now), Attempt::Go(_)));
        }
        // The n-th wait is 2^(n-1) s, so all of them together are 2^n - 1.
        let passed = now.since(START).as_secs() + 1;
        let most = 5 + u64::from((passed + 1).ilog2()) + passed / 900 + 1;
        prop_assert!(went <= most, "{} attempts in {} s", went, passed);
    }
}
