use super::Outcome::{Failed, NotModified, Proceed};
use super::*;
use proptest::prelude::*;

const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
/// `NOW` and a fraction that a header can't say.
const MODIFIED: UnixMillis = UnixMillis(784_111_777_400);
const NONE: Preconditions<'static> = Preconditions {
    if_none_match: None,
    if_modified_since: None,
    if_match: None,
    if_unmodified_since: None,
    if_range: None,
};

fn get(given: &Preconditions<'_>) -> Outcome {
    evaluate(given, true, Some(&ETag::strong("a")), Some(MODIFIED))
}

#[test]
fn if_none_match_is_weak_and_takes_lists() {
    for (list, outcome) in [
        ("\"a\"", NotModified),
        ("W/\"a\"", NotModified),
        ("\"x\", W/\"y\" ,\"a\"", NotModified),
        ("*", NotModified),
        (" * ", NotModified),
        ("\"x\"", Proceed),
        ("\"A\"", Proceed),
        ("a", Proceed),
        ("", Proceed),
        ("\"a", Proceed),
    ] {
        assert_eq!(get(&Preconditions { if_none_match: Some(list), ..NONE }), outcome, "{list}");
    }
}

#[test]
fn dates_compare_in_seconds() {
    for (date, modified, unmodified) in [
        (NOW, NotModified, Proceed),
        (AFTER, NotModified, Proceed),
        (BEFORE, Proceed, Failed),
        ("nonsense", Proceed, Proceed),
        ("", Proceed, Proceed),
    ] {
        let since = Preconditions { if_modified_since: Some(date), ..NONE };
        assert_eq!(get(&since), modified, "If-Modified-Since: {date}");
        let until = Preconditions { if_unmodified_since: Some(date), ..NONE };
        assert_eq!(get(&until), unmodified, "If-Unmodified-Since: {date}");
    }
}

#[test]
fn tags_beat_dates() {
    let tag_differs = Preconditions { if_none_match: Some("\"x\""), if_modified_since: Some(AFTER), ..NONE };
    assert_eq!(get(&tag_differs), Proceed);
    let tag_agrees = Preconditions { if_none_match: Some("\"a\""), if_modified_since: Some(BEFORE), ..NONE };
    assert_eq!(get(&tag_agrees), NotModified);
    let match_agrees = Preconditions { if_match: Some("\"a\""), if_unmodified_since: Some(BEFORE), ..NONE };
    assert_eq!(get(&match_agrees), Proceed);
    let match_differs = Preconditions { if_match: Some("\"x\""), if_unmodified_since: Some(AFTER), ..NONE };
    assert_eq!(get(&match_differs), Failed);
    let both = Preconditions { if_match: Some("\"x\""), if_none_match: Some("\"a\""), ..NONE };
    assert_eq!(get(&both), Failed);
}

#[test]
fn if_match_is_strong() {
    for (list, outcome) in
        [("\"a\"", Proceed), ("W/\"a\"", Failed), ("*", Proceed), ("W/\"a\", \"a\"", Proceed), ("", Failed)]
    {
        assert_eq!(get(&Preconditions { if_match: Some(list), ..NONE }), outcome, "{list}");
    }
}

#[test]
fn other_methods_fail_instead() {
    let put = |given: &Preconditions<'_>| evaluate(given, false, Some(&ETag::strong("a")), Some(MODIFIED));
    assert_eq!(put(&Preconditions { if_none_match: Some("*"), ..NONE }), Failed);
    assert_eq!(put(&Preconditions { if_none_match: Some("\"x\""), ..NONE }), Proceed);
    assert_eq!(put(&Preconditions { if_modified_since: Some(AFTER), ..NONE }), Proceed);
}

#[test]
fn without_validators_only_the_star_matches() {
    let bare = |given: &Preconditions<'_>| evaluate(given, true, None, None);
    assert_eq!(bare(&Preconditions { if_none_match: Some("*"), ..NONE }), NotModified);
    assert_eq!(bare(&Preconditions { if_none_match: Some("\"a\""), ..NONE }), Proceed);
    assert_eq!(bare(&Preconditions { if_modified_since: Some(AFTER), ..NONE }), Proceed);
    assert_eq!(bare(&Preconditions { if_unmodified_since: Some(BEFORE), ..NONE }), Proceed);
    assert_eq!(bare(&Preconditions { if_match: Some("\"a\""), ..NONE }), Failed);
}

#[test]
fn if_range_is_strong_and_exact() {
    let etag = ETag::strong("a");
    for (value, holds) in [
        (None, true),
        (Some("\"a\""), true),
        (Some(" \"a\" "), true),
        (Some("W/\"a\""), false),
        (Some("\"a\", \"b\""), false),
        (Some("*"), false),
        (Some(""), false),
        (Some(NOW), true),
        (Some(BEFORE), false),
        (Some(AFTER), false),
    ] {
        assert_eq!(if_range_holds(value, Some(&etag), Some(MODIFIED)), holds, "{value:?}");
    }
    assert!(!if_range_holds(Some("\"a\""), None, Some(MODIFIED)));
    assert!(!if_range_holds(Some(NOW), Some(&etag), None));
}

proptest! {
    /// A list of tags written with any spacing and weakness matches exactly if the tag is in it.
    #[test]
    fn lists_agree_with_membership(
        members in prop::collection::vec((any::<bool>(), "[a-c,!#]{0,2}", "[ \t]{0,2}"), 0..5),
        own in "[a-c,!#]{0,2}",
    ) {
        let list: Vec<String> = members
            .iter()
            .map(|(weak, tag, space)| format!("{space}{}\"{tag}\"{space}", if *weak { "W/" } else { "" }))
            .collect();
        let list = list.join(",");
        let etag = ETag::strong(&own);
        let weakly = members.iter().any(|(_, tag, _)| *tag == own);
        let strongly = members.iter().any(|(weak, tag, _)| *tag == own && !weak);
        let none_match = Preconditions { if_none_match: Some(&list), ..NONE };
        let expected = if weakly { NotModified } else { Proceed };
        prop_assert_eq!(evaluate(&none_match, true, Some(&etag), None), expected);
        let only_match = Preconditions { if_match: Some(&list), ..NONE };
        let expected = if strongly { Proceed } else { Failed };
        prop_assert_eq!(evaluate(&only_match, true, Some(&etag), None), expected);
    }

    #[test]
    fn never_panics(a in ".{0,20}", b in "[W/\",* a]{0,12}", get: bool) {
        let given = Preconditions {
            if_none_match: Some(&b),
            if_modified_since: Some(&a),
            if_match: Some(&b),
            if_unmodified_since: Some(&a),
            if_range: Some(&a),
        };
        let etag = ETag::strong("a");
        let outcome = evaluate(&given, get, Some(&etag), Some(MODIFIED));
        prop_assert!(get || outcome != NotModified);
        let _ = if_range_holds(Some(&b), Some(&etag), Some(MODIFIED));
    }
}
