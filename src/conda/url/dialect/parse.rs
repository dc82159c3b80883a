//! From a normalised path to what it asks of a dialect.

use std::sync::Arc;

use super::anaconda::{Anaconda, Dist};
use super::{Cloudsmith, Dialect, Family};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::conda::subdir::Subdir;

/// The roots of anaconda.org's API, on their own and below `/api`.
const ANACONDA: [&str; 14] = [
    "user",
    "users",
    "dist",
    "package",
    "release",
    "stage",
    "commit",
    "authentications",
    "authentication",
    "authentication-type",
    "scopes",
    "channels",
    "copy",
    "search",
];

const CHANNEL: &str = "this path has no channel name where one belongs; a name is `team` or `team/dev`, of letters, digits, `_`, `.` and `-`";
const FILE: &str =
    "this path does not end in the name of a package file: `<name>-<version>-<build>.conda` or `.tar.bz2`";

type Parsed<T> = Result<T, &'static str>;

/// Whether a path, raw or normalised, is below a root of dialects. Its slashes may then be percent-encoded.
pub(in super::super) fn is_below_dialects(path: &str) -> bool {
    let root = path.trim_start_matches('/').split(['/', '%']).next().unwrap_or("");
    matches!(root, "api" | "get" | "download") || ANACONDA.contains(&root)
}

/// How much of a path is the root below which packages are named, if it has one.
pub(in super::super) fn root_of_names(path: &str) -> Option<usize> {
    let api = if path.starts_with("/api/") { "/api".len() } else { 0 };
    let root = path.get(api + 1..)?.split('/').next()?;
    let names = ["dist", "stage", "commit", "download", "package", "release", "copy"];
    names.contains(&root).then_some(api + 1 + root.len())
}

/// What `path` asks for; `None` where it is no dialect's. Downloads are no dialect's: [`super::super::parse_own`] has them.
pub(in super::super) fn parse(path: &str) -> Option<Dialect> {
    let body = path.trim_matches('/');
    let (root, rest) = body.split_once('/').unwrap_or((body, ""));
    match root {
        "api" => Some(below_api(rest)),
        "download" => Some(anaconda("download", rest)),
        root if ANACONDA.contains(&root) => Some(anaconda(root, rest)),
        _ => None,
    }
}

fn below_api(rest: &str) -> Dialect {
    if let Some(channel) = rest.strip_prefix("v1/upload/") {
        return or_malformed(Family::Prefix, name(channel).map(|channel| Dialect::Prefix { channel }));
    }
    if let Some(between) =
        rest.strip_prefix("repo/channels/").and_then(|rest| rest.strip_suffix("/artifacts"))
    {
        // A channel of two parts is one channel inside another there.
        let channel = between.replacen("/subchannels/", "/", 1);
        return or_malformed(Family::Psm, name(&channel).map(|channel| Dialect::Psm { channel }));
    }
    if let Some(rest) = rest.strip_prefix("channels/") {
        if let Some((channel, file)) = rest.rsplit_once("/upload/") {
            return or_malformed(Family::Quetz, quetz(channel, file));
        }
        if let Some(channel) = rest.strip_suffix("/files") {
            return or_malformed(Family::Quetz, name(channel).map(|channel| Dialect::QuetzFiles { channel }));
        }
    }
    if let Some(rest) = rest.strip_prefix("cloudsmith/") {
        return cloudsmith(rest.strip_prefix("v1/").unwrap_or(rest));
    }
    let (root, below) = rest.split_once('/').unwrap_or((rest, ""));
    match root {
        "" => Dialect::Anaconda(Anaconda::Root),
        "download" => anaconda(root, below),
        root if ANACONDA.contains(&root) => anaconda(root, below),
        "v1" => Dialect::Unknown(Family::Prefix),
        "repo" => Dialect::Unknown(Family::Psm),
        _ => Dialect::Unknown(Family::Quetz),
    }
}

fn cloudsmith(rest: &str) -> Dialect {
    let parts: Vec<&str> = rest.split('/').collect();
    let (owner, repo, make): (&str, &str, fn(ChannelName) -> Cloudsmith) = match parts[..] {
        ["files", owner, repo] => (owner, repo, Cloudsmith::Announce),
        ["files", owner, repo, "complete"] => (owner, repo, Cloudsmith::Complete),
        ["packages", owner, repo, "upload", "conda"] => (owner, repo, Cloudsmith::Create),
        ["parts", id] => return Dialect::Cloudsmith(Cloudsmith::Part(id.into())),
        _ => return Dialect::Unknown(Family::Cloudsmith),
    };
    let channel = if owner == "-" { name(repo) } else { name(&format!("{owner}/{repo}")) };
    or_malformed(Family::Cloudsmith, channel.map(|channel| Dialect::Cloudsmith(make(channel))))
}

