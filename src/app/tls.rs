//! Certificates for clients: read at the start, again when they change, and shown to the eyes.
//!
//! Belongs here: wiring. Does not: what a certificate must be like (`proxy::tls`).

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::{Core, StartError, lines};
use crate::clock::{Clock as _, SystemClock, UnixMillis};
use crate::config::{self, Config};
use crate::http::date::rfc3339;
use crate::notify::{Event, Topic};
use crate::proxy::server::Stop;
use crate::proxy::tls::{CertificateFiles, ClientCertificates, Tls, TlsSettings};
use crate::telemetry::Eyes;
use crate::telemetry::health::CertificatesState;

/// How often certificates that nobody touches are looked at: they end by themselves.
const LOOK: Duration = Duration::from_hours(1);

/// Reads the certificates that the settings name; what is to be known about those that are right.
///
/// # Errors
/// Every certificate that can't be used, one a line.
pub fn check_certificates(config: &Config) -> Result<Vec<String>, String> {
    let Some(settings) = settings(config) else { return Ok(Vec::new()) };
    let tls = Tls::open(settings).map_err(|errors| lines(&errors))?;
    Ok(troubles(&tls, SystemClock.now()))
}

fn settings(config: &Config) -> Option<TlsSettings> {
    let tls = &config.tls;
    let pair = |pair: &config::CertificateConfig| CertificateFiles {
        certificate: pair.certificate.clone(),
        key: pair.key.clone(),
    };
    let clients = tls.client_ca.clone();
    let clients = clients.map(|issuers| ClientCertificates { issuers, required: tls.client_required });
    let certificates: Vec<_> = tls.certificates.iter().map(pair).collect();
    (!certificates.is_empty()).then_some(TlsSettings { certificates, clients })
}

fn troubles(tls: &Tls, now: UnixMillis) -> Vec<String> {
    tls.described().iter().filter_map(|one| one.trouble(now)).collect()
}

/// Reads them for a gate that starts.
pub(super) fn open(config: &Config, eyes: &Eyes, now: UnixMillis) -> Result<Option<Arc<Tls>>, StartError> {
    let Some(settings) = settings(config) else { return Ok(None) };
    let tls = Tls::open(settings).map_err(StartError::Tls)?;
    show(&tls, eyes, now);
    let mut told = Vec::new();
    tell(&mut told, troubles(&tls, now));
    Ok(Some(tls))
}

/// Tells the eyes which certificates are in use and what is to be known about them.
fn show(tls: &Tls, eyes: &Eyes, now: UnixMillis) {
    let described = tls.described();
    let name = |one: &crate::proxy::tls::Described| match one.names.first() {
        Some(name) => name.clone(),
        None => one.file.display().to_string(),
    };
    eyes.metrics.set_certificates(described.iter().map(|one| (name(one), one.ends.0 / 1000)));
    let troubles = troubles(tls, now);
    let is_right = troubles.is_empty();
    let state = if is_right { CertificatesState::Current } else { CertificatesState::Troubled(troubles) };
    eyes.health.set_certificates(state);
}

impl Core {
    /// Tells people of certificates that end soon or have ended: once for each of these, whichever gate looks first.
    fn tell_of_certificates(&self, tls: &Tls) {
        let now = self.clock.now();
        for one in tls.described() {
            let Some(trouble) = one.trouble(now) else { continue };
            let names = one.names.join(", ");
            let (until, is_over) = (rfc3339(one.ends), now >= one.ends);
            let state = if is_over { "has ended" } else { "ends soon" };
            let detail = json!({"names": one.names, "ends": until, "ended": is_over});
            let text = format!("It is for {names} and good until {until}: {trouble}.");
            self.tell(Event {
                once: Some(format!("{names} {until} {is_over}")),
                ..Event::new(
                    Topic::Certificate,
                    now,
                    format!("a certificate of the gate {state}"),
                    text,
                    detail,
                )
            });
        }
    }
}

/// Writes down what has not been `told` yet.
fn tell(told: &mut Vec<String>, troubles: Vec<String>) {
    for trouble in troubles.iter().filter(|trouble| !told.contains(trouble)) {
        tracing::warn!("{trouble}");
    }
    *told = troubles;
}

impl Core {
    /// Reads the certificates again.
    ///
    /// # Errors
    /// Every one that can't be used; all of the old ones stay.
    pub(super) async fn reload_certificates(&self) -> Result<(), String> {
        let Some(tls) = self.tls.clone() else { return Ok(()) };
        let (reading, before) = (Arc::clone(&tls), tls.described());
        let read = tokio::task::spawn_blocking(move || reading.reload()).await;
        let read = read.map_err(|_| "reading the certificates failed inside; see the log".to_owned())?;
        let Err(errors) = read else {
            show(&tls, &self.eyes, self.clock.now());
            if tls.described() != before {
                tracing::info!("new certificates are in use");
            }
            return Ok(());
        };
        let text = lines(&errors);
        tracing::error!(mistakes = %text, "certificates can't be used; the ones read before stay");
        let mut all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        all.extend(troubles(&tls, self.clock.now()));
        self.eyes.health.set_certificates(CertificatesState::Troubled(all));
        Err(format!("{text}\nthe certificates that were read before stay"))
    }

    /// Reads them when one of the files changes, and says when one is about to end.
    pub(super) fn watch_certificates(
        self: &Arc<Self>,
        runtime: &Handle,
        stop: Stop,
    ) -> Option<JoinHandle<()>> {
        let tls = self.tls.clone()?;
        let (due, mut changes) = mpsc::channel::<()>(1);
        let keeping = due.clone();
        let tell_of_change = move || {
            // Full means that they are read again anyway.
            let _due_anyway = due.try_send(());
        };
        let watch = config::watch::watch(tls.files(), tell_of_change);
        let guard = watch.inspect_err(|error| tracing::warn!("{error}")).ok();
        let this = Arc::clone(self);
        Some(runtime.spawn(async move {
            let _watching = (guard, keeping);
            let mut told = troubles(&tls, this.clock.now());
            this.tell_of_certificates(&tls);
            let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + LOOK, LOOK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    Some(()) = changes.recv() => {}
                    _ = ticks.tick() => {}
                    () = stop.requested() => return,
                }
                // The sentence is in the log already.
                let _kept = this.reload_certificates().await;
                tell(&mut told, troubles(&tls, this.clock.now()));
                this.tell_of_certificates(&tls);
            }
        }))
    }
}
