//! MessagePack read from untrusted bytes: every length is checked, nothing recurses, nothing is allocated by what a header
//! promises.

use rmp::Marker;

use super::ShardError;

/// Deepest nesting skipped; honest shards have about five levels.
const MAX_DEPTH: usize = 64;

/// One value of MessagePack, or how many belong to a collection. Texts are not checked.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Item<'a> {
    Nil,
    Bool(bool),
    Uint(u64),
    Int(i64),
    Float(f64),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Array(usize),
    Map(usize),
    Extension,
}

/// A place in MessagePack data.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    pos: usize,
}

impl<'a> Cursor<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pos: 0 }
    }

    pub const fn pos(&self) -> usize {
        self.pos
    }

    /// The raw bytes from `start` to here.
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.pos]
    }

    pub const fn at_end(&self) -> bool {
        self.pos == self.bytes.len()
    }

    pub const fn wrong(&self, what: &'static str) -> ShardError {
        ShardError::Malformed { at: self.pos, what }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ShardError> {
        let end = self.pos.checked_add(len).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else { return Err(self.wrong("it ends in the middle of a value")) };
        let taken = &self.bytes[self.pos..end];
        self.pos = end;
        Ok(taken)
    }

    fn number(&mut self, width: usize) -> Result<u64, ShardError> {
        Ok(self.take(width)?.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    fn length(&mut self, width: usize) -> Result<usize, ShardError> {
        self.number(width).map(|n| usize::try_from(n).unwrap_or(usize::MAX))
    }

    fn marker(&mut self) -> Result<Marker, ShardError> {
        self.take(1).map(|byte| Marker::from_u8(byte[0]))
    }

    /// A map's header: how many pairs follow.
    pub fn map(&mut self) -> Result<usize, ShardError> {
        match self.marker()? {
            Marker::FixMap(n) => Ok(usize::from(n)),
            Marker::Map16 => self.length(2),
            Marker::Map32 => self.length(4),
            _ => Err(self.wrong("a map was expected")),
        }
    }

    /// A string.
    pub fn text(&mut self) -> Result<&'a str, ShardError> {
        let len = match self.marker()? {
            Marker::FixStr(n) => usize::from(n),
            Marker::Str8 => self.length(1)?,
            Marker::Str16 => self.length(2)?,
            Marker::Str32 => self.length(4)?,
            _ => return Err(self.wrong("a string was expected")),
        };
        let raw = self.take(len)?;
        std::str::from_utf8(raw).map_err(|_| self.wrong("a string that is not UTF-8"))
    }

    /// A string, or nil.
    pub fn text_or_nil(&mut self) -> Result<Option<&'a str>, ShardError> {
        if self.bytes.get(self.pos) == Some(&0xC0) {
            self.pos += 1;
            return Ok(None);
        }
        self.text().map(Some)
    }

    /// A digest of `N` bytes: as bytes, or as a string of hex digits. `None` for nil.
    pub fn digest<const N: usize>(&mut self) -> Result<Option<[u8; N]>, ShardError> {
        let len = match self.peek()? {
            Marker::Null => {
                self.pos += 1;
                return Ok(None);
            }
            Marker::Bin8 => self.skip_marker_then(1)?,
            Marker::Bin16 => self.skip_marker_then(2)?,
            Marker::Bin32 => self.skip_marker_then(4)?,
            _ => {
                let text = self.text()?;
                let mut digest = [0; N];
                let read = hex::decode_to_slice(text, &mut digest);
                return read.map(|()| Some(digest)).map_err(|_| self.wrong("a digest that is not one"));
            }
        };
        let raw = self.take(len)?;
        raw.try_into().map(Some).map_err(|_| self.wrong("a digest of the wrong length"))
    }

    fn peek(&self) -> Result<Marker, ShardError> {
        let byte = self.bytes.get(self.pos).ok_or(self.wrong("it ends in the middle of a value"))?;
        Ok(Marker::from_u8(*byte))
    }

    fn skip_marker_then(&mut self, width: usize) -> Result<usize, ShardError> {
        self.pos += 1;
        self.length(width)
    }

    /// A whole number from 0 to 2^63, or nil.
    pub fn size(&mut self) -> Result<Option<u64>, ShardError> {
        let number = match self.marker()? {
            Marker::Null => return Ok(None),
            Marker::FixPos(n) => u64::from(n),
            Marker::U8 | Marker::I8 => self.number(1)?,
            Marker::U16 | Marker::I16 => self.number(2)?,
            Marker::U32 | Marker::I32 => self.number(4)?,
            Marker::U64 | Marker::I64 => self.number(8)?,
            _ => return Err(self.wrong("a whole number was expected")),
        };
        if i64::try_from(number).is_err() {
            Err(self.wrong("a negative or huge number"))
        } else {
            Ok(Some(number))
        }
    }

    /// A scalar, or the header of a collection.
    pub fn item(&mut self) -> Result<Item<'a>, ShardError> {
        let signed = |n: u64, bits: u32| (n << (64 - bits)).cast_signed() >> (64 - bits);
        Ok(match self.marker()? {
            Marker::Null => Item::Nil,
            Marker::True => Item::Bool(true),
            Marker::False => Item::Bool(false),
            Marker::FixPos(n) => Item::Uint(u64::from(n)),
            Marker::FixNeg(n) => Item::Int(i64::from(n)),
            Marker::U8 => Item::Uint(self.number(1)?),
            Marker::U16 => Item::Uint(self.number(2)?),
            Marker::U32 => Item::Uint(self.number(4)?),
            Marker::U64 => Item::Uint(self.number(8)?),
            Marker::I8 => Item::Int(signed(self.number(1)?, 8)),
            Marker::I16 => Item::Int(signed(self.number(2)?, 16)),
            Marker::I32 => Item::Int(signed(self.number(4)?, 32)),
            Marker::I64 => Item::Int(signed(self.number(8)?, 64)),
            Marker::F32 => {
                let bits = u32::try_from(self.number(4)?).unwrap_or_default();
                Item::Float(f64::from(f32::from_bits(bits)))
            }
            Marker::F64 => Item::Float(f64::from_bits(self.number(8)?)),
            Marker::FixStr(n) => Item::Text(self.take(usize::from(n))?),
            Marker::Str8 => Item::Text(self.sized(1)?),
            Marker::Str16 => Item::Text(self.sized(2)?),
            Marker::Str32 => Item::Text(self.sized(4)?),
            Marker::Bin8 => Item::Bytes(self.sized(1)?),
            Marker::Bin16 => Item::Bytes(self.sized(2)?),
            Marker::Bin32 => Item::Bytes(self.sized(4)?),
            Marker::FixArray(n) => Item::Array(usize::from(n)),
            Marker::Array16 => Item::Array(self.length(2)?),
            Marker::Array32 => Item::Array(self.length(4)?),
            Marker::FixMap(n) => Item::Map(usize::from(n)),
            Marker::Map16 => Item::Map(self.length(2)?),
            Marker::Map32 => Item::Map(self.length(4)?),
            _ => {
                self.pos -= 1;
                self.skip_one()?;
                Item::Extension
            }
        })
    }

    fn sized(&mut self, width: usize) -> Result<&'a [u8], ShardError> {
        let len = self.length(width)?;
        self.take(len)
    }

    /// Goes back to where [`Cursor::pos`] was `pos`.
    pub const fn back_to(&mut self, pos: usize) {
        self.pos = pos;
    }

    /// Steps over one value, whatever it is.
    pub fn skip(&mut self) -> Result<(), ShardError> {
        // How many values are still to come, level by level.
        let mut open = vec![1usize];
        while let Some(left) = open.last_mut() {
            if *left == 0 {
                open.pop();
                continue;
            }
            *left -= 1;
            let inside = self.skip_one()?;
            if inside > 0 {
                if open.len() == MAX_DEPTH {
                    return Err(self.wrong("it is nested too deeply"));
                }
                open.push(inside);
            }
        }
        Ok(())
    }

    /// Steps over a scalar, or over the header of a collection; gives how many values the collection has.
    fn skip_one(&mut self) -> Result<usize, ShardError> {
        let (data, inside) = match self.marker()? {
            Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => (0, 0),
            Marker::FixStr(n) => (usize::from(n), 0),
            Marker::U8 | Marker::I8 => (1, 0),
            Marker::U16 | Marker::I16 | Marker::FixExt1 => (2, 0),
            Marker::FixExt2 => (3, 0),
            Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
            Marker::FixExt4 => (5, 0),
            Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
            Marker::FixExt8 => (9, 0),
            Marker::FixExt16 => (17, 0),
            Marker::Str8 | Marker::Bin8 => (self.length(1)?, 0),
            Marker::Str16 | Marker::Bin16 => (self.length(2)?, 0),
            Marker::Str32 | Marker::Bin32 => (self.length(4)?, 0),
            Marker::Ext8 => (self.length(1)?.saturating_add(1), 0),
            Marker::Ext16 => (self.length(2)?.saturating_add(1), 0),
            Marker::Ext32 => (self.length(4)?.saturating_add(1), 0),
            Marker::FixArray(n) => (0, usize::from(n)),
            Marker::Array16 => (0, self.length(2)?),
            Marker::Array32 => (0, self.length(4)?),
            Marker::FixMap(n) => (0, usize::from(n) * 2),
            Marker::Map16 => (0, self.length(2)? * 2),
            Marker::Map32 => (0, self.length(4)?.saturating_mul(2)),
            Marker::Reserved => return Err(self.wrong("a byte that MessagePack does not use")),
        };
        self.take(data)?;
        Ok(inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_what_rmp_writes() {
        let value = serde_json::json!({"a": [1, -5, 300, 70000, 5_000_000_000u64, -200, 1.5, null, true], "b": {"c": "x".repeat(40)},
            "d": "y".repeat(300), "e": "z".repeat(70_000), "f": vec![0; 20], "g": {}});
        let bytes = rmp_serde::to_vec(&value).unwrap();
        let mut cursor = Cursor::new(&bytes);
        cursor.skip().unwrap();
        assert!(cursor.at_end());
        for cut in [0, 1, 5, 40, 200, bytes.len() - 1] {
            assert!(Cursor::new(&bytes[..cut]).skip().is_err(), "{cut}");
        }
    }

    #[test]
    fn promises_without_bytes_are_refused() {
        for bomb in [
            &[0xDD, 0xFF, 0xFF, 0xFF, 0xFF][..],
            &[0xDF, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0xC6, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0xC1],
        ] {
            assert!(Cursor::new(bomb).skip().is_err());
        }
        assert!(Cursor::new(&[0x91; 1000]).skip().is_err());
    }
}
