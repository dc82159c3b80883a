use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use proptest::prelude::*;

use super::super::token::mint;
use super::*;

const JWT: &str = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl";

fn token(text: &str) -> Credential {
    Credential::Token(Secret::new(text.to_owned()))
}

fn password(user: &str, password: &str) -> Credential {
    Credential::Password { user: user.to_owned(), password: Secret::new(password.to_owned()) }
}

fn basic_line(text: &str) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

fn by_authorization(value: &str) -> Result<Presented, CredentialError> {
    presented(&Offered { authorization: vec![value.as_bytes()], ..Offered::default() })
}

#[expect(clippy::unnecessary_wraps, reason = "compared with answers that are")]
fn found(credential: Credential, form: Form) -> Result<Presented, CredentialError> {
    Ok(Presented { credential, form })
}

#[test]
fn every_form_of_a_token_is_found() {
    let secret = mint().secret;
    let text = secret.reveal().as_str();
    let lines = [
        (format!("Bearer {text}"), Form::Bearer),
        (format!("bEARER \t {text} "), Form::Bearer),
        (format!("token {text}"), Form::TokenScheme),
        (format!("Token {text}"), Form::TokenScheme),
        (basic_line(&format!("{text}:")), Form::Basic),
        (basic_line(&format!("{text}:x-oauth-basic")), Form::Basic),
        (basic_line(&format!("{text}:x")), Form::Basic),
        (basic_line(&format!(":{text}")), Form::Basic),
        (basic_line(&format!("alice:{text}")), Form::Basic),
        (basic_line(&format!("{text}:{text}")), Form::Basic),
        (format!("BASIC {}", STANDARD_NO_PAD.encode(format!("{text}:"))), Form::Basic),
    ];
    for (line, form) in lines {
        assert_eq!(by_authorization(&line), found(token(text), form), "{form}");
    }
    let offered = Offered { path_token: Some(text), ..Offered::default() };
    assert_eq!(presented(&offered), found(token(text), Form::Path));
    let offered = Offered { api_key: vec![text.as_bytes()], ..Offered::default() };
    assert_eq!(presented(&offered), found(token(text), Form::ApiKey));
}

#[test]
fn passwords_and_jwts_are_told_apart() {
    let jwt = || Credential::Jwt(Secret::new(JWT.to_owned()));
    let table = [
        (format!("Bearer {JWT}"), jwt(), Form::Bearer),
        ("Bearer a.b.".to_owned(), Credential::Jwt(Secret::new("a.b.".to_owned())), Form::Bearer),
        (basic_line(&format!("oauth2:{JWT}")), jwt(), Form::Basic),
        (basic_line("alice:open sesame"), password("alice", "open sesame"), Form::Basic),
        (basic_line("alice:a:b:c"), password("alice", "a:b:c"), Form::Basic),
        (basic_line("josé:naïve"), password("josé", "naïve"), Form::Basic),
        (basic_line("alice:www.example.org"), password("alice", "www.example.org"), Form::Basic),
        // A mistyped token is not taken for a name and printed as one.
        (basic_line("cg-mistyped:"), token("cg-mistyped"), Form::Basic),
    ];
    for (line, credential, form) in table {
        assert_eq!(by_authorization(&line), found(credential, form), "{line}");
    }
}

#[test]
fn what_is_empty_is_no_credential() {
    let nothing = Ok(Presented::NOTHING);
    assert_eq!(presented(&Offered::default()), nothing);
    assert_eq!(presented(&Offered { path_token: Some(""), ..Offered::default() }), nothing);
    assert_eq!(by_authorization(&basic_line(":")), nothing);
    let cookie: Vec<&[u8]> = vec![b"condagate_session=; other=1", b"not_condagate_session=x"];
    assert_eq!(presented(&Offered { cookie, ..Offered::default() }), nothing);
}

