//! Finding one file's record in a shard: what it promises, or all of it.

use super::ShardError;
use super::cursor::Cursor;
use super::inflate::{SHARD_LIMIT, inflate};
use super::json;
use super::walk::{Part, Place, walk};
use crate::conda::digest::{Expected, Md5, Sha256};

/// What a shard (its packed bytes, already held against their digest by the caller) promises about `file`; `None` when it does not
/// list it. The whole shard is read and checked either way.
///
/// # Errors
/// Broken or oversized data, or a shard without `packages` or `packages.conda`, which conda could not read.
pub fn find_in_shard(packed: &[u8], file: &str) -> Result<Option<Expected>, ShardError> {
    find(&inflate(packed, SHARD_LIMIT)?, file)
}

/// What a shard promises about a file, and the record itself as JSON.
pub type Promised = (Expected, Option<Vec<u8>>);

/// The same with the record itself; that is `None` where JSON can't say it. Of several, the last counts.
///
/// # Errors
/// As [`find_in_shard`].
pub fn record_in_shard(packed: &[u8], file: &str) -> Result<Option<Promised>, ShardError> {
    let raw = inflate(packed, SHARD_LIMIT)?;
    let Some(expected) = find(&raw, file)? else { return Ok(None) };
    Ok(Some((expected, record(&raw, file)?)))
}

fn find(raw: &[u8], file: &str) -> Result<Option<Expected>, ShardError> {
    let mut at = Cursor::new(raw);
    let (mut classic, mut conda, mut found) = (false, false, None);
    for _ in 0..at.map()? {
        match at.text()? {
            "packages" => {
                classic = true;
                found = search(&mut at, file, "")?.or(found);
            }
            "packages.conda" => {
                conda = true;
                found = search(&mut at, file, "")?.or(found);
            }
            "packages.whl" => found = search(&mut at, file, "")?.or(found),
            "v3" => found = search_v3(&mut at, file)?.or(found),
            _ => at.skip()?,
        }
    }
    if !at.at_end() {
        return Err(at.wrong("more data behind the shard"));
    }
    match (classic, conda) {
        (false, _) => Err(ShardError::Missing { key: "packages" }),
        (_, false) => Err(ShardError::Missing { key: "packages.conda" }),
        _ => Ok(found),
    }
}

fn record(raw: &[u8], file: &str) -> Result<Option<Vec<u8>>, ShardError> {
    let mut found = None;
    walk(raw, |part, at| {
        let Part::Record(place, key) = part else { return Ok::<(), ShardError>(()) };
        let extension = match place {
            Place::V3("tar.bz2") => ".tar.bz2",
            Place::V3("conda") => ".conda",
            Place::V3("whl") => ".whl",
            Place::V3(_) => return at.skip(),
            Place::Top(_) => "",
        };
        if file.strip_suffix(extension) != key {
            return at.skip();
        }
        let mut text = Vec::new();
        found = json::record(at, SHARD_LIMIT, &mut text)?.then_some(text);
        Ok(())
    })?;
    Ok(found)
}

/// The groups of CEP 48, whose keys have no extension.
fn search_v3(at: &mut Cursor<'_>, file: &str) -> Result<Option<Expected>, ShardError> {
    let mut found = None;
    for _ in 0..at.map()? {
        match at.text()? {
            "tar.bz2" => found = search(at, file, ".tar.bz2")?.or(found),
            "conda" => found = search(at, file, ".conda")?.or(found),
            "whl" => found = search(at, file, ".whl")?.or(found),
            _ => at.skip()?,
        }
    }
    Ok(found)
}

fn search(at: &mut Cursor<'_>, file: &str, extension: &str) -> Result<Option<Expected>, ShardError> {
    let mut found = None;
    for _ in 0..at.map()? {
        if file.strip_suffix(extension) == Some(at.text()?) {
            found = Some(expected(at)?);
        } else {
            at.skip()?;
        }
    }
    Ok(found)
}

fn expected(at: &mut Cursor<'_>) -> Result<Expected, ShardError> {
    let mut expected = Expected::default();
    for _ in 0..at.map()? {
        match at.text()? {
            "sha256" => expected.sha256 = at.digest()?.map(Sha256),
            "md5" => expected.md5 = at.digest()?.map(Md5),
            "size" => expected.size = at.size()?,
            _ => at.skip()?,
        }
    }
    Ok(expected)
}
