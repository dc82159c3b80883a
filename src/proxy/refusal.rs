//! The small complete answers of the door itself: requests that never reached the handler.
//!
//! Belongs here: their bytes. Does not: problem documents of requests that were understood (the handler's).

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use serde_json::json;

use super::admit::HEALTH;
use super::head::Refusal;
use super::message::Response;
use crate::id::RequestId;
use crate::telemetry::metrics::Limit;

/// RFC 9457.
pub(super) const PROBLEM: &str = "application/problem+json";

/// In how many seconds who was turned away may come again.
const RETRY: &str = "5";

/// The problem document of a sentence.
pub(super) fn document(status: u16, sentence: &str, request: RequestId) -> Bytes {
    json!({
        "type": "about:blank",
        "title": title(status),
        "status": status,
        "detail": sentence,
        "request_id": request.to_string(),
    })
    .to_string()
    .into()
}

fn title(status: u16) -> &'static str {
    ::http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error")
}

/// A whole HTTP/1.1 answer, after which the connection is closed. HEAD gets no body.
pub(super) fn answer(refusal: &Refusal, request: RequestId, head: bool) -> Vec<u8> {
    let status = refusal.status;
    let body = document(status, &refusal.sentence, request);
    let retry = if status == 503 { format!("Retry-After: {RETRY}\r\n") } else { String::new() };
    let mut out = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {PROBLEM}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{retry}\
         X-Request-Id: {request}\r\nConnection: close\r\n\r\n",
        title(status),
        body.len(),
    )
    .into_bytes();
    if !head {
        out.extend_from_slice(&body);
    }
    out
}

/// Why nobody new is served.
pub(super) fn full(limit: Limit) -> Refusal {
    let what = match limit {
        Limit::Descriptors => {
            "This gateway has hardly any file descriptors left, of which each connection takes one"
        }
        Limit::Memory => "There is hardly any memory left for this gateway",
        Limit::Requests => "This gateway answers as many requests at one time as it may",
        _ => "As many connections are open on this gateway as may be",
    };
    let setting = limit.setting();
    Refusal {
        status: 503,
        sentence: format!("{what} (`{setting}` in its settings); try again in a few seconds.").into(),
    }
}

/// Whether the target is one of the pages by which others look after the gate.
pub(super) fn tells_health(target: &[u8]) -> bool {
    let end = target.iter().position(|b| *b == b'?').unwrap_or(target.len());
    let path = &target[..end];
    HEALTH
        .iter()
        .any(|page| path.strip_suffix(page.as_bytes()).is_some_and(|before| before.ends_with(b"/-/")))
}

/// The head of a problem document for a request whose own answer failed.
pub(super) fn header(status: u16, length: usize, request: RequestId) -> Response {
    let mut head = Response::new(status);
    head.set_static(header::CONTENT_TYPE, PROBLEM);
    head.set(header::CONTENT_LENGTH, HeaderValue::from(length));
    head.set_static(header::CACHE_CONTROL, "no-store");
    // Digits are always taken.
    if let Ok(id) = HeaderValue::from_bytes(&request.hex()) {
        head.set(HeaderName::from_static("x-request-id"), id);
    }
    head
}

/// A whole answer, for who writes heads and bodies apart.
pub(super) fn whole(refusal: &Refusal, request: RequestId) -> (Response, Bytes) {
    let body = document(refusal.status, &refusal.sentence, request);
    let mut head = header(refusal.status, body.len(), request);
    if refusal.status == 503 {
        head.set_static(header::RETRY_AFTER, RETRY);
    }
    (head, body)
}

/// Method and target of a request line that may be anything: for the access log, where both are masked and escaped.
pub(super) fn first_line(arrived: &[u8]) -> (&[u8], &[u8]) {
    let arrived = arrived.trim_ascii_start();
    let end = arrived.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(arrived.len());
    let line = &arrived[..end];
    let Some(blank) = line.iter().position(|b| *b == b' ') else { return (b"", b"") };
    let (method, rest) = (&line[..blank], &line[blank + 1..]);
    if method.len() > 32 || !method.iter().all(u8::is_ascii_graphic) {
        return (b"", b"");
    }
    // Without its version, if it has one; a blank inside is part of what was wrong.
    let target = match rest.iter().rposition(|b| *b == b' ') {
        Some(at) if rest[at + 1..].starts_with(b"HTTP/") => &rest[..at],
        _ => rest,
    };
    (method, target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_complete() {
        let id = crate::id::RequestIds::new(1).next();
        let refusal = Refusal::new(431, "Too \"much\".");
        let text = String::from_utf8(answer(&refusal, id, false)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["detail"], &body["request_id"]), (&json!("Too \"much\"."), &json!(id.to_string())));
        assert!(answer(&refusal, id, true).ends_with(b"\r\n\r\n"));
    }

    #[test]
    fn pages_of_health_are_told_from_others() {
        for page in ["/-/healthz", "/-/readyz?a=b", "http://gate/conda/-/metrics"] {
            assert!(tells_health(page.as_bytes()), "{page}");
        }
        for page in ["/-/healthz/x", "/healthz", "/-/ui", "/?/-/healthz", "/a-/healthz"] {
            assert!(!tells_health(page.as_bytes()), "{page}");
        }
    }

    #[test]
    fn first_lines_are_taken_apart_with_care() {
        let table = [
            (&b"GET /t/x/y HTTP/1.1\r\nA: b"[..], (&b"GET"[..], &b"/t/x/y"[..])),
            (&b"\r\nGET /a b HTTP/1.1\n"[..], (&b"GET"[..], &b"/a b"[..])),
            (&b"GET /aaaaaa"[..], (&b"GET"[..], &b"/aaaaaa"[..])),
            (&b"GET"[..], (&b""[..], &b""[..])),
            (&b"\x16\x03\x01 x"[..], (&b""[..], &b""[..])),
            (&b""[..], (&b""[..], &b""[..])),
        ];
        for (arrived, expected) in table {
            assert_eq!(first_line(arrived), expected);
        }
    }
}
