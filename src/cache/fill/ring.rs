//! The last few chunks of a running fill, shared by its followers without copying.

use std::collections::VecDeque;

use bytes::Bytes;

/// Recent chunks, oldest first, without gaps.
pub(super) struct Ring {
    chunks: VecDeque<(u64, Bytes)>,
    bytes: usize,
    capacity: usize,
}

impl Ring {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { chunks: VecDeque::new(), bytes: 0, capacity }
    }

    /// Adds the chunk that starts at `at`, lets the oldest go. The newest always stays.
    pub(super) fn push(&mut self, at: u64, chunk: Bytes) {
        self.bytes += chunk.len();
        self.chunks.push_back((at, chunk));
        while self.bytes > self.capacity && self.chunks.len() > 1 {
            self.bytes -= self.chunks.pop_front().map_or(0, |(_, chunk)| chunk.len());
        }
    }

    /// Bytes from `at` on, up to `limit`; `None` when they are too old (or not there yet).
    pub(super) fn get(&self, at: u64, limit: u64) -> Option<Bytes> {
        let after = self.chunks.partition_point(|(start, _)| *start <= at);
        let (start, chunk) = self.chunks.get(after.checked_sub(1)?)?;
        let from = usize::try_from(at - start).ok()?;
        let to = usize::try_from(limit - start).unwrap_or(usize::MAX).min(chunk.len());
        (from < to).then(|| chunk.slice(from..to))
    }

    pub(super) fn clear(&mut self) {
        self.chunks = VecDeque::new();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_bytes_by_position() {
        let mut ring = Ring::new(10);
        assert_eq!(ring.get(0, 5), None);
        ring.push(0, Bytes::from_static(b"01234"));
        ring.push(5, Bytes::from_static(b"56789"));
        assert_eq!(ring.get(0, 100).unwrap(), "01234");
        assert_eq!(ring.get(3, 4).unwrap(), "3");
        assert_eq!(ring.get(7, 100).unwrap(), "789");
        assert_eq!(ring.get(10, 100), None);
        ring.push(10, Bytes::from_static(b"ABC"));
        assert_eq!(ring.get(4, 100), None);
        assert_eq!(ring.get(10, 12).unwrap(), "AB");
        ring.push(13, Bytes::from_static(b"a chunk larger than the ring"));
        assert_eq!(ring.get(12, 100), None);
        assert_eq!(ring.get(13, 14).unwrap(), "a");
    }
}
