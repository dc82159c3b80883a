//! One upstream: from the entry as written to the rule.
//!
//! Belongs here: the keys under `upstreams.<name>`, the reading of its secrets. Does not: which upstream a channel or a
//! host means ([`mod@super::compile`]).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::compile::Outside;
use super::compiled::{Credentials, UpstreamRule};
use super::matching::bare_host;
use super::mistake::Mistakes;
use super::node::{At, Entry, Node};
use super::read::{Fields, Located, bare_url, boolean, integer, list, positive_duration, scalar, text, url};
use super::rule::{SecretPlace, WrittenCredentials, WrittenSecret, WrittenUpstream};
use crate::conda::channel::ChannelName;
use crate::secret::{SafeUrl, Secret};

const MAX_CONCURRENT: usize = 32;
const CONNECT: Duration = Duration::from_secs(10);
const FIRST_BYTE: Duration = Duration::from_secs(30);
const STALL: Duration = Duration::from_secs(30);
const RETRIES: u32 = 3;
const PROXIES: &[&str] = &["http", "https", "socks5", "socks5h"];

/// Reads the entry of one upstream. `None` when not even its name can be used.
pub(super) fn read(entry: &Entry, mistakes: &mut Mistakes) -> Option<WrittenUpstream> {
    if !ChannelName::is_component(&entry.key) {
        mistakes.add_hint(
            &entry.at,
            format!("`{}` can't be the name of an upstream", entry.key.escape_debug()),
            "use letters, digits, `_`, `-` and `.`; the name also stands in paths and metrics",
        );
        return None;
    }
    let name = Located { at: entry.at.clone(), value: entry.key.clone() };
    let mut fields = Fields::open(&entry.node, format!("upstreams.{}", entry.key), mistakes)?;
    let m = mistakes;
    let urls = fields.read("urls", m, list(bare_url));
    if urls.as_ref().is_none_or(|u| u.value.is_empty()) && fields.get("urls").is_none_or(|_| urls.is_some()) {
        let path = fields.path_of("urls");
        m.add_hint(
            &entry.at,
            format!("`{path}` must name at least one URL"),
            "urls: [https://conda.example.org]",
        );
    }
    let hosts_path = fields.path_of("hosts");
    let hosts = fields.read("hosts", m, list(text)).map_or_else(Vec::new, |l| l.value);
    let hosts = hosts.iter().filter_map(|h| host(&h.value, &h.at, &hosts_path, m)).collect();
    let credentials = fields.section("credentials", m).and_then(|section| read_credentials(section, m));
    let mut written = WrittenUpstream {
        name,
        urls: urls.map_or_else(Vec::new, |l| l.value),
        hosts,
        credentials,
        max_concurrent: fields.read("max_concurrent", m, integer(1..=10_000)).map(|l| l.value),
        connect: None,
        first_byte: None,
        stall: None,
        retries: fields.read("retries", m, integer(0..=20)).map(|l| l.value),
        proxy: fields.read("proxy", m, url(PROXIES)).map(|l| l.value),
        proxy_place: None,
        ca_file: fields.read("ca_file", m, |n, p, m| Some(n.at.resolve(&text(n, p, m)?))),
        resolve: fields.section("resolve", m).map_or_else(Vec::new, |section| read_resolve(&section, m)),
        pass_foreign_tokens: fields.read("pass_foreign_tokens", m, boolean).is_some_and(|l| l.value),
    };
    written.proxy_place = proxy_place(&mut fields, written.proxy.is_some(), m);
    if let Some(mut timeouts) = fields.section("timeouts", m) {
        let mut time = |key, m: &mut Mistakes| timeouts.read(key, m, positive_duration).map(|l| l.value);
        written.connect = time("connect", m);
        written.first_byte = time("first_byte", m);
        written.stall = time("stall", m);
        timeouts.finish(m);
    }
    fields.finish(m);
    Some(written)
}

/// Where the proxy's URL is when it has a password in it.
fn proxy_place(fields: &mut Fields<'_>, is_written: bool, m: &mut Mistakes) -> Option<WrittenSecret> {
    let places = [secret(fields, "proxy_file", m), secret(fields, "proxy_env", m)];
    let mut places: Vec<_> = places.into_iter().flatten().collect();
    if places.len() + usize::from(is_written) > 1 {
        let path = fields.path_of("");
        m.add_hint(
            fields.at(),
            format!("`{}` says more than one way to reach its proxy", path.trim_end_matches('.')),
            "keep one of `proxy`, `proxy_file`, `proxy_env`",
        );
    }
    places.pop()
}

