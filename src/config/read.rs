//! From the tree of all layers to the validated [`Config`].
//!
//! Belongs here: which key becomes which setting, and what it accepts. Does not: names and defaults of keys ([`super::keys`]), where
//! values come from ([`super::layers`]).

use std::num::NonZero;
use std::path::{Path, PathBuf};

use super::keys;
use super::layers::Sources;
use super::outside::Machine;
use super::reader::{Reader, range};
use super::rules::{self, RulesDir};
use super::settings::{
    AccessTarget, CacheConfig, Config, Control, EgressConfig, KeepFree, Limits, LogConfig, LogFormat,
    ShareConfig, Storage, Timeouts, UploadConfig,
};
use super::values::{
    access, bounded_size, file, keep_free, level, listen, networks, path, public_url, rules_dir, some_bytes,
};
use super::{auth, notify, secrets, store, telemetry, tls};
use crate::policy::node::Value;
use crate::policy::read::{Fields, choice, duration, positive_duration, size, url};
use crate::policy::units::show_size;
use crate::policy::{At, Mistake, Mistakes, Node, Rules};
use crate::secret::SafeUrl;

/// Keys of the language that this version does not have.
const LATER: &[&str] = &["trusted", "users"];

const FORMATS: &[(&str, LogFormat)] = &[("human", LogFormat::Human), ("json", LogFormat::Json)];

/// Reads all layers.
///
/// # Errors
/// Every mistake in every layer, also in values that a later layer replaces.
pub fn load(sources: &Sources) -> Result<Config, Vec<Mistake>> {
    let machine = sources.machine();
    let (config, mistakes) = read_layers(sources, &machine);
    mistakes.or(())?;
    let mut config = config.ok_or_else(Vec::new)?;
    config.notes = machine.notes();
    Ok(config)
}

/// Reads all layers and the rules that they name.
///
/// # Errors
/// Every mistake in both: mistakes in one don't hide those in the other.
pub fn load_with_rules(sources: &Sources) -> Result<(Config, Rules), Vec<Mistake>> {
    load_on(sources, &sources.machine())
}

/// The same as if `file` said `text`; one that is no layer yet becomes the last.
///
/// # Errors
/// As [`load_with_rules`].
pub fn load_as_if(sources: &Sources, file: &Path, text: String) -> Result<(Config, Rules), Vec<Mistake>> {
    let mut sources = sources.clone();
    if !sources.files().is_ok_and(|files| files.iter().any(|layer| layer == file)) {
        sources.flags.config.push(file.to_owned());
    }
    let machine = sources.machine().as_if(file, text);
    load_on(&sources, &machine)
}

fn load_on(sources: &Sources, machine: &Machine) -> Result<(Config, Rules), Vec<Mistake>> {
    let (config, mut mistakes) = read_layers(sources, machine);
    let Some(mut config) = config else { return Err(mistakes.into_sorted()) };
    let rules = rules::load(&config.rules, machine).map_err(|others| mistakes.extend(others)).ok();
    mistakes.or(())?;
    config.notes = machine.notes();
    rules.map(|rules| (config, rules)).ok_or_else(Vec::new)
}

/// What can be understood, with defaults for the rest, and the mistakes.
fn read_layers(sources: &Sources, machine: &Machine) -> (Option<Config>, Mistakes) {
    let mut mistakes = Mistakes::new();
    let layers = sources.layers(machine, &mut mistakes);
    for layer in &layers {
        let _one_alone = config(layer, sources, machine, &mut mistakes);
    }
    let bottom = Node { at: At::outside("default"), value: Value::Null };
    let merged = layers.into_iter().fold(bottom, Node::overlaid);
    let config = config(&merged, sources, machine, &mut mistakes);
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
    tls::check_together(config, mistakes);
    for (i, address) in config.listen.iter().enumerate() {
        if address.port() != 0 && config.listen[..i].contains(address) {
            let at = At::outside("configuration");
            mistakes.add(&at, format!("`listen` has `{address}` twice"));
        }
    }
}

fn config(tree: &Node, sources: &Sources, machine: &Machine, mistakes: &mut Mistakes) -> Option<Config> {
    let mut fields = Fields::open(tree, "", mistakes)?;
    fields.refuse_later(LATER, mistakes);
    let mut reader = Reader::new(mistakes);
    let r = &mut reader;
    let top = &mut fields;
    let listen = r.value(Some(top), "listen", listen, |all| join(all));
    let public_url = r.optional(Some(top), "public_url", public_url, |u| u.url.to_string());
    let data = r.take(Some(top), "data", path, default_data(sources).unwrap_or_default(), |p| show_path(p));
    let default_rules = RulesDir { path: sources.system.join("proxy-rules"), named: None };
    let rules = r.take(Some(top), "rules", rules_dir, default_rules, |dir| show_path(&dir.path));
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = r.take(Some(top), "threads", range("threads"), workers, ToString::to_string);
    let storage = storage(r, top, &data);
    let cache = cache(r, top);
    let limits = limits(r, top);
    let timeouts = timeouts(r, top);
    let log = log(r, top);
    let egress = egress(r, top, machine);
    let control = control(r, top);
    let store = store::read(r, top, machine);
    let security = auth::security(r, top);
    let auth = auth::auth(r, top);
    let (audit, upload, tls) = (auth::audit(r, top), upload(r, top), tls::read(r, top));
    let (notify, telemetry) = (notify::read(r, top, machine), telemetry::read(r, top, machine));
    let origins = reader.into_origins();
    fields.finish(mistakes);
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
        telemetry,
        store,
        security,
        auth,
        audit,
        upload,
        notify,
        tls,
        threads,
        origins,
        notes: Vec::new(),
    })
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
        size: r.bytes(fields.as_mut(), "cache.size", some_bytes),
        keep_free: r.value(fields.as_mut(), "cache.keep_free", keep_free, show_free),
        memory: r.bytes(fields.as_mut(), "cache.memory", size),
    };
    r.finish(fields);
    cache
}