fn quetz(channel: &str, file: &str) -> Parsed<Dialect> {
    let archive = ArchiveName::parse(file).ok_or(FILE)?;
    Ok(Dialect::Quetz { channel: name(channel)?, archive })
}

fn anaconda(root: &str, rest: &str) -> Dialect {
    let asked = match (root, rest) {
        ("user", "") => Ok(Anaconda::User(None)),
        ("user", "orgs") => Ok(Anaconda::Orgs),
        ("user", owner) => name(owner).map(|owner| Anaconda::User(Some(owner))),
        ("users", rest) if rest.ends_with("/orgs") => Ok(Anaconda::Orgs),
        ("stage", "-/file") => Ok(Anaconda::Deliver),
        ("dist", rest) => dist(rest).map(Anaconda::Dist),
        ("stage", rest) => dist(rest).map(Anaconda::Stage),
        ("commit", rest) => dist(rest).map(Anaconda::Commit),
        ("download", rest) => dist(rest).map(Anaconda::Download),
        ("package", rest) => {
            last(rest).and_then(|(owner, package)| Ok(Anaconda::Package(name(owner)?, package)))
        }
        ("release", rest) => {
            release(rest).map(|(owner, package, version)| Anaconda::Release(owner, package, version))
        }
        ("copy", rest) => copy(rest),
        ("authentications", _) => Ok(Anaconda::Authentications),
        ("authentication", "") => Ok(Anaconda::Authentication),
        ("authentication-type", "") => Ok(Anaconda::AuthenticationType),
        ("scopes", "") => Ok(Anaconda::Scopes),
        ("search", "") => Ok(Anaconda::Search),
        ("channels", rest) => labels(rest),
        _ => return Dialect::Unknown(Family::Anaconda),
    };
    or_malformed(Family::Anaconda, asked.map(Dialect::Anaconda))
}

/// `<owner>[/<label>]`. One segment is an owner; of more the last one is a label.
fn labels(rest: &str) -> Parsed<Anaconda> {
    let Some((owner, label)) = rest.rsplit_once('/') else { return name(rest).map(Anaconda::Labels) };
    if !ChannelRef::is_label(label) {
        return Err(
            "this path has no label where one belongs: letters, digits, `_`, `.`, `:` and `-`, a letter first",
        );
    }
    Ok(Anaconda::Label(name(owner)?, label.into()))
}

/// `package/<owner>/<package>/<version>[/[<subdir>/]<file>]`
fn copy(rest: &str) -> Parsed<Anaconda> {
    let rest =
        rest.strip_prefix("package/").ok_or("what is copied is `package/<owner>/<package>/<version>`")?;
    if let Ok(Dist { owner, package, version, subdir, archive }) = dist(rest) {
        return Ok(Anaconda::Copy(owner, package, version, Some((subdir, archive))));
    }
    release(rest).map(|(owner, package, version)| Anaconda::Copy(owner, package, version, None))
}

/// `<owner>/<package>/<version>/[<subdir>/]<file>`
fn dist(rest: &str) -> Parsed<Dist> {
    let (above, file) = rest.rsplit_once('/').ok_or(FILE)?;
    let archive = ArchiveName::parse(file).ok_or(FILE)?;
    // No version has a `-`, and no version is `noarch`.
    let (above, subdir) = match above.rsplit_once('/') {
        Some((above, subdir)) if Subdir::is_valid(subdir) => (above, Subdir::parse(subdir)),
        _ => (above, None),
    };
    let (owner, package, version) = release(above)?;
    Ok(Dist { owner, package, version, subdir, archive })
}

fn release(rest: &str) -> Parsed<(ChannelName, Arc<str>, Arc<str>)> {
    let (above, version) = last(rest)?;
    let (owner, package) = last(above)?;
    Ok((name(owner)?, package, version))
}

fn last(path: &str) -> Parsed<(&str, Arc<str>)> {
    let (above, last) = path
        .rsplit_once('/')
        .ok_or("this path is too short; it names an owner, a package and perhaps more")?;
    Ok((above, last.into()))
}

fn name(text: &str) -> Parsed<ChannelName> {
    ChannelName::parse(text).ok_or(CHANNEL)
}

fn or_malformed(family: Family, parsed: Parsed<Dialect>) -> Dialect {
    parsed.unwrap_or_else(|why| Dialect::Malformed(family, why))
}