#[test]
fn mistakes_are_told_apart_and_never_anonymous() {
    let place = "`Authorization`";
    let long = format!("Bearer {}", "a".repeat(MAX_BYTES));
    let table = [
        (long.as_str(), CredentialError::TooLong(place)),
        ("Bearer t\u{f6}ken", CredentialError::OddBytes(place)),
        ("Bearer a\rb", CredentialError::OddBytes(place)),
        ("Bearer", CredentialError::Empty(place)),
        ("token  ", CredentialError::Empty(place)),
        ("Bearer a b", CredentialError::NotOne(place)),
        ("Bearer \"a\"", CredentialError::NotOne(place)),
        ("Bearer a, Basic b", CredentialError::NotOne(place)),
        ("", CredentialError::NoScheme(place)),
        ("cg-secret", CredentialError::NoScheme(place)),
        ("Digest username=\"a\"", CredentialError::OtherScheme(place, "Digest")),
        ("negotiate YII=", CredentialError::OtherScheme(place, "Negotiate")),
        ("Basic a*b", CredentialError::NotBase64(place)),
        ("Basic /zo6", CredentialError::NotText(place)),
        ("Basic YTpiAGM=", CredentialError::NotText(place)),
        ("Basic", CredentialError::NoColon(place)),
        ("Basic YWI=", CredentialError::NoColon(place)),
    ];
    for (line, error) in table {
        assert_eq!(by_authorization(line), Err(error), "{line}");
    }
    let two: Vec<&[u8]> = vec![b"Bearer a", b"Bearer a"];
    let offered = Offered { authorization: two.clone(), ..Offered::default() };
    assert_eq!(presented(&offered), Err(CredentialError::Twice(place)));
    let offered = Offered { api_key: two, ..Offered::default() };
    assert_eq!(presented(&offered), Err(CredentialError::Twice("`X-API-Key`")));
    let offered = Offered { api_key: vec![b""], ..Offered::default() };
    assert_eq!(presented(&offered), Err(CredentialError::Empty("`X-API-Key`")));
    let offered = Offered { path_token: Some("a b"), ..Offered::default() };
    assert_eq!(presented(&offered), Err(CredentialError::NotOne("the token in the path")));
}

#[test]
fn one_secret_may_be_shown_twice_but_not_two() {
    let all = |authorization: &'static str, api_key: Option<&'static str>, path_token| {
        let api_key = api_key.iter().map(|key| key.as_bytes()).collect();
        let cookie: Vec<&[u8]> = vec![b"condagate_session=s"];
        presented(&Offered {
            authorization: vec![authorization.as_bytes()],
            api_key,
            path_token,
            cookie,
            ..Offered::default()
        })
    };
    assert_eq!(all("Bearer a", Some("a"), Some("a")), found(token("a"), Form::Bearer));
    assert_eq!(all("token a", None, Some("")), found(token("a"), Form::TokenScheme));
    let disagree = |one, other| Err(CredentialError::Disagree(one, other));
    assert_eq!(
        all("Bearer a", None, Some("b")),
        disagree("`Authorization: Bearer`", "the token in the path")
    );
    assert_eq!(all("Bearer a", Some("b"), Some("a")), disagree("`Authorization: Bearer`", "`X-API-Key`"));
    // Basic of nothing does not hide the others.
    assert_eq!(all("Basic Og==", Some("b"), Some("c")), disagree("`X-API-Key`", "the token in the path"));
    // A good token does not excuse a header that can't be read.
    assert_eq!(all("Bearer", None, Some("a")), Err(CredentialError::Empty("`Authorization`")));
    let sentence = all("Bearer a", None, Some("b")).unwrap_err().to_string();
    assert!(
        sentence.starts_with("`Authorization: Bearer` and the token in the path show different credentials")
    );
}

