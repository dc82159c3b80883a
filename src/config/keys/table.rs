//! The rows.
//!
//! Belongs here: every key and section of the settings, in the order of a file of settings. Does not: anything that runs.

use super::{Default, Key, Section, Shape};
use Default::{Depends, Nothing, Text};

const fn key(path: &'static str, shape: Shape, default: Default, says: &'static str) -> Key {
    Key { path, shape, default, says }
}

const fn section(path: &'static str, says: &'static str) -> Section {
    Section { path, says, is_switch: false }
}

const fn switch(path: &'static str, says: &'static str) -> Section {
    Section { path, says, is_switch: true }
}

const WEB: &[&str] = &["http", "https"];
/// What proxies speak.
pub const PROXIES: &[&str] = &["http", "https", "socks5", "socks5h"];

/// Every key.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("listen", Shape::Addresses, Text("127.0.0.1:8080"),
        "Where clients connect: IP addresses with ports."),
    key("public_url", Shape::Url(WEB), Nothing("http://gate.example.org/conda"),
        "How clients reach the gate; links are made from it, and its path is taken off requests."),
    key("data", Shape::Path, Depends("$XDG_DATA_HOME/condagate, or ~/.local/share/condagate", "/var/lib/condagate"),
        "The directory of the gate's own; everything in it belongs to one running gate."),
    key("rules", Shape::Path, Depends("/etc/condagate/proxy-rules, if it is there", "/etc/condagate/proxy-rules"),
        "The directory of rules: which channels there are, where they come from, who may read them."),
    key("threads", Shape::Number(1, 1024), Depends("one for each CPU", "4"),
        "Workers that answer clients."),

    key("storage.packages", Shape::Path, Depends("packages in the data directory", "/srv/packages"),
        "Package files, and what is known of them."),
    key("storage.cache", Shape::Path, Depends("cache in the data directory", "/srv/cache"),
        "Indexes and other files that can be made again."),

    key("cache.size", Shape::Size, Text("50GiB"),
        "Most bytes of packages that are kept; those not used for longest go first."),
    key("cache.keep_free", Shape::Room, Text("5%"),
        "Room on the volume that is never used: percent of it, or a size."),
    key("cache.memory", Shape::Size, Text("64MiB"),
        "Memory for small files."),

    key("limits.header_size", Shape::Size, Text("64KiB"),
        "Bytes of a request's head, 256B to 1MiB."),
    key("limits.header_count", Shape::Number(1, 256), Text("200"),
        "Header lines of a request."),
    key("limits.url_length", Shape::Size, Text("8KiB"),
        "Bytes of a request's address, 256B to 1MiB."),
    key("limits.header_timeout", Shape::Duration, Text("10s"),
        "How long a whole request head may take."),
    key("limits.idle_timeout", Shape::Duration, Text("1m"),
        "How long a connection may wait between two requests."),
    key("limits.send_timeout", Shape::Duration, Text("10m"),
        "How long a client may take nothing of an answer."),
    key("limits.receive_timeout", Shape::Duration, Text("1m"),
        "How long a client may send nothing of an upload."),
    key("limits.connections", Shape::Number(1, 1_000_000), Text("10000"),
        "Open connections of clients; more are told to come again, but health is still told."),
    key("limits.requests", Shape::Number(0, 1_000_000), Text("0"),
        "Requests being answered at one time; more are told to come again; 0 for any number."),
    key("limits.open_files", Shape::Number(0, 99), Text("90"),
        "Percent of the process's file descriptors from which on new connections are told to come again; 0 for never."),
    key("limits.address_rate", Shape::Number(0, 1_000_000), Text("0"),
        "Requests a second of one address; 0 for any number. Many people may share one, and one client opens 100 connections."),
    key("limits.address_burst", Shape::Number(0, 1_000_000), Text("0"),
        "Requests that an address may send at once after a pause; 0 for those of a second."),
    key("limits.address_at_once", Shape::Number(0, 1_000_000), Text("0"),
        "Requests of one address under way at one time; 0 for any number."),
    key("limits.user_rate", Shape::Number(0, 1_000_000), Text("0"),
        "Requests a second of one user, over all of their tokens; 0 for any number."),
    key("limits.user_burst", Shape::Number(0, 1_000_000), Text("0"),
        "Requests that a user may send at once after a pause; 0 for those of a second."),
    key("limits.user_at_once", Shape::Number(0, 1_000_000), Text("0"),
        "Requests of one user under way at one time; 0 for any number."),

    key("timeouts.stop", Shape::Duration, Text("30s"),
        "How long accepted requests may go on after a stop was asked for."),
    key("timeouts.upgrade", Shape::Duration, Text("1h"),
        "The same for a process from which another one took over."),

    key("log.format", Shape::OneOf(&["human", "json"]), Text("human"),
        "How lines of the log look."),
    key("log.level", Shape::Level, Text("info"),
        "How much is logged: error, warn, info, debug, trace, or for one room info,condagate::cache=debug."),
    key("log.access", Shape::Access, Text("on"),
        "Where the line about each request goes: on (standard output), off, or the path of a file."),
    key("log.slow_request", Shape::Duration, Text("10s"),
        "Requests that were held up so long get a line that says where the time went; 0s for none."),
    key("log.slow_fill", Shape::Duration, Text("1m"),
        "The same for downloads from upstream."),

    key("egress.proxy", Shape::Url(PROXIES), Nothing("http://proxy.example.org:3128"),
        "The proxy to upstreams; without it HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY count."),
    key("egress.proxy_file", Shape::Path, Nothing("/etc/condagate/proxy.url"),
        "A file with the proxy's URL, when that has a password in it."),
    key("egress.proxy_env", Shape::Text, Nothing("GATE_PROXY"),
        "A variable with the proxy's URL, when that has a password in it."),
    key("egress.ca_file", Shape::Path, Nothing("/etc/ssl/certs/company.pem"),
        "Certificates (PEM) that are trusted beside the usual ones."),

    key("control.allow", Shape::Networks, Text(""),
        "Networks that may see /-/metrics, explanations and details of readiness, beside this machine."),

    key("store.mongodb.uri", Shape::Text, Nothing("mongodb://db.example.org/"),
        "How to reach the server; with a password in it, better a file or a variable."),
    key("store.mongodb.uri_file", Shape::Path, Nothing("/run/secrets/mongo"),
        "A file with it."),
    key("store.mongodb.uri_env", Shape::Text, Nothing("GATE_MONGODB"),
        "A variable with it."),
    key("store.mongodb.database", Shape::Database, Text("condagate"),
        "The database of users, tokens, channels and packages."),
    key("store.mongodb.queue_database", Shape::Database, Text("condagate_mq"),
        "The database of the queue."),
    key("store.mongodb.ca_file", Shape::Path, Nothing("/etc/ssl/certs/company.pem"),
        "Certificates (PEM) that the server's is checked against; turns TLS on."),

    key("security.allow_plaintext", Shape::Flag, Text("false"),
        "Whether passwords, sessions and tokens that may write are taken over plain HTTP from other machines."),
    key("security.trusted_proxies", Shape::Networks, Text(""),
        "Networks whose X-Forwarded-For and X-Forwarded-Proto are believed."),
    key("security.proxy_protocol", Shape::Flag, Text("false"),
        "Whether connections of these proxies begin with a header of the PROXY protocol, version 1 or 2."),

    key("tls.listen", Shape::Addresses, Text("0.0.0.0:443"),
        "Where clients connect by TLS."),
    key("tls.certificates", Shape::Certificates, Text(""),
        "Certificates with their keys, each for its names; the first also answers clients that name no host."),
    key("tls.client_ca", Shape::Path, Nothing("/etc/condagate/tls/clients.pem"),
        "Who may have issued certificates of clients (PEM); then they are asked for one."),
    key("tls.client_certificates", Shape::OneOf(&["required", "optional"]), Text("required"),
        "Whether clients without one are turned away."),
    key("tls.redirect_browsers", Shape::Flag, Text("false"),
        "Whether browsers that come by plain HTTP are sent to TLS; clients of conda never are."),

    key("auth.password.memory", Shape::Size, Text("19MiB"),
        "Memory that hashing a password takes (argon2id), 8MiB to 1GiB."),
    key("auth.password.iterations", Shape::Number(1, 64), Text("2"),
        "Its rounds."),
    key("auth.password.lanes", Shape::Number(1, 64), Text("1"),
        "Its lanes."),
    key("auth.session.access_ttl", Shape::Duration, Text("15m"),
        "How long an access token is good, which can't be revoked; 1m to 1d."),
    key("auth.session.refresh_ttl", Shape::Duration, Text("30d"),
        "How long somebody stays logged in."),
    key("auth.session.idle", Shape::Duration, Text("8h"),
        "How long somebody stays signed in to the pages without using them."),
    key("auth.session.max_age", Shape::Duration, Text("7d"),
        "How long somebody stays signed in to the pages at most."),
    key("auth.snapshot_max_age", Shape::Duration, Text("1d"),
        "How long known credentials are let in while the store can't be reached."),
    key("auth.issuers", Shape::Issuers,  Text(""),
        "Others whose tokens (JWT) are taken."),
    key("auth.token_retention", Shape::Duration, Text("90d"),
        "How long a token that was revoked or expired is still listed, from 1d."),
    key("auth.token_ttl", Shape::Duration, Text("90d"),
        "How long a token is good that is made without saying so."),

    key("audit.retention", Shape::Duration, Text("400d"),
        "How long the audit trail is kept, from 1d."),
    key("audit.downloads", Shape::Flag, Text("true"),
        "Whether it is written down who downloaded which file."),
    key("audit.denials_per_minute", Shape::Number(0, 100_000), Text("60"),
        "Most refusals written down one by one in a minute; the others are counted."),

    key("upload.max_size", Shape::Size, Text("16GiB"),
        "The longest package that is taken."),
    key("upload.at_once", Shape::Number(1, 10_000), Text("256"),
        "Files received at one time; more are told to come again."),
    key("upload.opened_at_once", Shape::Number(1, 100), Text("4"),
        "Packages opened at one time; more wait."),
    key("upload.max_unpacked", Shape::Size, Text("64GiB"),
        "What one package may unpack to."),
    key("upload.max_ratio", Shape::Number(1, 1_000_000), Text("400"),
        "Bytes that each byte of a package may unpack to, beyond the first 256 MiB."),
    key("upload.max_members", Shape::Number(10, 100_000_000), Text("400000"),
        "Files and directories in one package."),

    key("notify.smtp.host", Shape::Text, Nothing("mail.example.org"),
        "The mail server."),
    key("notify.smtp.port", Shape::Number(1, 65_535), Depends("587; 465 with tls, 25 with none", "587"),
        "Its port."),
    key("notify.smtp.tls", Shape::OneOf(&["starttls", "tls", "none"]), Text("starttls"),
        "How mail is kept secret on its way there."),
    key("notify.smtp.from", Shape::Text, Nothing("condagate@example.org"),
        "Whom the mail is from."),
    key("notify.smtp.username", Shape::Text, Nothing("condagate"),
        "The account there."),
    key("notify.smtp.password_file", Shape::Path, Nothing("/run/secrets/smtp"),
        "A file with its password."),
    key("notify.smtp.password_env", Shape::Text, Nothing("GATE_SMTP"),
        "A variable with its password."),
    key("notify.smtp.ca_file", Shape::Path, Nothing("/etc/ssl/certs/company.pem"),
        "Certificates (PEM) that the server's is checked against, beside the usual ones."),
    key("notify.webhooks", Shape::Webhooks, Text(""),
        "Where signed messages are posted to."),
    key("notify.mail", Shape::MailLists, Text(""),
        "Who gets mail."),
    key("notify.tokens_before", Shape::Duration, Text("7d"),
        "How long before its end somebody is told about a token, 1d to 30d."),
];

/// Every section.
#[rustfmt::skip]
pub const SECTIONS: &[Section] = &[
    section("storage", "Parts of the data directory on volumes of their own."),
    section("cache", "How much is kept of what upstream has."),
    section("limits", "What one client may take, and what all together may."),
    section("timeouts", "How long the gate waits."),
    section("log", "What is written down while the gate runs."),
    section("egress", "How the gate reaches upstreams, unless one has settings of its own in the rules."),
    section("control", "Who may look inside."),
    switch("store", "The database of users, tokens and channels; without this, the SQLite file store.db in the data directory."),
    switch("store.mongodb", "A MongoDB, reached by one of uri_file, uri_env and uri."),
    section("security", "Over what credentials may come."),
    switch("tls", "TLS for clients; on with certificates, which are read again when they change."),
    section("auth", "How people and machines show who they are."),
    section("auth.password", "The work of hashing a password."),
    section("auth.session", "How long somebody who logged in stays so."),
    section("audit", "What is written down for good."),
    section("upload", "What comes into hosted channels."),
    section("notify", "Who is told what happens."),
    switch("notify.smtp", "The mail server; without it no mail is sent."),
];
