//! The validated configuration.
//!
//! Belongs here: one struct per section, with units and defaults said. Does not: reading ([`super::read`]), layers
//! ([`super::layers`]). Rooms don't see this; `app` hands each its own small settings.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::rules::RulesDir;
use crate::policy::At;
use crate::policy::network::Network;
use crate::secret::{SafeUrl, Secret};

/// Everything a gate is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// `listen`: where clients connect; never empty. Default `127.0.0.1:8080`.
    pub listen: Vec<SocketAddr>,
    /// `public_url`: how clients reach the gate; every link is made from it.
    pub public_url: Option<PublicUrl>,
    /// `data`: the directory of the gate's own. Default `$XDG_DATA_HOME/condagate`.
    pub data: PathBuf,
    /// `storage`
    pub storage: Storage,
    /// `cache`
    pub cache: CacheConfig,
    /// `rules`: the rules directory. Default `/etc/condagate/proxy-rules`.
    pub rules: RulesDir,
    /// `limits`
    pub limits: Limits,
    /// `timeouts`
    pub timeouts: Timeouts,
    /// `log`
    pub log: LogConfig,
    /// `egress`
    pub egress: EgressConfig,
    /// `control`
    pub control: Control,
    /// `store.mongodb`; `None` for the SQLite file, [`Config::store_file`].
    pub store: Option<MongodbConfig>,
    /// `security`
    pub security: SecurityConfig,
    /// `auth`
    pub auth: AuthConfig,
    /// `audit`
    pub audit: AuditConfig,
    /// `upload`
    pub upload: UploadConfig,
    /// `notify`
    pub notify: NotifyConfig,
    /// `tls`
    pub tls: TlsConfig,
    /// `telemetry`
    pub telemetry: TelemetryConfig,
    /// `threads`: workers that answer clients, from 1. Default: one per CPU.
    pub threads: usize,
    /// Every key with its value in force and where it came from, by key.
    pub origins: Vec<Setting>,
    /// What is no mistake and should not stay so, such as a secret that everybody can read; sentences.
    pub notes: Vec<String>,
}

/// One line of `config show --origin`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// `cache.size`
    pub key: &'static str,
    /// As it would be written; credentials in URLs are masked. Empty when not set.
    pub value: String,
    /// `default`, `FILE:LINE`, or the variable or flag.
    pub origin: String,
}

/// How clients reach the gate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicUrl {
    /// http or https, no credentials, no query; the path ends with `/`.
    pub url: SafeUrl,
    /// The path to be taken off requests: empty, or with a leading and without a trailing slash (`/conda`).
    pub base_path: String,
}

/// `storage`: parts of `data` that may stand on volumes of their own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Storage {
    /// `storage.packages`: blobs, partial files and their index. Default `<data>/packages`.
    pub packages: PathBuf,
    /// `storage.cache`: generations and other derived files. Default `<data>/cache`.
    pub cache: PathBuf,
}

/// `cache`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CacheConfig {
    /// `cache.size`: most bytes of blobs kept. Default 50 GiB.
    pub size: u64,
    /// `cache.keep_free`: disk headroom that is never used. Default 5 %.
    pub keep_free: KeepFree,
    /// `cache.memory`: bytes of small files kept in memory. Default 64 MiB.
    pub memory: u64,
}

/// `upload`: what comes into hosted channels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UploadConfig {
    /// `upload.max_size`: bytes of the longest package. Default 16 GiB.
    pub max_size: u64,
    /// `upload.at_once`: files received at one time. Default 256.
    pub at_once: usize,
    /// `upload.opened_at_once`: packages opened at one time; more wait. Default 4.
    pub opened_at_once: usize,
    /// `upload.max_unpacked`: bytes that a package may unpack to. Default 64 GiB.
    pub max_unpacked: u64,
    /// `upload.max_ratio`: bytes that each byte of a package may unpack to, beyond the first 256 MiB. Default 400.
    pub max_ratio: usize,
    /// `upload.max_members`: files and directories in a package. Default 400,000.
    pub max_members: usize,
}

