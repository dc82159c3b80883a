//! From the tree of all layers to the validated [`Config`].
//!
//! Belongs here: every key, its default and what it accepts. Does not: where values come from ([`super::layers`]).

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::layers::Sources;
use super::rules::{self, RulesDir};
use super::settings::{
    AccessTarget, CacheConfig, Config, Control, EgressConfig, KeepFree, Limits, LogConfig, LogFormat,
    PublicUrl, Setting, Storage, Timeouts, UploadConfig,
};
use super::values::{
    access, bounded_size, count, file, keep_free, level, listen, network, path, public_url, rules_dir,
    some_bytes,
};
use super::{auth, notify, store};
use crate::policy::network::Network;
use crate::policy::node::Value;
use crate::policy::read::{Fields, Located, choice, duration, list, positive_duration, size, url};
use crate::policy::units::{show_duration, show_size};
use crate::policy::{At, Mistake, Mistakes, Node, Rules};
use crate::secret::SafeUrl;

/// Keys of the top level; a variable named after one sets it.
pub(super) const TOP_LEVEL: &[&str] = &[
    "listen",
    "public_url",
    "data",
    "storage",
    "cache",
    "rules",
    "limits",
    "timeouts",
    "log",
    "egress",
    "control",
    "threads",
    "store",
    "security",
    "auth",
    "audit",
    "upload",
    "notify",
];

/// Keys of the language that this version does not have.
const LATER: &[&str] = &["tls", "trusted", "users"];

const FORMATS: &[(&str, LogFormat)] = &[("human", LogFormat::Human), ("json", LogFormat::Json)];
const PROXIES: &[&str] = &["http", "https", "socks5", "socks5h"];

/// Reads all layers.
///
/// # Errors
/// Every mistake in every layer, also in values that a later layer replaces.
pub fn load(sources: &Sources) -> Result<Config, Vec<Mistake>> {
    let (config, mistakes) = read_layers(sources);
    mistakes.or(())?;
    config.ok_or_else(Vec::new)
}

/// Reads all layers and the rules that they name.
///
/// # Errors
/// Every mistake in both: mistakes in one don't hide those in the other.
pub fn load_with_rules(sources: &Sources) -> Result<(Config, Rules), Vec<Mistake>> {
    let (config, mut mistakes) = read_layers(sources);
    let Some(config) = config else { return Err(mistakes.into_sorted()) };
    let rules = rules::load(&config.rules, &sources.machine()).map_err(|others| mistakes.extend(others)).ok();
    mistakes.or(())?;
    rules.map(|rules| (config, rules)).ok_or_else(Vec::new)
}

/// What can be understood, with defaults for the rest, and the mistakes.
fn read_layers(sources: &Sources) -> (Option<Config>, Mistakes) {
    let mut mistakes = Mistakes::new();
    let layers = sources.layers(&mut mistakes);
    for layer in &layers {
        let _one_alone = config(layer, sources, &mut mistakes);
    }
    let bottom = Node { at: At::outside("default"), value: Value::Null };
    let merged = layers.into_iter().fold(bottom, Node::overlaid);
    let config = config(&merged, sources, &mut mistakes);
    if let Some(config) = &config {
        check_together(config, &mut mistakes);
    }
    (config, mistakes)
}

/// Values that are right alone and wrong together.
fn check_together(config: &Config, mistakes: &mut Mistakes) {
    if config.data.as_os_str().is_empty() {
        let at = At::outside("configuration");
        mistakes.add_hint(&at, "there is no home directory to put `data` in", "set `data` or `--data DIR`");
    }
    if config.storage.packages == config.storage.cache {
        let at = At::outside("configuration");
        mistakes.add(&at, "`storage.packages` and `storage.cache` must be two directories");
    }
    store::check_together(config, mistakes);
    auth::check_together(config, mistakes);
    notify::check_together(config, mistakes);
    for (i, address) in config.listen.iter().enumerate() {
        if address.port() != 0 && config.listen[..i].contains(address) {
            let at = At::outside("configuration");
            mistakes.add(&at, format!("`listen` has `{address}` twice"));
        }
    }
}

/// Reads keys and remembers what is in force and why.
pub(super) struct Reader<'m> {
    pub(super) mistakes: &'m mut Mistakes,
    origins: Vec<Setting>,
}

