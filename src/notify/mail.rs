//! Telling a person: one mail, by SMTP.
//!
//! Belongs here: the letter, the connection to the mail server. Does not: who gets one (`notifier`).

use std::time::Duration;

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters, TlsParametersBuilder};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde::{Deserialize, Serialize};

use super::event::Event;
use super::settings::{SmtpSettings, SmtpTls};
use crate::jobs::{Failure, Kind};
use crate::store::model::Job;

pub(super) const KIND: &str = "notify.mail";
/// For the whole conversation about one letter.
const PATIENCE: Duration = Duration::from_mins(1);
/// Of what a server says, in bytes.
const LONGEST: usize = 300;

/// A mail to one reader.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Letter {
    /// Address.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

impl Letter {
    /// What an event says.
    #[must_use]
    pub fn of(event: &Event, to: &str, gate: &str) -> Self {
        let subject = format!("[condagate] {}", one_line(&event.title));
        let text = format!("{}\n\n-- \ncondagate at {gate}\n", event.text);
        Self { to: to.to_owned(), subject, text }
    }
}

/// Names come from outside; a line break in a header would begin another one.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A mail server to send by. Cheap to clone.
#[derive(Clone)]
pub struct Post {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Post {
    /// By these settings; nothing is connected yet.
    ///
    /// # Errors
    /// An address or a file of certificates that can't be used.
    pub fn new(settings: &SmtpSettings) -> Result<Self, String> {
        let from =
            settings.from.parse().map_err(|error| format!("the sender's address can't be used: {error}"))?;
        let tls = match settings.tls {
            SmtpTls::None => Tls::None,
            SmtpTls::StartTls => Tls::Required(parameters(settings)?),
            SmtpTls::Implicit => Tls::Wrapper(parameters(settings)?),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(tls)
            .timeout(Some(PATIENCE));
        if let Some((user, password)) = &settings.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.reveal().clone()));
        }
        Ok(Self { transport: builder.build(), from })
    }

    /// Sends a letter; the server has taken it when this returns.
    ///
    /// # Errors
    /// Whether it may be taken later.
    pub async fn send(&self, letter: &Letter) -> Result<(), Failure> {
        let never = |what: &str, why: String| Failure::Never(format!("{what}: {}", shortened(&why)));
        let to: Address =
            letter.to.parse().map_err(|_| Failure::Never("the address can't be used".to_owned()))?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(one_line(&letter.subject))
            // Nobody's holiday answers it.
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text.clone())
            .map_err(|error| never("the mail can't be written", error.to_string()))?;
        match tokio::time::timeout(PATIENCE, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.is_permanent() => {
                Err(never("the mail server refused it", error.to_string()))
            }
            Ok(Err(error)) => Err(Failure::Later(format!(
                "the mail server did not take it: {}",
                shortened(&error.to_string())
            ))),
            Err(_) => Err(Failure::Later("the mail server did not answer in time".to_owned())),
        }
    }
}

fn parameters(settings: &SmtpSettings) -> Result<TlsParameters, String> {
    let mut builder = TlsParametersBuilder::new(settings.host.clone());
    if let Some(file) = &settings.ca_file {
        let bad = |why: String| format!("the certificates in `{}` can't be used: {why}", file.display());
        let pem = std::fs::read(file).map_err(|error| bad(error.to_string()))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| bad(error.to_string()))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build_rustls().map_err(|error| format!("TLS to the mail server can't be set up: {error}"))
}

fn shortened(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    one_line(&text[..end])
}

/// `Auto-Submitted: auto-generated` (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl lettre::message::header::Header for AutoSubmitted {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        lettre::message::header::HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Sends letters.
pub struct MailJob {
    /// By whom.
    pub post: Post,
}

#[async_trait]
impl Kind for MailJob {
    fn name(&self) -> &'static str {
        KIND
    }

    async fn run(&self, job: &Job) -> Result<(), Failure> {
        let letter: Letter = serde_json::from_str(&job.input)
            .map_err(|_| Failure::Never("another version of condagate ordered it".to_owned()))?;
        self.post.send(&letter).await
    }
}
