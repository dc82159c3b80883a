//! The landing page: what this is, and how to point each client here.

use bytes::Bytes;

/// The page for a browser. `base` is the gate's public address without trailing slash, already safe to print.
pub(super) fn page(base: &str) -> Bytes {
    let base = escape(base);
    let page = include_str!("landing.html")
        .replace("{{base}}", &base)
        .replace("{{version}}", env!("CARGO_PKG_VERSION"));
    Bytes::from(page)
}

/// HTML-escapes text for element content and quoted attributes.
pub(super) fn escape(text: &str) -> String {
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
