//! Redirects end in the gate, and take nothing with them.

use ::http::header::{HeaderMap, HeaderValue, LOCATION};
use url::Url;

use super::super::health::Health;
use super::super::mirror::Mirror;
use super::super::redirect::{Redirect, decide};
use super::origin::{Act, Origin};
use super::*;
use crate::secret::Secret;

fn to(status: u16, location: &str) -> Act {
    Act::say(reply(status, &[("Location", location)], ""))
}

#[tokio::test]
async fn they_are_followed_inside() {
    for status in [301, 302, 303, 307, 308] {
        let origin = Origin::start(move |_, seen| match seen.target() {
            "/c/a" => to(status, "../d/b?sig=1#frag"),
            "/d/b?sig=1" => Act::say(ok("there")),
            other => panic!("{other} was asked"),
        })
        .await;
        let upstream = Bench::new().upstream(&[&format!("{}c", origin.url())], |_| {});
        let mut request = FetchRequest { range_from: Some(0), if_range: Some("\"v\"".into()), ..get("a") };
        request.if_none_match = Some("\"x\"".into());
        assert_eq!(whole(&upstream, request).await.expect("followed").1, "there");
        for seen in origin.seen() {
            assert_eq!(seen.header("range"), Some("bytes=0-"));
            assert_eq!(seen.header("if-range"), Some("\"v\""));
            assert_eq!(seen.header("if-none-match"), Some("\"x\""));
            assert_eq!(seen.header("referer"), None);
            assert_eq!(seen.header("via"), Some("1.1 gate-under-test"));
        }
        assert_eq!(upstream.snapshot().stats.redirects, 1);
    }
}

#[tokio::test]
async fn circles_and_chains_end() {
    let circle = Origin::start(|_, seen| to(302, if seen.target() == "/a" { "/b" } else { "/a" })).await;
    let chain = Origin::start(|n, _| to(302, &format!("/{n}"))).await;
    for (origin, asked) in [(circle, 2), (chain, 6)] {
        let upstream = Bench::new().upstream(&[&origin.url()], |s| s.retry.rounds = 2);
        assert_eq!(failure(&upstream, get("a")).await.kind(), FetchKind::TooManyRedirects);
        assert_eq!(origin.count(), asked, "not asked again");
    }
}

#[tokio::test]
async fn none_are_followed_when_none_are_allowed() {
    let origin = Origin::always(to(302, "/b")).await;
    let upstream = Bench::new().upstream(&[&origin.url()], |s| s.max_redirects = 0);
    assert_eq!(failure(&upstream, get("a")).await.kind(), FetchKind::TooManyRedirects);
}

#[tokio::test]
async fn the_credential_stays_with_its_origin() {
    let other = Origin::always(Act::say(ok("signed"))).await;
    let away = format!("http://user:planted@cdn.test:{}/x?X-Amz-Signature=s", other.address.port());
    let origin = Origin::start(move |_, seen| match seen.target() {
        "/a" => to(302, "/b"),
        _ => to(302, &away),
    })
    .await;
    let credentials = [
        Credential::Bearer(Secret::new("bearer-secret".into())),
        Credential::Basic { user: "me".into(), password: Secret::new("basic-secret".into()) },
    ];
    for credential in credentials {
        let before = (origin.count(), other.count());
        let upstream = Bench::new().upstream(&[&origin.url()], |s| {
            s.credentials = Some(credential);
            s.resolve = vec![("cdn.test".into(), other.address)];
        });
        assert_eq!(whole(&upstream, get("a")).await.expect("followed").1, "signed");
        for seen in &origin.seen()[before.0..] {
            assert!(seen.header("authorization").is_some(), "the same origin may see it: {}", seen.line);
        }
        for seen in &other.seen()[before.1..] {
            assert_eq!(seen.header("authorization"), None, "neither ours nor the planted one");
            assert_eq!(seen.target(), "/x?X-Amz-Signature=s");
        }
    }
}

