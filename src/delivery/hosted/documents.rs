//! Documents of a whole hosted channel, made of its rows: `channeldata.json` (CEP 38) and `rss.xml`; and attestations beside its packages.
//!
//! Belongs here: what stands in them, and for how long. Does not: indexes (`rows`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::packages::absent;
use super::{exists, has_label, trouble};
use crate::conda::channel::ChannelRef;
use crate::conda::digest::Sha256;
use crate::conda::spec::Version;
use crate::conda::subdir::Subdir;
use crate::conda::url::{ChannelDoc, Packing};
use crate::delivery::packages::plain_blob;
use crate::delivery::rulings::Wanted;
use crate::delivery::sidecars::package_of;
use crate::delivery::{Answer, Body, CacheFor, Delivery, Facts, NamedBy, Outcome, Refusal};
use crate::http::etag::ETag;
use crate::snapshot::{Channel, Hosted};
use crate::store::Store;
use crate::store::model::{ChannelId, Package, PackageState};
use crate::store::repo::LONGEST_PAGE;

/// Packages that `rss.xml` tells.
const NEWS: usize = 50;
/// What channeldata has of a package's `about`.
const ABOUT: [&str; 7] = ["description", "dev_url", "doc_url", "home", "license", "source_url", "summary"];

/// A document that was made, and of what.
#[derive(Clone)]
pub(super) struct Kept {
    version: (u64, u64),
    body: Bytes,
    etag: ETag,
}

/// What is gathered of one package over its files.
struct Gathered {
    newest: Option<Version>,
    best: Package,
    record: Value,
    subdirs: BTreeSet<String>,
    run_exports: Map<String, Value>,
}

impl Delivery {
    /// `channeldata.json` or `rss.xml`.
    pub(in crate::delivery) async fn hosted_document(
        &self,
        hosted: &Hosted,
        asked: &ChannelRef,
        doc: ChannelDoc,
    ) -> Result<Answer, Refusal> {
        exists(hosted)?;
        let packing = match doc {
            ChannelDoc::Channeldata(packing) => packing,
            ChannelDoc::Rss => Packing::Json,
            _ => {
                return Err(Refusal::NotFound(format!(
                    "`{asked}` is hosted here, and has no `{}`",
                    doc.file_name()
                )));
            }
        };
        let key = (asked.clone(), doc.file_name().into_owned());
        let version = self.inner.hosted.shelf.version();
        let kept = self.inner.hosted.documents.get(&key).filter(|kept| Some(kept.version) == version);
        let kept = if let Some(kept) = kept {
            kept
        } else {
            let body = self.made_document(hosted, asked, doc).await?;
            let body = self.blocking_io(move || packed(body, packing)).await?;
            let etag = ETag::strong(&format!("{}-{}", doc.file_name(), &Sha256::of(&body).to_hex()[..32]));
            let kept = Kept { version: version.unwrap_or_default(), body, etag };
            if version.is_some() {
                self.inner.hosted.documents.insert(key, kept.clone());
            }
            kept
        };
        let content_type = match (doc, packing) {
            (ChannelDoc::Rss, _) => "application/rss+xml",
            (_, Packing::Json) => "application/json",
            (_, Packing::Zst) => "application/zstd",
            (_, Packing::Bz2) => "application/x-bzip2",
        };
        Ok(Answer {
            facts: Facts {
                etag: Some(kept.etag),
                named_by: NamedBy::Digest,
                last_modified: None,
                len: Some(kept.body.len() as u64),
                content_type: content_type.into(),
                cache_for: CacheFor::Revalidate,
                outcome: Outcome::Local,
            },
            body: Body::Bytes(kept.body),
            zstd: None,
            compressible: packing == Packing::Json,
        })
    }

    async fn made_document(
        &self,
        hosted: &Hosted,
        asked: &ChannelRef,
        doc: ChannelDoc,
    ) -> Result<Vec<u8>, Refusal> {
        let store = self.inner.hosted.store().await?;
        let mut walk = Walk { channel: hosted.id().cloned(), label: asked.label.as_deref(), after: None };
        if doc == ChannelDoc::Rss {
            return news(&store, &mut walk, asked).await;
        }
        let (mut all, mut subdirs) = (BTreeMap::<String, Gathered>::new(), BTreeSet::new());
        while let Some(page) = walk.next(&store).await? {
            for row in page {
                subdirs.insert(row.subdir.clone());
                gather(&mut all, row);
            }
        }
        let mut packages = Map::new();
        for (name, gathered) in all {
            let about = self.inner.cache.noted_about(gathered.best.sha256).await.ok().flatten();
            packages.insert(name, entry(gathered, about.as_deref()));
        }
        let document = json!({"channeldata_version": 1, "packages": packages, "subdirs": subdirs});
        Ok(document.to_string().into_bytes())
    }

