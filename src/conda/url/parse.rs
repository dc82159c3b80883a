//! From a normalised path to a route, judged from the right: the file decides what the segments before it must be.

use super::dialect::{self, Anaconda, Dialect};
use super::names::SHARD_INDEX;
use super::normal::{Normal, normalise, strip_base};
use super::{ChannelDoc, IndexFile, MAX_PATH, PathError, Route, Target};
use crate::conda::archive::ArchiveName;
use crate::conda::channel::{ChannelName, ChannelRef};
use crate::conda::digest::Sha256;
use crate::conda::subdir::Subdir;

/// The ending of a shard's name.
pub(super) const SHARD_SUFFIX: &str = ".msgpack.zst";

/// Parses the path of a request target: still percent-encoded, without query, without scheme and host.
///
/// An empty path is `/`. What is safe but no URL of the conda grammar is [`Route::Other`], never an error.
///
/// # Errors
/// See [`PathError`]: the path can't be read, or could mean different things to different readers.
pub fn parse(raw_path: &str) -> Result<Target, PathError> {
    parse_below(raw_path, "")
}

/// [`parse`] for a gate whose `public_url` has a path: `base` (`/conda`, decoded) is taken off where the path has it, before
/// or behind a token (`/conda/t/<token>/…` from conda, `/t/<token>/conda/…` from rattler). A path without it is taken
/// as it is, because a proxy in front may have stripped it already.
///
/// # Errors
/// As [`parse`].
pub fn parse_below(raw_path: &str, base: &str) -> Result<Target, PathError> {
    let Normal { mut path, token, .. } = below(raw_path, base)?;
    let route = route_of(&mut path);
    Ok(Target { route, token, path })
}

fn below(raw_path: &str, base: &str) -> Result<Normal, PathError> {
    if raw_path.len() > MAX_PATH {
        return Err(PathError::TooLong);
    }
    let mut normal = normalise(raw_path)?;
    let before = normal.path.len();
    strip_base(&mut normal.path, base);
    normal.token_at = normal.token_at.saturating_sub(before - normal.path.len());
    Ok(normal)
}

/// [`parse_below`] for a path that may be a dialect's: where packages are named, `t` is one, or a version, and begins no token. Tokens stand
/// before that, because no part of a channel's name is `t`.
fn parse_named(raw_path: &str, base: &str) -> Result<Target, PathError> {
    let Normal { mut path, mut token, token_at } = below(raw_path, base)?;
    if let Some(found) = token.take_if(|_| dialect::root_of_names(&path).is_some_and(|len| token_at > len)) {
        path.insert_str(token_at, &format!("/t/{}", found.reveal()));
    }
    let route = route_of(&mut path);
    Ok(Target { route, token, path })
}

/// What is asked of the gate itself: a file of a channel, or something in an upload dialect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Own {
    /// As [`parse_below`] has it; of `/get/<path>` (quetz) and `/download/…` (anaconda.org), which name files of channels, that file.
    pub target: Target,
    /// What the path asks for in a dialect.
    pub dialect: Option<Dialect>,
}

/// [`parse_below`] for paths that mean this gate and no host that it stands for: dialects are found too.
///
/// Their roots are reserved ([`super::is_reserved_root`]); a path below one that is no dialect's is still a channel's file where it looks
/// like one, for upstreams that have channels of that name. Only in dialects a slash may be percent-encoded.
///
/// # Errors
/// As [`parse`].
pub fn parse_own(raw_path: &str, base: &str) -> Result<Own, PathError> {
    let mut target = match parse_named(raw_path, base) {
        Err(PathError::EncodedSlash) => {
            let slashed = raw_path.replace("%2F", "/").replace("%2f", "/");
            let target = parse_named(&slashed, base)?;
            if dialect::is_below_dialects(&target.path) { Ok(target) } else { Err(PathError::EncodedSlash) }
        }
        parsed => parsed,
    }?;
    if !dialect::is_below_dialects(&target.path) {
        return Ok(Own { target, dialect: None });
    }
    if let Some(rest) = target.path.strip_prefix("/get/") {
        target.path = format!("/{rest}");
        target.route = route_of(&mut target.path);
        return Ok(Own { target, dialect: None });
    }
    let spoken = dialect::parse(&target.path);
    if let Some(Dialect::Anaconda(Anaconda::Download(file))) = &spoken
        && let Some(subdir) = &file.subdir
    {
        let (channel, archive) = (ChannelRef { name: file.owner.clone(), label: None }, file.archive.clone());
        target.path = format!("/{channel}/{subdir}/{archive}");
        target.route = Route::Package { channel, subdir: subdir.clone(), archive };
        return Ok(Own { target, dialect: None });
    }
    let is_file = target.route.channel().is_some();
    let dialect =
        spoken.filter(|found| !is_file || !matches!(found, Dialect::Unknown(_) | Dialect::Malformed(..)));
    Ok(Own { target, dialect })
}

