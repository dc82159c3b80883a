//! `notify`: who is told what, by mail and by webhook.
//!
//! Belongs here: the keys of the section. Does not: sending (`notify`).

use std::time::Duration;

use super::outside::Machine;
use super::read::show_path;
use super::reader::Reader;
use super::secrets::{Found, in_file, in_variable};
use super::settings::{Config, MailConfig, NotifyConfig, SmtpConfig, SmtpTls, WebhookConfig};
use super::values::file;
use crate::policy::read::{Fields, Located, choice, duration, integer, list, text, url};
use crate::policy::{Mistakes, Node};
use crate::secret::Secret;

const DAY: Duration = Duration::from_hours(24);
/// Jobs that were done are remembered for so long, and with them what was told.
const LONGEST: Duration = DAY.saturating_mul(30);

const TLS: &[(&str, SmtpTls)] =
    &[("starttls", SmtpTls::StartTls), ("tls", SmtpTls::Implicit), ("none", SmtpTls::None)];

/// Words for what one can be told about.
pub const EVENTS: &[(&str, &str)] = &[
    ("publish", "publish"),
    ("recall", "recall"),
    ("token", "token"),
    ("disk", "disk"),
    ("upstream", "upstream"),
    ("job", "job"),
    ("certificate", "certificate"),
];

pub(super) fn read(r: &mut Reader<'_>, top: &mut Fields<'_>, machine: &Machine) -> NotifyConfig {
    let mut fields = r.section(top, "notify");
    let smtp = smtp(r, fields.as_mut(), machine);
    let hooks = |n: &Node, p: &str, m: &mut Mistakes| numbered(n, p, m, |n, p, m| webhook(n, p, m, machine));
    let show = |all: &Vec<WebhookConfig>| join(all.iter().map(WebhookConfig::place));
    let webhooks = r.value(fields.as_mut(), "notify.webhooks", hooks, show);
    let lists = |n: &Node, p: &str, m: &mut Mistakes| numbered(n, p, m, mail);
    let show = |all: &Vec<MailConfig>| join(all.iter().flat_map(|list| list.to.iter().cloned()));
    let mail = r.value(fields.as_mut(), "notify.mail", lists, show);
    let tokens_before = r.time(fields.as_mut(), "notify.tokens_before", tokens_before);
    r.finish(fields);
    NotifyConfig { smtp, webhooks, mail, tokens_before }
}

/// What only the layers together can have wrong.
pub(super) fn check_together(config: &Config, mistakes: &mut Mistakes) {
    let notify = &config.notify;
    let Some(smtp) = &notify.smtp else {
        if let Some(list) = notify.mail.first() {
            let said = "`notify.mail` needs a mail server";
            mistakes.add_hint(&list.at, said, "write `notify: {smtp: {host: …, from: …}}`");
        }
        return;
    };
    if !mistakes.is_empty() {
        return;
    }
    for (key, value) in [("host", &smtp.host), ("from", &smtp.from)] {
        if value.is_empty() {
            mistakes.add(&smtp.at, format!("`notify.smtp.{key}` is missing"));
        }
    }
    if smtp.username.is_some() != smtp.password.is_some() {
        let said = "`notify.smtp` has a user name or a password, and not the other";
        mistakes.add_hint(&smtp.at, said, "write `username`, and `password_file` or `password_env`");
    }
    let is_here =
        smtp.host == "localhost" || smtp.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if smtp.tls == SmtpTls::None && smtp.password.is_some() && !is_here {
        let said = "`notify.smtp` would send its password in the clear";
        mistakes.add_hint(&smtp.at, said, "leave `tls` at `starttls`, or write `tls: tls`");
    }
}

fn smtp(r: &mut Reader<'_>, notify: Option<&mut Fields<'_>>, machine: &Machine) -> Option<SmtpConfig> {
    let mut fields = notify.and_then(|notify| r.section(notify, "smtp"));
    let at = fields.as_ref().map(|fields| fields.at().clone());
    let host = r.optional(fields.as_mut(), "notify.smtp.host", host, Clone::clone);
    let show = |tls: &SmtpTls| {
        TLS.iter().find(|(_, other)| other == tls).map_or_else(String::new, |(word, _)| (*word).to_owned())
    };
    let tls = r.value(fields.as_mut(), "notify.smtp.tls", choice(TLS), show);
    let port = |n: &Node, p: &str, m: &mut Mistakes| {
        integer(1..=65535)(n, p, m).and_then(|port| u16::try_from(port).ok())
    };
    let usual = match tls {
        SmtpTls::StartTls => 587,
        SmtpTls::Implicit => 465,
        SmtpTls::None => 25,
    };
    let port = r.take(fields.as_mut(), "notify.smtp.port", port, usual, ToString::to_string);
    let from = r.optional(fields.as_mut(), "notify.smtp.from", address, Clone::clone);
    let username = r.optional(fields.as_mut(), "notify.smtp.username", text, Clone::clone);
    let from_file = |n: &Node, p: &str, m: &mut Mistakes| in_file(n, p, m, machine);
    let from_variable = |n: &Node, p: &str, m: &mut Mistakes| in_variable(n, p, m, machine);
    let show = |(_, shown): &Found| shown.clone();
    let by_file = r.optional(fields.as_mut(), "notify.smtp.password_file", from_file, show);
    let by_variable = r.optional(fields.as_mut(), "notify.smtp.password_env", from_variable, show);
    let ca_file = r.optional(fields.as_mut(), "notify.smtp.ca_file", file, |file| show_path(file));
    r.finish(fields);
    let password = by_file.or(by_variable).map(|(password, _)| password);
    let (host, from) = (host.unwrap_or_default(), from.unwrap_or_default());
    at.map(|at| SmtpConfig { at, host, port, tls, from, username, password, ca_file })
}

