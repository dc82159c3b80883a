//! Uploads that were announced and are not finished.
//!
//! The bytes of an upload come without a credential, so the announcement's answer has a secret that is good for them: once, for an hour,
//! for this file of this user. Only its digest is kept. What was announced, and bytes that are here whole, are on disk too, so that a gate
//! that restarts goes on with them; parts of a file, and what was said of a finished one, are in memory only.
//!
//! Belongs here: what is kept of one and how long. Does not: requests.

mod told;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use axum::body::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{OnceCell, mpsc};
use tokio::task::JoinHandle;

pub(in crate::api) use told::Told;

use super::stage_note::Note;
use super::talk::{Sent, Talk};
use crate::auth::token;
use crate::channel::{HostError, Hosting, Published, Received};
use crate::clock::{SharedClock, UnixMillis};
use crate::conda::digest::{Expected, Sha256};
use crate::conda::url::dialect::Dist;
use crate::secret::Secret;

/// How long an announced upload waits for its bytes, and its bytes for the end.
const LIFE: Duration = Duration::from_hours(1);
/// How many there may be of one user, and of all.
const OF_ONE: usize = 200;
const OF_ALL: usize = 4000;

/// See the module's description. Cheap to clone.
#[derive(Clone)]
pub struct Stages {
    all: Arc<Mutex<AHashMap<String, Stage>>>,
    recalled: Arc<OnceCell<()>>,
    clock: SharedClock,
}

struct Stage {
    secret: Sha256,
    until: UnixMillis,
    what: Announced,
    step: Step,
}

/// What was announced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Announced {
    /// Whose it is, as audit events name users.
    pub(super) actor: String,
    pub(super) dist: Dist,
    pub(super) labels: Vec<String>,
    pub(super) expected: Expected,
}

/// How far it is.
enum Step {
    Announced,
    Arriving,
    /// Some parts are here; more are to come.
    InParts(Assembly),
    Arrived(Received),
    /// Before this gate started; the bytes are on disk.
    OnDisk,
    /// And this was said of it.
    Finished(Value),
}

/// What finishing finds.
pub(super) enum Found {
    /// The file.
    Arrived(Announced, Received),
    /// It was finished before.
    Finished(Value),
}

/// A file that comes in parts: they are received as one body.
pub(super) struct Assembly {
    /// The number of the next part.
    next: u32,
    /// Bytes of those before.
    here: u64,
    /// Nothing for the end. Dropped without that, the body is broken off.
    pieces: mpsc::Sender<Option<Bytes>>,
    receiving: JoinHandle<Result<Received, HostError>>,
}

/// Somebody is sending the bytes; dropped without an end, they can be sent again.
pub(super) struct Arriving<'a> {
    stages: &'a Stages,
    id: String,
    pub(super) what: Announced,
}

