//! Proxies, resolver overrides, roots.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::origin::{Act, Origin};
use super::*;

fn environment(pairs: &[(&str, &str)]) -> ProxyEnvironment {
    ProxyEnvironment::read(|name| {
        pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
    })
}

fn bench(pairs: &[(&str, &str)]) -> Bench {
    Bench::with(Egress::new(PSEUDONYM), environment(pairs))
}

#[tokio::test]
async fn the_variables_are_obeyed() {
    let proxy = Origin::always(Act::say(ok("proxied"))).await;
    let direct = Origin::always(Act::say(ok("direct"))).await;
    let address = proxy.address.to_string();
    let full = format!("http://me:pw@{address}");
    let cases: [(&[(&str, &str)], bool); 9] = [
        (&[("http_proxy", &full)], true),
        (&[("HTTP_PROXY", &address)], true),
        (&[("all_proxy", &full)], true),
        (&[("ALL_PROXY", &full), ("http_proxy", "")], true),
        (&[("http_proxy", &full), ("HTTP_PROXY", "http://127.0.0.1:1")], true),
        (&[("https_proxy", &full)], false),
        (&[("http_proxy", &full), ("no_proxy", "other.test,mirror.test")], false),
        (&[("http_proxy", &full), ("NO_PROXY", "*")], false),
        (&[], false),
    ];
    for (n, (pairs, proxied)) in cases.into_iter().enumerate() {
        let url = format!("http://mirror.test:{}/", direct.address.port());
        let bench = bench(pairs);
        let resolve = |s: &mut UpstreamSettings| s.resolve = vec![("mirror.test".into(), direct.address)];
        let upstream = bench.upstream(&[&url], resolve);
        let (_, body) = whole(&upstream, get("x")).await.expect("an answer");
        assert_eq!(body, if proxied { "proxied" } else { "direct" }, "case {n}");
        if proxied {
            let seen = proxy.seen().pop().expect("the proxy was asked");
            assert_eq!(seen.line, format!("GET {url}x HTTP/1.1"), "absolute form");
            let expected = pairs[0].1.contains('@').then_some("Basic bWU6cHc=");
            assert_eq!(seen.header("proxy-authorization"), expected, "case {n}");
        }
    }
}

#[tokio::test]
async fn an_upstreams_own_choice_comes_first() {
    let proxy = Origin::always(Act::say(ok("proxied"))).await;
    let direct = Origin::always(Act::say(ok("direct"))).await;
    let choice = ProxyChoice::Url(SafeUrl::parse(&proxy.url()).expect("a URL"));
    let everywhere = Egress { proxy: choice.clone(), ..Egress::new(PSEUDONYM) };
    let bench = Bench::with(everywhere, ProxyEnvironment::default());
    let upstream = bench.upstream(&[&direct.url()], |_| {});
    assert_eq!(whole(&upstream, get("x")).await.expect("an answer").1, "proxied");
    let upstream = bench.upstream(&[&direct.url()], |s| s.proxy = Some(ProxyChoice::Direct));
    assert_eq!(whole(&upstream, get("x")).await.expect("an answer").1, "direct");
    let upstream = Bench::new().upstream(&[&direct.url()], |s| s.proxy = Some(choice));
    assert_eq!(whole(&upstream, get("x")).await.expect("an answer").1, "proxied");
}

#[tokio::test]
async fn https_goes_through_a_tunnel() {
    let proxy = Origin::always(Act::SayAndClose(reply(403, &[], "").into())).await;
    let bench = bench(&[("https_proxy", &proxy.url())]);
    let upstream = bench.upstream(&["https://mirror.test/secret/path"], |_| {});
    assert_eq!(failure(&upstream, get("x")).await.kind(), FetchKind::Unreachable);
    assert_eq!(proxy.seen()[0].line, "CONNECT mirror.test:443 HTTP/1.1");
}

