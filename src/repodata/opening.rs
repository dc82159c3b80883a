//! Which generation is current, and reading those that are on disk only.
//!
//! Belongs here: that nothing is current before all of it was read and found to be what was written, or when that has come into doubt.
//! Does not: publishing, keeping and removing (`store`), comparing (`seal`).

use std::fs;
use std::io::ErrorKind;
use std::sync::Arc;

use super::error::BuildError;
use super::generation::{Generation, read_manifest};
use super::outline::Outline;
use super::store::{CURRENT, GenerationStore, load, read_checked, read_pointer};
use crate::conda::channel::ChannelRef;
use crate::conda::subdir::Subdir;

impl GenerationStore {
    /// The generation that answers now: made in this run of the gate, or opened in it. Never waits; where it says none,
    /// [`GenerationStore::is_stored`] tells whether there is one to [`GenerationStore::open_current`].
    pub fn current(&self, channel: &ChannelRef, subdir: &Subdir) -> Option<Arc<Generation>> {
        self.in_memory(channel, subdir).filter(|generation| generation.is_sound())
    }

    /// The same whether or not it is in doubt.
    pub(super) fn in_memory(&self, channel: &ChannelRef, subdir: &Subdir) -> Option<Arc<Generation>> {
        let live = self.live.read();
        let slot = live.get(channel)?.get(subdir)?;
        Some(Arc::clone(&slot.current))
    }

    /// Whether the disk has a generation, whatever its state. One look at the disk.
    pub fn is_stored(&self, channel: &ChannelRef, subdir: &Subdir) -> bool {
        self.place(channel, subdir).join(CURRENT).exists()
    }

    /// Makes the generation on disk the one that answers, after reading all of it: as long as hashing a few hundred megabytes takes, so
    /// it belongs on a blocking thread. `None`: there is none.
    ///
    /// # Errors
    /// It is damaged, or can't be read. Damage is found once: from then on there is none, so that it is built anew.
    pub fn open_current(
        &self,
        channel: &ChannelRef,
        subdir: &Subdir,
    ) -> Result<Option<Arc<Generation>>, BuildError> {
        if let Some(current) = self.current(channel, subdir) {
            return Ok(Some(current));
        }
        let place = self.place(channel, subdir);
        let Some(pointer) = read_pointer(&place) else { return Ok(None) };
        let opened = load(&place, pointer.id.clone(), channel, subdir);
        let opened = match opened.and_then(|opened| opened.verify().map(|()| opened)) {
            Ok(opened) => Arc::new(opened),
            Err(error) => {
                // A disk that can't be read at the moment may be read later.
                if !matches!(&error, BuildError::Io { source, .. } if source.kind() != ErrorKind::NotFound) {
                    self.drop_pointer(channel, subdir, &pointer.id)?;
                }
                return Err(error);
            }
        };
        if let Some(at) = read_checked(&place) {
            opened.set_checked_at(at);
        }
        let _writing = self.writing.lock();
        // Another one may have been published meanwhile, or everything forgotten.
        if let Some(current) = self.current(channel, subdir) {
            return Ok(Some(current));
        }
        if read_pointer(&place).is_none_or(|now| now.id != pointer.id) {
            return Ok(None);
        }
        self.switch(channel.clone(), subdir.clone(), &opened);
        Ok(Some(opened))
    }

    /// Forgets the generation `id`, if it is the one in force.
    fn drop_pointer(&self, channel: &ChannelRef, subdir: &Subdir, id: &str) -> Result<(), BuildError> {
        let _writing = self.writing.lock();
        let place = self.place(channel, subdir);
        if read_pointer(&place).is_none_or(|pointer| pointer.id != id) {
            return Ok(());
        }
        if let Some(subdirs) = self.live.write().get_mut(channel) {
            subdirs.remove(subdir);
        }
        let path = place.join(CURRENT);
        fs::remove_file(&path).map_err(BuildError::io("remove", &path))
    }

    /// What the generation in force says of itself, opened or not.
    pub fn outline(&self, channel: &ChannelRef, subdir: &Subdir) -> Option<Outline> {
        if let Some(current) = self.current(channel, subdir) {
            return Some(current.outline());
        }
        let place = self.place(channel, subdir);
        let pointer = read_pointer(&place)?;
        let manifest = read_manifest(&place.join(&pointer.id)).ok()?;
        Some(Outline::of(&pointer.id, &manifest))
    }

    /// The generation in force for whoever only tells of it: of one that was not opened yet, no more than its maps are read and compared.
    pub fn look(&self, channel: &ChannelRef, subdir: &Subdir) -> Option<Arc<Generation>> {
        if let Some(current) = self.current(channel, subdir) {
            return Some(current);
        }
        let place = self.place(channel, subdir);
        let pointer = read_pointer(&place)?;
        let looked = load(&place, pointer.id, channel, subdir);
        match looked.and_then(|looked| looked.verify_maps().map(|()| looked)) {
            Ok(looked) => {
                if let Some(at) = read_checked(&place) {
                    looked.set_checked_at(at);
                }
                Some(Arc::new(looked))
            }
            Err(error) => {
                tracing::warn!(channel.name = %channel, subdir = %subdir, %error, "an index on disk can't be used");
                None
            }
        }
    }
}
