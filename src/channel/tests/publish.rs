use std::io;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::*;
use crate::conda::digest::{Md5, Sha256};
use crate::policy::UploadRules;
use crate::store::model::PackageState;

#[tokio::test]
async fn a_package_is_durable_and_told_before_the_answer() {
    let lab = Lab::new();
    let team = lab.channel("team", NewChannel::default()).await;
    let (file, bytes) = package("acme", "1.0", "x");
    let published = lab.send(&team, &file, &bytes).await.unwrap();
    assert!(published.created);
    assert_eq!((published.subdir.as_str(), published.size), ("noarch", bytes.len() as u64));
    assert_eq!(published.sha256, Sha256::of(&bytes));
    let row = lab.row(&team, "noarch", &file).await.unwrap();
    assert_eq!((row.sha256, row.state, row.name.as_str()), (published.sha256, PackageState::Listed, "acme"));
    assert_eq!((row.uploaded_at, row.labels), (NOW, Vec::new()));
    let record: serde_json::Value = serde_json::from_slice(&row.record).unwrap();
    assert_eq!(record["sha256"], published.sha256.to_hex());
    assert_eq!((&record["size"], &record["license"]), (&json!(bytes.len()), &json!("MIT")));
    assert!(lab.cache().find(&published.sha256).await.is_some());
    assert_eq!(*lab.told.0.lock(), ["team/noarch"]);
    assert_eq!(lab.kinds().await, ["channel.create", "package.publish"]);
}

#[tokio::test]
async fn the_same_again_is_a_success_and_other_bytes_are_a_conflict() {
    let lab = Lab::new();
    let team = lab.channel("team", NewChannel::default()).await;
    let ((file, bytes), (_, other)) = (package("acme", "1.0", "x"), package("acme", "1.0", "y"));
    assert!(lab.send(&team, &file, &bytes).await.unwrap().created);
    assert!(!lab.send(&team, &file, &bytes).await.unwrap().created);
    let refused = lab.send(&team, &file, &other).await.unwrap_err();
    assert_eq!(refused.status(), 409, "{refused}");
    assert!(refused.to_string().contains("build with another build number"), "{refused}");
    let forced = lab.send_as(Upload { force: true, ..upload(&team, &file) }, &other).await.unwrap_err();
    assert_eq!(forced.status(), 409, "{forced}");
    let settings = ChannelSettings {
        upload: UploadRules { overwrite: true, ..UploadRules::default() },
        ..ChannelSettings::default()
    };
    let change = ChannelChange { settings: Some(settings), ..ChannelChange::default() };
    lab.hosting.desk().change_channel(&author(), &team, change).await.unwrap();
    assert_eq!(lab.send(&team, &file, &other).await.unwrap_err().status(), 409, "only who says so");
    let forced = lab.send_as(Upload { force: true, ..upload(&team, &file) }, &other).await.unwrap();
    assert!(forced.created);
    assert_eq!(lab.row(&team, "noarch", &file).await.unwrap().sha256, Sha256::of(&other));
    let kinds = lab.kinds().await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "package.overwrite").count(), 1);
}

#[tokio::test]
async fn of_two_that_publish_one_name_one_wins() {
    let lab = Lab::new();
    let team = lab.channel("team", NewChannel::default()).await;
    let (file, first) = package("acme", "1.0", "x");
    let others: Vec<_> = (0..6).map(|n| package("acme", "1.0", &format!("other {n}")).1).collect();
    let sends = std::iter::once(&first).chain(&others).map(|bytes| lab.send(&team, &file, bytes));
    let done = futures_util::future::join_all(sends).await;
    let won: Vec<_> = done.iter().filter_map(|one| one.as_ref().ok()).collect();
    assert_eq!(won.len(), 1, "{done:?}");
    assert!(done.iter().filter_map(|one| one.as_ref().err()).all(|error| error.status() == 409), "{done:?}");
    assert_eq!(lab.row(&team, "noarch", &file).await.unwrap().sha256, won[0].sha256);
}

#[tokio::test]
async fn what_its_sender_says_is_compared() {
    let lab = Lab::new();
    let team = lab.channel("team", NewChannel::default()).await;
    let (file, bytes) = package("acme", "1.0", "x");
    for expected in [
        Expected { sha256: Some(Sha256([1; 32])), ..Expected::default() },
        Expected { md5: Some(Md5([1; 16])), ..Expected::default() },
        Expected { size: Some(1), ..Expected::default() },
    ] {
        let error = lab.send_as(Upload { expected, ..upload(&team, &file) }, &bytes).await.unwrap_err();
        assert!(matches!(error, HostError::WrongDigest(_)), "{error}");
    }
    let subdir = Subdir::parse("linux-64");
    let error = lab.send_as(Upload { subdir, ..upload(&team, &file) }, &bytes).await.unwrap_err();
    assert!(error.to_string().contains("is for `noarch`, it was sent to `linux-64`"), "{error}");
    let error = lab.send(&team, "acme-1.1-0.tar.bz2", &bytes).await.unwrap_err();
    assert_eq!(error.status(), 422, "{error}");
    let labels = vec!["1rc".to_owned()];
    let error = lab.send_as(Upload { labels, ..upload(&team, &file) }, &bytes).await.unwrap_err();
    assert_eq!(error.status(), 422, "{error}");
    assert_eq!((lab.files("hosted/incoming"), lab.files("hosted/sha256")), (0, 0));
    assert!(lab.row(&team, "noarch", &file).await.is_none());
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let lab = Lab::new();
    let broken = stream::iter([Ok(Bytes::from(vec![1; 3_000_000])), Err(io::Error::other("it left"))]);
    let error = lab.hosting.receive(broken, Some(3_000_001)).await.unwrap_err();
    assert!(error.to_string().contains("broke off after 3000000 bytes"), "{error}");
    let short = stream::iter([Ok(Bytes::from_static(b"abc"))]);
    assert_eq!(lab.hosting.receive(short, Some(4)).await.unwrap_err().status(), 422);
    let endless = stream::repeat_with(|| Ok(Bytes::from(vec![0; 1 << 20])));
    let parts = HostingParts {
        desk: lab.hosting.desk().clone(),
        cache: lab.cache().clone(),
        live: Arc::clone(&lab.hosting.0.live),
        receive: ReceiveSettings { longest: 5 << 20, ..ReceiveSettings::default() },
    };
    let small = Hosting::new(parts);
    assert_eq!(small.receive(endless.take(100), None).await.unwrap_err().status(), 413);
    let nothing = stream::iter([]);
    assert_eq!(small.receive(nothing, Some(10 << 30)).await.unwrap_err().status(), 413);
    assert_eq!(lab.files("hosted/incoming"), 0);
}

