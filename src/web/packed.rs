//! Pages in gzip, for browsers that take it: a list of a hundred packages has a tenth of its size then.
//!
//! Nothing secret stands in a page twice in the same way ([`super::proof`]), so its packed size tells nothing of it (BREACH).
//!
//! Belongs here: packing. Does not: assets, which are packed once (`assets`).

use std::io::Write as _;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::sorry::Sorry;

/// Shorter pages fit into one packet anyway.
const SHORT: usize = 1400;
/// The longest page that is packed; there is none as long.
const LONGEST: usize = 16 << 20;

/// Whether a client takes gzip.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let is_gzip = |coding: &str| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().trim_start_matches("q=");
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(weight, "0" | "0.0" | "0.00" | "0.000")
    };
    lines.any(|line| line.split(',').any(is_gzip))
}

/// Packs what is a page.
pub(super) async fn pack(request: Request, next: Next) -> Response {
    let takes = takes_gzip(request.headers());
    let mut answer = next.run(request).await;
    let is_page = answer
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !is_page || answer.headers().contains_key(header::CONTENT_ENCODING) {
        return answer;
    }
    answer.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if !takes {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let Ok(page) = to_bytes(body, LONGEST).await else {
        return axum::response::IntoResponse::into_response(Sorry::broken());
    };
    if page.len() < SHORT {
        return Response::from_parts(parts, Body::from(page));
    }
    let mut gzip = GzEncoder::new(Vec::with_capacity(page.len() / 6), Compression::fast());
    match gzip.write_all(&page).and_then(|()| gzip.finish()) {
        Ok(packed) => {
            parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            parts.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(parts, Body::from(packed))
        }
        // Memory takes all that is written.
        Err(_) => Response::from_parts(parts, Body::from(page)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_where_it_is_named_and_not_refused() {
        let takes = |line: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(line));
            takes_gzip(&headers)
        };
        assert!(takes("gzip") && takes("deflate, gzip;q=1.0, *;q=0.5") && takes("br, GZIP; q=0.1"));
        assert!(!takes("br") && !takes("gzip;q=0") && !takes("gzip; q=0.0, br") && !takes("xgzip"));
    }
}
