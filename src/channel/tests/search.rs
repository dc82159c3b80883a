use super::*;
use crate::cache::FileQuery;

async fn names(lab: &Lab, channels: &[Channel], query: Query) -> Vec<String> {
    let found = lab.hosting.search(channels, &query, None, 100).await.unwrap();
    assert_eq!(found.next, None);
    // One by one they are the same.
    let (mut one_by_one, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = lab.hosting.search(channels, &query, after.as_deref(), 1).await.unwrap();
        one_by_one.extend(page.hits);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(one_by_one, found.hits);
    found.hits.into_iter().map(|one| format!("{}/{}", one.channel, one.package.file)).collect()
}

#[tokio::test]
async fn packages_are_found_by_name_spec_and_file() {
    let lab = Lab::new();
    let (team, other) =
        (lab.channel("team", NewChannel::default()).await, lab.channel("other", NewChannel::default()).await);
    for (channel, name, version) in [
        (&team, "acme-lib", "1.0"),
        (&team, "acme-lib", "2.0"),
        (&team, "acme", "1.0"),
        (&other, "acme", "3.0"),
    ] {
        let (file, bytes) = package(name, version, "x");
        lab.send(channel, &file, &bytes).await.unwrap();
    }
    let desk = lab.hosting.desk();
    let rows = [desk.channel(&team).await.unwrap(), desk.channel(&other).await.unwrap()];
    let name = |text: &str| Query::Name(text.to_owned());
    assert_eq!(
        names(&lab, &rows, name("LIB")).await,
        ["team/acme-lib-1.0-0.tar.bz2", "team/acme-lib-2.0-0.tar.bz2"]
    );
    assert_eq!(
        names(&lab, &rows, name("acm?")).await,
        ["team/acme-1.0-0.tar.bz2", "other/acme-3.0-0.tar.bz2"]
    );
    assert_eq!(names(&lab, &rows[..1], name("acme")).await.len(), 3, "no other channel");
    let spec = |text: &str| Query::spec(text).unwrap();
    assert_eq!(names(&lab, &rows, spec("acme-lib >=1.5")).await, ["team/acme-lib-2.0-0.tar.bz2"]);
    assert_eq!(names(&lab, &rows, spec("acme* >=3")).await, ["other/acme-3.0-0.tar.bz2"]);
    assert!(Query::spec("acme >=>").is_err());
    let file = |text: &str| Query::File(text.to_owned());
    for text in ["payload", "share/payload", "/share/payload", "share/*"] {
        assert_eq!(names(&lab, &rows, file(text)).await.len(), 4, "{text}");
    }
    assert!(names(&lab, &rows, file("share")).await.is_empty());
    let place = (&team, Subdir::noarch(), ArchiveName::parse("acme-1.0-0.tar.bz2").unwrap());
    desk.retract_as(&author(), (place.0, &place.1, &place.2), Retract::Yank, None).await.unwrap();
    assert_eq!(names(&lab, &rows, name("acm?")).await, ["other/acme-3.0-0.tar.bz2"]);
    assert_eq!(names(&lab, &rows, file("payload")).await.len(), 3);
    assert_eq!(lab.hosting.search(&rows, &name("acme"), None, 2).await.unwrap().hits.len(), 2);
    for query in [name("acme"), file("payload")] {
        let bad = lab.hosting.search(&rows, &query, Some("nowhere"), 2).await;
        assert!(matches!(bad, Err(HostError::Invalid(_))), "{bad:?}");
    }
}

#[tokio::test]
async fn what_is_in_packages_is_noted_again_where_it_was_lost() {
    let lab = Lab::new();
    let team = lab.channel("team", NewChannel::default()).await;
    let (file, bytes) = package("acme", "1.0", "x");
    let digest = lab.send(&team, &file, &bytes).await.unwrap().sha256;
    let about = lab.hosting.about(digest).await.unwrap();
    assert_eq!(about["files"], 1);
    lab.cache().forget_contents(digest).await.unwrap();
    assert!(lab.hosting.about(digest).await.unwrap().is_null());
    lab.clock.advance(Duration::from_mins(1));
    lab.hosting.sweep().await.unwrap();
    assert_eq!(lab.hosting.about(digest).await.unwrap(), about);
    let by_name = FileQuery::Name("payload".to_owned());
    assert_eq!(
        lab.cache().packages_with_file(by_name, (0, 9)).await.unwrap(),
        [(digest, "share/payload".to_owned())]
    );
}
