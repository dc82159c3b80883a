//! From the configuration and the rules to each room's own settings.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::auth::jwt::ExternalIssuer;
use crate::auth::password::Argon2Settings;
use crate::cache::CacheSettings;
use crate::config::{AccessTarget, Config, IssuerConfig, KeepFree, LogConfig, LogFormat, ShareConfig};
use crate::delivery::DeliverySettings;
use crate::identity::{IdentitySettings, IssuerSettings};
use crate::policy::{Credentials, Rules, UpstreamRule};
use crate::proxy::front::FrontSettings;
use crate::proxy::head::HeadLimits;
use crate::proxy::{PressureSettings, Share, Shares, Transport};
use crate::store::mongo;
use crate::telemetry::access::{AccessError, AccessLog, Target};
use crate::telemetry::{Metrics, Slow, log};
use crate::trail::{Retention, TrailSettings};
use crate::upstream::{Credential, Egress, ProxyChoice, UpstreamSettings};

/// Changes an upstream's settings, for tests.
pub type UpstreamTuning = Arc<dyn Fn(&mut UpstreamSettings) + Send + Sync>;

/// This gate's name in `Via`: unlike any other gate's, and unlike its own of an earlier run.
pub(super) fn pseudonym() -> String {
    format!("condagate-{:012x}", random() & 0xffff_ffff_ffff)
}

/// For names and request ids; not for secrets.
pub(super) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // A fresh `RandomState` has fresh keys.
    std::hash::RandomState::new().build_hasher().finish()
}

pub(super) fn cache(config: &Config) -> CacheSettings {
    CacheSettings {
        size: config.cache.size,
        memory: config.cache.memory,
        keep_free: match config.cache.keep_free {
            KeepFree::Percent(percent) => crate::cache::KeepFree::Percent(percent),
            KeepFree::Bytes(bytes) => crate::cache::KeepFree::Bytes(bytes),
        },
        ..CacheSettings::new(&config.storage.packages)
    }
}

pub(super) fn delivery(config: &Config) -> DeliverySettings {
    DeliverySettings {
        traces_to_upstreams: config.telemetry.otlp.to_upstreams,
        ..DeliverySettings::default()
    }
}

pub(super) fn egress(config: &Config, pseudonym: &str) -> Egress {
    Egress {
        proxy: config.egress.proxy.clone().map_or(ProxyChoice::FromEnvironment, ProxyChoice::Url),
        ca_file: config.egress.ca_file.clone(),
        ..Egress::new(pseudonym)
    }
}

pub(super) fn upstreams(rules: &Rules, tune: Option<&UpstreamTuning>) -> Vec<UpstreamSettings> {
    let one = |rule: &Arc<UpstreamRule>| {
        let mut settings = upstream(rule);
        if let Some(tune) = tune {
            tune(&mut settings);
        }
        settings
    };
    rules.upstreams().iter().map(one).collect()
}

fn upstream(rule: &UpstreamRule) -> UpstreamSettings {
    let mut settings = UpstreamSettings::new(&rule.name, rule.urls.clone());
    settings.credentials = rule.credentials.clone().map(|credentials| match credentials {
        Credentials::TokenPath(token) => Credential::TokenPath(token),
        Credentials::Basic { user, password } => Credential::Basic { user, password },
        Credentials::Bearer(token) => Credential::Bearer(token),
    });
    settings.max_concurrent = rule.max_concurrent;
    settings.connect_timeout = rule.connect_timeout;
    settings.first_byte_timeout = rule.first_byte_timeout;
    settings.stall_timeout = rule.stall_timeout;
    settings.retry.rounds = rule.retries;
    settings.proxy = rule.proxy.clone().map(ProxyChoice::Url);
    settings.ca_file.clone_from(&rule.ca_file);
    settings.resolve.clone_from(&rule.resolve);
    settings
}

pub(super) fn front(config: &Config) -> FrontSettings {
    FrontSettings {
        limits: HeadLimits {
            max_bytes: config.limits.header_size,
            max_headers: config.limits.header_count,
            max_url: config.limits.url_length,
        },
        header_timeout: config.limits.header_timeout,
        idle_timeout: config.limits.idle_timeout,
        write_stall: config.limits.send_timeout,
        announced_by: if config.security.proxy_protocol {
            config.security.trusted_proxies.clone()
        } else {
            Vec::new()
        },
        ..FrontSettings::default()
    }
}