impl Stages {
    /// None yet; those that were announced before are read when they are first asked for.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self { all: Arc::default(), recalled: Arc::default(), clock }
    }

    /// Whether what was announced before this gate started is known again. Asks the disk once.
    pub(in crate::api) async fn is_recalled(&self, hosting: &Hosting) -> bool {
        self.recalled.get_or_try_init(|| self.recall(hosting)).await.is_ok()
    }

    async fn recall(&self, hosting: &Hosting) -> Result<(), HostError> {
        let now = self.clock.now();
        for (id, text) in hosting.staged().await? {
            let note = serde_json::from_str::<Note>(&text).ok();
            let read = note.and_then(|note| Some((note.arrived, note.read()?)));
            let Some((arrived, (secret, until, what))) = read.filter(|(_, (_, until, _))| *until > now)
            else {
                hosting.unstage(&id).await;
                continue;
            };
            let step = if arrived { Step::OnDisk } else { Step::Announced };
            self.all.lock().entry(id).or_insert(Stage { secret, until, what, step });
        }
        Ok(())
    }

    /// A new one: its id, and the secret that its bytes come with.
    pub(super) async fn announce(
        &self,
        hosting: &Hosting,
        what: Announced,
    ) -> Result<(String, Secret<String>), HostError> {
        let secret = token::mint().secret;
        let (digest, id) = (token::hash_of(secret.reveal()), token::new_id());
        let until = self.clock.now().plus(LIFE);
        let note = Note::new(&digest, until, &what, false).text();
        for over in self.enter(id.clone(), Stage { secret: digest, until, what, step: Step::Announced })? {
            hosting.unstage(&over).await;
        }
        if let Err(error) = hosting.note_staged(&id, note).await {
            tracing::warn!(%error, "an announced upload can't be written down; it goes on unless this gate restarts");
        }
        Ok((id, secret))
    }

    /// Adds one; gives those whose time is over.
    fn enter(&self, id: String, stage: Stage) -> Result<Vec<String>, HostError> {
        let (now, what) = (self.clock.now(), &stage.what);
        let mut all = self.all.lock();
        let over = all.extract_if(|_, stage| stage.until <= now).map(|(id, _)| id).collect();
        let waiting = all.values().filter(|stage| stage.what.actor == what.actor).count();
        if waiting >= OF_ONE || all.len() >= OF_ALL {
            return Err(HostError::Busy(format!(
                "{waiting} uploads of yours are announced and not finished; finish them, or wait an hour"
            )));
        }
        all.insert(id, stage);
        Ok(over)
    }

    /// Whoever has the secret may send the bytes, if nobody has or does.
    pub(super) fn arrive(&self, id: &str, secret: &str) -> Result<Arriving<'_>, HostError> {
        let now = self.clock.now();
        let mut all = self.all.lock();
        // Digests are compared, so the time it takes says nothing of the secret.
        let stage =
            all.get_mut(id).filter(|stage| stage.until > now && stage.secret == token::hash_of(secret));
        let stage = stage.ok_or_else(|| {
            HostError::Forbidden(
                "no upload is announced with this `key` and `secret`, or its hour is over; announce it again"
                    .to_owned(),
            )
        })?;
        if !matches!(stage.step, Step::Announced) {
            return Err(HostError::Conflict("the bytes of this upload are here, or on their way".to_owned()));
        }
        stage.step = Step::Arriving;
        Ok(Arriving { stages: self, id: id.to_owned(), what: stage.what.clone() })
    }

    /// Whoever announced it sends a part of it; they come in order, from 0 or 1.
    pub(super) fn part(
        &self,
        hosting: &Hosting,
        (id, actor): (&str, &str),
        number: u32,
    ) -> Result<(Arriving<'_>, Assembly), HostError> {
        let now = self.clock.now();
        let mut all = self.all.lock();
        let stage = all.get_mut(id).filter(|stage| stage.until > now && stage.what.actor == actor);
        let stage = stage.ok_or_else(unknown)?;
        let assembly = match std::mem::replace(&mut stage.step, Step::Arriving) {
            Step::Announced if number <= 1 => Assembly::new(hosting, number),
            Step::InParts(assembly) if number == assembly.next => assembly,
            other => {
                stage.step = other;
                return Err(HostError::Conflict(format!(
                    "part {number} is not the next one; send them in order, once each"
                )));
            }
        };
        Ok((Arriving { stages: self, id: id.to_owned(), what: stage.what.clone() }, assembly))
    }

    /// All parts of it, for whoever announced it.
    pub(super) fn all_parts(&self, id: &str, actor: &str) -> Result<(Arriving<'_>, Assembly), HostError> {
        let mut all = self.all.lock();
        let stage = all.get_mut(id).filter(|stage| stage.what.actor == actor).ok_or_else(unknown)?;
        match std::mem::replace(&mut stage.step, Step::Arriving) {
            Step::InParts(assembly) => {
                Ok((Arriving { stages: self, id: id.to_owned(), what: stage.what.clone() }, assembly))
            }
            other => {
                stage.step = other;
                Err(HostError::Conflict("no parts of this upload are here".to_owned()))
            }
        }
    }

    /// What there is to finish; it stays until [`Stages::finished`].
    pub(super) async fn finish(
        &self,
        hosting: &Hosting,
        (id, actor): (&str, &str),
        is_meant: impl Fn(&Dist) -> bool,
    ) -> Result<Found, HostError> {
        let what = match self.in_memory(id, actor, is_meant)? {
            Ok(found) => return Ok(found),
            Err(what) => what,
        };
        let Some(received) = hosting.staged_file(id).await? else {
            return Err(HostError::Conflict(
                "the bytes of this upload are gone; announce it again".to_owned(),
            ));
        };
        // The disk may have changed it.
        received.check(&what.expected)?;
        Ok(Found::Arrived(what, received))
    }

    /// The same; what was announced, where the bytes are still to be read from the disk.
    fn in_memory(
        &self,
        id: &str,
        actor: &str,
        is_meant: impl Fn(&Dist) -> bool,
    ) -> Result<Result<Found, Announced>, HostError> {
        let now = self.clock.now();
        let all = self.all.lock();
        let stage = all
            .get(id)
            .filter(|stage| stage.until > now && stage.what.actor == actor && is_meant(&stage.what.dist));
        match stage.map(|stage| (&stage.step, &stage.what)) {
            Some((Step::Arrived(received), what)) => Ok(Ok(Found::Arrived(what.clone(), received.clone()))),
            Some((Step::OnDisk, what)) => Ok(Err(what.clone())),
            Some((Step::Finished(said), _)) => Ok(Ok(Found::Finished(said.clone()))),
            Some(_) => Err(HostError::Conflict("the bytes of this upload have not arrived".to_owned())),
            None => Err(HostError::NotFound(
                "no upload of this file was announced with this `dist_id`, or its hour is over; announce it again".to_owned(),
            )),
        }
    }

    /// Publishes what arrived. What can't be published as it is, is forgotten; otherwise it may be tried again with the same bytes.
    pub(super) async fn publish(
        &self,
        id: &str,
        talk: &Talk<'_>,
        sent: Sent<'_>,
        received: Received,
    ) -> Result<Published, HostError> {
        let published = talk.hosting.publish(talk.visitor, sent.upload(None), received).await;
        let passing = |error: &HostError| {
            matches!(error, HostError::Busy(_) | HostError::Unavailable(_) | HostError::NoSpace(_))
        };
        if published.as_ref().is_err_and(|error| !passing(error)) {
            self.all.lock().remove(id);
            talk.hosting.unstage(id).await;
        }
        published
    }

    /// It is published, and this is said of it; its bytes are no longer needed here.
    pub(super) async fn finished(&self, hosting: &Hosting, id: &str, said: Value) {
        if let Some(stage) = self.all.lock().get_mut(id) {
            stage.step = Step::Finished(said);
        }
        hosting.unstage(id).await;
    }
}

