//! Unit tests of the certificates.

use std::path::Path;

use rcgen::{CertificateParams, KeyPair};

use super::*;

fn write(dir: &Path, name: &str, hosts: &[&str]) -> CertificateFiles {
    let key = KeyPair::generate().unwrap();
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let certificate = CertificateParams::new(hosts).unwrap().self_signed(&key).unwrap();
    let files = CertificateFiles {
        certificate: dir.join(format!("{name}.pem")),
        key: dir.join(format!("{name}.key")),
    };
    std::fs::write(&files.certificate, certificate.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

fn refused(certificates: Vec<CertificateFiles>) -> String {
    let Err(errors) = Tls::open(TlsSettings { certificates, clients: None }) else { panic!("taken") };
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn names_find_their_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let settings = TlsSettings {
        certificates: vec![
            write(dir.path(), "a", &["A.example", "*.b.example"]),
            write(dir.path(), "b", &["x.b.example"]),
        ],
        clients: None,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut names = Names::default();
    for files in &settings.certificates {
        let (key, about) = certificate::read(files, &provider).unwrap();
        assert!(about.trouble(UnixMillis(1_793_750_400_000)).is_none());
        names.add(&Arc::new(key), &about);
    }
    let first = names.first.clone().unwrap();
    for (name, is_first) in
        [("a.example", true), ("Y.B.example", true), ("x.b.example", false), ("X.b.EXAMPLE", false)]
    {
        assert_eq!(Arc::ptr_eq(names.find(name).unwrap(), &first), is_first, "{name}");
    }
    for name in ["b.example", "z.y.b.example", "example"] {
        assert!(names.find(name).is_none(), "{name}");
    }
}

#[test]
fn people_are_told_in_time() {
    let about = Described {
        file: "gate.pem".into(),
        names: Vec::new(),
        begins: UnixMillis(0),
        ends: UnixMillis(100 * DAY),
    };
    let said = |day: i64| about.trouble(UnixMillis(day * DAY + 1)).unwrap_or_default();
    assert_eq!(said(1), "");
    assert!(said(90).contains("`gate.pem` expires in 9 days"), "{}", said(90));
    assert!(said(99).contains("in less than a day"), "{}", said(99));
    assert!(said(100).contains("has expired"), "{}", said(100));
    assert!(said(-1).contains("not valid yet"), "{}", said(-1));
}

#[test]
fn sessions_end_where_clients_show_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), "a", &["a"]);
    let issuers = files.certificate.clone();
    for clients in [None, Some(ClientCertificates { issuers, required: false })] {
        let goes_on = clients.is_none();
        let tls = Tls::open(TlsSettings { certificates: vec![files.clone()], clients }).unwrap();
        let tickets = || Arc::clone(&tls.current.load().config.ticketer);
        let before = tickets();
        tls.reload().unwrap();
        assert_eq!(Arc::ptr_eq(&before, &tickets()), goes_on);
    }
}

#[test]
fn what_is_wrong_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (write(dir.path(), "a", &["a"]), write(dir.path(), "b", &["b"]));
    let mixed = CertificateFiles { certificate: a.certificate.clone(), key: b.key.clone() };
    let swapped = CertificateFiles { certificate: a.key.clone(), key: a.certificate.clone() };
    let absent = CertificateFiles { certificate: dir.path().join("none"), key: a.key.clone() };
    let said = refused(vec![mixed, swapped, absent]);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[0].contains("does not belong to the certificate"), "{said}");
    assert!(lines[1].contains("no PEM block with a certificate"), "{said}");
    assert!(lines[2].contains("can't be read"), "{said}");
}

#[test]
fn a_bad_reload_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let files = write(dir.path(), "a", &["a"]);
    let tls = Tls::open(TlsSettings { certificates: vec![files.clone()], clients: None }).unwrap();
    assert_eq!(tls.described()[0].names, ["a"]);
    let before = tls.current.load_full();
    std::fs::write(&files.key, "nothing").unwrap();
    assert_eq!(tls.reload().unwrap_err().len(), 1);
    assert!(Arc::ptr_eq(&before, &tls.current.load_full()));
    write(dir.path(), "a", &["other"]);
    tls.reload().unwrap();
    assert_eq!(tls.described()[0].names, ["other"]);
    assert!(!Arc::ptr_eq(&before, &tls.current.load_full()));
}
