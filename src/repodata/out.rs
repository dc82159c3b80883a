//! A document being written, and its packed form beside it.
//!
//! Belongs here: keeping the two alike, and telling onlookers how far they are. Does not: what is written (`rewrite`, `merge`).

use std::path::Path;
use std::sync::Arc;

use super::error::BuildError;
use super::files::{HashingFile, Written};
use super::frame::{Before, FrameMap, FrameSettings, FrameWriter};
use super::generation::Generation;
use super::names::FRAME_MAP;
use super::onlooker::{Growing, Onlooker};

/// Bytes between two words to an onlooker.
const STEP: u64 = 128 << 10;
const PACKED: &str = "repodata.json.zst";

/// See the module's description.
pub(super) struct Out {
    json: HashingFile,
    path: std::path::PathBuf,
    frame: Option<FrameWriter>,
    onlooker: Option<Arc<dyn Onlooker>>,
    reported: u64,
}

/// Both forms, finished.
pub(super) struct OutWritten {
    pub json: Written,
    /// The packed form and its map.
    pub frame: Option<(Written, FrameMap)>,
}

impl Out {
    /// A document alone.
    pub fn plain(path: &Path) -> Result<Self, BuildError> {
        let json = HashingFile::create(path)?;
        Ok(Self { json, path: path.to_owned(), frame: None, onlooker: None, reported: 0 })
    }

    /// `repodata.json` in `dir` with its `.zst`. Of `before`, chunks of records that did not change are used again.
    pub fn packed(
        dir: &Path,
        before: Option<&Generation>,
        onlooker: Option<Arc<dyn Onlooker>>,
    ) -> Result<Self, BuildError> {
        let older = before.and_then(|before| {
            let (map, path) = (before.dir().join(FRAME_MAP), before.dir().join(PACKED));
            Some(Before { map: FrameMap::open(&map)?, path })
        });
        let packed = dir.join(PACKED);
        let told = onlooker.clone().map(|onlooker| {
            let path = packed.clone();
            Box::new(move |len| onlooker.grew(Growing::Zst, &path, len)) as Box<dyn Fn(u64) + Send>
        });
        let frame = FrameWriter::create(&packed, FrameSettings::default(), older.as_ref(), told)?;
        Ok(Self { frame: Some(frame), onlooker, ..Self::plain(&dir.join("repodata.json"))? })
    }

    /// How much was written.
    pub const fn len(&self) -> u64 {
        self.json.len()
    }

    /// Appends.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        self.json.put(bytes)?;
        self.frame.as_mut().map_or(Ok(()), |frame| frame.put(bytes))
    }

    /// Says that the record of a file ends here.
    pub fn record_ends(&mut self, file: &str) -> Result<(), BuildError> {
        if let Some(onlooker) = &self.onlooker {
            let there = self.json.on_disk();
            if there >= self.reported + STEP {
                self.reported = there;
                onlooker.grew(Growing::Json, &self.path, there);
            }
        }
        self.frame.as_mut().map_or(Ok(()), |frame| frame.boundary(file.as_bytes()))
    }

    /// Flushes and syncs both.
    pub fn finish(self) -> Result<OutWritten, BuildError> {
        let json = self.json.finish()?;
        if let Some(onlooker) = &self.onlooker {
            onlooker.grew(Growing::Json, &self.path, json.len);
            onlooker.complete(Growing::Json, json.len);
        }
        let frame = self.frame.map(FrameWriter::finish).transpose()?;
        if let (Some(onlooker), Some((written, _))) = (&self.onlooker, &frame) {
            onlooker.complete(Growing::Zst, written.len);
        }
        Ok(OutWritten { json, frame })
    }
}
