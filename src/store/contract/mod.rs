//! What every store must do: each case is run on SQLite and on MongoDB.
//!
//! Belongs here: cases, by repository, and the beds they run on. Does not: what only one database does (`sqlite::tests`,
//! `mongo::tests`).

mod audit;
mod changes;
mod channels;
mod dumps;
mod jobs;
mod packages;
mod people;
mod samples;
pub(super) mod server;
mod tokens;
mod traffic;
mod whole;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};

use mongodb::bson::doc;
use tempfile::TempDir;
use tokio::runtime::{Builder, Handle};

use super::mongo::{Mongo, Settings, setup};
use super::sqlite::Sqlite;
use super::{Store, StoreError};
use crate::secret::Secret;

/// A place for one store, empty at first.
pub(super) enum Bed {
    Sqlite(TempDir),
    Mongo(Settings),
}

impl Bed {
    /// Opens it, again and again.
    pub(super) async fn open(&self) -> Store {
        self.try_open().await.expect("an open store")
    }

    pub(super) async fn try_open(&self) -> Result<Store, StoreError> {
        match self {
            Self::Sqlite(dir) => {
                Sqlite::open(&dir.path().join("store.db"), Handle::current()).map(Store::new)
            }
            Self::Mongo(settings) => Mongo::open(settings).await.map(Store::new),
        }
    }

    /// SQLite, whatever the case runs on.
    pub(super) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().expect("a directory"))
    }

    /// MongoDB; `None` where there is no server.
    pub(super) async fn mongo() -> Option<Self> {
        let settings = databases()?;
        setup::setup(&settings, true).await.expect("databases that are set up");
        Some(Self::Mongo(settings))
    }

    pub(super) async fn clear(self) {
        if let Self::Mongo(settings) = self {
            drop_databases(&settings).await;
        }
    }
}

/// Somebody.
pub(super) fn a_user(name: &str) -> super::model::User {
    samples::user(name)
}

/// Two databases that nobody else uses, not set up.
pub(super) fn databases() -> Option<Settings> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let uri = server::uri()?;
    let database = format!("condagate_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let queue_database = format!("{database}_mq");
    Some(Settings { uri: Secret::new(uri.to_owned()), database, queue_database, ca_file: None })
}

pub(super) async fn drop_databases(settings: &Settings) {
    let client = mongodb::Client::with_uri_str(settings.uri.reveal()).await.expect("a client");
    for name in [&settings.database, &settings.queue_database] {
        client.database(name).run_command(doc! {"dropDatabase": 1}).await.expect("a database dropped");
    }
}

/// Runs a test on a runtime of its own; clients of MongoDB can't change theirs.
pub(super) fn on_a_runtime<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async { test().await });
}

type Case = for<'a> fn(&'a Bed, Store) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

fn on_sqlite(case: Case) {
    on_a_runtime(|| async {
        let bed = Bed::sqlite();
        case(&bed, bed.open().await).await;
    });
}

fn on_mongo(case: Case) {
    if server::uri().is_none() {
        return;
    }
    on_a_runtime(|| async {
        let bed = Bed::mongo().await.expect("a server");
        case(&bed, bed.open().await).await;
        bed.clear().await;
    });
}

macro_rules! cases {
    ($($group:ident: $($case:ident)+;)+) => {
        mod sqlite {
            $(mod $group {$(
                #[test]
                fn $case() {
                    super::super::on_sqlite(|bed, store| Box::pin(super::super::$group::$case(bed, store)));
                }
            )+})+
        }
        mod mongo {
            $(mod $group {$(
                #[test]
                fn $case() {
                    super::super::on_mongo(|bed, store| Box::pin(super::super::$group::$case(bed, store)));
                }
            )+})+
        }
    };
}

cases! {
    people:
        users_come_back users_are_unique_by_name_and_id users_change_at_the_revision_that_was_read
        a_taken_name_can_not_be_taken_by_a_change one_of_many_creators_wins one_of_many_changes_wins
        odd_text_comes_back active_superusers_are_found pages_of_users_miss_nothing one_hundred_thousand_users groups_come_back groups_grow_older_at_the_revision_that_was_read
        members_join_and_leave grants_come_back;
    tokens:
        tokens_come_back tokens_are_unique_by_secret tokens_are_found_by_the_beginning_of_their_id
        a_token_is_revoked_once a_token_has_one_successor tokens_end_at_the_revision_that_was_read uses_only_go_forward
        revoking_and_using_at_once_lose_nothing ended_tokens_are_forgotten sessions_come_back sessions_end keys_come_back_and_end;
    changes:
        every_change_is_told what_is_gone_is_told who_is_too_late_is_told_to_read_anew
        uses_are_not_told too_many_changes_are_not_told
        a_number_from_elsewhere_is_refused no_change_is_missed_while_others_write;
    audit:
        events_are_told_from_the_newest events_are_filtered old_events_are_forgotten counts_add_up
        counts_are_told_apart_by_who_and_from_where
        counts_of_many_gates_add_up;
    traffic:
        totals_add_up totals_are_found_by_time_and_channel old_totals_are_forgotten totals_of_many_gates_add_up;
    jobs:
        jobs_are_claimed_in_the_order_they_are_due a_job_is_claimed_by_one_worker
        only_one_like_it_waits_or_runs a_lost_lease_is_noticed a_job_whose_runner_died_is_claimed_again
        a_job_that_fails_waits_longer_and_then_is_dead a_runner_that_dies_at_the_last_attempt_kills_the_job
        a_job_that_can_never_be_done_is_dead_at_once a_job_that_is_given_back_was_not_tried
        dead_jobs_are_retried cancelled_jobs_are_not_run jobs_are_listed_and_forgotten;
    channels:
        channels_come_back deleted_channels_keep_their_name packages_come_back
        packages_change_at_the_revision_that_was_read heads_are_swapped one_of_many_swaps_wins;
    packages:
        changed_packages_are_told packages_that_are_gone_are_told a_subdir_is_known_to_have_changed changes_of_a_subdir_are_told labels_are_found packages_are_found_by_what_they_are a_package_is_overwritten_by_one_of_two
        only_packages_have_places;
    whole:
        everything_is_there_after_a_restart large_numbers_come_back status_counts_rows;
    dumps:
        a_dump_comes_back_byte_for_byte a_full_store_is_not_loaded_into a_half_loaded_store_is_refused;
}

/// Between two databases.
#[test]
fn a_dump_moves_to_mongodb_and_back() {
    if server::uri().is_some() {
        on_a_runtime(dumps::from_sqlite_to_mongodb_and_back);
    }
}
