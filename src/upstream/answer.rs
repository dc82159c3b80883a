//! Reading an upstream's answer: does it fit what was asked, and may it be handed on?
//!
//! Belongs here: status, Content-Range, Retry-After, content codings, headers that end at this hop; all pure. Does not:
//! the body's bytes (`body`), redirects (`redirect`).
//!
//! **Content codings.** We ask for `identity`. An answer coded anyway (gzip, zstd) is decoded on its way, whatever it is
//! for; it loses its Content-Length, and a strong ETag becomes weak, for its bytes are not the ones that tag names. Any
//! other coding is an error, and so is a coded part of a file, whose offsets mean coded bytes. One label is not believed: `zstd` on a
//! `.zst` and `gzip` on a `.gz` name describe the stored file (servers map endings to codings), so these bytes pass untouched.

use std::ops::RangeInclusive;
use std::time::Duration;

use ::http::StatusCode;
use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::error::FetchError;
use super::request::FetchRequest;
use crate::clock::UnixMillis;
use crate::http::date;

/// Why an answer isn't handed on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The mirror wants to be left alone, for this long if it said so.
    Rest(Option<Duration>),
    /// It can't be used.
    Error(FetchError),
}

/// What is known of a body before it comes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bytes to come, as sent.
    pub(super) length: Option<u64>,
    /// How they are coded.
    pub(super) coding: Option<Coding>,
}

/// A coding that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// `gzip`, `x-gzip`.
    Gzip,
    /// `zstd`.
    Zstd,
}

/// Checks an answer against the request, and readies its headers for those who asked.
pub(super) fn judge(
    status: StatusCode,
    headers: &mut HeaderMap,
    request: &FetchRequest,
    mirror: &str,
    now: UnixMillis,
) -> Result<Shape, Fault> {
    check_status(status, headers, request, mirror, now)?;
    let bad =
        |why: &str| Fault::Error(FetchError::BadAnswer { mirror: mirror.to_owned(), why: why.to_owned() });
    strip(headers);
    let mut shape = Shape::default();
    if matches!(status.as_u16(), 200 | 206) {
        shape.coding = coding(headers, &request.path).map_err(bad)?;
    }
    if status == StatusCode::PARTIAL_CONTENT {
        if shape.coding.is_some() {
            return Err(bad("a part of a coded body, which can't be placed in the file"));
        }
        let part =
            content_range(headers).ok_or_else(|| bad("a part of a file without a valid Content-Range"))?;
        if Some(*part.range.start()) != request.range_from {
            return Err(bad("another part of the file than the one asked for"));
        }
        shape.length = Some(part.range.end() - part.range.start() + 1);
    }
    if shape.coding.is_some() {
        decoded_headers(headers);
    } else if !request.head && status != StatusCode::NOT_MODIFIED {
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.trim().parse().ok());
        if let (Some(part), Some(announced)) = (shape.length, announced)
            && part != announced
        {
            return Err(bad("a Content-Length that doesn't fit its Content-Range"));
        }
        shape.length = shape.length.or(announced);
    }
    Ok(shape)
}

fn check_status(
    status: StatusCode,
    headers: &HeaderMap,
    request: &FetchRequest,
    mirror: &str,
    now: UnixMillis,
) -> Result<(), Fault> {
    let bad = |why: &str| {
        Err(Fault::Error(FetchError::BadAnswer { mirror: mirror.to_owned(), why: why.to_owned() }))
    };
    let retry_after = || headers.get(header::RETRY_AFTER).and_then(|v| retry_after(v.to_str().ok()?, now));
    match status.as_u16() {
        206 if request.range_from.is_none() => {
            bad("a part of the file (206) although all of it was asked for")
        }
        304 if !request.is_conditional() => bad("'not modified' (304) to a request without a condition"),
        416 if request.range_from.is_none() => {
            bad("'range not satisfiable' (416) to a request without a range")
        }
        200 | 206 | 304 | 401 | 403 | 404 | 410 | 416 => Ok(()),
        429 => Err(Fault::Rest(retry_after())),
        503 if retry_after().is_some() => Err(Fault::Rest(retry_after())),
        other => Err(Fault::Error(FetchError::Status { mirror: mirror.to_owned(), status: other })),
    }
}

/// `Retry-After`: seconds or a date (RFC 9110 section 10.2.3); a past date is no wait.
fn retry_after(value: &str, now: UnixMillis) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are a long time, and are cut by the caller.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX / 1000)));
    }
    Some(date::parse(value)?.since(now))
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// First and last byte.
    pub range: RangeInclusive<u64>,
    /// The whole file's length, if the upstream knows it.
    pub total: Option<u64>,
}

/// `Content-Range: bytes 5-9/10` or `bytes 5-9/*`.
pub(super) fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?.trim();
    let (unit, rest) = value.split_once(' ')?;
    let (range, total) = rest.trim().split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if digits { text.parse::<u64>().ok() } else { None }
    };
    let (start, end) = (number(start)?, number(end)?);
    let total = if total == "*" { None } else { Some(number(total)?) };
    let sound = unit.eq_ignore_ascii_case("bytes")
        && start <= end
        && end < u64::MAX
        && total.is_none_or(|total| end < total);
    sound.then_some(ContentRange { range: start..=end, total })
}

/// The coding to undo. The header is dropped when it names none.
fn coding(headers: &mut HeaderMap, path: &str) -> Result<Option<Coding>, &'static str> {
    const OTHER: &str = "it has a content coding that nobody asked for and that isn't understood";
    let ending = path.rsplit('.').next().unwrap_or_default();
    let mut found = None;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let value = value.to_str().map_err(|_| OTHER)?;
        for token in value.split(',').map(|t| t.trim().to_ascii_lowercase()) {
            let coding = match &*token {
                "" | "identity" => continue,
                // What the name says already is not undone: the ending is what the client asked for.
                "gzip" | "x-gzip" if matches!(ending, "gz" | "tgz") => continue,
                "zstd" if ending == "zst" => continue,
                "bzip2" | "x-bzip2" if ending == "bz2" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "zstd" => Coding::Zstd,
                _ => return Err(OTHER),
            };
            if found.replace(coding).is_some() {
                return Err("it is coded twice");
            }
        }
    }
    headers.remove(header::CONTENT_ENCODING);
    Ok(found)
}

fn decoded_headers(headers: &mut HeaderMap) {
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    let weak = headers
        .get(header::ETAG)
        .and_then(|tag| tag.to_str().ok())
        .filter(|tag| !tag.starts_with("W/"))
        .and_then(|tag| HeaderValue::from_str(&format!("W/{tag}")).ok());
    if let Some(weak) = weak {
        headers.insert(header::ETAG, weak);
    }
}

/// Headers of one connection, whether or not Connection names them.
const HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "set-cookie",
    "set-cookie2",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Takes out what is only for this hop (RFC 9110 section 7.6.1), and cookies, which would be shared among clients.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| name != header::CONTENT_LENGTH && name != header::CONTENT_ENCODING)
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP {
        headers.remove(name);
    }
}
