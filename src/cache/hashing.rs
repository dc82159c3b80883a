//! Digests of bytes as they come and of whole files.
//!
//! Belongs here: running the hash functions. Does not: comparing with what was expected.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::Digest;

use crate::conda::digest::{Md5, Sha256};

/// Bytes read at a time when a whole file is hashed.
const STEP: usize = 256 * 1024;

/// Both digests of bytes that come in pieces; MD5 only when asked for, as it costs twice the SHA-256.
#[derive(Clone)]
pub(super) struct Hasher {
    sha256: sha2::Sha256,
    md5: Option<md5::Md5>,
    len: u64,
}

impl Hasher {
    pub(super) fn new(with_md5: bool) -> Self {
        Self { sha256: sha2::Sha256::new(), md5: with_md5.then(md5::Md5::new), len: 0 }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        self.len += bytes.len() as u64;
    }

    /// Bytes so far.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn digests(self) -> (Sha256, Option<Md5>) {
        (Sha256(self.sha256.finalize().into()), self.md5.map(|md5| Md5(md5.finalize().into())))
    }
}

/// Gives `each` the first `len` bytes of `file` in order; stops early where the file ends.
pub(super) fn read_through(file: &File, len: u64, mut each: impl FnMut(&[u8])) -> io::Result<u64> {
    let mut buffer = vec![0; STEP];
    let mut at = 0;
    while at < len {
        let want = usize::try_from(len - at).unwrap_or(STEP).min(STEP);
        match file.read_at(&mut buffer[..want], at) {
            Ok(0) => break,
            Ok(count) => {
                each(&buffer[..count]);
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(at)
}

/// SHA-256 of a whole file.
pub(super) fn sha256_of(file: &File) -> io::Result<Sha256> {
    let mut hasher = Hasher::new(false);
    read_through(file, u64::MAX, |bytes| hasher.update(bytes))?;
    Ok(hasher.digests().0)
}

/// MD5 of a whole file.
pub(super) fn md5_of(file: &File) -> io::Result<Md5> {
    let mut md5 = md5::Md5::new();
    read_through(file, u64::MAX, |bytes| md5.update(bytes))?;
    Ok(Md5(md5.finalize().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_files_agree() {
        let bytes: Vec<u8> = (0..700_001u32).map(|n| n.to_le_bytes()[0]).collect();
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        let mut hasher = Hasher::new(true);
        bytes.chunks(999).for_each(|piece| hasher.update(piece));
        assert_eq!(hasher.len(), 700_001);
        let (sha256, md5) = hasher.digests();
        assert_eq!(sha256, sha256_of(&file).unwrap());
        assert_eq!(md5, Some(md5_of(&file).unwrap()));
        assert_eq!(sha256.0, <[u8; 32]>::from(sha2::Sha256::digest(&bytes)));
    }
}