fn webhook(node: &Node, path: &str, m: &mut Mistakes, machine: &Machine) -> Option<WebhookConfig> {
    let mut fields = Fields::open(node, path, m)?;
    let at = fields.at().clone();
    if fields.get("url").is_none() {
        m.add(&node.at, format!("`{}` is missing", fields.path_of("url")));
    }
    let place = fields.read("url", m, |n, p, m| {
        let found = url(&["https", "http"])(n, p, m)?;
        let url = found.reveal().clone();
        if !url.username().is_empty() || url.password().is_some() {
            m.add(&n.at, format!("`{p}` must be a URL without credentials"));
            return None;
        }
        Some(url)
    });
    let by_file = fields.read("secret_file", m, |n, p, m| in_file(n, p, m, machine));
    let by_variable = fields.read("secret_env", m, |n, p, m| in_variable(n, p, m, machine));
    let named = fields.get("secret_file").is_some() || fields.get("secret_env").is_some();
    if !named {
        let said = format!("`{path}` must have one of `secret_file`, `secret_env`");
        m.add_hint(&node.at, said, "messages are signed with it; `openssl rand -hex 32 >FILE` makes one");
    }
    let events = events(&mut fields, m);
    fields.finish(m);
    let secret = by_file.or(by_variable)?.value.0;
    Some(WebhookConfig { at, url: Secret::new(place?.value), secret, events: events? })
}

fn mail(node: &Node, path: &str, m: &mut Mistakes) -> Option<MailConfig> {
    let mut fields = Fields::open(node, path, m)?;
    let at = fields.at().clone();
    if fields.get("to").is_none() {
        m.add(&node.at, format!("`{}` is missing", fields.path_of("to")));
    }
    let to = fields.read("to", m, list(address));
    if let Some(none) = to.as_ref().filter(|to| to.value.is_empty()) {
        m.add(&none.at, format!("`{}` must name at least one address", fields.path_of("to")));
    }
    let events = events(&mut fields, m);
    fields.finish(m);
    let to = to?.value.into_iter().map(|one| one.value).collect();
    Some(MailConfig { at, to, events: events? })
}

/// Empty for everything; a list that is written and empty is a mistake.
fn events(fields: &mut Fields<'_>, m: &mut Mistakes) -> Option<Vec<&'static str>> {
    if fields.get("events").is_none() {
        return Some(Vec::new());
    }
    let one = |n: &Node, p: &str, m: &mut Mistakes| choice(EVENTS)(n, p, m);
    let found = fields.read("events", m, list(one))?;
    if found.value.is_empty() {
        m.add(&found.at, format!("`{}` must name at least one", fields.path_of("events")));
        return None;
    }
    Some(found.value.into_iter().map(|one| one.value).collect())
}

/// A list of maps, each with its number in mistakes.
fn numbered<T>(
    node: &Node,
    path: &str,
    m: &mut Mistakes,
    each: impl Fn(&Node, &str, &mut Mistakes) -> Option<T>,
) -> Option<Vec<T>> {
    let mut n = 0;
    let each = |node: &Node, path: &str, m: &mut Mistakes| {
        n += 1;
        each(node, &format!("{path}[{}]", n - 1), m)
    };
    let all: Vec<Located<T>> = list(each)(node, path, m)?;
    Some(all.into_iter().map(|one| one.value).collect())
}

fn host(node: &Node, path: &str, m: &mut Mistakes) -> Option<String> {
    let host = text(node, path, m)?;
    if host.contains(|c: char| c.is_whitespace() || c.is_control() || "/@".contains(c)) {
        m.add(&node.at, format!("`{path}` must be a name or an address, without a scheme or a path"));
        return None;
    }
    Some(host)
}

/// What can stand behind `To:`.
fn address(node: &Node, path: &str, m: &mut Mistakes) -> Option<String> {
    let address = text(node, path, m)?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>,;\"".contains(c);
    let parts = address.split_once('@').filter(|(who, domain)| !who.is_empty() && !domain.is_empty());
    if address.len() > 254 || address.contains(odd) || parts.is_none_or(|(_, domain)| domain.contains('@')) {
        m.add(&node.at, format!("`{path}` must be an address such as ops@example.org"));
        return None;
    }
    Some(address)
}

fn tokens_before(node: &Node, path: &str, m: &mut Mistakes) -> Option<Duration> {
    let value = duration(node, path, m)?;
    if !(DAY..=LONGEST).contains(&value) {
        m.add(&node.at, format!("`{path}` must lie between 1d and 30d"));
        return None;
    }
    Some(value)
}

fn join(all: impl Iterator<Item = String>) -> String {
    all.collect::<Vec<_>>().join(", ")
}