#[tokio::test]
async fn a_channel_says_what_it_takes() {
    let lab = Lab::new();
    let ((file, bytes), (wrong, others)) = (package("acme-a", "1.0", "x"), package("numpy", "1.0", "x"));
    let with = |change: fn(&mut UploadRules)| {
        let mut settings = ChannelSettings::default();
        change(&mut settings.upload);
        NewChannel { settings, ..NewChannel::default() }
    };
    let cases: [(&str, NewChannel, &str); 5] = [
        ("a", with(|rules| rules.names = vec!["acme-*".into()]), "this channel takes packages named acme-*"),
        ("b", with(|rules| rules.licenses = vec!["BSD-3-Clause".into()]), "this one says `MIT`"),
        ("c", with(|rules| rules.require = vec!["summary".into()]), "wants `summary` to be filled in"),
        ("d", with(|rules| rules.attestation = true), "wants an attestation"),
        ("e", with(|rules| rules.max_size = Some(10)), "packages of up to 10 bytes"),
    ];
    for (name, new, sentence) in cases {
        let channel = lab.channel(name, new).await;
        let error = lab.send(&channel, &wrong, &others).await.unwrap_err().to_string();
        assert!(error.contains(sentence) && error.contains("nothing was published"), "{error}");
    }
    lab.send(&ChannelName::parse("a").unwrap(), &file, &bytes).await.unwrap();
    let full =
        lab.channel("full", NewChannel { quota: Some(bytes.len() as u64), ..NewChannel::default() }).await;
    lab.send(&full, &file, &bytes).await.unwrap();
    let error = lab.send(&full, &wrong, &others).await.unwrap_err();
    assert_eq!(error.status(), 507, "{error}");
    assert!(!lab.send(&full, &file, &bytes).await.unwrap().created, "what is there needs no room");
}

#[tokio::test]
async fn an_attestation_is_kept_beside() {
    let lab = Lab::new();
    let team = lab.channel("team", NewChannel::default()).await;
    let (file, bytes) = package("acme", "1.0", "x");
    for bad in ["[]", "no json", "\"text\""] {
        let attestation = Some(Bytes::copy_from_slice(bad.as_bytes()));
        let error = lab.send_as(Upload { attestation, ..upload(&team, &file) }, &bytes).await.unwrap_err();
        assert_eq!(error.status(), 422, "{error}");
    }
    let attestation =
        Some(Bytes::from_static(br#"{"mediaType":"application/vnd.dev.sigstore.bundle+json"}"#));
    lab.send_as(Upload { attestation, ..upload(&team, &file) }, &bytes).await.unwrap();
    let row = lab.row(&team, "noarch", &file).await.unwrap();
    let digest = row.attestations.unwrap();
    let record: serde_json::Value = serde_json::from_slice(&row.record).unwrap();
    assert_eq!(record["attestations_sha256"], digest.to_hex());
    let kept = lab.cache().recall(digest).await.unwrap().unwrap();
    let stored = std::fs::read(lab.cache().path_of(&kept)).unwrap();
    assert_eq!(stored, br#"[{"mediaType":"application/vnd.dev.sigstore.bundle+json"}]"#);
}

#[tokio::test]
async fn names_of_channels() {
    let lab = Lab::new();
    for (name, sentence) in [("api", "belongs to the gate itself"), ("Team", "`team` would do")] {
        let name = ChannelName::parse(name).unwrap();
        let error = lab.hosting.desk().create_channel(&author(), &name, NewChannel::default()).await;
        assert!(error.unwrap_err().to_string().contains(sentence));
    }
    let team = lab.channel("team", NewChannel::default()).await;
    let again = lab.hosting.desk().create_channel(&author(), &team, NewChannel::default()).await.unwrap_err();
    assert_eq!(again.status(), 409);
    let (file, bytes) = package("acme", "1.0", "x");
    let nowhere = ChannelName::parse("nowhere").unwrap();
    assert_eq!(lab.send(&nowhere, &file, &bytes).await.unwrap_err().status(), 404);
    assert!(lab.hosting.desk().delete_channel(&author(), &team, true).await.unwrap());
    assert_eq!(lab.send(&team, &file, &bytes).await.unwrap_err().status(), 404);
    let again = lab.hosting.desk().create_channel(&author(), &team, NewChannel::default()).await.unwrap_err();
    assert!(again.to_string().contains("condagate channel restore team"), "{again}");
    assert!(lab.hosting.desk().delete_channel(&author(), &team, false).await.unwrap());
    lab.send(&team, &file, &bytes).await.unwrap();
}