fn unknown() -> HostError {
    HostError::NotFound("no such upload is announced, or its hour is over; announce it again".to_owned())
}

impl Assembly {
    fn new(hosting: &Hosting, first: u32) -> Self {
        let (pieces, mut arriving) = mpsc::channel::<Option<Bytes>>(1);
        let hosting = hosting.clone();
        let receiving = tokio::spawn(async move {
            let body = futures_util::stream::poll_fn(move |cx| {
                arriving.poll_recv(cx).map(|piece| match piece {
                    Some(piece) => piece.map(Ok),
                    None => Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a part is missing"))),
                })
            });
            hosting.receive(body, None).await
        });
        Self { next: first, here: 0, pieces, receiving }
    }

    /// One more piece of the part that is being sent.
    pub(super) async fn push(&mut self, piece: Bytes) -> Result<(), HostError> {
        let len = piece.len() as u64;
        if self.pieces.send(Some(piece)).await.is_ok() {
            self.here += len;
            return Ok(());
        }
        // It was given up; here is why.
        match (&mut self.receiving).await {
            Ok(Err(error)) => Err(error),
            _ => Err(HostError::Internal("the upload ended inside; the gate's log says why".to_owned())),
        }
    }

    /// The whole file.
    pub(super) async fn finish(self) -> Result<Received, HostError> {
        // Where nobody hears it, the result says why.
        let _unheard = self.pieces.send(None).await;
        let ended = |_| HostError::Internal("the upload ended inside; the gate's log says why".to_owned());
        self.receiving.await.map_err(ended)?
    }
}

impl Arriving<'_> {
    /// A part is here; the next one may come.
    pub(super) fn has_part(self, mut assembly: Assembly) {
        assembly.next += 1;
        if let Some(stage) = self.stages.all.lock().get_mut(&self.id) {
            stage.step = Step::InParts(assembly);
        }
    }

    /// The bytes are here, and stay when this gate restarts.
    pub(super) async fn arrived(self, hosting: &Hosting, received: Received) -> Result<(), HostError> {
        let received = hosting.stage(&self.id, received).await?;
        let note = self
            .stages
            .all
            .lock()
            .get(&self.id)
            .map(|stage| Note::new(&stage.secret, stage.until, &stage.what, true));
        let Some(note) = note else {
            // Its time was over meanwhile.
            hosting.unstage(&self.id).await;
            return Err(unknown());
        };
        hosting.note_staged(&self.id, note.text()).await?;
        if let Some(stage) = self.stages.all.lock().get_mut(&self.id) {
            stage.step = Step::Arrived(received);
        }
        Ok(())
    }
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        if let Some(stage) = self.stages.all.lock().get_mut(&self.id)
            && matches!(stage.step, Step::Arriving)
        {
            stage.step = Step::Announced;
        }
    }
}