fn upload(r: &mut Reader<'_>, top: &mut Fields<'_>) -> UploadConfig {
    let mut fields = r.section(top, "upload");
    let upload = UploadConfig {
        max_size: r.bytes(fields.as_mut(), "upload.max_size", some_bytes),
        at_once: r.number(fields.as_mut(), "upload.at_once"),
        opened_at_once: r.number(fields.as_mut(), "upload.opened_at_once"),
        max_unpacked: r.bytes(fields.as_mut(), "upload.max_unpacked", some_bytes),
        max_ratio: r.number(fields.as_mut(), "upload.max_ratio"),
        max_members: r.number(fields.as_mut(), "upload.max_members"),
    };
    r.finish(fields);
    upload
}

fn limits(r: &mut Reader<'_>, top: &mut Fields<'_>) -> Limits {
    let mut fields = r.section(top, "limits");
    let bytes = |n: &usize| show_size(*n as u64);
    let limits = Limits {
        header_size: r.value(fields.as_mut(), "limits.header_size", bounded_size, bytes),
        // The HTTP engine itself refuses more than 256.
        header_count: r.number(fields.as_mut(), "limits.header_count"),
        url_length: r.value(fields.as_mut(), "limits.url_length", bounded_size, bytes),
        header_timeout: r.time(fields.as_mut(), "limits.header_timeout", positive_duration),
        idle_timeout: r.time(fields.as_mut(), "limits.idle_timeout", positive_duration),
        send_timeout: r.time(fields.as_mut(), "limits.send_timeout", positive_duration),
        receive_timeout: r.time(fields.as_mut(), "limits.receive_timeout", positive_duration),
        connections: r.number(fields.as_mut(), "limits.connections"),
        requests: r.number(fields.as_mut(), "limits.requests"),
        open_files: r.number(fields.as_mut(), "limits.open_files"),
        memory: r.number(fields.as_mut(), "limits.memory"),
        address: ShareConfig {
            rate: r.number(fields.as_mut(), "limits.address_rate"),
            burst: r.number(fields.as_mut(), "limits.address_burst"),
            at_once: r.number(fields.as_mut(), "limits.address_at_once"),
        },
        user: ShareConfig {
            rate: r.number(fields.as_mut(), "limits.user_rate"),
            burst: r.number(fields.as_mut(), "limits.user_burst"),
            at_once: r.number(fields.as_mut(), "limits.user_at_once"),
        },
    };
    r.finish(fields);
    limits
}

fn timeouts(r: &mut Reader<'_>, top: &mut Fields<'_>) -> Timeouts {
    let mut fields = r.section(top, "timeouts");
    let stop = r.time(fields.as_mut(), "timeouts.stop", duration);
    let upgrade = r.time(fields.as_mut(), "timeouts.upgrade", duration);
    r.finish(fields);
    Timeouts { stop, upgrade }
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
        format: r.value(fields.as_mut(), "log.format", choice(FORMATS), show_format),
        level: r.value(fields.as_mut(), "log.level", level, Clone::clone),
        access: r.value(fields.as_mut(), "log.access", access, show_access),
        slow_request: r.time(fields.as_mut(), "log.slow_request", duration),
        slow_fill: r.time(fields.as_mut(), "log.slow_fill", duration),
    };
    r.finish(fields);
    log
}

fn egress(r: &mut Reader<'_>, top: &mut Fields<'_>, machine: &Machine) -> EgressConfig {
    let mut fields = r.section(top, "egress");
    let ways = secrets::Ways {
        section: "egress",
        keys: ["egress.proxy", "egress.proxy_file", "egress.proxy_env"],
        what: "to reach the proxy",
    };
    let proxy = |text: &str, n: &Node, p: &str, m: &mut Mistakes| {
        url(keys::PROXIES)(&Node::scalar(n.at.clone(), text), p, m)
    };
    let egress = EgressConfig {
        proxy: secrets::read(r, fields.as_mut(), &ways, machine, proxy, SafeUrl::to_string),
        ca_file: r.optional(fields.as_mut(), "egress.ca_file", file, |file| show_path(file)),
    };
    r.finish(fields);
    egress
}

fn control(r: &mut Reader<'_>, top: &mut Fields<'_>) -> Control {
    let mut fields = r.section(top, "control");
    let allow = r.value(fields.as_mut(), "control.allow", networks, |all| join(all));
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

pub(super) fn join<T: ToString>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
