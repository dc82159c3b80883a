//! Replacing upstreams.

use super::origin::{Act, Origin};
use super::*;

#[tokio::test]
async fn what_has_not_changed_stays() {
    let origin = Origin::always(Act::say(reply(429, &[("Retry-After", "60")], ""))).await;
    let bench = Bench::new();
    let (one, two) =
        (quick(&[&origin.url()]), UpstreamSettings { name: "two".into(), ..quick(&["http://b.test"]) });
    bench.all.set(vec![one.clone(), two.clone()]).expect("sound");
    let before = bench.all.get("up").expect("set");
    failure(&before, get("x")).await;

    bench.all.set(vec![two.clone(), one.clone()]).expect("sound");
    assert!(Arc::ptr_eq(&before, &bench.all.get("up").expect("still there")));

    bench.all.set(vec![UpstreamSettings { max_concurrent: 3, ..one }]).expect("sound");
    let after = bench.all.get("up").expect("still there");
    assert!(!Arc::ptr_eq(&before, &after) && bench.all.get("two").is_none());
    assert!(matches!(failure(&after, get("x")).await.kind(), FetchKind::RateLimited { .. }));
    assert_eq!(origin.count(), 1, "new settings don't lift the limit");
    assert_eq!(bench.all.snapshot()[0].stats.requests, 2, "counters go on");
}

#[test]
fn mistakes_change_nothing_and_are_all_told() {
    let bench = Bench::new();
    let good = quick(&["http://a.test"]);
    bench.all.set(vec![good.clone()]).expect("sound");
    let named = |name: &str, urls: &[&str]| UpstreamSettings { name: name.into(), ..quick(urls) };
    let doubled = "http://me:hush@a.test/";
    let mut twice = named("twice", &[doubled]);
    twice.credentials = Some(Credential::Bearer(crate::secret::Secret::new("x".into())));
    let mistakes = bench.all.set(vec![
        named("new", &["http://a.test"]),
        named("none", &[]),
        named("new", &["http://b.test"]),
        named("odd", &["ftp://a.test/", "http://a.test/?q", "http://a.test/#f"]),
        UpstreamSettings {
            max_concurrent: 0,
            stall_timeout: Duration::ZERO,
            ..named("zero", &["http://a.test"])
        },
        twice,
        named("bytes", &["http://%ff@a.test"]),
    ]);
    let mistakes = mistakes.expect_err("seven mistakes and more");
    let told: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    let starts = [
        "upstream 'none' has no URL",
        "upstream 'new' is defined twice",
        "upstream 'odd': ftp://a.test/ can't be used as a mirror: only http",
        "upstream 'odd': http://a.test/?*** can't be used as a mirror: a base URL has no `?`",
        "upstream 'odd': http://a.test/ can't be used as a mirror: a base URL has no `?`",
        "upstream 'zero': `max_concurrent` must be at least 1",
        "upstream 'zero': `stall_timeout` must be at least 1",
        "upstream 'twice': http://***@a.test/ can't be used as a mirror: it has user info",
        "upstream 'bytes': http://***@a.test/ can't be used as a mirror: its user info can't be read",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (told, start) in told.iter().zip(starts) {
        assert!(told.starts_with(start), "{told}");
        assert!(!told.contains("hush"), "{told}");
    }
    assert!(bench.all.get("new").is_none() && bench.all.get("up").is_some());
}

#[test]
fn names_that_would_break_headers_are_mistakes() {
    for name in ["", "a b", "a,b", "a\r\nX: y"] {
        let bench = Bench::with(Egress::new(name), ProxyEnvironment::default());
        assert!(
            matches!(bench.all.set(vec![]).expect_err("bad")[..], [SettingsError::BadName { .. }]),
            "{name}"
        );
    }
    let egress = Egress { user_agent: "a\nb".into(), ..Egress::new("gate") };
    assert!(Bench::with(egress, ProxyEnvironment::default()).all.set(vec![]).is_err());
}
