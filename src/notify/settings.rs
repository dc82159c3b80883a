//! Who wants to hear what.

use std::path::PathBuf;
use std::time::Duration;

use super::event::Topic;
use crate::conda::digest::Sha256;
use crate::secret::Secret;

/// Everything about notifications.
#[derive(Clone, Debug, Default)]
pub struct NotifySettings {
    /// How this gate calls itself: the address that people use.
    pub gate: String,
    /// Who carries mail; without it none is sent.
    pub smtp: Option<SmtpSettings>,
    /// Programs that are told.
    pub webhooks: Vec<Webhook>,
    /// People who are told.
    pub mail: Vec<MailList>,
    /// How long before its end a token's owner is told.
    pub tokens_before: Duration,
}

/// How the connection to the mail server is kept private.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SmtpTls {
    /// It begins in the clear and must become TLS before anything is said.
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// Not at all.
    None,
}

/// A mail server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SmtpSettings {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept private.
    pub tls: SmtpTls,
    /// Who sends.
    pub from: String,
    /// The gate's account there.
    pub login: Option<(String, Secret<String>)>,
    /// Certificates (PEM) trusted beside the usual ones.
    pub ca_file: Option<PathBuf>,
}

/// A program that is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Webhook {
    /// Where; its path may be a secret.
    pub url: Secret<url::Url>,
    /// What messages are signed with.
    pub secret: Secret<String>,
    /// What about; empty for everything.
    pub events: Vec<Topic>,
}

impl Webhook {
    /// Scheme, host and port: what may be shown.
    #[must_use]
    pub fn place(&self) -> String {
        self.url.reveal().origin().ascii_serialization()
    }

    /// Names it where its address must not stand.
    #[must_use]
    pub fn key(&self) -> String {
        Sha256::of(self.url.reveal().as_str().as_bytes()).to_hex()[..16].to_owned()
    }
}

/// People who are told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MailList {
    /// Their addresses.
    pub to: Vec<String>,
    /// What about; empty for everything.
    pub events: Vec<Topic>,
}

pub(super) fn wants(events: &[Topic], topic: Topic) -> bool {
    events.is_empty() || events.contains(&topic) || topic == Topic::Test
}