/// Disk headroom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeepFree {
    /// Of the volume's size, 0 to 90.
    Percent(u8),
    /// In bytes.
    Bytes(u64),
}

/// `limits`: what one client may take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// `limits.header_size`: bytes of a request's head. Default 64 KiB.
    pub header_size: usize,
    /// `limits.header_count`: header lines. Default 200.
    pub header_count: usize,
    /// `limits.url_length`: bytes of the request target. Default 8 KiB.
    pub url_length: usize,
    /// `limits.header_timeout`: one deadline for a whole head. Default 10 s.
    pub header_timeout: Duration,
    /// `limits.idle_timeout`: between two requests of a connection. Default 60 s.
    pub idle_timeout: Duration,
    /// `limits.send_timeout`: how long a client may take nothing of an answer. The kernel tells of room only in large steps, so
    /// shorter than minutes cuts slow but honest clients. Default 10 min.
    pub send_timeout: Duration,
    /// `limits.receive_timeout`: how long a client may send nothing of a request's body. Default 60 s.
    pub receive_timeout: Duration,
    /// `limits.connections`: open connections of clients, from 1. Default 10,000.
    pub connections: usize,
    /// `limits.requests`: requests being answered at one time; 0 for any number. Default 0.
    pub requests: usize,
    /// `limits.open_files`: percent of the process's file descriptors from which on new connections are turned away; 0 for never.
    /// Default 90.
    pub open_files: usize,
    /// `limits.memory`: percent of the memory in use from which on new requests are turned away; 0 for never. Default 95.
    pub memory: usize,
    /// `limits.address_…`: what one address may take. Default anything.
    pub address: ShareConfig,
    /// `limits.user_…`: what one user may take. Default anything.
    pub user: ShareConfig,
}

/// What one caller may take; 0 for any amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShareConfig {
    /// `…_rate`: requests a second.
    pub rate: usize,
    /// `…_burst`: requests at once after a pause; 0 for those of a second.
    pub burst: usize,
    /// `…_at_once`: requests under way at one time.
    pub at_once: usize,
}

/// `timeouts`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// `timeouts.stop`: how long accepted requests may finish after a stop was asked for. Default 30 s.
    pub stop: Duration,
    /// `timeouts.upgrade`: how long a process from which another one took over may finish its answers. Default 1 h.
    pub upgrade: Duration,
}

/// `log`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// `log.format`. Default human.
    pub format: LogFormat,
    /// `log.level`: `error` … `trace`, or a filter such as `info,condagate::cache=debug`. Default `info`.
    pub level: String,
    /// `log.access`. Default on.
    pub access: AccessTarget,
    /// `log.slow_request`: requests that were held up so long get a line in the log; 0 for none. Default 10 s.
    pub slow_request: Duration,
    /// `log.slow_fill`: the same for downloads from upstream. Default 1 min.
    pub slow_fill: Duration,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Human,
    /// For machines.
    Json,
}

/// Where the line per request goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AccessTarget {
    /// Nowhere.
    Off,
    /// Standard output.
    Standard,
    /// Appended to a file.
    File(PathBuf),
}

/// `telemetry`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TelemetryConfig {
    /// `telemetry.otlp`
    pub otlp: OtlpConfig,
}

/// `telemetry.otlp`: who is told of traces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OtlpConfig {
    /// `telemetry.otlp.endpoint`: where traces are taken (OTLP over HTTP); without it nothing is traced.
    pub endpoint: Option<SafeUrl>,
    /// What `telemetry.otlp.headers_file` has: headers that go along.
    pub headers: Vec<(String, Secret<String>)>,
    /// `telemetry.otlp.sample`: one request in so many is traced, from 1. Default 100.
    pub sample: usize,
    /// `telemetry.otlp.from_callers`: whether callers say where in a trace they stand, and whether it is recorded. Default no.
    pub from_callers: bool,
    /// `telemetry.otlp.to_upstreams`: whether upstreams are told. Default no.
    pub to_upstreams: bool,
}

