//! Codings nobody asked for, undone.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::origin::{Act, Origin};
use super::*;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 3).expect("memory")
}

fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\nETag: \"v1\"\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Text that compresses neither to nothing nor not at all, longer than any buffer.
fn text() -> String {
    use std::fmt::Write;
    (0..60_000).fold(String::new(), |mut text, n| {
        write!(text, "{:x},", n * 7919 % 104_729).expect("memory");
        text
    })
}

#[tokio::test]
async fn both_codings_are_undone_for_every_purpose() {
    let text = text();
    let two = [gzip(&text.as_bytes()[..1000]), gzip(&text.as_bytes()[1000..])].concat();
    let frames = [zstd(&text.as_bytes()[..1000]), zstd(&text.as_bytes()[1000..])].concat();
    let cases =
        [("gzip", gzip(text.as_bytes())), ("zstd", zstd(text.as_bytes())), ("x-gzip", two), ("zstd", frames)];
    for (coding, body) in cases {
        let origin = Origin::always(Act::Say(coded(coding, &body))).await;
        let upstream = Bench::new().upstream(&[&origin.url()], |_| {});
        for purpose in [Purpose::Index, Purpose::Package, Purpose::Plain] {
            let response = upstream.fetch(FetchRequest::get("a.json", purpose)).await.expect("a head");
            assert_eq!(response.headers["etag"], "W/\"v1\"");
            assert!(!response.headers.contains_key("content-length"));
            assert!(!response.headers.contains_key("content-encoding"));
            assert_eq!(response.body.read_all(1 << 24).await.expect("whole"), text.as_bytes());
        }
    }
}

#[tokio::test]
async fn a_mislabelled_file_passes_untouched() {
    let file = zstd(b"{}");
    let origin = Origin::always(Act::Say(coded("zstd", &file))).await;
    let upstream = Bench::new().upstream(&[&origin.url()], |_| {});
    let response =
        upstream.fetch(FetchRequest::get("repodata.json.zst", Purpose::Index)).await.expect("a head");
    assert_eq!(response.headers["etag"], "\"v1\"");
    assert_eq!(response.body.read_all(1 << 10).await.expect("whole"), file);
}

#[tokio::test]
async fn cut_and_broken_codings_are_errors() {
    let text = text();
    for (coding, body) in [("gzip", gzip(text.as_bytes())), ("zstd", zstd(text.as_bytes()))] {
        let mut flipped = body.clone();
        // In the middle of the data for zstd's blocks, in the check sum for gzip.
        let at = if coding == "gzip" { body.len() - 6 } else { body.len() / 2 };
        flipped[at] ^= 0x55;
        let cases = [body[..body.len() - 9].to_vec(), body[..3].to_vec(), b"<html>".to_vec(), flipped];
        for (n, broken) in cases.iter().enumerate() {
            let origin = Origin::always(Act::Say(coded(coding, broken))).await;
            let upstream = Bench::new().upstream(&[&origin.url()], |_| {});
            let outcome = whole(&upstream, get("a.json")).await;
            // zstd without a check sum can't notice every flipped bit, but never gives the right text.
            let noticed = outcome.as_ref().is_err_and(|e| e.kind() == FetchKind::Reset);
            assert!(noticed || (coding == "zstd" && n == 3), "{coding} case {n}");
            assert_ne!(outcome.map(|(_, body)| body), Ok(text.clone()), "{coding} case {n}");
        }
    }
}

#[tokio::test]
async fn a_bomb_meets_the_limit() {
    let zeros = vec![0; 32 << 20];
    for (coding, bomb) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
        let origin = Origin::always(Act::Say(coded(coding, &bomb))).await;
        let upstream = Bench::new().upstream(&[&origin.url()], |s| s.max_index_bytes = 1 << 20);
        let error = failure(&upstream, FetchRequest::get("a.json", Purpose::Index)).await;
        assert_eq!(error.kind(), FetchKind::TooLarge, "{coding}: {error}");
    }
}

#[tokio::test]
async fn an_empty_coded_body_is_empty() {
    for (coding, body) in [("gzip", gzip(b"")), ("zstd", zstd(b""))] {
        let origin = Origin::always(Act::Say(coded(coding, &body))).await;
        let upstream = Bench::new().upstream(&[&origin.url()], |_| {});
        assert_eq!(whole(&upstream, get("a.json")).await.expect("whole").1, "", "{coding}");
    }
}
