//! What stands in a shard, one thing after the other.
//!
//! Belongs here: the form of a shard (CEP 16). Does not: what becomes of its records (`same`, `document`).

use super::ShardError;
use super::cursor::{Cursor, Item};

/// Which object of a shard a record stands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place<'a> {
    /// `packages`, `packages.conda` or `packages.whl`.
    Top(&'static str),
    /// A group inside `v3`, whose keys have no extension.
    V3(&'a str),
}

/// One thing in a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part<'a> {
    /// A record's key; its value comes next and must be stepped over by who is told. A key that is no text is `None`.
    Record(Place<'a>, Option<&'a str>),
    /// A file name in `removed`.
    Removed(&'a str),
    /// Something else, which was stepped over.
    Other,
}

/// Tells `each` of everything in an unpacked shard; gives whether both classic groups were there.
///
/// # Errors
/// Broken MessagePack, another form than a shard's, or what `each` says.
pub(super) fn walk<E: From<ShardError>>(
    raw: &[u8],
    mut each: impl FnMut(Part<'_>, &mut Cursor<'_>) -> Result<(), E>,
) -> Result<bool, E> {
    const KEYS: [&str; 5] = ["packages", "packages.conda", "packages.whl", "v3", "removed"];
    let mut seen = [false; KEYS.len()];
    let mut at = Cursor::new(raw);
    for _ in 0..at.map()? {
        let key = at.text()?;
        let Some(n) = KEYS.iter().position(|known| *known == key) else {
            at.skip()?;
            each(Part::Other, &mut at)?;
            continue;
        };
        if std::mem::replace(&mut seen[n], true) {
            return Err(at.wrong("a key that stands twice").into());
        }
        match KEYS[n] {
            "v3" => {
                for _ in 0..at.map()? {
                    let group = at.text()?;
                    records(&mut at, Place::V3(group), &mut each)?;
                }
            }
            "removed" => removed(&mut at, &mut each)?,
            group => records(&mut at, Place::Top(group), &mut each)?,
        }
    }
    if at.at_end() { Ok(seen[0] && seen[1]) } else { Err(at.wrong("more data behind the shard").into()) }
}

fn records<E: From<ShardError>>(
    at: &mut Cursor<'_>,
    place: Place<'_>,
    each: &mut impl FnMut(Part<'_>, &mut Cursor<'_>) -> Result<(), E>,
) -> Result<(), E> {
    for _ in 0..at.map()? {
        let key = match at.item()? {
            Item::Text(key) => std::str::from_utf8(key).ok(),
            Item::Array(_) | Item::Map(_) => return Err(at.wrong("a file name was expected").into()),
            _ => None,
        };
        let value = at.pos();
        each(Part::Record(place, key), at)?;
        debug_assert!(at.pos() > value, "the value was stepped over");
    }
    Ok(())
}

fn removed<E: From<ShardError>>(
    at: &mut Cursor<'_>,
    each: &mut impl FnMut(Part<'_>, &mut Cursor<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let files = match at.item()? {
        Item::Array(n) => n,
        Item::Nil => 0,
        _ => return Err(at.wrong("a list of file names was expected").into()),
    };
    for _ in 0..files {
        let start = at.pos();
        if let Item::Text(file) = at.item()? {
            match std::str::from_utf8(file) {
                Ok(file) => each(Part::Removed(file), at)?,
                Err(_) => each(Part::Other, at)?,
            }
        } else {
            at.back_to(start);
            at.skip()?;
            each(Part::Other, at)?;
        }
    }
    Ok(())
}