#[test]
fn wrong_proxies_are_told_once_and_without_their_password() {
    let bench = bench(&[("HTTPS_PROXY", "ftp://me:hush@proxy.test")]);
    let settings = |name: &str| UpstreamSettings { name: name.into(), ..quick(&["http://a.test"]) };
    let mistakes = bench.all.set(vec![settings("a"), settings("b")]).expect_err("ftp is no proxy");
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    let told = format!("{} {mistakes:?}", mistakes[0]);
    assert!(told.contains("the variable HTTPS_PROXY") && !told.contains("hush"), "{told}");
}

#[tokio::test]
async fn resolver_overrides_replace_dns() {
    let origin = Origin::always(Act::say(ok("here"))).await;
    // Without a port in the URL, the override's counts; the Host header stays.
    let upstream = Bench::new().upstream(&["http://Mirror.Test/"], |s| {
        s.resolve = vec![("mirror.test".into(), origin.address)];
    });
    assert_eq!(whole(&upstream, get("x")).await.expect("an answer").1, "here");
    assert_eq!(origin.seen()[0].header("host"), Some("mirror.test"));
}

#[tokio::test]
async fn what_every_request_carries() {
    let origin = Origin::always(Act::say(ok("x"))).await;
    let upstream = Bench::new().upstream(&[&origin.url()], |_| {});
    let via = Some("1.0 fred, 1.1 p.example".to_owned());
    whole(&upstream, FetchRequest { via, ..get("x") }).await.expect("an answer");
    let seen = origin.seen().remove(0);
    assert_eq!(seen.header("via"), Some("1.0 fred, 1.1 p.example, 1.1 gate-under-test"));
    assert_eq!(seen.header("user-agent"), Some(concat!("condagate/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    for absent in ["cookie", "referer", "authorization", "range", "if-none-match"] {
        assert_eq!(seen.header(absent), None, "{absent}");
    }
}

/// Answers every TLS connection for `mirror.test` with "secure".
async fn tls_origin() -> std::net::SocketAddr {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/leaf.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/leaf.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they fit");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.expect("a head"));
            }
            stream.write_all(ok("secure").as_bytes()).await.expect("it listens");
            stream.shutdown().await.ok();
        }
    });
    address
}

#[tokio::test]
async fn a_private_ca_is_trusted_when_it_is_named() {
    let address = tls_origin().await;
    let dir = tempfile::tempdir().expect("a directory");
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, include_bytes!("tls/ca.pem")).expect("written");
    let resolve = |host: &str| vec![(host.to_owned(), address)];

    let stranger = Bench::new().upstream(&["https://mirror.test/"], |s| s.resolve = resolve("mirror.test"));
    let error = failure(&stranger, get("x")).await;
    assert_eq!(error.kind(), FetchKind::Tls, "{error}");
    assert!(error.to_string().contains("ca_file"), "{error}");

    let known = Bench::new().upstream(&["https://mirror.test/"], |s| {
        (s.resolve, s.ca_file) = (resolve("mirror.test"), Some(ca.clone()));
    });
    assert_eq!(whole(&known, get("x")).await.expect("trusted").1, "secure");

    let everywhere = Egress { ca_file: Some(ca.clone()), ..Egress::new(PSEUDONYM) };
    let bench = Bench::with(everywhere, ProxyEnvironment::default());
    let upstream = bench.upstream(&["https://mirror.test/"], |s| s.resolve = resolve("mirror.test"));
    assert_eq!(whole(&upstream, get("x")).await.expect("trusted").1, "secure");
    let upstream = bench.upstream(&["https://other.test/"], |s| s.resolve = resolve("other.test"));
    assert_eq!(failure(&upstream, get("x")).await.kind(), FetchKind::Tls, "the name counts");
}

#[test]
fn ca_files_that_hold_no_certificate_are_mistakes() {
    let dir = tempfile::tempdir().expect("a directory");
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "# nothing\n").expect("written");
    let broken = dir.path().join("broken.pem");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .expect("written");
    for path in [empty.as_path(), broken.as_path(), Path::new("/no/such/file.pem")] {
        let mut settings = quick(&["http://a.test"]);
        settings.ca_file = Some(path.into());
        let mistakes = Bench::new().all.set(vec![settings]).expect_err("not a CA file");
        assert!(mistakes[0].to_string().contains(&path.display().to_string()), "{mistakes:?}");
    }
}