/// The route, and the path as it should have been asked.
fn route_of(path: &mut String) -> Route {
    let mut found = route(path);
    if found == Route::Other
        && let Some((straight, index)) = unswapped(path)
    {
        (*path, found) = (straight, index);
    }
    if path.ends_with('/') && !matches!(found, Route::Home | Route::Other) {
        path.pop();
    }
    found
}

/// conda 26.5–26.7.1 with a stored token asks `<channel>/repodata_shards.msgpack.zst/<subdir>`: the same index, and
/// the path it should have asked.
fn unswapped(path: &str) -> Option<(String, Route)> {
    let (above, subdir) = path.trim_end_matches('/').rsplit_once('/')?;
    let channel = above.strip_suffix(SHARD_INDEX)?;
    let straight = format!("{channel}{subdir}/{SHARD_INDEX}");
    let index = route(&straight);
    matches!(index, Route::Index { .. }).then_some((straight, index))
}

fn route(path: &str) -> Route {
    let body = path.trim_matches('/');
    if body.is_empty() {
        return Route::Home;
    }
    if let Some(rest) = body.strip_prefix('-')
        && (rest.is_empty() || rest.starts_with('/'))
    {
        return Route::Control(rest.trim_start_matches('/').to_owned());
    }
    let Some((above, file)) = body.rsplit_once('/') else { return Route::Other };
    in_subdir(above, file).or_else(|| in_channel(above, file)).unwrap_or(Route::Other)
}

/// Routes of `<channel>/<subdir>/<file>`. Packages come first: they are what is asked most.
fn in_subdir(above: &str, file: &str) -> Option<Route> {
    if let Some(archive) = ArchiveName::parse(file) {
        let (channel, subdir) = place(above)?;
        return Some(Route::Package { channel, subdir, archive });
    }
    if let Some(file) = IndexFile::from_file_name(file) {
        let (channel, subdir) = place(above)?;
        return Some(Route::Index { channel, subdir, file });
    }
    if let Some(digest) = file.strip_suffix(SHARD_SUFFIX).and_then(Sha256::from_hex) {
        let (channel, subdir) = place(above.strip_suffix("/shards").unwrap_or(above))?;
        return Some(Route::Shard { channel, subdir, digest });
    }
    if is_sidecar(file) {
        let (channel, subdir) = place(above)?;
        return Some(Route::Sidecar { channel, subdir, file: file.into() });
    }
    None
}

/// Routes of `<channel>/<document>`.
fn in_channel(above: &str, file: &str) -> Option<Route> {
    let doc = ChannelDoc::from_file_name(file)?;
    // `<channel>/label/<label>/<subdir>/notices.json` is no document of a label that is called like its subdir.
    let beneath_subdir = above.rsplit_once('/').is_some_and(|(_, last)| Subdir::is_known(last));
    let channel = channel(above).filter(|_| !beneath_subdir)?;
    Some(Route::Doc { channel, doc })
}

/// `<channel>/<subdir>`
fn place(above: &str) -> Option<(ChannelRef, Subdir)> {
    let (name, subdir) = above.rsplit_once('/')?;
    Some((channel(name)?, Subdir::parse(subdir)?))
}

/// `<name>` or `<name>/label/<label>`: no component of a name can be `label`, so the first one divides.
fn channel(text: &str) -> Option<ChannelRef> {
    // Most names are one word, which is seen at a glance.
    let divided = if text.contains('/') { text.split_once("/label/") } else { None };
    match divided {
        None => Some(ChannelRef { name: ChannelName::parse(text)?, label: None }),
        Some((name, label)) if ChannelRef::is_label(label) => {
            Some(ChannelRef { name: ChannelName::parse(name)?, label: Some(label.into()) })
        }
        Some(_) => None,
    }
}

/// `<archive>.sigs.<sha256>`, `<archive>.sigs`, `<archive>.v0.sigs` (CEP 50 and what was before it).
fn is_sidecar(file: &str) -> bool {
    let archive = match file.rsplit_once(".sigs.") {
        Some((archive, digest)) if Sha256::from_hex(digest).is_some() => Some(archive),
        Some(_) => None,
        None => file.strip_suffix(".v0.sigs").or_else(|| file.strip_suffix(".sigs")),
    };
    archive.is_some_and(|name| ArchiveName::parse(name).is_some())
}
