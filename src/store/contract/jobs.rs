//! The queue.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Bed;
use super::samples::*;
use crate::store::model::{Job, JobState};
use crate::store::repo::Claim;
use crate::store::{Store, StoreError};

const MINUTE: Duration = Duration::from_mins(1);
const LOST: StoreError = StoreError::Stale { what: "job" };

fn claim<'a>(kinds: &'a [&'a str], lease: &'a str, seconds: i64) -> Claim<'a> {
    Claim { kinds, lease, at: at(seconds), length: MINUTE }
}

async fn claimed(store: &Store, lease: &str, seconds: i64) -> Option<String> {
    let job = store.jobs().claim(&claim(&["k"], lease, seconds)).await.unwrap();
    job.map(|job| job.id.to_string())
}

async fn get(store: &Store, id: &str) -> Job {
    store.jobs().get(&job_id(id)).await.unwrap().unwrap()
}

pub(super) async fn jobs_are_claimed_in_the_order_they_are_due(_: &Bed, store: Store) {
    for one in [job("c", "k", 2), job("b", "k", 1), job("a", "k", 2), job("d", "other", 0), job("e", "k", 9)]
    {
        store.jobs().enqueue(&one).await.unwrap();
    }
    for (lease, id) in [("1", Some("b")), ("2", Some("a")), ("3", Some("c")), ("4", None)] {
        assert_eq!(claimed(&store, lease, 2).await.as_deref(), id);
    }
    let both = store.jobs().claim(&claim(&["other", "k"], "5", 2)).await.unwrap().unwrap();
    assert_eq!(both.id.as_str(), "d");
    let b = get(&store, "b").await;
    let held = Job {
        state: JobState::Running,
        due: at(62),
        attempts: 1,
        attempts_left: 2,
        lease: Some("1".to_owned()),
        ..job("b", "k", 1)
    };
    assert_eq!(b, held);
    assert!(store.jobs().claim(&claim(&[], "6", 99)).await.unwrap().is_none());
}

pub(super) async fn a_job_is_claimed_by_one_worker(_: &Bed, store: Store) {
    for n in 0..20 {
        store.jobs().enqueue(&job(&format!("j{n:02}"), "k", 0)).await.unwrap();
    }
    let worker = |n: usize| {
        let store = store.clone();
        async move {
            let mut won = Vec::new();
            while let Some(id) = claimed(&store, &format!("{n}-{}", won.len()), 1).await {
                won.push(id);
            }
            won
        }
    };
    let workers: Vec<_> = (0..4).map(|n| tokio::spawn(worker(n))).collect();
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.unwrap());
    }
    assert_eq!(all.len(), 20);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 20);
}

pub(super) async fn only_one_like_it_waits_or_runs(_: &Bed, store: Store) {
    let like = |id: &str| Job { only: "reindex team".to_owned(), ..job(id, "k", 0) };
    let jobs = store.jobs();
    jobs.enqueue(&like("a")).await.unwrap();
    let taken = Err(StoreError::Conflict { what: "a job like this that waits or runs" });
    assert_eq!(jobs.enqueue(&like("b")).await, taken);
    claimed(&store, "1", 0).await.unwrap();
    assert_eq!(jobs.enqueue(&like("b")).await, taken);
    jobs.complete(&job_id("a"), "1", at(1)).await.unwrap();
    jobs.enqueue(&like("b")).await.unwrap();
    let same = Err(StoreError::Conflict { what: "a job with this id" });
    assert_eq!(jobs.enqueue(&job("a", "k", 0)).await, same);
}

pub(super) async fn a_lost_lease_is_noticed(_: &Bed, store: Store) {
    let (jobs, a) = (store.jobs(), job_id("a"));
    jobs.enqueue(&job("a", "k", 0)).await.unwrap();
    claimed(&store, "1", 0).await.unwrap();
    jobs.heartbeat(&a, "1", at(100)).await.unwrap();
    jobs.heartbeat(&a, "1", at(50)).await.unwrap();
    assert_eq!(get(&store, "a").await.due, at(100), "a late heartbeat does not shorten the lease");
    assert_eq!(claimed(&store, "2", 99).await, None);
    assert_eq!(jobs.heartbeat(&a, "2", at(200)).await, Err(LOST));
    assert_eq!(jobs.complete(&a, "2", at(2)).await, Err(LOST));
    assert_eq!(jobs.fail(&a, "2", at(2), Some(at(9)), "x").await, Err(LOST));
    jobs.complete(&a, "1", at(2)).await.unwrap();
    assert_eq!(jobs.complete(&a, "1", at(3)).await, Err(LOST));
    let done = get(&store, "a").await;
    assert_eq!((done.state, done.due, done.lease), (JobState::Done, at(2), None));
}