#[test]
fn a_proxy_looks_at_its_own_header_only() {
    let offered = Offered {
        path_token: Some("upstreams"),
        authorization: vec![b"Bearer upstreams"],
        api_key: vec![b"upstreams"],
        cookie: vec![b"condagate_session=s"],
        as_proxy: true,
        ..Offered::default()
    };
    assert_eq!(presented(&offered), Ok(Presented::NOTHING));
    let line = basic_line("alice:open sesame");
    let own = Offered { proxy_authorization: vec![line.as_bytes()], ..offered.clone() };
    assert_eq!(presented(&own), found(password("alice", "open sesame"), Form::Proxy));
    let own = Offered { proxy_authorization: vec![b"Bearer"], ..offered };
    assert_eq!(presented(&own), Err(CredentialError::Empty("`Proxy-Authorization`")));
    // And the other way round.
    let direct = Offered { proxy_authorization: vec![b"Bearer a"], ..Offered::default() };
    assert_eq!(presented(&direct), Ok(Presented::NOTHING));
}

#[test]
fn the_session_cookie_counts_last() {
    let session = |lines: Vec<&'static [u8]>| presented(&Offered { cookie: lines, ..Offered::default() });
    let secret = |text: &str| Credential::Session(Secret::new(text.to_owned()));
    assert_eq!(session(vec![b"a=1; condagate_session=s-1; b=\xff"]), found(secret("s-1"), Form::Cookie));
    assert_eq!(session(vec![b"a=1", b"condagate_session = s-1"]), found(secret("s-1"), Form::Cookie));
    assert_eq!(session(vec![b"condagate_session=s; condagate_session=s"]), found(secret("s"), Form::Cookie));
    let twice = Err(CredentialError::Twice("the session cookie"));
    assert_eq!(session(vec![b"condagate_session=s; condagate_session=t"]), twice);
    let odd = Err(CredentialError::OddBytes("the session cookie"));
    assert_eq!(session(vec![b"condagate_session=\xff"]), odd);
}

#[test]
fn nothing_is_printed_of_a_credential() {
    let secret = "marked-7f3a";
    for line in [
        format!("Bearer {secret}"),
        basic_line(&format!("{secret}:{secret}")),
        basic_line(&format!("{secret}:")),
    ] {
        let printed = format!("{:?}", by_authorization(&line).unwrap());
        assert!(!printed.contains(secret), "{printed}");
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        "(Basic|bearer|TOKEN|Digest|)[ \t]{0,2}[ -~]{0,40}".prop_map(String::into_bytes),
        ".{0,20}:.{0,20}".prop_map(|text| basic_line(&text).into_bytes()),
        "(condagate_session=[ -~]{0,9}; ?){0,3}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(
        authorization in prop::collection::vec(bytes(), 0..3),
        api_key in prop::collection::vec(bytes(), 0..2),
        cookie in prop::collection::vec(bytes(), 0..3),
        path_token in prop::option::of(".{0,20}"),
        as_proxy in any::<bool>(),
    ) {
        let authorization: Vec<&[u8]> = authorization.iter().map(Vec::as_slice).collect();
        let offered = Offered {
            path_token: path_token.as_deref(),
            proxy_authorization: authorization.clone(),
            authorization: authorization.clone(),
            api_key: api_key.iter().map(Vec::as_slice).collect(),
            cookie: cookie.iter().map(Vec::as_slice).collect(),
            as_proxy,
        };
        let Ok(presented) = presented(&offered) else { return Ok(()) };
        let nothing = presented.credential == Credential::None;
        prop_assert_eq!(nothing, presented.form == Form::None);
        prop_assert!(authorization.len() < 2);
        if let (true, [line]) = (nothing, authorization.as_slice()) {
            let line = String::from_utf8_lossy(line).to_ascii_lowercase();
            prop_assert!(line.trim_start().starts_with("basic") && line.contains("og"), "{}", line);
        }
        let in_path = path_token.is_some_and(|token| !token.is_empty());
        prop_assert!(as_proxy || !nothing || (!in_path && api_key.is_empty()));
    }
}