    /// The attestations of a package (CEP 50): `<file>.sigs` and `<file>.sigs.<sha256>`.
    pub(in crate::delivery) async fn hosted_sidecar(
        &self,
        hosted: &Hosted,
        channel: &Arc<Channel>,
        asked: &ChannelRef,
        (subdir, file): (&Subdir, &str),
    ) -> Result<Answer, Refusal> {
        exists(hosted)?;
        let missing = || Refusal::NotFound(format!("nothing was uploaded as `{file}` of `{asked}/{subdir}`"));
        let archive = package_of(file).ok_or_else(missing)?;
        let behind = file.strip_prefix(archive.as_str()).unwrap_or_default();
        let named = behind.strip_prefix(".sigs").ok_or_else(missing)?;
        let id = hosted.id().ok_or_else(missing)?;
        let store = self.inner.hosted.store().await?;
        let row = store.packages().get(id, subdir.as_str(), archive.as_str()).await;
        let row = row.map_err(|error| trouble(&error))?;
        let row = row.filter(|row| row.state != PackageState::Deleted);
        let digest = row.and_then(|row| row.attestations).ok_or_else(missing)?;
        if !named.is_empty() && named.strip_prefix('.').and_then(Sha256::from_hex) != Some(digest) {
            return Err(missing());
        }
        let blob = self.kept_blob(&digest).await;
        let wanted = Wanted { channel, asked, subdir, archive: &archive };
        let cache_for = if named.is_empty() { CacheFor::Revalidate } else { CacheFor::Package };
        Ok(plain_blob(blob.ok_or_else(|| absent(wanted))?, "application/json", cache_for, Outcome::Hit))
    }
}

fn packed(body: Vec<u8>, packing: Packing) -> std::io::Result<Bytes> {
    use std::io::Write as _;
    Ok(Bytes::from(match packing {
        Packing::Json => body,
        Packing::Zst => zstd::bulk::compress(&body, 3)?,
        Packing::Bz2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
            encoder.write_all(&body)?;
            encoder.finish()?
        }
    }))
}

/// Goes through what a channel shows under a label.
struct Walk<'a> {
    channel: Option<ChannelId>,
    label: Option<&'a str>,
    after: Option<(String, String)>,
}

impl Walk<'_> {
    async fn next(&mut self, store: &Store) -> Result<Option<Vec<Package>>, Refusal> {
        let Some(channel) = &self.channel else { return Ok(None) };
        let behind = self.after.as_ref().map(|(subdir, file)| (subdir.as_str(), file.as_str()));
        let page = store.packages().list_all(channel, behind, LONGEST_PAGE).await;
        let mut page = page.map_err(|error| trouble(&error))?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = Some((last.subdir.clone(), last.file.clone()));
        page.retain(|row| row.state == PackageState::Listed && has_label(&row.labels, self.label));
        Ok(Some(page))
    }
}

fn gather(all: &mut BTreeMap<String, Gathered>, row: Package) {
    let record: Value = serde_json::from_slice(&row.record).unwrap_or_default();
    let version = record["version"].as_str().map(str::to_owned).unwrap_or_default();
    let (parsed, exports) = (Version::parse(&version), record.get("run_exports").cloned());
    let subdir = row.subdir.clone();
    let gathered = match all.get_mut(&row.name) {
        None => all.entry(row.name.clone()).or_insert(Gathered {
            newest: parsed,
            best: row,
            record,
            subdirs: BTreeSet::new(),
            run_exports: Map::new(),
        }),
        Some(gathered) => {
            if (&parsed, row.uploaded_at) > (&gathered.newest, gathered.best.uploaded_at) {
                (gathered.newest, gathered.best, gathered.record) = (parsed, row, record);
            }
            gathered
        }
    };
    gathered.subdirs.insert(subdir);
    if let Some(exports) = exports {
        gathered.run_exports.insert(version, exports);
    }
}

fn entry(gathered: Gathered, about: Option<&str>) -> Value {
    let about: Value = about.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let mut entry = Map::new();
    for key in ABOUT {
        let said = about["about"].get(key).or_else(|| gathered.record.get(key)).cloned();
        entry.insert(key.to_owned(), said.unwrap_or(Value::Null));
    }
    // In seconds, unlike in records (CEP 38).
    let seconds = gathered.record["timestamp"]
        .as_u64()
        .map_or(0, |time| if time > 253_402_300_799 { time / 1000 } else { time });
    let best = &gathered.best;
    for (key, value) in [
        ("reference_package", json!(format!("{}/{}", best.subdir, best.file))),
        ("run_exports", Value::Object(gathered.run_exports)),
        ("subdirs", json!(gathered.subdirs)),
        ("timestamp", json!(seconds)),
        ("version", gathered.record["version"].clone()),
    ] {
        entry.insert(key.to_owned(), value);
    }
    Value::Object(entry)
}

/// What was published last, the newest first.
async fn news(store: &Store, walk: &mut Walk<'_>, asked: &ChannelRef) -> Result<Vec<u8>, Refusal> {
    let mut newest = Vec::new();
    while let Some(page) = walk.next(store).await? {
        newest.extend(page);
        newest.sort_by_key(|row: &Package| std::cmp::Reverse(row.uploaded_at));
        newest.truncate(NEWS);
    }
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rss version=\"2.0\"><channel>");
    // Writing into a text can't fail.
    let _ = write!(
        xml,
        "<title>{0}</title><link>/{0}/</link><description>Packages of {0}</description>",
        escaped(&asked.to_string())
    );
    for row in &newest {
        let link = format!("/{asked}/{}/{}", row.subdir, row.file);
        let date = crate::http::date::format(row.uploaded_at);
        let _ = write!(
            xml,
            "<item><title>{}</title><link>{}</link><guid isPermaLink=\"false\">{}</guid><pubDate>{date}</pubDate></item>",
            escaped(&format!("{} ({})", row.file, row.subdir)),
            escaped(&link),
            escaped(&format!("{asked}/{}/{}/{}", row.subdir, row.file, row.sha256)),
        );
    }
    xml.push_str("</channel></rss>\n");
    Ok(xml.into_bytes())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
