//! The fields of zip's records, and how the 64-bit ones extend the others.
//!
//! Belongs here: numbers out of bytes, extra fields (APPNOTE 4.5). Does not: where records lie (`zip`).

use super::error::ZipFlaw;

/// What a member's own header begins with.
pub(super) const LOCAL_SIGNATURE: [u8; 4] = *b"PK\x03\x04";

const ALL_ONES: u32 = u32::MAX;
const ZIP64: u16 = 0x0001;
/// Other names and comments in UTF-8, and AES: some readers go by them, others don't.
const DIVISIVE: [u16; 3] = [0x7075, 0x6375, 0x9901];

/// A record's bytes. Offsets beyond its end read as zero; its length is checked where it is read.
pub(super) struct Record(pub Vec<u8>);

impl Record {
    /// Whether it has this signature.
    pub fn begins(&self, signature: [u8; 4]) -> bool {
        self.0.starts_with(&signature)
    }

    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
    }

    /// Little-endian, as all of zip is.
    pub fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.bytes(at))
    }

    /// The same with four bytes.
    pub fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes(at))
    }

    /// The same with eight bytes.
    pub fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }
}

/// The numbers of an entry that a 64-bit extra field may hold instead.
pub(super) struct Fields {
    /// Size unpacked.
    pub size: u32,
    /// Size packed, the same for stored members.
    pub packed: u32,
    /// Offset of the member's own header; only in the directory.
    pub header: Option<u32>,
}

impl Fields {
    /// The size and the offset. `long` is the 64-bit extra field, which must hold exactly what is all ones here; where nothing is,
    /// it may repeat the sizes.
    pub fn widen(&self, long: Option<&[u8]>, member: &impl Fn() -> String) -> Result<(u64, u64), ZipFlaw> {
        let flaw = || ZipFlaw::Sizes { member: member() };
        let numbers: Vec<u64> = match long {
            Some(bytes) if bytes.len() % 8 == 0 => {
                bytes.chunks_exact(8).map(|b| b.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))).collect()
            }
            Some(_) => return Err(flaw()),
            None => Vec::new(),
        };
        let shorts = [Some(self.size), Some(self.packed), self.header].into_iter().flatten();
        let shorts: Vec<u32> = shorts.collect();
        let mut next = numbers.iter().copied();
        let wide: Vec<u64> = if shorts.contains(&ALL_ONES) {
            let widen = |n: u32| if n == ALL_ONES { next.next() } else { Some(u64::from(n)) };
            let wide: Option<Vec<u64>> = shorts.iter().copied().map(widen).collect();
            let wide = wide.ok_or_else(flaw)?;
            if next.next().is_some() {
                return Err(flaw());
            }
            wide
        } else {
            let wide: Vec<u64> = shorts.iter().map(|n| u64::from(*n)).collect();
            if !wide.starts_with(&numbers) {
                return Err(flaw());
            }
            wide
        };
        if wide[0] == wide[1] { Ok((wide[0], wide.get(2).copied().unwrap_or(0))) } else { Err(flaw()) }
    }
}

/// The 64-bit extra field among the others; refuses those that change what a member is for some readers only.
pub(super) fn extra(bytes: &[u8], member: &impl Fn() -> String) -> Result<Option<Vec<u8>>, ZipFlaw> {
    let (mut rest, mut long) = (bytes, None);
    while let Some(([id0, id1, len0, len1], behind)) = rest.split_first_chunk() {
        let (id, len) = (u16::from_le_bytes([*id0, *id1]), u16::from_le_bytes([*len0, *len1]));
        let flaw = || ZipFlaw::Features { member: member() };
        let (value, behind) = behind.split_at_checked(usize::from(len)).ok_or_else(flaw)?;
        if DIVISIVE.contains(&id) || (id == ZIP64 && long.replace(value.to_vec()).is_some()) {
            return Err(flaw());
        }
        rest = behind;
    }
    if rest.is_empty() { Ok(long) } else { Err(ZipFlaw::Features { member: member() }) }
}
