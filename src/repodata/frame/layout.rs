//! The bytes of a frame around its chunks (RFC 8878, section 3.1.1).
//!
//! Belongs here: header, end, and what a run of blocks looks like from outside. Does not: what is in a block (`pack`).

use super::pack::WINDOW_LOG;

/// Bytes of the header of a frame made of chunks; blocks begin behind it.
pub const HEADER_LEN: usize = 14;

const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// `Content_Checksum_flag`.
const CHECKSUM: u8 = 1 << 2;
/// `Frame_Content_Size_flag` for 8 bytes.
const SIZE_OF_8: u8 = 3 << 6;
/// `Window_Descriptor`: exponent over 2^10, no mantissa.
const WINDOW: u8 = (WINDOW_LOG - 10) << 3;

/// A header for somebody who reads the blocks while the file is still being written, to be followed by the file's bytes from
/// [`HEADER_LEN`] on. It says the same as the file's own, except for the length of the content, which is not known yet.
pub const STREAM_HEADER: [u8; 6] = [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], CHECKSUM, WINDOW];

/// An empty raw block with `Last_Block` set.
const LAST_BLOCK: [u8; 3] = [1, 0, 0];
/// Bytes behind the last chunk.
pub(super) const END_LEN: usize = LAST_BLOCK.len() + 4;
/// A block's content may not be longer (`Block_Maximum_Size` for windows from 128 KiB on).
const BLOCK_MOST: usize = 128 << 10;

/// The header of a frame with `content_len` bytes of content.
pub(super) fn header(content_len: u64) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..6].copy_from_slice(&STREAM_HEADER);
    header[4] |= SIZE_OF_8;
    header[6..].copy_from_slice(&content_len.to_le_bytes());
    header
}

/// The end of a frame whose content has this XXH64.
pub(super) fn end(xxh64: u64) -> [u8; END_LEN] {
    let mut end = [0; END_LEN];
    let (block, checksum) = end.split_at_mut(LAST_BLOCK.len());
    block.copy_from_slice(&LAST_BLOCK);
    checksum.copy_from_slice(&xxh64.to_le_bytes()[..4]);
    end
}

/// Whether `bytes` are whole blocks, none of them empty or a frame's last. Says nothing about what is in them.
pub(super) fn are_blocks(mut bytes: &[u8]) -> bool {
    while let Some((header, rest)) = bytes.split_first_chunk::<3>() {
        let header = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        let len = (header >> 3) as usize;
        let stored = match (header & 1, header >> 1 & 3) {
            (0, 0 | 2) => len,
            (0, 1) => 1,
            _ => return false,
        };
        let Some(next) = rest.get(stored..).filter(|_| (1..=BLOCK_MOST).contains(&len)) else { return false };
        bytes = next;
    }
    bytes.is_empty()
}
