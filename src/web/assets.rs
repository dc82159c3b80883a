//! The stylesheet, the scripts and the logo, as they are built into the program.
//!
//! Belongs here: the files and their addresses. Does not: pages.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::packed;
use crate::conda::digest::Sha256;

/// A file that is built in.
struct Asset {
    name: &'static str,
    kind: &'static str,
    body: &'static [u8],
    /// Of its content: a new version has a new address.
    digest: String,
    /// The same in gzip.
    packed: Bytes,
}

impl Asset {
    fn new(name: &'static str, kind: &'static str, body: &'static [u8]) -> Self {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let packed = gzip.write_all(body).and_then(|()| gzip.finish());
        let digest = Sha256::of(body).to_hex()[..12].to_owned();
        Self { name, kind, body, digest, packed: packed.unwrap_or_default().into() }
    }
}

static ASSETS: LazyLock<[Asset; 4]> = LazyLock::new(|| {
    [
        Asset::new("style.css", "text/css; charset=utf-8", include_bytes!("assets/style.css")),
        Asset::new("app.js", "text/javascript; charset=utf-8", include_bytes!("assets/app.js")),
        Asset::new("htmx.min.js", "text/javascript; charset=utf-8", include_bytes!("assets/htmx.min.js")),
        Asset::new("logo.svg", "image/svg+xml", include_bytes!("assets/logo.svg")),
    ]
});

fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// The path of a file, behind the base path.
pub(super) fn path(name: &str) -> String {
    find(name).map_or_else(String::new, |asset| format!("/-/ui/assets/{}/{name}", asset.digest))
}

pub(super) async fn asset(Path((digest, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some(asset) = find(&name).filter(|asset| asset.digest == digest) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let common = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::VARY, "Accept-Encoding"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    if packed::takes_gzip(&headers) {
        return (common, [(header::CONTENT_ENCODING, "gzip")], asset.packed.clone()).into_response();
    }
    (common, asset.body).into_response()
}
