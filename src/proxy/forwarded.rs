//! The PROXY protocol: whom a proxy connects for, told in front of everything else.
//!
//! Belongs here: reading its header, versions 1 and 2, and not a byte more; what two processes of the gate say to each other in its way. Does not: deciding from whom it is believed (`front`).

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::v1::Addresses as Text;
use ppp::v2::Addresses as Binary;
use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::ctx::Connection;

/// Both versions have at least so many bytes; it is the whole signature of the second.
const LEAST: usize = 12;
const SIGNATURE: &[u8; LEAST] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, its end included.
const LONGEST_LINE: usize = 107;
/// More than any proxy sends; addresses are 36 bytes, the rest is notes.
const LONGEST_BINARY: usize = 4096;
/// The note about TLS between client and proxy, and its bit for "there was".
const NOTE_TLS: u8 = 0x20;
const TLS_USED: u8 = 0x01;

/// How a client came whose connection is handed over.
const SECURE: u8 = 1;
const HIDDEN: u8 = 2;

/// What a header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Forwarded {
    /// Client, and the address that it connected to; `None` where the proxy speaks for itself (health checks), or does not say.
    pub(super) addresses: Option<(SocketAddr, SocketAddr)>,
    /// It does not say.
    pub(super) hidden: bool,
    /// The client came to the proxy by TLS, as far as the proxy tells.
    pub(super) secure: bool,
}

/// Reads the header.
///
/// # Errors
/// The connection ends, or does not begin with one.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Forwarded> {
    let mut bytes = vec![0; LEAST];
    stream.read_exact(&mut bytes).await?;
    if bytes == SIGNATURE {
        rest_of_binary(stream, &mut bytes).await?;
    } else {
        rest_of_line(stream, &mut bytes).await?;
    }
    match HeaderResult::parse(&bytes) {
        HeaderResult::V1(Ok(header)) => Ok(of_text(&header)),
        HeaderResult::V2(Ok(header)) => of_binary(&header),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Err(wrong()),
    }
}

async fn rest_of_binary(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut more = [0; 4];
    stream.read_exact(&mut more).await?;
    bytes.extend_from_slice(&more);
    let length = usize::from(u16::from_be_bytes([more[2], more[3]]));
    if length > LONGEST_BINARY {
        return Err(wrong());
    }
    let start = bytes.len();
    bytes.resize(start + length, 0);
    stream.read_exact(&mut bytes[start..]).await.map(drop)
}

/// Byte by byte: what follows belongs to somebody else.
async fn rest_of_line(stream: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> io::Result<()> {
    if !bytes.starts_with(b"PROXY ") {
        return Err(wrong());
    }
    while !bytes.ends_with(b"\r\n") {
        if bytes.len() == LONGEST_LINE {
            return Err(wrong());
        }
        bytes.push(stream.read_u8().await?);
    }
    Ok(())
}

fn of_text(header: &v1::Header<'_>) -> Forwarded {
    let addresses = match header.addresses {
        Text::Tcp4(a) => Some((
            (a.source_address, a.source_port).into(),
            (a.destination_address, a.destination_port).into(),
        )),
        Text::Tcp6(a) => Some((
            (a.source_address, a.source_port).into(),
            (a.destination_address, a.destination_port).into(),
        )),
        Text::Unknown => None,
    };
    Forwarded { addresses, hidden: addresses.is_none(), secure: false }
}

fn of_binary(header: &v2::Header<'_>) -> io::Result<Forwarded> {
    if header.command == v2::Command::Local {
        return Ok(Forwarded::default());
    }
    let addresses = match header.addresses {
        Binary::IPv4(a) => Some((
            (a.source_address, a.source_port).into(),
            (a.destination_address, a.destination_port).into(),
        )),
        Binary::IPv6(a) => Some((
            (a.source_address, a.source_port).into(),
            (a.destination_address, a.destination_port).into(),
        )),
        Binary::Unspecified | Binary::Unix(_) => None,
    };
    let mut secure = false;
    for note in header.tlvs() {
        let note = note.map_err(|_| wrong())?;
        secure |= note.kind == NOTE_TLS && note.value.first().is_some_and(|bits| bits & TLS_USED != 0);
    }
    Ok(Forwarded { addresses, hidden: addresses.is_none(), secure })
}

/// What the successor of this process reads in front of a connection that it is to take over ([`take_over`]): a byte for how the
/// client came, then a header of version 2.
pub(super) fn hand_over(about: &Connection) -> Vec<u8> {
    let (client, gate) = (about.peer, about.local.unwrap_or(about.peer));
    let mut addresses = Vec::with_capacity(36);
    let family = match (client.ip(), gate.ip()) {
        (IpAddr::V4(client), IpAddr::V4(gate)) => {
            addresses.extend(client.octets());
            addresses.extend(gate.octets());
            0x11
        }
        (client, gate) => {
            for ip in [client, gate] {
                addresses.extend(match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                });
            }
            0x21
        }
    };
    addresses.extend(client.port().to_be_bytes());
    addresses.extend(gate.port().to_be_bytes());
    let how = u8::from(about.how.secure) * SECURE + u8::from(about.how.hidden) * HIDDEN;
    // 36 bytes at the most.
    let length = u16::try_from(addresses.len()).unwrap_or_default().to_be_bytes();
    [&[how], &SIGNATURE[..], &[0x21, family], &length, &addresses].concat()
}

