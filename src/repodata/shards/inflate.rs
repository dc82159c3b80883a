//! zstd in memory, with a limit that holds while decoding.

use zstd::stream::raw::{DParameter, Decoder, Operation as _};

use super::ShardError;

/// Largest shard index: conda and mamba take 128 and 100 MB.
pub(super) const INDEX_LIMIT: usize = 128 << 20;
/// Largest shard: conda takes 64 MiB since 26.7.2.
pub(super) const SHARD_LIMIT: usize = 64 << 20;

/// Decodes `packed`, giving up as soon as more than `limit` bytes come out.
pub(super) fn inflate(packed: &[u8], limit: usize) -> Result<Vec<u8>, ShardError> {
    let broken = |e: std::io::Error| ShardError::Packed(format!("broken ({e})"));
    let mut decoder = Decoder::new().map_err(broken)?;
    decoder.set_parameter(DParameter::WindowLogMax(27)).map_err(broken)?;
    let (mut out, mut piece) = (Vec::new(), vec![0; 128 << 10]);
    let mut rest = packed;
    loop {
        let status = decoder.run_on_buffers(rest, &mut piece).map_err(broken)?;
        rest = &rest[status.bytes_read..];
        if out.len() + status.bytes_written > limit {
            return Err(ShardError::TooLarge { limit });
        }
        out.extend_from_slice(&piece[..status.bytes_written]);
        if status.remaining == 0 {
            // Clients stop after the first frame: what follows would be read by some and not by others.
            return if rest.is_empty() {
                Ok(out)
            } else {
                Err(ShardError::Packed("more than one frame".to_owned()))
            };
        }
        if rest.is_empty() && status.bytes_written < piece.len() {
            return Err(ShardError::Packed("cut in the middle".to_owned()));
        }
    }
}
