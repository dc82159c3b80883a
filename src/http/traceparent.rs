//! Where a request stands in a trace (W3C Trace Context, level 1): the `traceparent` header, and spans below one another.
//!
//! Belongs here: reading, writing, ids of children; pure. Does not: deciding what is traced, or telling anybody (`telemetry`).

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A place in a trace, as one program tells it to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceParent {
    /// The trace; never 0.
    pub trace: u128,
    /// The span of whoever tells; never 0.
    pub span: u64,
    /// Whether it is being recorded.
    pub sampled: bool,
}

/// A span of this gate that is being recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceSpan {
    /// The trace; never 0.
    pub trace: u128,
    /// Its own id; never 0.
    pub span: u64,
    /// The span that it is a part of.
    pub parent: Option<u64>,
    /// Whether that one is another program's.
    pub is_parent_remote: bool,
}

impl TraceParent {
    /// Reads the header's value; `None` where it means nothing.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let mut parts = value.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, len: usize| {
            text.len() == len && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let whole = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
        // Later versions may have more behind the flags, this one may not.
        if !whole || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { trace, span, sampled: flags & 1 == 1 })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

impl TraceSpan {
    /// A span that is a part of this one. `name` tells it from others.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.trace, self.span, name).hash(&mut hasher);
        Self { span: hasher.finish().max(1), parent: Some(self.span), is_parent_remote: false, ..*self }
    }

    /// What others are told who do something for it.
    #[must_use]
    pub const fn to_parent(&self) -> TraceParent {
        TraceParent { trace: self.trace, span: self.span, sampled: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_headers_value_is_read_as_it_is_written() {
        let parent = TraceParent::parse(EXAMPLE).unwrap();
        assert_eq!((parent.sampled, parent.to_string().as_str()), (true, EXAMPLE));
        assert!(!TraceParent::parse(&EXAMPLE.replace("-01", "-00")).unwrap().sampled);
        assert!(TraceParent::parse(&format!("cc{}-more", &EXAMPLE[2..])).is_some());
        for bad in [
            "",
            "00",
            &EXAMPLE.to_uppercase(),
            &format!("{EXAMPLE}-more"),
            &format!("ff{}", &EXAMPLE[2..]),
            &EXAMPLE.replace("b7ad6b7169203331", "0000000000000000"),
            &EXAMPLE.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            &EXAMPLE.replace("-01", "-1"),
            &EXAMPLE.replace('b', "+"),
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn children_have_ids_of_their_own() {
        let span = TraceSpan { trace: 7, span: 9, parent: None, is_parent_remote: false };
        let (one, other) = (span.child("a"), span.child("b"));
        assert!(one.span != other.span && one.span != span.span);
        assert_eq!((one.trace, one.parent), (7, Some(9)));
        assert_eq!(one.to_parent().span, one.span);
    }
}
