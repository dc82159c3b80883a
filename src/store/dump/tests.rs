use std::io::Cursor;

use sha2::{Digest as _, Sha256};

use super::{DumpError, Summary, check};

const HEADER: &str = r#"{"format":"condagate-store","version":1,"schema":3}"#;
const HEAD: &str = r#"{"table":"heads","row":{"channel":"c","subdir":"s","generation":"g","since":5}}"#;

/// Lines and the end that belongs to them.
fn file(lines: &[&str]) -> String {
    let body: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    let digest = hex::encode(Sha256::digest(body.as_bytes()));
    format!("{body}{{\"rows\":{},\"sha256\":\"{digest}\"}}\n", lines.len() - 1)
}

fn checked(text: &str) -> Result<Summary, DumpError> {
    check(&mut Cursor::new(text.as_bytes()))
}

#[test]
fn good_files_are_counted() {
    assert_eq!(checked(&file(&[HEADER])).unwrap().rows, 0);
    assert_eq!(checked(&file(&[HEADER, HEAD])).unwrap().rows, 1);
}

#[test]
fn every_cut_is_noticed() {
    let whole = file(&[HEADER, HEAD, HEAD]);
    for end in 0..whole.len() {
        let refused = checked(&whole[..end]).unwrap_err();
        assert!(matches!(refused, DumpError::Cut | DumpError::NotADump), "{end}: {refused}");
    }
}

#[test]
fn every_changed_byte_is_noticed() {
    let whole = file(&[HEADER, HEAD]);
    for at in 0..whole.len() {
        let mut bytes = whole.clone().into_bytes();
        bytes[at] ^= 1;
        assert!(check(&mut Cursor::new(bytes)).is_err(), "{at}");
    }
}

#[test]
fn mistakes_have_a_line() {
    let head = |from: &str, to: &str| HEAD.replace(from, to);
    for (line, what) in [
        ("nonsense".to_owned(), "it is not JSON"),
        ("{}".to_owned(), "it is not a row"),
        (head("heads", "gone"), "its table is not known"),
        (head("heads", "users"), "a column is missing or can't be"),
        (head(r#""since":5"#, r#""since":"5""#), "a column is missing or can't be"),
        (head(r#""since":5"#, r#""since":null"#), "a column is missing or can't be"),
        (head(r#""since":5"#, r#""since":5,"x":1"#), "a column is missing or can't be"),
        (head(r#""since":5"#, r#""since":9223372036854775808"#), "a column is missing or can't be"),
    ] {
        let refused = checked(&file(&[HEADER, HEAD, &line])).unwrap_err();
        assert_eq!(refused.to_string(), format!("line 3 of the dump: {what}; nothing was loaded"), "{line}");
    }
    let behind = checked(&format!("{}{HEAD}\n", file(&[HEADER, HEAD]))).unwrap_err();
    assert!(behind.to_string().starts_with("line 4 of the dump: it stands behind the end"), "{behind}");
}

#[test]
fn other_files_and_newer_dumps_are_told_apart() {
    for text in ["", "\n", "{}\n", "\u{0}\u{1}", "{\"format\":\"other\"}\n", "PK\x03\x04"] {
        assert!(matches!(checked(text), Err(DumpError::NotADump)), "{text:?}");
    }
    for (key, known) in [("version", 1), ("schema", 3)] {
        let newer = HEADER.replace(&format!("\"{key}\":{known}"), &format!("\"{key}\":{}", known + 1));
        let refused = checked(&file(&[&newer])).unwrap_err();
        assert!(
            matches!(refused, DumpError::Newer { found, known: k } if found == known + 1 && k == known),
            "{refused}"
        );
    }
    // What an older one wrote is taken.
    for older in 1..3 {
        let older = format!("\"schema\":{older}");
        assert!(checked(&file(&[&HEADER.replace("\"schema\":3", &older)])).is_ok());
    }
}