pub(super) fn pressure(config: &Config) -> PressureSettings {
    PressureSettings {
        connections: config.limits.connections,
        requests: config.limits.requests,
        descriptors: u8::try_from(config.limits.open_files).unwrap_or(u8::MAX),
        memory: u8::try_from(config.limits.memory).unwrap_or(u8::MAX),
    }
}

pub(super) fn shares(config: &Config) -> Shares {
    let number = |n: usize| NonZeroU32::new(u32::try_from(n).unwrap_or(u32::MAX));
    let share = |share: &ShareConfig| Share {
        rate: number(share.rate),
        burst: number(share.burst),
        at_once: number(share.at_once),
    };
    Shares { address: share(&config.limits.address), user: share(&config.limits.user) }
}

/// The work of hashing a password.
pub(crate) fn argon2(config: &Config) -> Argon2Settings {
    let password = &config.auth.password;
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Argon2Settings {
        memory_kib: small(password.memory >> 10),
        iterations: password.iterations.try_into().unwrap_or(u32::MAX),
        lanes: password.lanes.try_into().unwrap_or(u32::MAX),
    }
}

/// How to reach MongoDB; `None` for the SQLite file.
pub(crate) fn mongodb(config: &Config) -> Option<mongo::Settings> {
    let mongodb = config.store.as_ref()?;
    Some(mongo::Settings {
        uri: mongodb.uri.clone(),
        database: mongodb.database.clone(),
        queue_database: mongodb.queue_database.clone(),
        ca_file: mongodb.ca_file.clone(),
    })
}

pub(super) fn trail(config: &Config) -> TrailSettings {
    TrailSettings {
        downloads: config.audit.downloads,
        denials_per_minute: u32::try_from(config.audit.denials_per_minute).unwrap_or(u32::MAX),
    }
}

pub(super) fn retention(config: &Config) -> Retention {
    let audit = &config.audit;
    Retention {
        events: audit.retention,
        traffic: audit.traffic_retention,
        tokens: config.auth.token_retention,
    }
}

pub(super) fn transport(config: &Config) -> Transport {
    Transport {
        allow_plaintext: config.security.allow_plaintext,
        trusted_proxies: config.security.trusted_proxies.clone(),
    }
}

/// The gate names itself in access tokens as clients reach it.
pub(super) fn identity(config: &Config) -> IdentitySettings {
    let public = config
        .public_url
        .as_ref()
        .map(|public| public.url.reveal().as_str().trim_end_matches('/').to_owned());
    IdentitySettings {
        issuer: public.unwrap_or_else(|| "condagate".to_owned()),
        access_ttl: config.auth.session.access_ttl,
        refresh_ttl: config.auth.session.refresh_ttl,
        idle: config.auth.session.idle,
        max_age: config.auth.session.max_age,
        issuers: config.auth.issuers.iter().map(issuer).collect(),
    }
}

fn issuer(config: &IssuerConfig) -> IssuerSettings {
    let known = config.algorithms.iter().filter_map(|name| name.parse().ok());
    IssuerSettings {
        rules: ExternalIssuer {
            issuer: config.issuer.clone(),
            audience: vec![config.audience.clone()],
            algorithms: known.collect(),
            user_claim: config.user_claim.clone(),
            groups_claim: config.groups_claim.clone(),
        },
        jwks_url: config.jwks_url.clone(),
    }
}

pub(super) fn log_format(format: LogFormat) -> log::Format {
    match format {
        LogFormat::Human => log::Format::Human,
        LogFormat::Json => log::Format::Json,
    }
}

pub(super) const fn slow(config: &LogConfig) -> Slow {
    Slow { request: config.slow_request, fill: config.slow_fill }
}

pub(super) fn access_log(config: &LogConfig, metrics: &Metrics) -> Result<AccessLog, AccessError> {
    let target = match &config.access {
        AccessTarget::Off => return Ok(AccessLog::off()),
        AccessTarget::Standard => Target::Stdout,
        AccessTarget::File(path) => Target::File(path.clone()),
    };
    AccessLog::open(&target, log_format(config.format), metrics.access_lines_lost.clone())
}
