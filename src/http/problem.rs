//! Problem documents (RFC 9457): what every error of the gate looks like.
//!
//! `type` is a path on the gate itself, `/-/problems/<kind>`, with a `kind` that never changes its meaning; programs
//! compare it, people read `detail` and `hint`. No field may hold a secret: who fills `detail` with a URL uses
//! [`crate::secret::SafeUrl`] or [`crate::secret::mask_path`].

use bytes::Bytes;
use serde::Serialize;

use crate::id::RequestId;

/// The media type of [`Problem::to_json`].
pub const MEDIA_TYPE: &str = "application/problem+json";

/// One error as a client sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Stable slug: the last segment of `type`.
    pub kind: &'static str,
    /// The kind in a few words; the same for every occurrence.
    pub title: &'static str,
    /// A sentence on this occurrence: what, where, what to do.
    pub detail: String,
    /// Id of the rule that decided.
    pub rule: Option<String>,
    /// File and line of that rule; only for those who may see the gate's insides.
    pub at: Option<String>,
    /// What to do about it, where `detail` does not say.
    pub hint: Option<String>,
    /// Whether the document has the sentence as `error` too, where clients of anaconda.org's API look for it.
    pub as_error: bool,
    /// Seconds for the `Retry-After` header (the caller sends it; it is also in the document).
    pub retry_after: Option<u64>,
}

/// The document in the order in which it is printed.
#[derive(Serialize)]
struct Document<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    request_id: &'a str,
}

macro_rules! problems {
    ($($name:ident $status:literal $kind:literal $title:literal)*) => {
        impl Problem {
            $(
                #[doc = concat!("`", stringify!($status), "`, kind `", $kind, "`: ", $title, ".")]
                #[must_use]
                pub fn $name(detail: impl Into<String>) -> Self {
                    Self::new($status, $kind, $title, detail)
                }
            )*
        }

        #[cfg(test)]
        const EVERY: &[fn(&'static str) -> Problem] = &[$(|detail| Problem::$name(detail)),*];
    };
}

problems! {
    bad_request 400 "bad-request" "The request can't be understood"
    bad_path 400 "bad-path" "The path is not acceptable"
    unauthorized 401 "unauthorized" "Credentials are missing or not valid"
    forbidden 403 "forbidden" "Not allowed"
    denied_by_rule 403 "denied-by-rule" "A rule refuses this"
    not_found 404 "not-found" "There is no such thing here"
    method_not_allowed 405 "method-not-allowed" "This method does nothing here"
    proxy_auth_required 407 "proxy-auth-required" "The gate's own credentials are missing or not valid"
    request_timeout 408 "request-timeout" "The request took too long to arrive"
    conflict 409 "conflict" "Something else is already there"
    gone 410 "gone" "It was here and is not any more"
    precondition_failed 412 "precondition-failed" "A precondition does not hold"
    payload_too_large 413 "payload-too-large" "The request body is too large"
    uri_too_long 414 "uri-too-long" "The URL is too long"
    range_not_satisfiable 416 "range-not-satisfiable" "The requested range lies outside the file"
    misdirected 421 "misdirected" "This gate does not answer for that host"
    unprocessable 422 "unprocessable" "What was sent is not good"
    too_many_requests 429 "too-many-requests" "Too many requests"
    headers_too_large 431 "headers-too-large" "The request headers are too large"
    internal 500 "internal" "The gate made a mistake"
    connect_refused 501 "connect-refused" "The gate is no tunnel"
    not_implemented 501 "not-implemented" "The gate can't do this"
    bad_gateway 502 "bad-gateway" "Upstream answered with something unusable"
    unavailable 503 "unavailable" "Not available at the moment"
    upstream_unavailable 503 "upstream-unavailable" "Upstream is not available at the moment"
    gateway_timeout 504 "gateway-timeout" "Upstream took too long"
    version_not_supported 505 "version-not-supported" "This version of HTTP is not spoken here"
    insufficient_storage 507 "insufficient-storage" "The gate has no room left"
    loop_detected 508 "loop-detected" "The request came back to the gate"
}

impl Problem {
    /// A problem of a kind that has no constructor here. `kind` is a slug of lower-case words joined by `-`.
    #[must_use]
    pub fn new(status: u16, kind: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            title,
            detail: detail.into(),
            rule: None,
            at: None,
            hint: None,
            as_error: false,
            retry_after: None,
        }
    }

    /// Names the rule that decided.
    #[must_use]
    pub fn with_rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the sentence as `error` too.
    #[must_use]
    pub const fn with_error(mut self) -> Self {
        self.as_error = true;
        self
    }

    /// Says when to try again, in seconds.
    #[must_use]
    pub const fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The document, of media type [`MEDIA_TYPE`], ending with a newline.
    #[must_use]
    pub fn to_json(&self, request_id: RequestId) -> Bytes {
        let (kind, id) = (format!("/-/problems/{}", self.kind), request_id.to_string());
        let document = Document {
            r#type: &kind,
            title: self.title,
            status: self.status,
            detail: &self.detail,
            error: Some(&*self.detail).filter(|_| self.as_error),
            rule: self.rule.as_deref(),
            at: self.at.as_deref(),
            hint: self.hint.as_deref(),
            retry_after: self.retry_after,
            request_id: &id,
        };
        // Strings and numbers always serialise; an empty object is still a valid problem document.
        let mut json = serde_json::to_vec(&document).unwrap_or_else(|_| b"{}".to_vec());
        json.push(b'\n');
        Bytes::from(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RequestIds;

    #[test]
    fn prints_what_is_known_and_nothing_else() {
        let id = RequestIds::new(1).next();
        let bare = Problem::not_found("There is no channel `a\"b`.").to_json(id);
        let expected = format!(
            "{{\"type\":\"/-/problems/not-found\",\"title\":\"There is no such thing here\",\"status\":404,\
             \"detail\":\"There is no channel `a\\\"b`.\",\"request_id\":\"{id}\"}}\n"
        );
        assert_eq!(bare, expected.as_bytes());
        let full =
            Problem::denied_by_rule("No.").with_rule("recall-42").with_hint("Ask.").with_retry_after(7);
        let twice = Problem::not_found("It is gone.").with_error().to_json(id);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&twice).unwrap()["error"], "It is gone.");
        let full: serde_json::Value = serde_json::from_slice(&full.to_json(id)).unwrap();
        assert_eq!(full["rule"], "recall-42");
        assert_eq!(full["hint"], "Ask.");
        assert_eq!(full["retry_after"], 7);
    }

    #[test]
    fn kinds_are_distinct_slugs_with_error_statuses() {
        let mut seen = std::collections::HashSet::new();
        for make in EVERY {
            let problem = make("x");
            assert!(seen.insert(problem.kind), "{} twice", problem.kind);
            assert!((400..600).contains(&problem.status), "{}", problem.kind);
            assert!(problem.kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", problem.kind);
        }
    }
}
