//! What a request asks for beyond its path: the headers that change the answer.

use std::borrow::Cow;

use http::header::HeaderName;

use super::Session;
use super::message::{Request, visible};

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
    pub(super) fn of(session: &Session<'_>) -> Self {
        let request = session.request();
        let mut asked =
            Self { head: request.method == http::Method::HEAD, http10: request.http10, ..Self::default() };
        for (name, value) in request.headers() {
            let Some(slot) = asked.slot(name) else { continue };
            // A value that is not ASCII can't be any of these; it is ignored like a malformed one.
            let Some(text) = visible(value) else { continue };
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

    /// Where a header's value belongs, if it matters.
    fn slot(&mut self, name: &[u8]) -> Option<&mut Option<String>> {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        match name.len() {
            5 if is("range") => Some(&mut self.range),
            8 if is("if-range") => Some(&mut self.if_range),
            8 if is("if-match") => Some(&mut self.if_match),
            13 if is("if-none-match") => Some(&mut self.if_none_match),
            15 if is("accept-encoding") => Some(&mut self.accept_encoding),
            17 if is("if-modified-since") => Some(&mut self.if_modified_since),
            19 if is("if-unmodified-since") => Some(&mut self.if_unmodified_since),
            _ => None,
        }
    }
}

/// All lines of one header, joined by a comma; `None` when it is absent or not ASCII.
pub(super) fn joined<'a>(request: &'a Request, name: &'a HeaderName) -> Option<Cow<'a, str>> {
    let mut lines = request.all(name).filter_map(visible);
    let first = lines.next()?;
    let mut joined = Cow::Borrowed(first);
    for line in lines {
        let text = joined.to_mut();
        text.push_str(", ");
        text.push_str(line);
    }
    Some(joined)
}
