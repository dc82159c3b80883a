//! Notifications: what people and programs elsewhere are told, by mail and by webhook.
//!
//! Who tells of something orders one job for each receiver (`jobs`), so a receiver that is away gets it later, and one that fails is tried
//! again without the others. A job names its receiver by a digest; addresses with secrets in them, keys and passwords stay in the settings.
//!
//! | part | what it knows |
//! |---|---|
//! | `event` | what can be told |
//! | `settings` | who wants to hear what |
//! | `notifier` | from an event to orders |
//! | `webhook` `mail` | sending one |
//! | `tokens` | tokens that end soon |
//! | `sealed` | letters with a secret in them |
//!
//! Belongs here: all of that. Does not: noticing what happens (whoever does it tells), the HTTP client (`upstream`), retries (`jobs`).

mod event;
mod mail;
mod notifier;
mod sealed;
mod settings;
mod tokens;
mod webhook;

pub use event::{Event, Topic};
pub use mail::{Letter, MailJob, Post};
pub use notifier::{Notifier, Senders, Sent};
pub use sealed::{SealedJob, Write};
pub use settings::{MailList, NotifySettings, SmtpSettings, SmtpTls, Webhook};
pub use tokens::TokensJob;
pub use webhook::WebhookJob;
