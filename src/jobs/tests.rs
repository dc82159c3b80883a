//! Runners on a real store, with the clock moved by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use parking_lot::Mutex;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::clock::{Clock as _, ManualClock, UnixMillis};
use crate::store::Store;
use crate::store::lazy::LazyStore;
use crate::store::model::{Job, JobId, JobState};
use crate::store::repo::AuditFilter;
use crate::store::sqlite::Sqlite;

const START: UnixMillis = UnixMillis(1_800_000_000_000);
const FAST: RunnerSettings = RunnerSettings {
    at_once: 4,
    lease: Duration::from_mins(1),
    look: Duration::from_millis(5),
    beat: Duration::from_millis(5),
    grace: Duration::from_millis(50),
};

/// A store, a clock, and a way to start runners on them.
struct Lab {
    _dir: TempDir,
    store: Store,
    clock: Arc<ManualClock>,
    queue: Queue,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(Sqlite::open(&dir.path().join("store.db"), Handle::current()).unwrap());
        let clock = ManualClock::new(START);
        let queue = Queue::new(lazy(&store), clock.clone());
        Self { _dir: dir, store, clock, queue }
    }

    fn runner(&self, kinds: Vec<Arc<dyn Kind>>, schedules: Vec<Schedule>) -> Working {
        let seen = Arc::new(Seen::default());
        let runner = Runner::new(RunnerParts {
            queue: self.queue.clone(),
            kinds,
            schedules,
            events: seen.clone(),
            settings: FAST,
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(runner.run(stopped.map(drop)));
        Working { seen, stop, task }
    }

    async fn add(&self, order: Order) -> JobId {
        match self.queue.add(order).await.unwrap() {
            Queued::Added(id) => id,
            Queued::WasThere => panic!("it was there"),
        }
    }

    async fn job(&self, id: &JobId) -> Job {
        self.store.jobs().get(id).await.unwrap().unwrap()
    }

    async fn becomes(&self, id: &JobId, state: JobState) -> Job {
        eventually(async || Some(self.job(id).await).filter(|job| job.state == state)).await
    }

    async fn all(&self) -> Vec<Job> {
        self.store.jobs().list(None, None, 100).await.unwrap()
    }

    fn desk(&self) -> Desk {
        Desk::new(self.store.clone(), self.clock.clone(), "system:cli:test".to_owned())
    }
}

fn lazy(store: &Store) -> LazyStore {
    let store = store.clone();
    LazyStore::new(Arc::new(move || std::future::ready(Ok(store.clone())).boxed()))
}

async fn eventually<T>(probe: impl AsyncFn() -> Option<T>) -> T {
    let long = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), long).await.expect("it never came")
}

struct Working {
    seen: Arc<Seen>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Working {
    async fn stop(self) -> Arc<Seen> {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
        self.seen
    }
}

#[derive(Default)]
struct Seen {
    ended: Mutex<Vec<Outcome>>,
    panics: AtomicU32,
    dead: Mutex<Vec<String>>,
}

impl Events for Seen {
    fn begun(&self, _kind: &str) {}

    fn ended(&self, _kind: &str, outcome: Outcome, _took: Duration) {
        self.ended.lock().push(outcome);
    }

    fn panicked(&self, _kind: &str) {
        self.panics.fetch_add(1, Ordering::SeqCst);
    }

    fn dead(&self, job: &Job, why: &str) {
        self.dead.lock().push(format!("{} {why}", job.kind));
    }
}

/// What a scripted job does.
#[derive(Clone, Copy)]
enum Act {
    Done,
    Later,
    Never,
    Panic,
    Hang,
}

/// Does one thing after the other, the last one for ever.
struct Scripted {
    acts: Vec<Act>,
    begun: AtomicU32,
}

impl Scripted {
    fn new(acts: &[Act]) -> Arc<Self> {
        Arc::new(Self { acts: acts.to_vec(), begun: AtomicU32::new(0) })
    }

    fn begun(&self) -> u32 {
        self.begun.load(Ordering::SeqCst)
    }

