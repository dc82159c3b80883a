//! `Accept-Encoding` (RFC 9110, 12.5.3): which content coding to answer with.

use super::list::trim;

/// A content coding the gate can send.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Coding {
    /// As it is.
    Identity,
    /// `gzip`
    Gzip,
    /// `zstd` (RFC 8878)
    Zstd,
}

impl Coding {
    /// The `Content-Encoding` value; `None` for [`Coding::Identity`], which has none.
    #[must_use]
    pub const fn token(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// What [`super::etag::ETag::with_suffix`] gets, so that each coding has a tag of its own.
    #[must_use]
    pub const fn etag_suffix(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Gzip => "-gzip",
            Self::Zstd => "-zstd",
        }
    }
}

/// Quality in thousandths; 0 means "not acceptable".
type Quality = u16;

/// The qualities a header gives, `None` where it does not name the coding.
#[derive(Default)]
struct Wishes {
    identity: Option<Quality>,
    gzip: Option<Quality>,
    zstd: Option<Quality>,
    any: Option<Quality>,
}

/// Chooses among `offered`: the highest quality wins, then zstd, then gzip. Identity wins only if it is named with a
/// higher quality than the others, or if nothing else is acceptable; it is also the answer to a missing header (a
/// client that says nothing may not decode anything) and to one that refuses everything.
#[must_use]
pub fn negotiate(accept_encoding: Option<&str>, offered: &[Coding]) -> Coding {
    let Some(header) = accept_encoding else { return Coding::Identity };
    let wishes = read(header);
    // Unnamed identity is acceptable, but less than anything the client asked for.
    let identity = wishes.identity.or(wishes.any).unwrap_or(0);
    let rank = |coding: Coding| match coding {
        Coding::Identity => identity,
        Coding::Gzip => wishes.gzip.or(wishes.any).unwrap_or(0),
        Coding::Zstd => wishes.zstd.or(wishes.any).unwrap_or(0),
    };
    let best = offered.iter().copied().filter(|coding| rank(*coding) > 0).max_by_key(|c| (rank(*c), *c));
    best.filter(|coding| rank(*coding) >= identity).unwrap_or(Coding::Identity)
}

/// Reads the header; of a repeated member the last one counts, unknown codings are passed over.
fn read(header: &str) -> Wishes {
    let mut wishes = Wishes::default();
    for member in header.split(',') {
        let (name, parameters) = member.split_once(';').unwrap_or((member, ""));
        let name = trim(name);
        let is = |coding: &str| name.eq_ignore_ascii_case(coding);
        let slot = if is("gzip") || is("x-gzip") {
            &mut wishes.gzip
        } else if is("zstd") {
            &mut wishes.zstd
        } else if is("identity") {
            &mut wishes.identity
        } else if name == "*" {
            &mut wishes.any
        } else {
            continue;
        };
        *slot = Some(quality(parameters));
    }
    wishes
}

/// The `q` among a member's parameters: 1 if there is none, 0 if it can't be read (then the coding is not used).
fn quality(parameters: &str) -> Quality {
    let weight = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        trim(name).eq_ignore_ascii_case("q").then(|| trim(value))
    });
    weight.map_or(1000, |value| thousandths(value).unwrap_or(0))
}

/// `0[.ddd]` or `1[.000]` (RFC 9110, 12.4.2).
fn thousandths(value: &str) -> Option<Quality> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    let fraction = fraction.fold(0, |sum, digit| sum * 10 + Quality::from(digit - b'0'));
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Coding::{Gzip, Identity, Zstd};
    use super::*;
    use proptest::prelude::*;

    const ALL: [Coding; 3] = [Identity, Gzip, Zstd];

    #[test]
    fn what_clients_send() {
        for (header, coding) in [
            (None, Identity),
            (Some(""), Identity),
            (Some("gzip, deflate, zstd"), Zstd),
            (Some("gzip, deflate, br"), Gzip),
            (Some("gzip, deflate, compress, identity"), Gzip),
            (Some("gzip,deflate"), Gzip),
            (Some("identity"), Identity),
            (Some("GZIP"), Gzip),
            (Some("x-gzip"), Gzip),
            (Some("br"), Identity),
        ] {
            assert_eq!(negotiate(header, &ALL), coding, "{header:?}");
        }
    }

    #[test]
    fn qualities() {
        for (header, coding) in [
            ("zstd;q=0.5, gzip", Gzip),
            ("zstd ; Q=0.5 , gzip;q=0.499", Zstd),
            ("gzip;q=0", Identity),
            ("*", Zstd),
            ("*;q=0", Identity),
            ("zstd;q=0, *", Gzip),
            ("*;q=0, gzip;q=0.001", Gzip),
            ("identity;q=0, gzip;q=0", Identity),
            ("identity;q=1, gzip;q=0.5", Identity),
            ("identity;q=0.5, gzip;q=0.5", Gzip),
            ("gzip;level=9;q=0.2, zstd;q=0.1", Gzip),
            ("gzip;q=2, zstd;q=0.1", Zstd),
            ("gzip;q=0.1234, zstd;q=1.001", Identity),
            ("gzip;q=, zstd;q=-1", Identity),
        ] {
            assert_eq!(negotiate(Some(header), &ALL), coding, "{header}");
        }
    }

    #[test]
    fn only_what_is_offered() {
        assert_eq!(negotiate(Some("gzip, zstd"), &[Identity, Gzip]), Gzip);
        assert_eq!(negotiate(Some("gzip, zstd"), &[]), Identity);
        assert_eq!(negotiate(Some("*"), &[Zstd]), Zstd);
        assert_eq!(negotiate(Some("identity, gzip;q=0.1"), &[Gzip]), Identity);
    }

    proptest! {
        #[test]
        fn picks_the_best_of_explicit_wishes(q in prop::array::uniform3(0_u16..=1000)) {
            let weight = |q: u16| format!("{}.{:03}", q / 1000, q % 1000);
            let header =
                format!("identity;q={}, zstd;q={}, gzip;q={}", weight(q[0]), weight(q[2]), weight(q[1]));
            let chosen = negotiate(Some(&header), &ALL);
            let best = *q.iter().max().unwrap();
            let expected = if best == 0 { Identity } else { *ALL.iter().rfind(|c| q[**c as usize] == best).unwrap() };
            prop_assert_eq!(chosen, expected);
        }

        #[test]
        fn never_panics_and_stays_in_the_offer(header in "([a-z*]{0,5}[;=,q. 0-9]{0,6}){0,6}|.{0,30}") {
            prop_assert!([Identity, Gzip].contains(&negotiate(Some(&header), &[Gzip])));
        }
    }
}