/// `egress`: how the gate reaches upstreams, unless one has settings of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EgressConfig {
    /// `egress.proxy`; `None` leaves it to `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    pub proxy: Option<SafeUrl>,
    /// `egress.ca_file`: certificates (PEM) trusted beside the usual ones.
    pub ca_file: Option<PathBuf>,
}

/// `control`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Control {
    /// `control.allow`: networks that may see `/-/metrics` and readiness details; loopback always may.
    pub allow: Vec<Network>,
}

/// `store.mongodb`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MongodbConfig {
    /// Where the section is written, for mistakes that show later.
    pub at: At,
    /// `uri`, or what `uri_file` or `uri_env` name: how to reach the server, credentials included.
    pub uri: Secret<String>,
    /// `database`: metadata. Default `condagate`.
    pub database: String,
    /// `queue_database`: the queue. Default `condagate_mq`.
    pub queue_database: String,
    /// `ca_file`: certificates (PEM) that the server's is checked against; turns TLS on.
    pub ca_file: Option<PathBuf>,
}

/// `security`: over what credentials may come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecurityConfig {
    /// `security.allow_plaintext`: whether passwords, sessions and tokens that may write are taken over plain http from other
    /// machines. Default no.
    pub allow_plaintext: bool,
    /// `security.trusted_proxies`: networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed. Default none.
    pub trusted_proxies: Vec<Network>,
    /// `security.proxy_protocol`: whether connections of trusted proxies begin with a header of the PROXY protocol. Default no.
    pub proxy_protocol: bool,
}

/// `tls`: off without certificates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsConfig {
    /// `tls.listen`: where clients connect by TLS. Default `0.0.0.0:443`.
    pub listen: Vec<SocketAddr>,
    /// `tls.certificates`: the first one also answers clients that name no host. Default none.
    pub certificates: Vec<CertificateConfig>,
    /// `tls.client_ca`: who may have issued certificates of clients (PEM); `None` asks for none.
    pub client_ca: Option<PathBuf>,
    /// `tls.client_certificates`: whether clients without one are turned away. Default yes.
    pub client_required: bool,
    /// `tls.redirect_browsers`: whether browsers that come by plain http are sent to https. Default no.
    pub redirect_browsers: bool,
}

/// One entry of `tls.certificates`: PEM files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateConfig {
    /// `certificate`: with those that lead to its root.
    pub certificate: PathBuf,
    /// `key`
    pub key: PathBuf,
}

/// `auth`: how people and machines show who they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthConfig {
    /// `auth.password`
    pub password: PasswordConfig,
    /// `auth.session`
    pub session: SessionConfig,
    /// `auth.snapshot_max_age`: how long known credentials are let in while the store can't be reached. Default 24 h.
    pub snapshot_max_age: Duration,
    /// `auth.issuers`: others whose JWTs are taken. Default none.
    pub issuers: Vec<IssuerConfig>,
    /// `auth.token_ttl`: how long a token is good that is made without saying so. Default 90 days.
    pub token_ttl: Duration,
    /// `auth.token_retention`: how long a token that was revoked or expired is still known, from 1 day. Default 90 days.
    pub token_retention: Duration,
}

/// `auth.password`: the work of hashing one (argon2id). Hashes with other parameters are made anew at the next log-in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PasswordConfig {
    /// `auth.password.memory`: bytes, 8 MiB to 1 GiB. Default 19 MiB.
    pub memory: u64,
    /// `auth.password.iterations`: 1 to 64. Default 2.
    pub iterations: usize,
    /// `auth.password.lanes`: 1 to 64. Default 1.
    pub lanes: usize,
}

/// `auth.session`: how long somebody who logged in stays so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionConfig {
    /// `auth.session.access_ttl`: an access token, which can't be revoked; 1 minute to 1 day. Default 15 min.
    pub access_ttl: Duration,
    /// `auth.session.refresh_ttl`: without logging in again; not shorter than `access_ttl`. Default 30 days.
    pub refresh_ttl: Duration,
    /// `auth.session.idle`: how long somebody stays signed in to the pages without using them. Default 8 h.
    pub idle: Duration,
    /// `auth.session.max_age`: how long at most; not shorter than `idle`. Default 7 days.
    pub max_age: Duration,
}

