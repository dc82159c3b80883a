//! What a request asks for beyond its path: the headers that change the answer.

use std::borrow::Cow;

use http::header::{self, HeaderName};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

/// The request headers that matter to an answer; several lines of one name are joined.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) head: bool,
    pub(super) http10: bool,
    pub(super) if_match: Option<String>,
    pub(super) if_unmodified_since: Option<String>,
    pub(super) if_none_match: Option<String>,
    pub(super) if_modified_since: Option<String>,
    pub(super) if_range: Option<String>,
    pub(super) range: Option<String>,
    pub(super) accept_encoding: Option<String>,
}

impl Asked {
    /// Reads them in one walk over the headers: most requests have none, and then nothing is allocated.
    pub(super) fn of(session: &Session) -> Self {
        let request = session.req_header();
        let mut asked = Self {
            head: request.method == http::Method::HEAD,
            http10: request.version < http::Version::HTTP_11,
            ..Self::default()
        };
        for (name, value) in &request.headers {
            let slot = match *name {
                header::IF_NONE_MATCH => &mut asked.if_none_match,
                header::IF_MODIFIED_SINCE => &mut asked.if_modified_since,
                header::IF_RANGE => &mut asked.if_range,
                header::RANGE => &mut asked.range,
                header::ACCEPT_ENCODING => &mut asked.accept_encoding,
                header::IF_MATCH => &mut asked.if_match,
                header::IF_UNMODIFIED_SINCE => &mut asked.if_unmodified_since,
                _ => continue,
            };
            // A value that is not ASCII can't be any of these; it is ignored like a malformed one.
            let Ok(text) = value.to_str() else { continue };
            match slot {
                Some(joined) => {
                    joined.push_str(", ");
                    joined.push_str(text);
                }
                None => *slot = Some(text.to_owned()),
            }
        }
        asked
    }
}

/// All lines of one header, joined by a comma; `None` when it is absent or not ASCII.
pub(super) fn joined<'a>(request: &'a RequestHeader, name: &HeaderName) -> Option<Cow<'a, str>> {
    let mut lines = request.headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
    let first = lines.next()?;
    let mut joined = Cow::Borrowed(first);
    for line in lines {
        let text = joined.to_mut();
        text.push_str(", ");
        text.push_str(line);
    }
    Some(joined)
}
