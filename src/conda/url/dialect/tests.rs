//! Every path of PROTOCOL section 5.

use super::{Anaconda, Cloudsmith, Dialect, Family};
use crate::conda::channel::ChannelName;
use crate::conda::url::{PathError, Route, parse_own};

/// What a path asks for, in short; `file …` where it is a file of a channel.
fn asked(raw: &str) -> String {
    let own = parse_own(raw, "/base").unwrap();
    let Some(dialect) = own.dialect else { return format!("file {}", own.target.path) };
    let dist = |word: &str, d: &super::Dist| {
        let subdir = d.subdir.as_ref().map_or("-", |subdir| subdir.as_str());
        format!("{word} {} {} {} {subdir} {}", d.owner, d.package, d.version, d.archive)
    };
    match dialect {
        Dialect::Prefix { channel } => format!("prefix {channel}"),
        Dialect::Quetz { channel, archive } => format!("quetz {channel} {archive}"),
        Dialect::QuetzFiles { channel } => format!("files {channel}"),
        Dialect::Psm { channel } => format!("psm {channel}"),
        Dialect::Cloudsmith(Cloudsmith::Announce(channel)) => format!("announce {channel}"),
        Dialect::Cloudsmith(Cloudsmith::Complete(channel)) => format!("complete {channel}"),
        Dialect::Cloudsmith(Cloudsmith::Create(channel)) => format!("create {channel}"),
        Dialect::Cloudsmith(Cloudsmith::Part(id)) => format!("part {id}"),
        Dialect::File { .. } => unreachable!("made of a method"),
        Dialect::Unknown(family) => format!("unknown {family:?}"),
        Dialect::Malformed(family, _) => format!("malformed {family:?}"),
        Dialect::Anaconda(asked) => match asked {
            Anaconda::Dist(d) => dist("dist", &d),
            Anaconda::Stage(d) => dist("stage", &d),
            Anaconda::Commit(d) => dist("commit", &d),
            Anaconda::Download(d) => dist("download", &d),
            Anaconda::Package(owner, name) => format!("package {owner} {name}"),
            Anaconda::Release(owner, name, version) => format!("release {owner} {name} {version}"),
            Anaconda::User(owner) => format!("user {owner:?}"),
            Anaconda::Labels(owner) => format!("labels {owner}"),
            Anaconda::Label(owner, label) => format!("label {owner} {label}"),
            Anaconda::Copy(owner, name, version, file) => format!("copy {owner} {name} {version} {file:?}"),
            other => format!("{other:?}"),
        },
    }
}

#[test]
fn paths_of_every_dialect() {
    for (raw, meant) in [
        ("/api/v1/upload/team", "prefix team"),
        ("/api/v1/upload/team/dev", "prefix team/dev"),
        ("/api/v1/upload/team%2Fdev", "prefix team/dev"),
        ("/api/v1/upload/team%2fdev/", "prefix team/dev"),
        ("/base/api/v1/upload/team", "prefix team"),
        ("/t/tk-1/api/v1/upload/team", "prefix team"),
        ("/api/channels/team/upload/a-1-0.conda", "quetz team a-1-0.conda"),
        ("/api/channels/team%2Fdev/upload/a-1%210-0.tar.bz2", "quetz team/dev a-1!0-0.tar.bz2"),
        ("/api/channels/team/files/", "files team"),
        ("/api/channels/team/dev/files", "files team/dev"),
        ("/api/repo/channels/team/artifacts", "psm team"),
        ("/api/repo/channels/team/subchannels/dev/artifacts", "psm team/dev"),
        ("/api/cloudsmith/files/-/team/", "announce team"),
        ("/api/cloudsmith/v1/files/team/dev/complete/", "complete team/dev"),
        ("/api/cloudsmith/packages/team/dev/upload/conda/", "create team/dev"),
        ("/api/cloudsmith/parts/abc", "part abc"),
        ("/api/cloudsmith/files/te am/x", "malformed Cloudsmith"),
        ("/api/cloudsmith/user/self", "unknown Cloudsmith"),
        ("/api/channels/team/upload/setup.exe", "malformed Quetz"),
        ("/api/channels/te%20am/upload/a-1-0.conda", "malformed Quetz"),
        ("/api/v1/upload/-x", "malformed Prefix"),
        ("/api/v1/other", "unknown Prefix"),
        ("/api/nothing", "unknown Quetz"),
    ] {
        assert_eq!(asked(raw), meant, "{raw}");
    }
}

