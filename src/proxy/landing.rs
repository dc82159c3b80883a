//! The landing page: what this is, and how to point each client here.

use bytes::Bytes;

use crate::conda::clients::{Client, Gate, snippet};

/// In the order of the page.
const CLIENTS: [(&str, Client); 5] = [
    ("conda", Client::Conda),
    ("mamba, micromamba", Client::Mamba),
    ("pixi, rattler-build", Client::Pixi),
    ("py-rattler", Client::PyRattler),
    ("anaconda-client, to publish", Client::Anaconda),
];

/// The page for a browser. `base` is the gate's public address without trailing slash, already safe to print.
pub(super) fn page(base: &str) -> Bytes {
    let host =
        url::Url::parse(base).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let gate = Gate { base, host: &host, token: None, ca_file: None };
    let parts = CLIENTS.map(|(name, client)| {
        format!("<h2>{name}</h2>\n<pre>{}</pre>\n", escape(snippet(client, &gate).trim_end()))
    });
    let page = include_str!("landing.html")
        .replace("{{clients}}", &parts.concat())
        .replace("{{base}}", &escape(base))
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