pub(super) async fn a_job_whose_runner_died_is_claimed_again(_: &Bed, store: Store) {
    store.jobs().enqueue(&job("a", "k", 0)).await.unwrap();
    claimed(&store, "1", 0).await.unwrap();
    assert_eq!(claimed(&store, "2", 59).await, None);
    assert_eq!(claimed(&store, "3", 60).await.as_deref(), Some("a"));
    assert_eq!(store.jobs().complete(&job_id("a"), "1", at(61)).await, Err(LOST));
    store.jobs().complete(&job_id("a"), "3", at(61)).await.unwrap();
    assert_eq!(get(&store, "a").await.attempts, 2);
}

pub(super) async fn a_job_that_fails_waits_longer_and_then_is_dead(_: &Bed, store: Store) {
    let (jobs, a) = (store.jobs(), job_id("a"));
    jobs.enqueue(&job("a", "k", 0)).await.unwrap();
    for (lease, now, next) in [("1", 0, 10), ("2", 10, 30)] {
        assert!(claimed(&store, lease, now).await.is_some());
        assert_eq!(jobs.fail(&a, lease, at(now), Some(at(next)), "no route").await, Ok(JobState::Waiting));
        let waiting = get(&store, "a").await;
        assert_eq!((waiting.due, waiting.error.as_deref()), (at(next), Some("no route")));
        assert_eq!(claimed(&store, "early", next - 1).await, None);
    }
    assert!(claimed(&store, "3", 30).await.is_some());
    assert_eq!(jobs.fail(&a, "3", at(31), Some(at(99)), "no route at all").await, Ok(JobState::Dead));
    let dead = get(&store, "a").await;
    assert_eq!((dead.state, dead.attempts, dead.attempts_left), (JobState::Dead, 3, 0));
    assert_eq!(dead.error.as_deref(), Some("no route at all"));
    assert_eq!(claimed(&store, "4", 9999).await, None);
}

pub(super) async fn a_job_that_can_never_be_done_is_dead_at_once(_: &Bed, store: Store) {
    let (jobs, a) = (store.jobs(), job_id("a"));
    jobs.enqueue(&Job { only: "one".to_owned(), ..job("a", "k", 0) }).await.unwrap();
    claimed(&store, "1", 0).await.unwrap();
    assert_eq!(jobs.fail(&a, "1", at(1), None, "no such address").await, Ok(JobState::Dead));
    let dead = get(&store, "a").await;
    assert_eq!((dead.attempts, dead.attempts_left, dead.only.as_str()), (1, 2, "a"));
}

pub(super) async fn a_job_that_is_given_back_was_not_tried(_: &Bed, store: Store) {
    let (jobs, a) = (store.jobs(), job_id("a"));
    jobs.enqueue(&Job { attempts_left: 1, ..job("a", "k", 0) }).await.unwrap();
    claimed(&store, "1", 0).await.unwrap();
    assert_eq!(jobs.release(&a, "2", at(1)).await, Err(LOST));
    jobs.release(&a, "1", at(1)).await.unwrap();
    let waiting = get(&store, "a").await;
    assert_eq!((waiting.state, waiting.attempts, waiting.attempts_left), (JobState::Waiting, 0, 1));
    assert_eq!((waiting.due, waiting.lease), (at(1), None));
    assert_eq!(claimed(&store, "2", 0).await, None);
    assert_eq!(claimed(&store, "2", 1).await.as_deref(), Some("a"));
}

