//! Where credentials go, and where they never show.

use super::origin::{Act, Origin, closed_port};
use super::*;
use crate::secret::Secret;

const SECRET: &str = "hush-hush-9";

fn all() -> [Credential; 3] {
    [
        Credential::TokenPath(Secret::new(SECRET.into())),
        Credential::Basic { user: "me".into(), password: Secret::new(SECRET.into()) },
        Credential::Bearer(Secret::new(SECRET.into())),
    ]
}

#[tokio::test]
async fn each_form_is_sent_where_it_belongs() {
    let origin = Origin::always(Act::say(ok("x"))).await;
    let expected = [
        ("/t/hush-hush-9/conda/noarch/a.conda", None),
        ("/conda/noarch/a.conda", Some("Basic bWU6aHVzaC1odXNoLTk=")),
        ("/conda/noarch/a.conda", Some("Bearer hush-hush-9")),
    ];
    for (n, (credential, (target, header))) in all().into_iter().zip(expected).enumerate() {
        for base in ["conda", "conda/"] {
            let url = format!("{}{base}", origin.url());
            let upstream = Bench::new().upstream(&[&url], |s| s.credentials = Some(credential.clone()));
            let response = upstream.fetch(get("noarch/a.conda")).await.expect("an answer");
            assert!(!response.mirror.contains(SECRET), "{}", response.mirror);
            let seen = origin.seen().pop().expect("it was asked");
            assert_eq!((seen.target(), seen.header("authorization")), (target, header), "case {n}");
        }
    }
}

#[tokio::test]
async fn user_info_in_a_url_becomes_basic() {
    let origin = Origin::always(Act::say(ok("x"))).await;
    let url = origin.url().replace("http://", "http://m%40e:p%3Aw@");
    let upstream = Bench::new().upstream(&[&url], |_| {});
    whole(&upstream, get("a")).await.expect("an answer");
    // m@e:p:w
    assert_eq!(origin.seen()[0].header("authorization"), Some("Basic bUBlOnA6dw=="));
    assert_eq!(upstream.health()[0].mirror, origin.url());
}

#[tokio::test]
async fn no_error_tells_a_secret() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123";
    let acts = [
        Act::SayAndClose(Vec::new()),
        Act::SayAndReset(Vec::new()),
        Act::SayAndStall(Vec::new()),
        Act::SayAndClose(cut.into()),
        Act::SayAndStall(cut.into()),
        Act::SayAndClose("gibberish\r\n\r\n".into()),
        Act::say(reply(500, &[], SECRET)),
        Act::say(reply(429, &[], SECRET)),
        Act::say(reply(304, &[("X", SECRET)], "")),
        Act::say(reply(302, &[("Location", "/t/hush-hush-9/x"), ("X", SECRET)], "")),
        Act::say(reply(302, &[("Location", "http://b.test/t/hush-hush-9/x")], "")),
        Act::say(reply(302, &[("Location", "http://hush-hush-9:x@[bad/")], "")),
        Act::say(reply(200, &[("Content-Encoding", SECRET)], "x")),
        Act::say(reply(200, &[("Via", "1.1 gate-under-test")], "x")),
    ];
    let mut errors = Vec::new();
    for credential in all() {
        let mut urls = vec![closed_port().await, "http://no-such-host.invalid/".to_owned()];
        let mut origins = Vec::new();
        for act in acts.clone() {
            let origin = Origin::always(act).await;
            urls.push(origin.url());
            origins.push(origin);
        }
        for url in urls {
            let upstream = Bench::new().upstream(&[&url], |s| {
                impatient(s);
                s.credentials = Some(credential.clone());
            });
            errors.push(failure(&upstream, get("a/b")).await);
            let told = format!("{:?} {:?}", upstream.snapshot(), upstream.settings);
            assert!(!told.contains(SECRET), "{told}");
        }
    }
    assert_eq!(errors.len(), 3 * 16);
    for error in errors {
        let told = format!("{error} {error:?}");
        assert!(!told.contains(SECRET), "{told}");
        assert!(!told.contains("Basic ") && !told.contains("bWU6"), "{told}");
    }
}

#[test]
fn credentials_that_cannot_be_sent_are_mistakes() {
    let secret = |text: &str| Secret::new(text.to_owned());
    let cases = [
        Credential::TokenPath(secret("")),
        Credential::TokenPath(secret("a b")),
        Credential::Bearer(secret("a\nb")),
        Credential::Bearer(secret("ü")),
        Credential::Basic { user: "a:b".into(), password: secret("c") },
        Credential::Basic { user: "a".into(), password: secret("c\r\nX: y") },
    ];
    for credential in cases {
        let bench = Bench::new();
        let mut settings = quick(&["http://a.test"]);
        settings.credentials = Some(credential);
        let mistakes = bench.all.set(vec![settings]).expect_err("this can't be sent");
        assert!(matches!(mistakes[..], [SettingsError::BadCredential { .. }]), "{mistakes:?}");
    }
}

#[tokio::test]
async fn requests_that_leave_the_mirror_are_not_sent() {
    let origin = Origin::always(Act::say(ok("x"))).await;
    let url = format!("{}base/", origin.url());
    let upstream = Bench::new().upstream(&[&url], |s| s.credentials = Some(all()[0].clone()));
    for path in
        ["../x", "a/../../x", "%2e%2e/x", "a/%2E./x", "/x", "a?b", "a#b", "a b", "a\\b", "a\r\nb", "ü"]
    {
        let error = failure(&upstream, get(path)).await;
        assert_eq!(error.kind(), FetchKind::BadRequest, "{path}");
    }
    assert_eq!(origin.count(), 0);
    assert_eq!(upstream.health()[0].failures, 0);
    let odd = format!("a/{}/c", encode_path_segment("x/../y%!=+@ü"));
    whole(&upstream, get(&odd)).await.expect("encoded, it is a name");
    assert_eq!(origin.seen()[0].target(), "/t/hush-hush-9/base/a/x%2F..%2Fy%25!=+@%C3%BC/c");
}

#[tokio::test]
async fn urls_named_by_an_index_follow_the_rules_of_redirects() {
    let origin = Origin::always(Act::say(ok("x"))).await;
    let files = Origin::always(Act::say(ok("x"))).await;
    let upstream = Bench::new().upstream(&[&format!("{}base", origin.url())], |s| {
        s.credentials = Some(all()[0].clone());
        s.resolve = vec![("files.test".into(), files.address)];
    });
    whole(&upstream, get(&format!("{}other/a.conda", origin.url()))).await.expect("the mirror's own origin");
    assert_eq!(origin.seen()[0].target(), "/t/hush-hush-9/other/a.conda");
    whole(&upstream, get(&format!("http://files.test:{}/a.conda", files.address.port())))
        .await
        .expect("elsewhere");
    assert_eq!(files.seen()[0].target(), "/a.conda");
    let refused = [
        "http://169.254.169.254/latest",
        "http://me:pw@files.test/a",
        "http://files.test/t/hush-hush-9/a",
        "http://",
    ];
    for url in refused {
        assert_eq!(failure(&upstream, get(url)).await.kind(), FetchKind::BadRequest, "{url}");
    }
    let outside = Bench::new().upstream(&["https://files.test/"], |_| {});
    for url in ["http://files.test/a", "https://localhost/a", "https://[::1]:8080/a"] {
        assert_eq!(failure(&outside, get(url)).await.kind(), FetchKind::BadRequest, "{url}");
    }
}
