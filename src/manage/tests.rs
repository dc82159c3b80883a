//! A recall is added to the file that the gate writes, and nothing else in it changes.

use super::{ManageError, Recall};

fn recall() -> Recall {
    Recall {
        id: "recall-xz".to_owned(),
        specs: vec!["xz >=5.6.0,<5.6.2".to_owned()],
        reason: "a \"back door\": CVE-2024-3094".to_owned(),
        ..Recall::default()
    }
}

const RULE: &str =
    r#"- {id: "recall-xz", deny: {specs: ["xz >=5.6.0,<5.6.2"]}, reason: "a \"back door\": CVE-2024-3094"}"#;

#[test]
fn a_recall_goes_where_policy_is() {
    let added = |text: &str| recall().added_to(text).unwrap();
    let made = added("");
    assert!(
        made.starts_with("# Written by the gateway") && made.ends_with(&format!("policy:\n  {RULE}\n")),
        "{made}"
    );
    assert_eq!(added("channels: []"), format!("channels: []\npolicy:\n  {RULE}\n"));
    let before =
        "# mine\npolicy:   # all of them\n    - {id: a, deny: {names: [a]}}\n    # the end\naccess: []\n";
    let after = added(before);
    assert_eq!(
        after,
        before.replace("    # the end\n", &format!("    # the end\n    {RULE}\n")),
        "behind the others, as they are indented"
    );
    assert_eq!(
        added("policy:\n- {id: a, deny: {names: [a]}}\n"),
        format!("policy:\n- {{id: a, deny: {{names: [a]}}}}\n{RULE}\n")
    );
}

#[test]
fn a_recall_is_taken_back_and_all_else_stays() {
    let before =
        "# mine\npolicy:   # all of them\n    - {id: a, deny: {names: [a]}}\n    # the end\naccess: []\n";
    for text in [before, "channels: []\n", "policy:\n- {id: a, deny: {names: [a]}}\n"] {
        let added = recall().added_to(text).unwrap();
        assert_eq!(Recall::taken_from(&added, "recall-xz").unwrap().as_deref(), Some(text));
    }
    let alone = recall().added_to("").unwrap();
    assert_eq!(Recall::taken_from(&alone, "recall-xz").unwrap(), None, "nothing is left of the file");
    assert!(matches!(Recall::taken_from(&alone, "recall-x"), Err(ManageError::Missing(_))));
    assert_eq!(
        super::recall::recalls(&alone),
        [("recall-xz".to_owned(), RULE.trim_start_matches("- ").to_owned())]
    );
}

#[test]
fn what_can_not_be_added_to_is_left_alone() {
    assert!(matches!(recall().added_to("policy: [{id: a}]\n"), Err(ManageError::Invalid(_))));
    assert!(matches!(Recall::default().added_to(""), Err(ManageError::Invalid(_))));
}