#[test]
fn paths_of_anaconda_org() {
    for (raw, meant) in [
        ("/api", "Root"),
        ("/api/", "Root"),
        ("/user", "user None"),
        ("/user/team", "user Some(team)"),
        ("/user/orgs", "Orgs"),
        ("/users/ada/orgs", "Orgs"),
        ("/api/user/team/dev", "user Some(team/dev)"),
        ("/dist/team/a/1/noarch/a-1-0.conda", "dist team a 1 noarch a-1-0.conda"),
        ("/dist/team/a/1/a-1-0.conda", "dist team a 1 - a-1-0.conda"),
        ("/dist/team%2Fdev/a/1/linux-64%2Fa-1-0.conda", "dist team/dev a 1 linux-64 a-1-0.conda"),
        ("/dist/team/a-b/1/noarch/a-b-1-0.conda", "dist team a-b 1 noarch a-b-1-0.conda"),
        ("/package/team/a", "package team a"),
        ("/api/package/team/dev/a", "package team/dev a"),
        ("/release/team/a/1.0", "release team a 1.0"),
        ("/stage/team/a/1/noarch/a-1-0.conda", "stage team a 1 noarch a-1-0.conda"),
        ("/api/stage/team/a/1/noarch/a-1-0.conda", "stage team a 1 noarch a-1-0.conda"),
        ("/stage/-/file", "Deliver"),
        ("/commit/team/a/1/noarch/a-1-0.conda", "commit team a 1 noarch a-1-0.conda"),
        ("/authentications", "Authentications"),
        ("/authentications/name/x", "Authentications"),
        ("/authentication", "Authentication"),
        ("/authentication-type", "AuthenticationType"),
        ("/scopes", "Scopes"),
        ("/search", "Search"),
        ("/channels/team", "labels team"),
        ("/channels/team/dev", "label team dev"),
        ("/channels/team/dev/rc", "label team/dev rc"),
        ("/copy/package/team/a/1/", "copy team a 1 None"),
        ("/copy/package/team/a/1/noarch/a-1-0.conda", "copy team a 1 Some((Some(noarch), a-1-0.conda))"),
        ("/download/team/a/1/a-1-0.conda", "download team a 1 - a-1-0.conda"),
        ("/download/team/a/1/noarch/a-1-0.conda", "file /team/noarch/a-1-0.conda"),
        ("/api/download/team/a/1/noarch/a-1-0.conda", "file /team/noarch/a-1-0.conda"),
        ("/get/team/noarch/repodata.json", "file /team/noarch/repodata.json"),
        ("/get/team%2Fdev/noarch/a-1-0.conda", "file /team/dev/noarch/a-1-0.conda"),
        ("/package/team/t", "package team t"),
        ("/release/team/t/1.0", "release team t 1.0"),
        ("/dist/team/t/1/noarch/t-1-0.conda", "dist team t 1 noarch t-1-0.conda"),
        ("/base/api/stage/team/a/t/noarch/a-t-0.conda", "stage team a t noarch a-t-0.conda"),
        ("/copy/package/team/t/t/", "copy team t t None"),
        ("/t/tk-1/release/team/t/1.0", "release team t 1.0"),
        ("/t/tk-1/base/release/team/a/1", "release team a 1"),
        ("/release/t/tk-1/team/a/1", "release team a 1"),
        ("/download/team/t/1/noarch/t-1-0.conda", "file /team/noarch/t-1-0.conda"),
        ("/package/a", "malformed Anaconda"),
        ("/scopes/all", "unknown Anaconda"),
    ] {
        assert_eq!(asked(raw), meant, "{raw}");
    }
}

#[test]
fn files_of_channels_stay_files() {
    for raw in [
        "/team/noarch/repodata.json",
        "/api/team/noarch/repodata.json",
        "/search/noarch/repodata.json.zst",
        "/user/linux-64/a-1-0.conda",
        "/dist/noarch/a-1-0.conda",
        "/channels/noarch/repodata_shards.msgpack.zst",
        "/users/notices.json",
    ] {
        assert_eq!(asked(raw), format!("file {raw}"));
        assert!(!matches!(parse_own(raw, "").unwrap().target.route, Route::Other), "{raw}");
    }
}

#[test]
fn an_encoded_slash_is_a_dialects_only() {
    for raw in ["/team%2Fdev/noarch/repodata.json", "/-/api%2Fv1", "/x/dist%2Fx", "/get/a%252Fb/c"] {
        assert_eq!(parse_own(raw, ""), Err(PathError::EncodedSlash), "{raw}");
    }
    assert_eq!(parse_own("/user/a%2F..%2Fb", ""), Err(PathError::Traversal));
    assert_eq!(parse_own("/user/a%2F%2e%2e%2Fb", ""), Err(PathError::Traversal));
}

#[test]
fn families_and_channels() {
    let of = |raw: &str| parse_own(raw, "").unwrap().dialect.unwrap();
    for (raw, family, channel) in [
        ("/api/v1/upload/team", Family::Prefix, Some("team")),
        ("/api/channels/team/files", Family::Quetz, Some("team")),
        ("/api/repo/channels/team/artifacts", Family::Psm, Some("team")),
        ("/release/team/a/1", Family::Anaconda, Some("team")),
        ("/scopes", Family::Anaconda, None),
    ] {
        let dialect = of(raw);
        assert_eq!(
            (dialect.family(), dialect.channel().map(ChannelName::as_str)),
            (family, channel),
            "{raw}"
        );
    }
}
