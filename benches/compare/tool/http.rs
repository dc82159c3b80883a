//! As much HTTP/1.1 as the bench needs: reading heads, and draining bodies without copying them.

use std::io::{self, Read};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

/// A request or response head, and what was read behind it.
pub struct Head {
    /// The first line.
    pub first: String,
    fields: Vec<(String, String)>,
}

impl Head {
    /// The value of a header field; `name` in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The status code of a response head.
    pub fn status(&self) -> u16 {
        self.first.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
    }

    /// The body length that the head promises.
    pub fn length(&self) -> Option<u64> {
        self.field("content-length").and_then(|v| v.trim().parse().ok())
    }
}

/// Reads one head. `rest` carries bytes that belong to what follows it. `None`: the peer closed between messages.
pub fn read_head(stream: &mut TcpStream, rest: &mut Vec<u8>) -> io::Result<Option<Head>> {
    let mut chunk = [0_u8; 4096];
    loop {
        if let Some(end) = rest.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = parse(&rest[..end]);
            rest.drain(..end + 4);
            return Ok(Some(head));
        }
        match stream.read(&mut chunk)? {
            0 if rest.is_empty() => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => rest.extend_from_slice(&chunk[..n]),
        }
    }
}

fn parse(bytes: &[u8]) -> Head {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default().to_owned();
    let fields = lines.filter_map(|line| line.split_once(':'));
    let fields = fields.map(|(n, v)| (n.trim().to_ascii_lowercase(), v.trim().to_owned())).collect();
    Head { first, fields }
}

/// `MSG_TRUNC` of Linux: on TCP the kernel drops the bytes instead of copying them.
const MSG_TRUNC: i32 = 0x20;

unsafe extern "C" {
    fn recv(fd: i32, buffer: *mut u8, length: usize, flags: i32) -> isize;
}

/// Takes up to `length` bytes off the stream and throws them away. 0: the peer closed.
pub fn discard(stream: &TcpStream, scratch: &mut [u8], length: u64) -> io::Result<u64> {
    let want = usize::try_from(length).map_or(scratch.len(), |n| n.min(scratch.len()));
    // SAFETY: the buffer is valid for `want` bytes and the descriptor is open while `stream` is borrowed.
    let got = unsafe { recv(stream.as_raw_fd(), scratch.as_mut_ptr(), want, MSG_TRUNC) };
    u64::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// An IMF-fixdate (RFC 9110 section 5.6.7) for seconds since 1970.
pub fn date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (day, clock) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of year 0, in eras of 400 years: leap days then fall on the end of a year.
    let shifted = day + 719_468;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let month_day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12;
    let year = shifted / 146_097 * 400 + year_of_era + u64::from(month < 2);
    let (name, short) = (DAYS[(day % 7) as usize], MONTHS[month as usize]);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{name}, {month_day:02} {short} {year} {hour:02}:{minute:02}:{second:02} GMT")
}