/// A host name or address for the table.
pub(super) fn host(text: &str, at: &At, path: &str, mistakes: &mut Mistakes) -> Option<Located<String>> {
    let value = bare_host(text);
    let is_name = !value.is_empty()
        && value.len() <= 253
        && value.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
    let has_port = text.strip_suffix('.').unwrap_or(text).trim_matches(['[', ']']).len() != value.len();
    if has_port || !(is_name || value.parse::<IpAddr>().is_ok()) {
        mistakes.add_hint(
            at,
            format!("`{path}` must have plain host names, not `{}`", text.escape_debug()),
            "write it without scheme, port and path, such as `conda.example.org`",
        );
        return None;
    }
    Some(Located { at: at.clone(), value })
}

fn read_resolve(section: &Fields<'_>, mistakes: &mut Mistakes) -> Vec<(String, SocketAddr)> {
    let mut addresses = Vec::new();
    for entry in section.entries() {
        let path = section.path_of(&entry.key);
        let address = scalar(&entry.node).and_then(|text| {
            let ip = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
            ip.or_else(|_| text.parse()).ok()
        });
        match (host(&entry.key, &entry.at, &path, mistakes), address) {
            (Some(host), Some(address)) => addresses.push((host.value, address)),
            (_, None) => mistakes.add_hint(
                &entry.node.at,
                format!("`{path}` must be an IP address, with a port or without"),
                "such as `10.1.2.3` or `10.1.2.3:8443`",
            ),
            (None, Some(_)) => {}
        }
    }
    addresses
}

fn read_credentials(mut fields: Fields<'_>, mistakes: &mut Mistakes) -> Option<WrittenCredentials> {
    let at = fields.at().clone();
    let path = fields.path_of("");
    let mut ways = Vec::new();
    let token = [secret(&mut fields, "token_file", mistakes), secret(&mut fields, "token_env", mistakes)];
    ways.extend(token.into_iter().flatten().map(WrittenCredentials::TokenPath));
    let bearer = [secret(&mut fields, "bearer_file", mistakes), secret(&mut fields, "bearer_env", mistakes)];
    ways.extend(bearer.into_iter().flatten().map(WrittenCredentials::Bearer));
    ways.extend(fields.section("basic", mistakes).and_then(|basic| read_basic(basic, mistakes)));
    let said = fields.entries().len();
    fields.finish(mistakes);
    let path = path.trim_end_matches('.');
    if ways.len() > 1 {
        mistakes.add_hint(
            &at,
            format!("`{path}` says more than one way to show who the gate is"),
            "keep one of `token_file`, `token_env`, `basic`, `bearer_file`, `bearer_env`",
        );
        return None;
    }
    if said == 0 {
        mistakes.add_hint(&at, format!("`{path}` is empty"), "take it out, or write `token_file: FILE`");
    }
    ways.pop()
}

fn read_basic(mut fields: Fields<'_>, mistakes: &mut Mistakes) -> Option<WrittenCredentials> {
    let at = fields.at().clone();
    let path = fields.path_of("user");
    let user = fields.read("user", mistakes, text);
    let secrets =
        [secret(&mut fields, "password_file", mistakes), secret(&mut fields, "password_env", mistakes)];
    fields.finish(mistakes);
    let mut secrets: Vec<_> = secrets.into_iter().flatten().collect();
    let base = path.trim_end_matches(".user");
    if secrets.len() != 1 {
        mistakes.add(&at, format!("`{base}` must have one of `password_file` and `password_env`"));
        return None;
    }
    match user {
        Some(user) if user.value.contains(':') || user.value.chars().any(char::is_control) => {
            mistakes.add(&user.at, format!("`{path}` can't have a colon or a control character"));
            None
        }
        Some(user) => Some(WrittenCredentials::Basic(user.value, secrets.remove(0))),
        None => {
            mistakes.add(&at, format!("`{path}` is missing"));
            None
        }
    }
}

fn secret(fields: &mut Fields<'_>, key: &'static str, mistakes: &mut Mistakes) -> Option<WrittenSecret> {
    let path = fields.path_of(key);
    let Located { at, value } = fields.read(key, mistakes, text)?;
    let place = if key.ends_with("_env") {
        SecretPlace::Variable(value)
    } else {
        SecretPlace::File(at.resolve(&value))
    };
    Some(WrittenSecret { at, path, place })
}