impl Reader<'_> {
    /// The value behind `key` of `fields`, or the default. `full` is the key path.
    pub(super) fn take<T>(
        &mut self,
        fields: Option<&mut Fields<'_>>,
        full: &'static str,
        read: impl FnOnce(&Node, &str, &mut Mistakes) -> Option<T>,
        default: T,
        show: impl FnOnce(&T) -> String,
    ) -> T {
        let key = full.rsplit('.').next().unwrap_or(full);
        let found = fields.and_then(|fields| fields.read(key, self.mistakes, read));
        let (origin, value) =
            found.map_or_else(|| ("default".to_owned(), default), |f| (f.at.to_string(), f.value));
        self.origins.push(Setting { key: full, value: show(&value), origin });
        value
    }

    pub(super) fn section<'a>(&mut self, fields: &mut Fields<'a>, key: &'static str) -> Option<Fields<'a>> {
        fields.section(key, self.mistakes)
    }

    pub(super) fn finish(&mut self, fields: Option<Fields<'_>>) {
        if let Some(fields) = fields {
            fields.finish(self.mistakes);
        }
    }
}

fn config(tree: &Node, sources: &Sources, mistakes: &mut Mistakes) -> Option<Config> {
    let mut fields = Fields::open(tree, "", mistakes)?;
    fields.refuse_later(LATER, mistakes);
    let mut reader = Reader { mistakes, origins: Vec::new() };
    let (r, top) = (&mut reader, &mut fields);
    let listen = r.take(Some(top), "listen", listen, local(), |all| join(all));
    let show_public = |u: &Option<PublicUrl>| u.as_ref().map_or_else(String::new, |u| u.url.to_string());
    let public = |n: &Node, p: &str, m: &mut Mistakes| public_url(n, p, m).map(Some);
    let public_url = r.take(Some(top), "public_url", public, None, show_public);
    let data = r.take(Some(top), "data", path, default_data(sources).unwrap_or_default(), |p| show_path(p));
    let default_rules = RulesDir { path: sources.system.join("proxy-rules"), named: None };
    let rules = r.take(Some(top), "rules", rules_dir, default_rules, |dir| show_path(&dir.path));
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = r.take(Some(top), "threads", count(1, 1024), workers, ToString::to_string);
    let storage = storage(r, top, &data);
    let cache = cache(r, top);
    let limits = limits(r, top);
    let timeouts = timeouts(r, top);
    let log = log(r, top);
    let egress = egress(r, top);
    let control = control(r, top);
    let store = store::read(r, top, &sources.machine());
    let security = auth::security(r, top);
    let auth = auth::auth(r, top);
    let audit = auth::audit(r, top);
    let upload = upload(r, top);
    let notify = notify::read(r, top, &sources.machine());
    fields.finish(reader.mistakes);
    let mut origins = reader.origins;
    origins.sort_by_key(|setting| setting.key);
    Some(Config {
        listen,
        public_url,
        data,
        storage,
        cache,
        rules,
        limits,
        timeouts,
        log,
        egress,
        control,
        store,
        security,
        auth,
        audit,
        upload,
        notify,
        threads,
        origins,
    })
}

fn local() -> Vec<SocketAddr> {
    "127.0.0.1:8080".parse().into_iter().collect()
}

fn storage(r: &mut Reader<'_>, top: &mut Fields<'_>, data: &Path) -> Storage {
    let mut fields = r.section(top, "storage");
    let packages = r.take(fields.as_mut(), "storage.packages", path, data.join("packages"), |p| show_path(p));
    let cache = r.take(fields.as_mut(), "storage.cache", path, data.join("cache"), |p| show_path(p));
    r.finish(fields);
    Storage { packages, cache }
}

fn cache(r: &mut Reader<'_>, top: &mut Fields<'_>) -> CacheConfig {
    let mut fields = r.section(top, "cache");
    let show_free = |free: &KeepFree| match free {
        KeepFree::Percent(percent) => format!("{percent}%"),
        KeepFree::Bytes(bytes) => show_size(*bytes),
    };
    let cache = CacheConfig {
        size: r.take(fields.as_mut(), "cache.size", some_bytes, 50 << 30, |n| show_size(*n)),
        keep_free: r.take(fields.as_mut(), "cache.keep_free", keep_free, KeepFree::Percent(5), show_free),
        memory: r.take(fields.as_mut(), "cache.memory", size, 64 << 20, |n| show_size(*n)),
    };
    r.finish(fields);
    cache
}

fn upload(r: &mut Reader<'_>, top: &mut Fields<'_>) -> UploadConfig {
    let mut fields = r.section(top, "upload");
    let upload = UploadConfig {
        max_size: r.take(fields.as_mut(), "upload.max_size", some_bytes, 16 << 30, |n| show_size(*n)),
        at_once: r.take(fields.as_mut(), "upload.at_once", count(1, 10_000), 256, ToString::to_string),
        opened_at_once: r.take(
            fields.as_mut(),
            "upload.opened_at_once",
            count(1, 100),
            4,
            ToString::to_string,
        ),
        max_unpacked: r.take(fields.as_mut(), "upload.max_unpacked", some_bytes, 64 << 30, |n| show_size(*n)),
        max_ratio: r.take(fields.as_mut(), "upload.max_ratio", count(1, 1_000_000), 400, ToString::to_string),
        max_members: r.take(
            fields.as_mut(),
            "upload.max_members",
            count(10, 100_000_000),
            400_000,
            ToString::to_string,
        ),
    };
    r.finish(fields);
    upload
}