pub(super) async fn a_runner_that_dies_at_the_last_attempt_kills_the_job(_: &Bed, store: Store) {
    store.jobs().enqueue(&Job { attempts_left: 1, ..job("a", "k", 0) }).await.unwrap();
    store.jobs().enqueue(&job("b", "k", 70)).await.unwrap();
    claimed(&store, "1", 0).await.unwrap();
    assert_eq!(claimed(&store, "2", 65).await, None);
    let dead = get(&store, "a").await;
    assert_eq!((dead.state, dead.lease), (JobState::Dead, None));
    assert!(dead.error.is_some());
    assert_eq!(claimed(&store, "3", 70).await.as_deref(), Some("b"));
}

pub(super) async fn dead_jobs_are_retried(_: &Bed, store: Store) {
    let (jobs, a) = (store.jobs(), job_id("a"));
    let only = "sync team".to_owned();
    jobs.enqueue(&Job { attempts_left: 1, only: only.clone(), ..job("a", "k", 0) }).await.unwrap();
    assert_eq!(jobs.retry(&a, &only, at(0), 1).await, Err(LOST), "it waits");
    claimed(&store, "1", 0).await.unwrap();
    jobs.fail(&a, "1", at(1), None, "x").await.unwrap();
    jobs.enqueue(&Job { only: only.clone(), ..job("b", "k", 900) }).await.unwrap();
    let taken = StoreError::Conflict { what: "a job like this that waits or runs" };
    assert_eq!(jobs.retry(&a, &only, at(5), 2).await, Err(taken));
    jobs.cancel(&job_id("b"), at(5)).await.unwrap();
    jobs.retry(&a, &only, at(5), 2).await.unwrap();
    assert_eq!(claimed(&store, "2", 5).await.as_deref(), Some("a"));
    assert_eq!(get(&store, "a").await.attempts_left, 1);
    let missing = StoreError::NotFound { what: "job" };
    assert_eq!(jobs.retry(&job_id("x"), "x", at(5), 2).await, Err(missing));
}

pub(super) async fn cancelled_jobs_are_not_run(_: &Bed, store: Store) {
    let jobs = store.jobs();
    jobs.enqueue(&job("a", "k", 0)).await.unwrap();
    jobs.enqueue(&job("b", "k", 1)).await.unwrap();
    jobs.cancel(&job_id("a"), at(1)).await.unwrap();
    assert_eq!(claimed(&store, "1", 5).await.as_deref(), Some("b"));
    jobs.cancel(&job_id("b"), at(6)).await.unwrap();
    assert_eq!(jobs.heartbeat(&job_id("b"), "1", at(90)).await, Err(LOST));
    assert_eq!(jobs.cancel(&job_id("b"), at(6)).await, Err(LOST));
    assert_eq!(jobs.cancel(&job_id("x"), at(6)).await, Err(StoreError::NotFound { what: "job" }));
    assert_eq!(claimed(&store, "2", 9999).await, None);
}

pub(super) async fn jobs_are_listed_and_forgotten(_: &Bed, store: Store) {
    let jobs = store.jobs();
    for id in ["a", "b", "c", "d"] {
        jobs.enqueue(&job(id, "k", 0)).await.unwrap();
    }
    for (id, when) in [("a", 1), ("b", 2), ("c", 3)] {
        jobs.cancel(&job_id(id), at(when)).await.unwrap();
    }
    let listed = async |state, after: Option<&str>| -> Vec<String> {
        let after = after.map(job_id);
        let found = jobs.list(state, after.as_ref(), 2).await.unwrap();
        found.into_iter().map(|job| job.id.to_string()).collect()
    };
    assert_eq!(listed(None, None).await, ["a", "b"]);
    assert_eq!(listed(None, Some("b")).await, ["c", "d"]);
    assert_eq!(listed(Some(JobState::Cancelled), Some("b")).await, ["c"]);
    assert_eq!(listed(Some(JobState::Waiting), None).await, ["d"]);
    assert_eq!(jobs.forget(JobState::Cancelled, at(3), 1).await, Ok(1));
    assert_eq!(jobs.forget(JobState::Cancelled, at(3), 9).await, Ok(1));
    assert_eq!(jobs.forget(JobState::Waiting, at(999), 9).await, Ok(0));
    assert_eq!(listed(None, None).await, ["c", "d"]);
}
