use super::*;
use crate::store::model::PackageState;

type Spot<'a> = (&'a ChannelName, Subdir, ArchiveName);

fn spot<'a>(channel: &'a ChannelName, file: &str) -> Spot<'a> {
    (channel, Subdir::noarch(), ArchiveName::parse(file).unwrap())
}

async fn retract(lab: &Lab, spot: &Spot<'_>, what: Retract) -> Result<bool, HostError> {
    lab.hosting.desk().retract_as(&author(), (spot.0, &spot.1, &spot.2), what, Some("why")).await
}

#[tokio::test]
async fn packages_are_taken_back_and_put_back() {
    let lab = Lab::new();
    let team = lab.channel("team", NewChannel::default()).await;
    let ((file, bytes), (_, other)) = (package("acme", "1.0", "x"), package("acme", "1.0", "y"));
    lab.send(&team, &file, &bytes).await.unwrap();
    let spot = spot(&team, &file);
    let state = async || lab.row(&team, "noarch", &file).await.unwrap().state;
    assert!(retract(&lab, &spot, Retract::Yank).await.unwrap());
    assert!(!retract(&lab, &spot, Retract::Yank).await.unwrap());
    assert_eq!(state().await, PackageState::Yanked);
    assert_eq!(lab.send(&team, &file, &other).await.unwrap_err().status(), 409, "the name stays taken");
    assert!(!lab.send(&team, &file, &bytes).await.unwrap().created);
    assert_eq!(state().await, PackageState::Yanked, "sending it again is no restoring");
    assert!(retract(&lab, &spot, Retract::Restore).await.unwrap());
    assert!(retract(&lab, &spot, Retract::Delete).await.unwrap());
    assert_eq!(retract(&lab, &spot, Retract::Yank).await.unwrap_err().status(), 409);
    assert!(retract(&lab, &spot, Retract::Restore).await.unwrap());
    assert_eq!(state().await, PackageState::Listed);
    // A deleted name may get other bytes.
    assert!(retract(&lab, &spot, Retract::Delete).await.unwrap());
    assert!(lab.send(&team, &file, &other).await.unwrap().created);
    assert_eq!(
        lab.row(&team, "noarch", &file).await.unwrap().sha256,
        crate::conda::digest::Sha256::of(&other)
    );
    let absent = self::spot(&team, "acme-2.0-0.tar.bz2");
    assert_eq!(retract(&lab, &absent, Retract::Yank).await.unwrap_err().status(), 404);
}

#[tokio::test]
async fn what_was_deleted_long_ago_goes_from_the_disk() {
    let lab = Lab::new();
    let (team, gone) =
        (lab.channel("team", NewChannel::default()).await, lab.channel("gone", NewChannel::default()).await);
    let mut digests = Vec::new();
    for name in ["kept", "deleted", "yanked"] {
        let (file, bytes) = package(name, "1.0", name);
        digests.push(lab.send(&team, &file, &bytes).await.unwrap().sha256);
    }
    let (file, bytes) = package("other", "1.0", "other");
    digests.push(lab.send(&gone, &file, &bytes).await.unwrap().sha256);
    retract(&lab, &spot(&team, "deleted-1.0-0.tar.bz2"), Retract::Delete).await.unwrap();
    retract(&lab, &spot(&team, "yanked-1.0-0.tar.bz2"), Retract::Yank).await.unwrap();
    lab.hosting.desk().delete_channel(&author(), &gone, true).await.unwrap();
    assert_eq!(lab.hosting.sweep().await.unwrap(), Swept::default());
    lab.clock.advance(Duration::from_hours(24 * 8));
    let late = spot(&team, "deleted-1.0-0.tar.bz2");
    let error = retract(&lab, &late, Retract::Restore).await.unwrap_err();
    assert!(error.to_string().contains("upload it again"), "{error}");
    assert_eq!(lab.hosting.sweep().await.unwrap(), Swept { rows: 2, files: 2 });
    let mut left = Vec::new();
    for digest in digests {
        left.push(lab.cache().recall(digest).await.unwrap().is_some());
    }
    assert_eq!(left, [true, false, true, false]);
    assert_eq!(lab.hosting.sweep().await.unwrap(), Swept::default());
}

#[tokio::test]
async fn labels_move_and_packages_are_copied_without_bytes() {
    let lab = Lab::new();
    let (team, prod) =
        (lab.channel("team", NewChannel::default()).await, lab.channel("prod", NewChannel::default()).await);
    let ((file, bytes), (_, other)) = (package("acme", "1.0", "x"), package("acme", "1.0", "y"));
    let labels = vec!["rc/1".to_owned()];
    lab.send_as(Upload { labels, ..upload(&team, &file) }, &bytes).await.unwrap();
    let (_, subdir, name) = spot(&team, &file);
    let change = |add: &[&str], remove: &[&str]| Labels {
        add: add.iter().map(ToString::to_string).collect(),
        remove: remove.iter().map(ToString::to_string).collect(),
    };
    let desk = lab.hosting.desk();
    let relabel = async |labels| desk.relabel_as(&author(), (&team, &subdir, &name), &labels).await;
    assert_eq!(relabel(change(&["main"], &[])).await.unwrap(), ["main", "rc/1"]);
    assert_eq!(relabel(change(&[], &["rc/1"])).await.unwrap(), ["main"]);
    assert_eq!(relabel(change(&[], &["main"])).await.unwrap_err().status(), 422, "one at least");
    assert_eq!(relabel(change(&["no label!"], &[])).await.unwrap_err().status(), 422);
    let copy = async |to: &ChannelName| desk.copy_as(&author(), (&team, &subdir, &name), to, &[]).await;
    assert_eq!(copy(&prod).await, Ok(Copied::Done));
    assert_eq!(copy(&prod).await, Ok(Copied::WasThere));
    assert_eq!(lab.files("hosted/sha256"), 1, "one file for both");
    let both =
        [lab.row(&team, "noarch", &file).await.unwrap(), lab.row(&prod, "noarch", &file).await.unwrap()];
    assert_eq!((both[0].sha256, &both[0].record), (both[1].sha256, &both[1].record));
    // What is deleted in one channel stays in the other.
    retract(&lab, &spot(&team, &file), Retract::Delete).await.unwrap();
    lab.clock.advance(Duration::from_hours(24 * 8));
    assert_eq!(lab.hosting.sweep().await.unwrap(), Swept { rows: 1, files: 0 });
    assert!(lab.cache().recall(both[1].sha256).await.unwrap().is_some());
    assert_eq!(copy(&prod).await.unwrap_err().status(), 404, "it is not listed any more");
    lab.send(&team, &file, &other).await.unwrap();
    assert_eq!(copy(&prod).await.unwrap_err().status(), 409);
}