/// Makes the rule: reads the secrets, puts the defaults in.
pub(super) fn compile(
    written: WrittenUpstream,
    outside: &dyn Outside,
    mistakes: &mut Mistakes,
) -> UpstreamRule {
    if let Some(ca) = written.ca_file.as_ref().filter(|ca| !outside.is_file(&ca.value)) {
        let path = format!("upstreams.{}.ca_file", written.name.value);
        mistakes
            .add(&ca.at, format!("`{path}` names `{}`, which is not a readable file", ca.value.display()));
    }
    let number = |n: Option<u64>, default| n.and_then(|n| usize::try_from(n).ok()).unwrap_or(default);
    UpstreamRule {
        name: written.name.value,
        urls: written.urls.into_iter().map(|u| u.value).collect(),
        hosts: written.hosts.into_iter().map(|h| h.value).collect(),
        credentials: written.credentials.and_then(|c| credentials(c, outside, mistakes)),
        max_concurrent: number(written.max_concurrent, MAX_CONCURRENT),
        connect_timeout: written.connect.unwrap_or(CONNECT),
        first_byte_timeout: written.first_byte.unwrap_or(FIRST_BYTE),
        stall_timeout: written.stall.unwrap_or(STALL),
        retries: written.retries.and_then(|n| u32::try_from(n).ok()).unwrap_or(RETRIES),
        proxy: written.proxy.or_else(|| proxy(&written.proxy_place?, outside, mistakes)),
        ca_file: written.ca_file.map(|ca| ca.value),
        resolve: written.resolve,
        pass_foreign_tokens: written.pass_foreign_tokens,
    }
}

fn proxy(place: &WrittenSecret, outside: &dyn Outside, mistakes: &mut Mistakes) -> Option<SafeUrl> {
    let found = reveal(place, outside, |_| true, "", mistakes)?;
    url(PROXIES)(&Node::scalar(place.at.clone(), found.reveal().as_str()), &place.path, mistakes)
}

fn credentials(
    written: WrittenCredentials,
    outside: &dyn Outside,
    mistakes: &mut Mistakes,
) -> Option<Credentials> {
    let is_segment =
        |s: &str| s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~'));
    let is_visible = |s: &str| s.bytes().all(|b| b.is_ascii_graphic());
    let is_printable = |s: &str| !s.chars().any(char::is_control);
    Some(match written {
        WrittenCredentials::TokenPath(place) => {
            let expected = "letters, digits, `-`, `_`, `.` and `~` only, as a token in a path has";
            Credentials::TokenPath(reveal(&place, outside, is_segment, expected, mistakes)?)
        }
        WrittenCredentials::Basic(user, place) => {
            let password = reveal(&place, outside, is_printable, "one line of text", mistakes)?;
            Credentials::Basic { user, password }
        }
        WrittenCredentials::Bearer(place) => {
            let expected = "visible ASCII characters only";
            Credentials::Bearer(reveal(&place, outside, is_visible, expected, mistakes)?)
        }
    })
}

/// The secret at a place, without the line end that editors leave; what it must look like is said, what it is never.
fn reveal(
    written: &WrittenSecret,
    outside: &dyn Outside,
    is_good: impl Fn(&str) -> bool,
    expected: &str,
    mistakes: &mut Mistakes,
) -> Option<Secret<String>> {
    let path = &written.path;
    let (what, found) = match &written.place {
        SecretPlace::File(file) => (format!("the file `{}`", file.display()), outside.read_secret(file)),
        SecretPlace::Variable(name) => {
            let found = outside.variable(name).ok_or_else(|| "it is not set".to_owned());
            (format!("the environment variable `{}`", name.escape_debug()), found)
        }
    };
    let text = match found {
        Ok(text) => text,
        Err(reason) => {
            mistakes.add(&written.at, format!("`{path}` names {what}, which can't be read: {reason}"));
            return None;
        }
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        mistakes.add(&written.at, format!("`{path}` names {what}, which is empty"));
        return None;
    }
    if !is_good(text) {
        mistakes.add(&written.at, format!("`{path}` names {what}, which must contain {expected}"));
        return None;
    }
    Some(Secret::new(text.to_owned()))
}