/// Reads what [`hand_over`] wrote.
///
/// # Errors
/// The connection ends, or does not begin with it.
pub(super) async fn take_over(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Forwarded> {
    let how = stream.read_u8().await?;
    let addresses = read(stream).await?.addresses;
    Ok(Forwarded { addresses, hidden: how & HIDDEN != 0, secure: how & SECURE != 0 })
}

fn wrong() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it does not begin with a header of the PROXY protocol")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::ctx::How;

    async fn read_from(bytes: &[u8]) -> (io::Result<Forwarded>, Vec<u8>) {
        let mut rest = bytes;
        (read(&mut rest).await, rest.to_vec())
    }

    fn binary(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x20 | command, family]);
        bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    #[tokio::test]
    async fn headers_are_read_to_their_last_byte() {
        let four = [192, 0, 2, 7, 10, 0, 0, 1, 0x1f, 0x90, 0, 80];
        let with_tls = [&four[..], &[0x20, 0, 5, 1, 0, 0, 0, 0]].concat();
        let pair = Some(("192.0.2.7:8080".parse().unwrap(), "10.0.0.1:80".parse().unwrap()));
        let table = [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\n".to_vec(), pair, false, false),
            (b"PROXY UNKNOWN\r\n".to_vec(), None, true, false),
            (binary(1, 0x11, &four), pair, false, false),
            (binary(1, 0x11, &with_tls), pair, false, true),
            (binary(1, 0, &[]), None, true, false),
            (binary(0, 0, &[]), None, false, false),
        ];
        for (header, addresses, hidden, secure) in table {
            let (read, rest) = read_from(&[&header[..], b"GET /"].concat()).await;
            assert_eq!(read.unwrap(), Forwarded { addresses, hidden, secure });
            assert_eq!(rest, b"GET /");
        }
    }

    #[tokio::test]
    async fn what_is_handed_over_arrives() {
        for (client, gate) in [("192.0.2.7:1", "10.0.0.1:80"), ("[2001:db8::1]:2", "[::1]:443")] {
            let pair = (client.parse().unwrap(), gate.parse().unwrap());
            for (secure, hidden) in [(false, false), (true, false), (false, true)] {
                let how = How { encrypted: false, secure, hidden };
                let bytes = hand_over(&Connection::new(pair.0, Some(pair.1), how));
                let mut rest = &bytes[..];
                let told = take_over(&mut rest).await.unwrap();
                assert_eq!(told, Forwarded { addresses: Some(pair), hidden, secure });
                assert!(rest.is_empty());
            }
        }
    }

    #[tokio::test]
    async fn everything_else_is_refused() {
        let endless = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY TCP9 a b 1 2\r\n",
            b"PROXY",
            &endless,
            &binary(9, 0x11, &[1]),
        ] {
            assert!(read_from(bytes).await.0.is_err(), "{bytes:?}");
        }
    }
}