fn limits(r: &mut Reader<'_>, top: &mut Fields<'_>) -> Limits {
    let mut fields = r.section(top, "limits");
    let bytes = |n: &usize| show_size(*n as u64);
    let time = |t: &Duration| show_duration(*t);
    let seconds = Duration::from_secs;
    let limits = Limits {
        header_size: r.take(fields.as_mut(), "limits.header_size", bounded_size, 64 << 10, bytes),
        // The HTTP engine itself refuses more than 256.
        header_count: r.take(fields.as_mut(), "limits.header_count", count(1, 256), 200, ToString::to_string),
        url_length: r.take(fields.as_mut(), "limits.url_length", bounded_size, 8 << 10, bytes),
        header_timeout: r.take(
            fields.as_mut(),
            "limits.header_timeout",
            positive_duration,
            seconds(10),
            time,
        ),
        idle_timeout: r.take(fields.as_mut(), "limits.idle_timeout", positive_duration, seconds(60), time),
        send_timeout: r.take(fields.as_mut(), "limits.send_timeout", positive_duration, seconds(600), time),
        receive_timeout: r.take(
            fields.as_mut(),
            "limits.receive_timeout",
            positive_duration,
            seconds(60),
            time,
        ),
    };
    r.finish(fields);
    limits
}

fn timeouts(r: &mut Reader<'_>, top: &mut Fields<'_>) -> Timeouts {
    let mut fields = r.section(top, "timeouts");
    let stop =
        r.take(fields.as_mut(), "timeouts.stop", duration, Duration::from_secs(30), |t| show_duration(*t));
    r.finish(fields);
    Timeouts { stop }
}

fn log(r: &mut Reader<'_>, top: &mut Fields<'_>) -> LogConfig {
    let mut fields = r.section(top, "log");
    let show_format =
        |format: &LogFormat| if *format == LogFormat::Json { "json" } else { "human" }.to_owned();
    let show_access = |target: &AccessTarget| match target {
        AccessTarget::Off => "off".to_owned(),
        AccessTarget::Standard => "on".to_owned(),
        AccessTarget::File(path) => show_path(path),
    };
    let log = LogConfig {
        format: r.take(fields.as_mut(), "log.format", choice(FORMATS), LogFormat::Human, show_format),
        level: r.take(fields.as_mut(), "log.level", level, "info".to_owned(), Clone::clone),
        access: r.take(fields.as_mut(), "log.access", access, AccessTarget::Standard, show_access),
    };
    r.finish(fields);
    log
}

fn egress(r: &mut Reader<'_>, top: &mut Fields<'_>) -> EgressConfig {
    let mut fields = r.section(top, "egress");
    let proxy = |n: &Node, p: &str, m: &mut Mistakes| url(PROXIES)(n, p, m).map(Some);
    let show = |proxy: &Option<SafeUrl>| proxy.as_ref().map_or_else(String::new, ToString::to_string);
    let ca_file = |n: &Node, p: &str, m: &mut Mistakes| file(n, p, m).map(Some);
    let show_ca = |file: &Option<PathBuf>| file.as_deref().map_or_else(String::new, show_path);
    let egress = EgressConfig {
        proxy: r.take(fields.as_mut(), "egress.proxy", proxy, None, show),
        ca_file: r.take(fields.as_mut(), "egress.ca_file", ca_file, None, show_ca),
    };
    r.finish(fields);
    egress
}

fn control(r: &mut Reader<'_>, top: &mut Fields<'_>) -> Control {
    let mut fields = r.section(top, "control");
    let networks = |n: &Node, p: &str, m: &mut Mistakes| {
        let all: Vec<Located<Network>> = list(network)(n, p, m)?;
        Some(all.into_iter().map(|l| l.value).collect())
    };
    let allow = r.take(fields.as_mut(), "control.allow", networks, Vec::new(), |all| join(all));
    r.finish(fields);
    Control { allow }
}

fn default_data(sources: &Sources) -> Option<PathBuf> {
    let absolute = |name| sources.variables.get(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    Some(base?.join("condagate"))
}

pub(super) fn show_path(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

fn join<T: ToString>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
