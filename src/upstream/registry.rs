//! The upstreams by name, replaced as a whole when rules change.
//!
//! Belongs here: building, keeping what has not changed, all-or-nothing replacement. Does not: fetching (`fetch`), rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use tokio::sync::Semaphore;

use super::budget::RetryBudget;
use super::client;
use super::egress::{ProxyEnvironment, proxies};
use super::fetch::Upstream;
use super::health::Health;
use super::mirror::Mirror;
use super::post::Poster;
use super::settings::{Egress, SettingsError, UpstreamSettings};
use super::stats::{Stats, UpstreamSnapshot};
use crate::clock::SharedClock;

type Table = BTreeMap<String, Arc<Upstream>>;

/// All upstreams. Readers never wait for a replacement.
pub struct Upstreams {
    clock: SharedClock,
    egress: Egress,
    environment: ProxyEnvironment,
    pseudonym: Arc<str>,
    roots: OnceLock<RootCertStore>,
    table: ArcSwap<Table>,
}

impl Upstreams {
    /// None yet. The proxy variables are read here, once; mistakes in `egress` are told by [`set`](Self::set).
    #[must_use]
    pub fn new(clock: SharedClock, egress: Egress) -> Self {
        Self::with_environment(clock, egress, ProxyEnvironment::of_process())
    }

    pub(super) fn with_environment(
        clock: SharedClock,
        egress: Egress,
        environment: ProxyEnvironment,
    ) -> Self {
        let pseudonym = Arc::from(&*egress.via_pseudonym);
        let (roots, table) = (OnceLock::new(), ArcSwap::default());
        Self { clock, egress, environment, pseudonym, roots, table }
    }

    /// Replaces all upstreams, or none if there is any mistake; all mistakes are told at once.
    ///
    /// One whose settings are the same stays as it is, with its connections. A changed one keeps its counters, and the
    /// rest its mirrors asked for. CA files are read again only for what has changed. Fetches that run are not touched.
    ///
    /// # Errors
    /// Every mistake found.
    pub fn set(&self, all: Vec<UpstreamSettings>) -> Result<(), Vec<SettingsError>> {
        let old = self.table.load();
        let mut mistakes = self.egress_mistakes();
        let mut names = BTreeSet::new();
        let mut table = Table::new();
        for settings in all {
            if !names.insert(settings.name.clone()) {
                mistakes.push(SettingsError::Duplicate(settings.name));
                continue;
            }
            let before = old.get(&settings.name);
            if let Some(same) = before.filter(|before| before.settings == settings) {
                table.insert(settings.name, Arc::clone(same));
                continue;
            }
            match self.build(settings, before.map(|before| &**before)) {
                Ok(upstream) => drop(table.insert(upstream.settings.name.clone(), Arc::new(upstream))),
                Err(more) => mistakes.extend(more),
            }
        }
        // A wrong proxy variable is met by each upstream, and told once.
        let mut told = Vec::new();
        mistakes.retain(|m| {
            !told.contains(m) && {
                told.push(m.clone());
                true
            }
        });
        if mistakes.is_empty() {
            self.table.store(Arc::new(table));
            Ok(())
        } else {
            Err(mistakes)
        }
    }

    /// The upstream of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Upstream>> {
        self.table.load().get(name).cloned()
    }

    /// All of them now, by name.
    #[must_use]
    pub fn snapshot(&self) -> Vec<UpstreamSnapshot> {
        self.table.load().values().map(|upstream| upstream.snapshot()).collect()
    }

    fn egress_mistakes(&self) -> Vec<SettingsError> {
        let token = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        };
        let visible = |text: &str| !text.is_empty() && text.bytes().all(|b| (0x20..0x7f).contains(&b));
        let mut mistakes = Vec::new();
        if !token(&self.egress.via_pseudonym) {
            mistakes.push(SettingsError::BadName { what: "the gate's name in Via" });
        }
        if !visible(&self.egress.user_agent) {
            mistakes.push(SettingsError::BadName { what: "the user agent" });
        }
        mistakes
    }

    fn build(
        &self,
        settings: UpstreamSettings,
        before: Option<&Upstream>,
    ) -> Result<Upstream, Vec<SettingsError>> {
        let mut mistakes = number_mistakes(&settings);
        let mut keep = |result: Result<_, SettingsError>| result.map_err(|m| mistakes.push(m)).ok();
        let mirrors: Vec<_> = settings
            .urls
            .iter()
            .filter_map(|url| {
                let known = before.and_then(|b| b.mirrors.iter().find(|m| m.url == *url));
                let health = match known {
                    Some(mirror) => mirror.health.renewed(settings.health.clone()),
                    None => Health::new(Arc::clone(&self.clock), settings.health.clone()),
                };
                keep(Mirror::new(&settings, url, health)).map(Arc::new)
            })
            .collect();
        let client = self.client(&settings).map_err(|m| mistakes.push(m)).ok();
        let Some(client) = client.filter(|_| mistakes.is_empty()) else { return Err(mistakes) };
        Ok(Upstream {
            client,
            mirrors,
            places: Arc::new(Semaphore::new(settings.max_concurrent.min(Semaphore::MAX_PERMITS))),
            budget: RetryBudget::new(&settings.retry),
            stats: before.map_or_else(|| Arc::new(Stats::default()), |b| Arc::clone(&b.stats)),
            clock: Arc::clone(&self.clock),
            pseudonym: Arc::clone(&self.pseudonym),
            settings,
        })
    }

    /// What sends messages, by the settings for everything that goes out.
    ///
    /// # Errors
    /// A proxy or a file of certificates that can't be used.
    pub fn poster(&self) -> Result<Poster, SettingsError> {
        self.client(&UpstreamSettings::new("webhooks", Vec::new())).map(Poster)
    }

    fn client(&self, settings: &UpstreamSettings) -> Result<reqwest::Client, SettingsError> {
        let (choice, origin) = match &settings.proxy {
            Some(choice) => (choice, format!("`proxy` of upstream '{}'", settings.name)),
            None => (&self.egress.proxy, "the `proxy` setting".to_owned()),
        };
        let proxies = proxies(choice, &self.environment, &origin)?;
        let mut roots = self.roots.get_or_init(client::usual_roots).clone();
        for path in [&self.egress.ca_file, &settings.ca_file].into_iter().flatten() {
            client::add_file(&mut roots, path)?;
        }
        client::build(settings, &self.egress, roots, proxies)
    }
}

fn number_mistakes(settings: &UpstreamSettings) -> Vec<SettingsError> {
    let name = &settings.name;
    let mut mistakes = Vec::new();
    if settings.urls.is_empty() {
        mistakes.push(SettingsError::NoUrl(name.clone()));
    }
    let zero = [
        ("max_concurrent", settings.max_concurrent == 0),
        ("connect_timeout", settings.connect_timeout.is_zero()),
        ("first_byte_timeout", settings.first_byte_timeout.is_zero()),
        ("stall_timeout", settings.stall_timeout.is_zero()),
        ("health threshold", settings.health.threshold == 0),
    ];
    for (setting, _) in zero.into_iter().filter(|(_, is_zero)| *is_zero) {
        mistakes.push(SettingsError::Zero { name: name.clone(), setting });
    }
    mistakes
}
