//! Content codings of JSON documents: picks one, and makes the compressed form of small documents once.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;

use super::request::Asked;
use crate::cache::BodyMode;
use crate::delivery::{Answer, Body};
use crate::http::coding::{self, Coding};
use crate::http::etag::ETag;

/// Documents up to this many bytes are compressed by the gate; larger ones only where a zstd form lies on disk.
const SMALL: u64 = 8 << 20;
/// Memory for compressed small documents, bytes.
const KEPT: u64 = 16 << 20;

/// Compressed forms by ETag; an ETag names its bytes, so an entry can't go stale.
static FORMS: LazyLock<moka::sync::Cache<(ETag, Coding), Bytes>> = LazyLock::new(|| {
    let weight = |_: &(ETag, Coding), bytes: &Bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    moka::sync::Cache::builder().max_capacity(KEPT).weigher(weight).build()
});

/// The coding for this answer. A request for a range gets the document as it is, so that offsets mean what the client thinks.
pub(super) fn choose(asked: &Asked, answer: &Answer) -> Coding {
    if asked.range.is_some() {
        return Coding::Identity;
    }
    let small = answer.compressible && answer.facts.len.is_some_and(|len| len <= SMALL && len > 0);
    let offered: &[Coding] = match (small, answer.zstd.is_some()) {
        (true, _) => &[Coding::Zstd, Coding::Gzip],
        (false, true) => &[Coding::Zstd],
        (false, false) => return Coding::Identity,
    };
    coding::negotiate(asked.accept_encoding.as_deref(), offered)
}

/// Puts the coded form in place of the document; its ETag gets the coding's name, so no two forms share one.
pub(super) async fn apply(answer: &mut Answer, coding: Coding) -> Result<(), String> {
    if coding == Coding::Identity {
        return Ok(());
    }
    let Some(etag) = answer.facts.etag.clone() else { return Ok(()) };
    if let (Coding::Zstd, Some((file, len))) = (coding, &answer.zstd) {
        answer.facts.len = Some(*len);
        answer.body = Body::File(Arc::clone(file));
    } else {
        let form = form(&etag, coding, &answer.body, answer.facts.len.unwrap_or(0)).await?;
        answer.facts.len = Some(form.len() as u64);
        answer.body = Body::Bytes(form);
    }
    answer.facts.etag = Some(etag.with_suffix(coding.etag_suffix()));
    Ok(())
}

async fn form(etag: &ETag, coding: Coding, body: &Body, len: u64) -> Result<Bytes, String> {
    let key = (etag.clone(), coding);
    if let Some(known) = FORMS.get(&key) {
        return Ok(known);
    }
    let plain = whole(body, len).await?;
    let packed = tokio::task::spawn_blocking(move || pack(&plain, coding))
        .await
        .map_err(|_| "compressing the document failed".to_owned())?
        .map_err(|error| format!("compressing the document failed: {error}"))?;
    FORMS.insert(key, packed.clone());
    Ok(packed)
}

async fn whole(body: &Body, len: u64) -> Result<Bytes, String> {
    let mut reader = match body {
        Body::Bytes(bytes) => return Ok(bytes.clone()),
        Body::Blob(blob) => blob.reader(0..len, BodyMode::Read),
        Body::File(file) => file.reader(0..len, BodyMode::Read),
        Body::Fill(_) | Body::Cold(_) => return Err("what is not complete can't be compressed".to_owned()),
    };
    let mut all = Vec::with_capacity(usize::try_from(len.min(SMALL)).unwrap_or(0));
    while let Some(chunk) = reader.next().await {
        all.extend_from_slice(&chunk.map_err(|error| format!("reading the document failed: {error}"))?);
    }
    Ok(all.into())
}

fn pack(plain: &[u8], coding: Coding) -> std::io::Result<Bytes> {
    use std::io::Write;
    match coding {
        Coding::Identity => Ok(Bytes::copy_from_slice(plain)),
        Coding::Zstd => zstd::bulk::compress(plain, 3).map(Bytes::from),
        Coding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(5));
            encoder.write_all(plain)?;
            encoder.finish().map(Bytes::from)
        }
    }
}
