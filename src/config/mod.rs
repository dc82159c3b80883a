//! Configuration: what a gate is told, from files, variables and flags, and the loading of rules.
//!
//! Layers ([`layers`]) become one tree that knows where every value was written, the tree becomes a validated
//! [`Config`] ([`read`]) or every mistake at once. Only `app` and `cli` see a [`Config`]; rooms get small settings.
//!
//! Belongs here: YAML, the environment, the watch on files. Does not: what rules mean (`policy`), applying a reload
//! (`app`).

mod auth;
pub mod edit;
pub mod keys;
pub mod layers;
mod notify;
pub mod outside;
pub mod read;
mod reader;
pub mod rules;
pub mod schema;
mod secrets;
pub mod settings;
mod store;
mod telemetry;
pub mod template;
mod tls;
mod values;
pub mod watch;
pub mod yaml;

#[cfg(test)]
mod tests;

pub use layers::{Flags, Sources};
pub use notify::EVENTS as NOTIFY_EVENTS;
pub use outside::{Machine, Variables};
pub use read::{load, load_as_if, load_with_rules};
pub use rules::RulesDir;
pub use settings::{
    AccessTarget, AuditConfig, AuthConfig, CacheConfig, CertificateConfig, Config, Control, EgressConfig,
    IssuerConfig, KeepFree, Limits, LogConfig, LogFormat, MailConfig, MongodbConfig, NotifyConfig,
    OtlpConfig, PasswordConfig, PublicUrl, SecurityConfig, SessionConfig, Setting, ShareConfig, SmtpConfig,
    SmtpTls, Storage, TelemetryConfig, Timeouts, TlsConfig, UploadConfig, WebhookConfig,
};
