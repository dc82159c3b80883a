//! Answers for local directories: files as they are, directories as a plain page of links.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header;

use super::message::Response;
use super::refuse;
use super::respond::{self, Stamp};
use super::{Ctx, Session};
use crate::delivery::{Delivery, Entry, Listing, Outcome};

/// Answers `rest` below `dir`.
pub(super) async fn answer(
    session: &mut Session<'_>,
    ctx: &mut Ctx,
    stamp: &Stamp,
    delivery: &Delivery,
    dir: &Arc<Path>,
    rest: &str,
) -> pingora::Result<()> {
    match delivery.local(dir, rest).await {
        Ok(Listing::File(answer)) => respond::answer(session, ctx, stamp, *answer).await,
        Ok(Listing::Directory(_)) if !rest.is_empty() && !rest.ends_with('/') => {
            slash(session, ctx, stamp, rest).await
        }
        Ok(Listing::Directory(entries)) => {
            respond::page(session, ctx, stamp, "text/html; charset=utf-8", listing(rest, &entries)).await
        }
        Err(refusal) => respond::problem(session, ctx, stamp, refuse::problem_of(refusal)).await,
    }
}

/// A directory without its slash: relative links would go wrong, so the client is sent to the slash (a relative redirect, which
/// holds under any base path).
async fn slash(session: &mut Session<'_>, ctx: &mut Ctx, stamp: &Stamp, rest: &str) -> pingora::Result<()> {
    let name = rest.rsplit('/').next().unwrap_or(rest);
    let mut head = Response::new(301);
    head.set_text(header::LOCATION, &format!("./{}/", crate::upstream::encode_path(name)))?;
    head.set_static(header::CONTENT_LENGTH, "0");
    respond::stamp_on(&mut head, ctx, stamp);
    ctx.outcome = Outcome::Local;
    respond::send_head(session, head, true).await
}

/// One link a line, as file servers have it: name, date, size.
fn listing(rest: &str, entries: &[Entry]) -> Bytes {
    let title = escape(&format!("/{rest}"));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Index of {title}</title></head>\n<body>\n<h1>Index of {title}</h1>\n<pre>\n"
    );
    if !rest.is_empty() {
        page.push_str("<a href=\"../\">../</a>\n");
    }
    for entry in entries {
        let href = escape(&crate::upstream::encode_path(&entry.name));
        let size = entry.size.map_or_else(|| "-".to_owned(), |size| size.to_string());
        let changed = crate::http::date::format(entry.changed);
        // Writing to a String can't fail.
        let _ = writeln!(page, "<a href=\"{href}\">{}</a>  {changed}  {size}", escape(&entry.name));
    }
    page.push_str("</pre>\n</body></html>\n");
    Bytes::from(page)
}

/// HTML-escapes text for element content and quoted attributes.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;

    #[test]
    fn names_are_escaped_in_links_and_text() {
        let entries = [Entry { name: "a<b>&\"c.sh".into(), size: Some(3), changed: UnixMillis(0) }];
        let page = String::from_utf8(listing("", &entries).to_vec()).unwrap();
        assert!(page.contains("a&lt;b&gt;&amp;&quot;c.sh</a>"), "{page}");
        assert!(!page.contains("<b>"), "{page}");
    }
}