fn mirror(url: &str, credential: Option<Credential>) -> Mirror {
    let mut settings = quick(&[url]);
    settings.credentials = credential;
    let health = Health::new(ManualClock::new(START), HealthSettings::default());
    Mirror::new(&settings, &settings.urls[0], health).expect("a sound mirror")
}

#[test]
fn what_is_not_followed() {
    // (mirror, the URL that answered, its Location, followed?)
    let cases = [
        ("https://a.test/", "https://a.test/x", "https://b.test/x", true),
        ("https://a.test/", "https://a.test/x", "//b.test/x", true),
        ("https://a.test/", "https://a.test/x", "http://a.test/x", false),
        ("http://a.test/", "http://a.test/x", "https://a.test/x", true),
        // Not even by way of http → https → http.
        ("http://a.test/", "https://b.test/x", "http://a.test/x", false),
        ("https://a.test/", "https://a.test/x", "file:///etc/passwd", false),
        ("https://a.test/", "https://a.test/x", "ftp://b.test/x", false),
        ("https://a.test/", "https://a.test/x", "https://", false),
        ("http://a.test/", "http://a.test/x", "http://169.254.169.254/latest/meta-data", false),
        ("http://a.test/", "http://a.test/x", "http://2852039166/latest/meta-data", false),
        ("http://a.test/", "http://a.test/x", "http://[fe80::1]/x", false),
        ("http://a.test/", "http://a.test/x", "http://[fd00:ec2::254]/x", false),
        ("http://a.test/", "http://a.test/x", "http://[::ffff:169.254.169.254]/x", false),
        ("http://127.0.0.1:1/", "http://127.0.0.1:1/x", "http://169.254.169.254/x", false),
        ("http://a.test/", "http://a.test/x", "http://127.0.0.1/x", false),
        ("http://a.test/", "http://a.test/x", "http://0.0.0.0:80/x", false),
        ("http://a.test/", "http://a.test/x", "http://LOCALHOST./x", false),
        ("http://a.test/", "http://a.test/x", "http://[::1]/x", false),
        ("http://127.0.0.1:1/", "http://127.0.0.1:1/x", "http://127.0.0.1:2/x", true),
        ("http://a.test/", "http://a.test/x", "http://10.0.0.7/x", true),
    ];
    for (base, current, location, followed) in cases {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_static(location));
        let asked = [Url::parse(current).expect("a URL")];
        let decision = decide(::http::StatusCode::FOUND, &headers, &mirror(base, None), &asked);
        assert_eq!(matches!(decision, Redirect::To(_)), followed, "{current} → {location}: {decision:?}");
    }
}

#[test]
fn a_redirect_may_not_carry_our_secret_away() {
    let token = |text: &str| Credential::TokenPath(Secret::new(text.into()));
    let with_token = mirror("https://a.test/c", Some(token("tk-1234")));
    let bearer = mirror("https://a.test/", Some(Credential::Bearer(Secret::new("tk-1234".into()))));
    let own = mirror("https://a.test/t/tk-1234/c", None);
    let cases = [
        ("https://b.test/t/tk-1234/c/x", false),
        ("https://b.test/t/tk%2D1234/c/x", false),
        ("https://b.test/x?token=tk-1234", false),
        ("https://a.test/t/tk-1234/c/y", true),
        ("https://b.test/x?sig=other", true),
    ];
    for mirror in [&with_token, &bearer] {
        for (location, followed) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_static(location));
            let asked = [Url::parse("https://a.test/c/x").expect("a URL")];
            let decision = decide(::http::StatusCode::FOUND, &headers, mirror, &asked);
            assert_eq!(matches!(decision, Redirect::To(_)), followed, "{location}: {decision:?}");
        }
    }
    assert!(own.is_told_in(&Url::parse("https://b.test/t/tk-1234/c/x").expect("a URL")));
}