    async fn has_begun(&self, times: u32) {
        eventually(async || (self.begun() >= times).then_some(())).await;
    }
}

#[async_trait]
impl Kind for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    async fn run(&self, _job: &Job) -> Result<(), Failure> {
        let turn = self.begun.fetch_add(1, Ordering::SeqCst) as usize;
        match self.acts[turn.min(self.acts.len() - 1)] {
            Act::Done => Ok(()),
            Act::Later => Err(Failure::Later("no route".to_owned())),
            Act::Never => Err(Failure::Never("no such address".to_owned())),
            Act::Panic => panic!("as scripted"),
            Act::Hang => std::future::pending().await,
        }
    }
}

fn order() -> Order {
    Order { attempts: 3, ..Order::new("scripted", json!({"to": "somebody"})) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_done_once_whoever_looks() {
    let lab = Lab::new();
    let kind = Scripted::new(&[Act::Done]);
    let working: Vec<_> = (0..3).map(|_| lab.runner(vec![kind.clone()], Vec::new())).collect();
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(lab.add(order()).await);
    }
    for id in &ids {
        let done = lab.becomes(id, JobState::Done).await;
        assert_eq!((done.attempts, done.error), (1, None));
    }
    for one in working {
        one.stop().await;
    }
    assert_eq!(kind.begun(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_with_one_id_are_one_job_and_wait_until_they_are_due() {
    let lab = Lab::new();
    let named = Order { id: JobId::new("named"), ..order() };
    assert!(matches!(lab.queue.add(named.clone()).await.unwrap(), Queued::Added(_)));
    let later = Order { due: Some(START.plus(Duration::from_mins(1))), ..order() };
    let later = lab.add(later).await;
    let working = lab.runner(vec![Scripted::new(&[Act::Done])], Vec::new());
    lab.becomes(&JobId::new("named").unwrap(), JobState::Done).await;
    assert_eq!(lab.queue.add(named).await.unwrap(), Queued::WasThere, "also after it was done");
    assert_eq!(lab.job(&later).await.state, JobState::Waiting);
    lab.clock.advance(Duration::from_mins(1));
    lab.becomes(&later, JobState::Done).await;
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_tried_later_and_is_dead_at_last() {
    let lab = Lab::new();
    let kind = Scripted::new(&[Act::Later, Act::Panic, Act::Later, Act::Done]);
    let working = lab.runner(vec![kind.clone()], Vec::new());
    let id = lab.add(order()).await;
    for (attempts, wait) in [(1, 10), (2, 20)] {
        let is_next = |job: &Job| job.attempts == attempts && job.lease.is_none();
        let waiting = eventually(async || Some(lab.job(&id).await).filter(is_next)).await;
        assert!(waiting.error.is_some());
        let pause = waiting.due.since(lab.clock.now());
        let (least, most) = (Duration::from_secs(wait), Duration::from_secs(wait + wait / 4 + 1));
        assert!((least..=most).contains(&pause), "{pause:?} after {attempts}");
        lab.clock.advance(most);
    }
    let dead = lab.becomes(&id, JobState::Dead).await;
    assert_eq!((dead.attempts, dead.error.as_deref()), (3, Some("no route")));
    let desk = lab.desk();
    let said = desk.retry("nothing").await.unwrap_err().to_string();
    assert!(said.contains("there is no job `nothing`"), "{said}");
    desk.retry(id.as_str()).await.unwrap();
    lab.becomes(&id, JobState::Done).await;
    let said = desk.retry(id.as_str()).await.unwrap_err().to_string();
    assert!(said.contains("is done, so it can't be retried"), "{said}");
    let seen = working.stop().await;
    // A panic is a failure, and the runner goes on.
    assert_eq!(seen.panics.load(Ordering::SeqCst), 1);
    assert_eq!(*seen.dead.lock(), ["scripted no route"]);
    assert_eq!(*seen.ended.lock(), [Outcome::Failed, Outcome::Failed, Outcome::Dead, Outcome::Done]);
    let filter = AuditFilter { kinds: vec!["job.retry".to_owned()], ..AuditFilter::default() };
    let events = lab.store.audit().list(&filter, None, 10).await.unwrap();
    assert_eq!((events.len(), &events[0].target), (1, &format!("job:{id}")));
    assert_eq!(events[0].actor, "system:cli:test");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_never_work_is_dead_at_once() {
    let lab = Lab::new();
    let working = lab.runner(vec![Scripted::new(&[Act::Never])], Vec::new());
    let id = lab.add(order()).await;
    assert_eq!(lab.becomes(&id, JobState::Dead).await.attempts, 1);
    working.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_job_keeps_its_lease_until_it_is_cancelled() {
    let lab = Lab::new();
    let (first, second) = (Scripted::new(&[Act::Hang]), Scripted::new(&[Act::Done]));
    let working = lab.runner(vec![first.clone()], Vec::new());
    let id = lab.add(order()).await;
    first.has_begun(1).await;
    let other = lab.runner(vec![second.clone()], Vec::new());
    // Its lease of a minute is renewed again and again.
    for _ in 0..5 {
        let until = lab.job(&id).await.due;
        lab.clock.advance(Duration::from_secs(30));
        eventually(async || Some(lab.job(&id).await.due).filter(|due| *due > until)).await;
    }
    assert_eq!(second.begun(), 0);
    let cancelled = lab.desk().cancel(id.as_str()).await.unwrap();
    assert_eq!(cancelled.state, JobState::Cancelled);
    eventually(async || working.seen.ended.lock().contains(&Outcome::Lost).then_some(())).await;
    let said = lab.desk().cancel(id.as_str()).await.unwrap_err().to_string();
    assert!(said.contains("is cancelled, so it can't be cancelled"), "{said}");
    working.stop().await;
    other.stop().await;
    assert_eq!(second.begun(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_gives_back_what_is_not_finished_and_a_dead_gates_jobs_are_taken_over() {
    let lab = Lab::new();
    let (first, second) = (Scripted::new(&[Act::Hang]), Scripted::new(&[Act::Done]));
    let working = lab.runner(vec![first.clone()], Vec::new());
    let id = lab.add(order()).await;
    first.has_begun(1).await;
    let seen = working.stop().await;
    assert_eq!(*seen.ended.lock(), [Outcome::Released]);
    let waiting = lab.job(&id).await;
    assert_eq!((waiting.state, waiting.attempts, waiting.attempts_left), (JobState::Waiting, 0, 3));
    // One that ends without a word.
    let working = lab.runner(vec![first.clone()], Vec::new());
    first.has_begun(2).await;
    working.task.abort();
    assert!(working.task.await.is_err());
    let other = lab.runner(vec![second.clone()], Vec::new());
    assert_eq!(lab.job(&id).await.state, JobState::Running);
    lab.clock.advance(Duration::from_mins(2));
    assert_eq!(lab.becomes(&id, JobState::Done).await.attempts, 2);
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_are_placed_once_for_all_gates() {
    let lab = Lab::new();
    let hour = Duration::from_hours(1);
    let kind = Scripted::new(&[Act::Done]);
    let schedule = || vec![Schedule::new("scripted", "hourly", hour, json!({}))];
    let one = lab.runner(vec![kind.clone()], schedule());
    let two = lab.runner(vec![kind.clone()], schedule());
    for n in 1..=3 {
        kind.has_begun(n).await;
        let is_over = |all: &Vec<Job>| all.iter().all(|job| job.state == JobState::Done);
        let all = eventually(async || Some(lab.all().await).filter(is_over)).await;
        assert_eq!((kind.begun(), all.len()), (n, n as usize));
        lab.clock.advance(hour);
    }
    kind.has_begun(4).await;
    one.stop().await;
    two.stop().await;
    // One that starts again in the same hour places none.
    let again = lab.runner(vec![kind.clone()], schedule());
    let other = lab.add(order()).await;
    lab.becomes(&other, JobState::Done).await;
    assert_eq!(kind.begun(), 5);
    again.stop().await;
    // What ended long ago is forgotten.
    lab.clock.advance(Duration::from_hours(24 * 32));
    let last = lab.runner(vec![kind.clone()], Vec::new());
    eventually(async || lab.all().await.is_empty().then_some(())).await;
    last.stop().await;
}

#[test]
fn schedules_tell_their_jobs() {
    let only = |id: &str| schedule::only_of(&JobId::new(id).unwrap());
    assert_eq!(only("every-a-b-123").as_deref(), Some("every-a-b"));
    assert_eq!(only("every-a-b"), None);
    assert_eq!(only("abcdef"), None);
}
