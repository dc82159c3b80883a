use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::conda::channel::ChannelName;
use crate::secret::mask_path;

mod table;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn channel(name: &str, label: Option<&str>) -> ChannelRef {
    ChannelRef { name: ChannelName::parse(name).unwrap(), label: label.map(Into::into) }
}

fn token(target: &Target) -> Option<&str> {
    target.token.as_ref().map(|token| &**token.reveal())
}

/// The route in short: kind, channel with label, subdir, file name.
fn short(target: &Target) -> String {
    let route = &target.route;
    let parts = [
        Some(route.kind().to_owned()),
        route.channel().map(ToString::to_string),
        route.subdir().map(ToString::to_string),
        route.file_name().map(Into::into),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[test]
fn tokens_come_out_wherever_clients_put_them() {
    for (raw, path, found) in [
        ("/t/tk-1/team/noarch/repodata.json", "/team/noarch/repodata.json", Some("tk-1")),
        ("/conda/t/tk-1/team/noarch/repodata.json", "/conda/team/noarch/repodata.json", Some("tk-1")),
        ("/api/t/tk-1/team/noarch/", "/api/team/noarch/", Some("tk-1")),
        ("/a/b/t/tk-1/c", "/a/b/c", Some("tk-1")),
        ("/%74/tk%2D1/team", "/team", Some("tk-1")),
        ("//t/tk-1//team", "/team", Some("tk-1")),
        ("/t/a_b~!$é/team", "/team", Some("a_b~!$é")),
        ("/t/tk-1", "/", Some("tk-1")),
        ("/t/tk-1/", "/", Some("tk-1")),
        ("/t/t/t", "/t", Some("t")),
        ("/t//team/noarch/repodata.json", "/team/noarch/repodata.json", None),
        ("/t//", "/", None),
        ("/t//team/t/tk-1/x", "/team/x", Some("tk-1")),
        ("/t", "/t", None),
        ("/t/", "/t/", None),
        ("/team/t", "/team/t", None),
        ("/-/ui/t/x", "/-/ui/t/x", None),
        ("/T/tk-1/team", "/T/tk-1/team", None),
    ] {
        let target = parse(raw).unwrap();
        assert_eq!((target.path.as_str(), token(&target)), (path, found), "{raw}");
        assert!(!format!("{target:?}").contains("tk-1") || found.is_none(), "{raw}");
    }
}

#[test]
fn a_second_token_stays_but_is_masked() {
    let target = parse("/t/one/team/t/two/noarch/repodata.json").unwrap();
    assert_eq!(token(&target), Some("one"));
    assert_eq!(target.route, Route::Other);
    assert_eq!(mask_path(&target.path), "/team/t/***/noarch/repodata.json");
}

#[test]
fn a_base_path_goes_before_or_behind_the_token() {
    for (raw, path) in [
        ("/conda/team/noarch/repodata.json", "/team/noarch/repodata.json"),
        ("/conda/t/tk-1/team/noarch/repodata.json", "/team/noarch/repodata.json"),
        ("/t/tk-1/conda/team/noarch/repodata.json", "/team/noarch/repodata.json"),
        ("/team/noarch/repodata.json", "/team/noarch/repodata.json"),
        ("/conda-forge/noarch/repodata.json", "/conda-forge/noarch/repodata.json"),
        ("/conda", "/"),
        ("/conda/", "/"),
        ("//conda//x/", "/x/"),
        ("/conda/-/healthz", "/-/healthz"),
        ("/", "/"),
    ] {
        for base in ["/conda", "conda", "/conda/"] {
            assert_eq!(parse_below(raw, base).unwrap().path, path, "{raw} below {base}");
        }
    }
    assert_eq!(parse_below("/a/b/x", "/a/b").unwrap().path, "/x");
    assert_eq!(parse_below("/a/b/x", "/").unwrap().path, "/a/b/x");
}

#[test]
fn refusals() {
    use PathError::{BadEscape, EncodedSlash, Forbidden, NotUtf8, TooLong, Traversal};
    for (raw, error) in [
        ("/a/../b", Traversal),
        ("/a/./b", Traversal),
        ("/..", Traversal),
        ("..", Traversal),
        ("/a/..", Traversal),
        ("/%2e%2e/b", Traversal),
        ("/%2E./b", Traversal),
        ("/a/%2e", Traversal),
        ("/%252e%252e/b", Traversal),
        ("/.%252e/b", Traversal),
        ("/t/../b", Traversal),
        ("/t/%2e/b", Traversal),
        ("/-/../etc/passwd", Traversal),
        ("/a%2fb", EncodedSlash),
        ("/a%2Fb", EncodedSlash),
        ("/a/%2f", EncodedSlash),
        ("/a%252fb", EncodedSlash),
        ("/t/a%2fb/c", EncodedSlash),
        ("/a%00b", Forbidden),
        ("/a\0b", Forbidden),
        ("/a%0d%0ab", Forbidden),
        ("/a\tb", Forbidden),
        ("/a%7fb", Forbidden),
        ("/a%C2%85b", Forbidden),
        ("/a\\..\\b", Forbidden),
        ("/a%5cb", Forbidden),
        ("/a%255Cb", Forbidden),
        ("/a%2500b", Forbidden),
        ("/%", BadEscape),
        ("/%4", BadEscape),
        ("/%zz", BadEscape),
        ("/%4é", BadEscape),
        ("/%+1", BadEscape),
        ("/%u0041", BadEscape),
        ("/%c0%ae%c0%ae/b", NotUtf8),
        ("/%c0%af", NotUtf8),
        ("/%e0%80%ae", NotUtf8),
        ("/%ed%a0%80", NotUtf8),
        ("/%ff", NotUtf8),
    ] {
        assert_eq!(parse(raw), Err(error), "{raw}");
    }
    assert_eq!(parse(&"/a".repeat(MAX_PATH / 2 + 1)), Err(TooLong));
    assert!(parse(&"/a".repeat(MAX_PATH / 2)).is_ok());
}

#[test]
fn errors_do_not_repeat_the_path() {
    for raw in ["/t/tk-1/%", "/t/tk-1/..", "/t/tk-1/%2f", "/t/tk-1/%00", "/t/tk-1/%ff"] {
        assert!(!parse(raw).unwrap_err().to_string().contains("tk-1"), "{raw}");
    }
}

/// A package URL's segments, its expected route, and where a token may stand.
fn package() -> impl Strategy<Value = (Vec<String>, Route)> {
    let component = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}[a-z0-9]";
    let component = component.prop_filter("a component", |text| ChannelName::is_component(text));
    let label = prop::option::of("[a-zA-Z][0-9a-zA-Z_.-]{0,5}[a-z](/[a-z][0-9a-z]{0,5}){0,2}");
    let label = label.prop_filter("no token", |text| {
        !text.as_ref().is_some_and(|text| text.split('/').any(|part| part == "t"))
    });
    let subdir = "noarch|[a-z0-9]{1,8}-[a-z0-9]{1,8}";
    let file = "[a-z_][a-z0-9_.]{0,9}-[0-9][0-9a-z!+_.~]{0,6}-[a-z0-9_+]{1,9}(\\.conda|\\.tar\\.bz2)";
    (prop::collection::vec(component, 1..3), label, subdir, file).prop_map(|(name, label, subdir, file)| {
        let route = Route::Package {
            channel: channel(&name.join("/"), label.as_deref()),
            subdir: Subdir::parse(&subdir).unwrap(),
            archive: ArchiveName::parse(&file).unwrap(),
        };
        let mut segments = name;
        if let Some(label) = label {
            segments.push("label".to_owned());
            segments.extend(label.split('/').map(str::to_owned));
        }
        segments.extend([subdir, file]);
        (segments, route)
    })
}

/// Encodes what the bits of `dice` say, in either case; slashes are doubled now and then.
fn disguise(path: &str, mut dice: u64) -> String {
    let mut disguised = String::new();
    for byte in path.bytes() {
        // A linear congruential generator; its high bits are good enough to throw with.
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (byte, dice >> 61) {
            (b'/', 0) => disguised.push_str("//"),
            (b'/', _) => disguised.push('/'),
            (_, 0) => write!(disguised, "%{byte:02x}").unwrap(),
            (_, 1) => write!(disguised, "%{byte:02X}").unwrap(),
            _ => disguised.push(char::from(byte)),
        }
    }
    disguised
}

/// What holds for every path that was let through.
fn assert_safe(target: &Target) {
    let path = &target.path;
    let body = path.strip_prefix('/').expect("begins with a slash");
    let body = body.strip_suffix('/').unwrap_or(body);
    assert!(path == "/" || body.split('/').all(|s| !matches!(s, "" | "." | "..")), "{path}");
    assert!(!path.chars().any(|c| c.is_control() || c == '\\'), "{path}");
    let file_route = !matches!(target.route, Route::Home | Route::Other);
    assert!(!file_route || !path.ends_with('/'), "{path}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn any_spelling_of_a_package_url_means_the_same(
        (segments, route) in package(), dice: u64, trailing: bool,
        secret in prop::option::of("[A-Za-z0-9-]{12,20}"), at: prop::sample::Index,
    ) {
        let plain = format!("/{}", segments.join("/"));
        let mut raw = segments.clone();
        if let Some(secret) = &secret {
            let at = at.index(segments.len());
            raw.splice(at..at, ["t".to_owned(), secret.clone()]);
        }
        // A doubled slash behind `t` would mean an empty token, so `t/` is put in plain.
        let raw = disguise(&format!("/{}", raw.join("/")), dice).replace("/t//", "/t/").replace("/%74//", "/%74/");
        let raw = if trailing { format!("{raw}/") } else { raw };
        let target = parse(&raw).unwrap();
        prop_assert_eq!(&target.route, &route, "{}", raw);
        prop_assert_eq!(&target.path, &plain);
        prop_assert_eq!(token(&target), secret.as_deref());
        let printed = format!("{target:?}");
        prop_assert!(secret.is_none_or(|secret| !printed.contains(&secret)));
        assert_safe(&target);
    }

    #[test]
    fn nothing_panics_and_nothing_unsafe_passes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(target) = parse(&String::from_utf8_lossy(&bytes)) {
            assert_safe(&target);
        }
    }

    #[test]
    fn attempts_to_climb_out_never_pass(
        parts in prop::collection::vec(prop::sample::select(ATTEMPTS), 1..12), base in "(/conda)?",
    ) {
        if let Ok(target) = parse_below(&parts.concat(), &base) {
            assert_safe(&target);
            // A server that decodes again sees the same segments.
            let again = percent_encoding::percent_decode_str(&target.path).decode_utf8_lossy().into_owned();
            prop_assert_eq!(again.matches('/').count(), target.path.matches('/').count());
            prop_assert!(again.split('/').all(|segment| segment != "." && segment != ".."));
        }
    }

    #[test]
    fn parsing_a_parsed_path_changes_nothing(raw in "(/(t|-|label|noarch|linux-64|a-b|x|[a-z%.]{1,4}|repodata.json|)){0,8}") {
        let Ok(first) = parse(&raw) else { return Ok(()) };
        let encoded = first.path.replace('%', "%25");
        let second = parse(&encoded).unwrap();
        if second.token.is_none() && !first.path.contains("/t/") {
            prop_assert_eq!(second, Target { token: None, ..first });
        }
    }
}

const ATTEMPTS: &[&str] = &[
    "/",
    "//",
    ".",
    "..",
    "/..",
    "/../",
    "%2e",
    "%2E%2e",
    "%252e",
    "%25",
    "2e",
    "%c0%ae",
    "%00",
    "%2f",
    "%252F",
    "%5c",
    "\\",
    "t",
    "/t/",
    "-",
    "/-/",
    "conda",
    "conda-forge",
    "noarch",
    "/linux-64/",
    "a-1-0.conda",
    "é",
    "%C3%A9",
    "%0a",
    "\u{2028}",
];
