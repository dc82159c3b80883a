//! Preconditions (RFC 9110, 13): 304, 412, and whether a `Range` may be honoured.

use super::date;
use super::etag::{ETag, EntityTags};
use super::list::trim;
use crate::clock::UnixMillis;

/// The conditional headers of one request, as they came; several lines joined by `", "`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Preconditions<'a> {
    /// `If-None-Match`
    pub if_none_match: Option<&'a str>,
    /// `If-Modified-Since`
    pub if_modified_since: Option<&'a str>,
    /// `If-Match`
    pub if_match: Option<&'a str>,
    /// `If-Unmodified-Since`
    pub if_unmodified_since: Option<&'a str>,
    /// `If-Range`; does not count in [`evaluate`], see [`if_range_holds`].
    pub if_range: Option<&'a str>,
}

/// What the preconditions say about answering.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Answer as if there were no preconditions.
    Proceed,
    /// 304
    NotModified,
    /// 412
    Failed,
}

/// Evaluates the preconditions against an existing representation with these validators, in the order of RFC 9110
/// 13.2.2: `If-Match` before `If-Unmodified-Since`, then `If-None-Match` before `If-Modified-Since`.
///
/// Only to be asked where the answer without preconditions would be a 2xx. Dates compare in whole seconds. A date
/// that can't be read, or that has nothing to be compared with, is ignored.
#[must_use]
pub fn evaluate(
    given: &Preconditions<'_>,
    is_get_or_head: bool,
    etag: Option<&ETag>,
    last_modified: Option<UnixMillis>,
) -> Outcome {
    let modified_after = |header: Option<&str>| -> Option<bool> {
        let since = date::parse(header?)?;
        Some(last_modified?.seconds() > since.seconds())
    };
    let kept = match given.if_match {
        Some(list) => any_match(list, etag, Comparison::Strong),
        None => modified_after(given.if_unmodified_since) != Some(true),
    };
    if !kept {
        return Outcome::Failed;
    }
    let unchanged = match given.if_none_match {
        Some(list) => any_match(list, etag, Comparison::Weak),
        // RFC 9110, 13.1.3: for GET and HEAD only.
        None => is_get_or_head && modified_after(given.if_modified_since) == Some(false),
    };
    match (unchanged, is_get_or_head) {
        (false, _) => Outcome::Proceed,
        (true, true) => Outcome::NotModified,
        (true, false) => Outcome::Failed,
    }
}

/// Whether a `Range` may be honoured: without `If-Range` always; with an entity tag if it is the representation's, both
/// strong; with a date if it is exactly `Last-Modified` to the second. Everything else means the whole file with 200.
#[must_use]
pub fn if_range_holds(
    if_range: Option<&str>,
    etag: Option<&ETag>,
    last_modified: Option<UnixMillis>,
) -> bool {
    let Some(value) = if_range.map(trim) else { return true };
    if value.starts_with('"') {
        return etag.is_some_and(|etag| etag.as_str() == value);
    }
    match (date::parse(value), last_modified) {
        (Some(asked), Some(actual)) => asked.seconds() == actual.seconds(),
        _ => false,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of tags has `etag`. `*` matches any representation, one without a tag too.
fn any_match(list: &str, etag: Option<&ETag>, comparison: Comparison) -> bool {
    if trim(list) == "*" {
        return true;
    }
    let Some(etag) = etag else { return false };
    EntityTags(list).any(|tag| tag.quoted == etag.as_str() && (comparison == Comparison::Weak || !tag.weak))
}

#[cfg(test)]
mod tests;
