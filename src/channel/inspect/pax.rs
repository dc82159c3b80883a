//! POSIX's extended headers in tar archives (`path`, `linkpath`, `size` and others).
//!
//! Belongs here: taking them apart strictly, the same way by length and by line. Does not: what becomes of a path (`tarball`).

use super::error::{MemberFlaw, TarFlaw, shown};

/// The records that change what the next member is. All others (times, owners, attributes, comments) are passed over.
#[derive(Default, Debug, PartialEq, Eq)]
pub(super) struct Pax {
    /// Its name.
    pub path: Option<Vec<u8>>,
    /// Where a link leads.
    pub linkpath: Option<Vec<u8>>,
    /// Its size in bytes.
    pub size: Option<u64>,
}

const BROKEN: MemberFlaw = MemberFlaw::Header("a broken extended header");

impl Pax {
    /// Reads the contents of an extended header.
    pub fn parse(bytes: &[u8]) -> Result<Self, MemberFlaw> {
        let mut pax = Self::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (key, value, behind) = record(rest).ok_or(BROKEN)?;
            rest = behind;
            let twice = match key {
                b"path" => pax.path.replace(value.to_vec()).is_some(),
                b"linkpath" => pax.linkpath.replace(value.to_vec()).is_some(),
                b"size" => pax.size.replace(number(value).ok_or(BROKEN)?).is_some(),
                b"hdrcharset" if value != b"ISO-IR 10646 2000 UTF-8" => {
                    return Err(MemberFlaw::Header("another character set"));
                }
                _ if is_sparse(key) => return Err(MemberFlaw::Sparse),
                _ => false,
            };
            if twice {
                return Err(MemberFlaw::Header("two extended records of one kind"));
            }
        }
        Ok(pax)
    }

    /// Refuses a header about all members that says more than clients ignore.
    pub fn check_global(bytes: &[u8]) -> Result<(), TarFlaw> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (key, _, behind) = record(rest).ok_or_else(|| TarFlaw::Global("broken".to_owned()))?;
            if matches!(key, b"path" | b"linkpath" | b"size" | b"hdrcharset") || is_sparse(key) {
                return Err(TarFlaw::Global(shown(key)));
            }
            rest = behind;
        }
        Ok(())
    }
}

fn is_sparse(key: &[u8]) -> bool {
    key.starts_with(b"GNU.sparse.") || key.starts_with(b"SUN.holes") || key == b"SCHILY.realsize"
}

fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `<length> <key>=<value>\n`: key, value, and what follows. A value with a line break is refused: some readers go by lines.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|b| *b == b' ')?;
    let len = usize::try_from(number(&bytes[..space])?).ok()?;
    let (this, behind) = bytes.split_at_checked(len)?;
    let inner = this.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = inner.iter().position(|b| *b == b'=')?;
    let (key, value) = (&inner[..equals], &inner[equals + 1..]);
    let plain = !key.is_empty() && !inner.contains(&b'\n');
    plain.then_some((key, value, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_by_length_and_by_line() {
        let pax = Pax::parse(b"11 path=a/b\n15 linkpath=c=d\n10 size=7\n20 mtime=1.234567890\n");
        // The lengths above are wrong on purpose.
        assert_eq!(pax, Err(BROKEN));
        let pax = Pax::parse(b"12 path=a/b\n16 linkpath=c=d\n10 size=7\n13 mtime=1.5\n").unwrap();
        let wanted = Pax { path: Some(b"a/b".to_vec()), linkpath: Some(b"c=d".to_vec()), size: Some(7) };
        assert_eq!(pax, wanted);
        for bad in [
            &b"12 path=a/b\n12 path=c/d\n"[..],
            b"12 path=a\nb\n",
            b"11 size=-7\n",
            b"99 path=a\n",
            b"0 path=a\n",
            b"26 GNU.sparse.realsize=12\n",
            b"21 hdrcharset=BINARY\n",
            b"12 path=a/b\n\0",
        ] {
            assert!(Pax::parse(bad).is_err(), "{}", shown(bad));
        }
    }

    #[test]
    fn headers_for_all_members_may_only_comment() {
        assert_eq!(Pax::check_global(b"14 comment=abc\n"), Err(TarFlaw::Global("broken".to_owned())));
        assert_eq!(Pax::check_global(b"15 comment=abc\n"), Ok(()));
        assert_eq!(Pax::check_global(b"12 path=a/b\n"), Err(TarFlaw::Global("path".to_owned())));
    }
}