/// One entry of `auth.issuers`: somebody else whose JWTs are taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuerConfig {
    /// `issuer`: what `iss` must say, letter by letter; an https URL.
    pub issuer: String,
    /// `audience`: what `aud` must have.
    pub audience: String,
    /// `jwks_url`: its keys; `None` where the issuer's own description names them (OpenID Connect Discovery).
    pub jwks_url: Option<SafeUrl>,
    /// `user_claim`: which claim is the user's name. Default `sub`.
    pub user_claim: String,
    /// `groups_claim`: which claim is the names of the user's groups.
    pub groups_claim: Option<String>,
    /// `algorithms`: names of RFC 7518 and 8037, none of them symmetric; never empty. Default: all that are known.
    pub algorithms: Vec<&'static str>,
}

/// `notify`: who is told what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotifyConfig {
    /// `notify.smtp`; without it no mail is sent.
    pub smtp: Option<SmtpConfig>,
    /// `notify.webhooks`. Default none.
    pub webhooks: Vec<WebhookConfig>,
    /// `notify.mail`. Default none.
    pub mail: Vec<MailConfig>,
    /// `notify.tokens_before`: how long before its end a token's owner is told; 1 to 30 days. Default 7 days.
    pub tokens_before: Duration,
}

/// How the connection to the mail server is kept private.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SmtpTls {
    /// It must become TLS before anything is said.
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// Not at all.
    None,
}

/// `notify.smtp`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SmtpConfig {
    /// Where the section is written, for mistakes that show later.
    pub at: At,
    /// `host`
    pub host: String,
    /// `port`. Default 587, 465 for `tls`, 25 for `none`.
    pub port: u16,
    /// `tls`: `starttls`, `tls` or `none`. Default `starttls`.
    pub tls: SmtpTls,
    /// `from`: the sender's address.
    pub from: String,
    /// `username`
    pub username: Option<String>,
    /// What `password_file` or `password_env` name.
    pub password: Option<Secret<String>>,
    /// `ca_file`: certificates (PEM) trusted beside the usual ones; else those of `egress.ca_file`.
    pub ca_file: Option<PathBuf>,
}

/// One entry of `notify.webhooks`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebhookConfig {
    /// Where it is written.
    pub at: At,
    /// `url`; its path may be a secret.
    pub url: Secret<url::Url>,
    /// What `secret_file` or `secret_env` name: messages are signed with it.
    pub secret: Secret<String>,
    /// `events`; empty for all.
    pub events: Vec<&'static str>,
}

impl WebhookConfig {
    /// Scheme, host and port: what may be shown.
    #[must_use]
    pub fn place(&self) -> String {
        self.url.reveal().origin().ascii_serialization()
    }
}

/// One entry of `notify.mail`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MailConfig {
    /// Where it is written.
    pub at: At,
    /// `to`: never empty.
    pub to: Vec<String>,
    /// `events`; empty for all.
    pub events: Vec<&'static str>,
}

/// `audit`: what is written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuditConfig {
    /// `audit.retention`: how long, from 1 day. Default 400 days.
    pub retention: Duration,
    /// `audit.traffic_retention`: how long totals of traffic are kept, from 1 day. Default 400 days.
    pub traffic_retention: Duration,
    /// `audit.downloads`: whether it is kept who downloaded which file. Default yes.
    pub downloads: bool,
    /// `audit.denials_per_minute`: most refusals written down in a minute; the others are counted. Default 60.
    pub denials_per_minute: u64,
}

impl Config {
    /// The store where no MongoDB is named: `<data>/store.db`.
    #[must_use]
    pub fn store_file(&self) -> PathBuf {
        self.data.join("store.db")
    }

    /// The private socket of a running gate: `<data>/run/control.sock`.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.data.join("run").join("control.sock")
    }
}
