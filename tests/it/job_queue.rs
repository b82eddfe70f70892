//! Jobs as rows: accepted once, worked on by one worker at a time, never lost, bounded in number.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ohlcv_adapters::store::SqlStore;
use ohlcv_domain::{Fence, TimeRange};
use ohlcv_ports::{
    Cancelling, ClaimedJob, Job, JobAsset, JobChanges, JobEnd, JobQueue, JobState, Jobs, Leases, NewJob,
    StoreError, Submitted, Work,
};
use ohlcv_tests::database::{Backend, TestDatabase};

use crate::market::{asset, at};

ohlcv_tests::on_each_database!(
    a_job_comes_out_as_it_went_in,
    of_many_workers_each_gets_jobs_of_its_own,
    jobs_that_somebody_waits_for_go_first,
    a_job_whose_worker_died_goes_to_the_next_one,
    a_worker_that_lost_its_job_writes_nothing,
    a_job_to_be_tried_again_waits_for_its_time,
    a_waiting_job_is_cancelled_at_once_and_a_running_one_is_told,
    a_wish_to_cancel_outlives_the_worker_that_did_not_hear_it,
    attempts_are_counted_anew_when_a_job_gets_on,
    a_job_that_cannot_be_read_keeps_no_other_from_its_turn,
    a_repeated_key_returns_the_first_job,
    a_full_queue_takes_no_more_even_from_many_at_once,
    ended_jobs_are_forgotten_when_there_are_too_many_or_they_are_old,
    changes_of_jobs_are_numbered_in_the_order_in_which_they_come_to_light,
    numbers_of_changes_go_on_when_the_newest_one_is_forgotten,
    who_reads_changes_of_jobs_while_many_are_made_misses_none,
);

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);
const ROOM: u64 = 1_000;

async fn store(backend: Backend) -> (Arc<SqlStore>, TestDatabase) {
    let database = TestDatabase::new(backend).await;
    let db = database.connect().await;
    ohlcv_migration::up(&db).await.unwrap();
    (Arc::new(SqlStore::new(db, ohlcv_migration::newest())), database)
}

fn catch_up(assets: &[&str]) -> NewJob {
    NewJob { work: Work::CatchUp, assets: assets.iter().map(|name| asset(name)).collect() }
}

async fn accepted(store: &SqlStore, job: NewJob) -> Job {
    match store.submit(job, None, ROOM).await.unwrap() {
        Submitted::Accepted(job) => job,
        other => panic!("{other:?}"),
    }
}

async fn claimed(store: &SqlStore, holder: &str, lasts: Duration) -> ClaimedJob {
    store.claim(holder, lasts).await.unwrap().unwrap()
}

async fn a_job_comes_out_as_it_went_in(backend: Backend) {
    let (store, _database) = store(backend).await;
    let range = TimeRange::new(at("2024-11-01T00:00:00Z"), at("2024-11-08T12:34:56.789Z")).unwrap();
    let works = [
        Work::CatchUp,
        Work::Range(range),
        Work::Backfill { days: None, force: true },
        Work::Backfill { days: Some(30), force: false },
    ];
    for work in works {
        let assets = vec![asset("SOL"), asset("BTC"), asset("ETH")];
        let job = accepted(&store, NewJob { work, assets: assets.clone() }).await;
        assert_eq!((job.work, job.state, job.attempts), (work, JobState::Queued, 0));
        assert_eq!(job.assets, assets.into_iter().map(JobAsset::queued).collect::<Vec<_>>());
        assert_eq!((job.started_at, job.finished_at), (None, None));
        assert_eq!(store.find(job.id).await.unwrap(), Some(job));
    }
    assert_eq!(store.counts().await.unwrap(), [(JobState::Queued, 4)]);
    assert_eq!(store.list(2).await.unwrap().len(), 2);
    assert_eq!(store.find(ohlcv_domain::JobId::from_u128(7)).await.unwrap(), None);
}

async fn of_many_workers_each_gets_jobs_of_its_own(backend: Backend) {
    let (store, _database) = store(backend).await;
    for _ in 0..12 {
        accepted(&store, catch_up(&["BTC"])).await;
    }
    let mut workers = Vec::new();
    for number in 0..6 {
        let store = Arc::clone(&store);
        workers.push(tokio::spawn(async move {
            let mut got = Vec::new();
            // What another one is about to get may be passed over: it is looked again.
            for _ in 0..40 {
                got.extend(store.claim(&format!("worker {number}"), LONG).await.unwrap());
            }
            got
        }));
    }
    let mut got = Vec::new();
    for worker in workers {
        got.extend(worker.await.unwrap());
    }
    let names: BTreeSet<_> = got.iter().map(|claimed| claimed.job.id).collect();
    assert_eq!((got.len(), names.len()), (12, 12));
    assert!(got.iter().all(|claimed| claimed.job.state == JobState::Running && claimed.job.attempts == 1));
}

async fn jobs_that_somebody_waits_for_go_first(backend: Backend) {
    let (store, _database) = store(backend).await;
    let backfill = NewJob { work: Work::Backfill { days: None, force: false }, ..catch_up(&["BTC"]) };
    let last = accepted(&store, backfill).await.id;
    let first = accepted(&store, catch_up(&["BTC"])).await.id;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let second = accepted(&store, catch_up(&["ETH"])).await.id;
    let mut order = Vec::new();
    while let Some(claimed) = store.claim("worker", LONG).await.unwrap() {
        order.push(claimed.job.id);
    }
    assert_eq!(order, [first, second, last]);
}

async fn a_job_whose_worker_died_goes_to_the_next_one(backend: Backend) {
    let (store, _database) = store(backend).await;
    let id = accepted(&store, catch_up(&["BTC", "ETH"])).await.id;
    let dead = claimed(&store, "dead", SHORT).await;
    let done =
        JobAsset { state: JobState::Succeeded, done: 7, expected: 7, ..JobAsset::queued(asset("BTC")) };
    let half = JobAsset { state: JobState::Running, done: 3, expected: 9, ..JobAsset::queued(asset("ETH")) };
    assert!(!store.record(id, &dead.fence, &[done.clone(), half]).await.unwrap());
    assert_eq!(store.claim("too early", LONG).await.unwrap(), None);
    tokio::time::sleep(SHORT * 2).await;
    let seen = store.find(id).await.unwrap().unwrap();
    assert_eq!((seen.state, seen.assets[1].state), (JobState::Queued, JobState::Queued));
    let next = claimed(&store, "next", LONG).await;
    assert_eq!((next.job.id, next.job.attempts), (id, 2));
    assert_eq!(next.job.assets[0], done, "what was done stays done");
    assert_eq!((next.job.assets[1].done, next.job.assets[1].expected), (3, 9));
    assert!(next.fence.token > dead.fence.token);
}

async fn a_worker_that_lost_its_job_writes_nothing(backend: Backend) {
    let (store, _database) = store(backend).await;
    let id = accepted(&store, catch_up(&["BTC"])).await.id;
    let sleeper = claimed(&store, "sleeper", SHORT).await.fence;
    tokio::time::sleep(SHORT * 2).await;
    let wrong = JobAsset { state: JobState::Failed, done: 99, ..JobAsset::queued(asset("BTC")) };
    let refused = |fence: Fence| {
        let (store, wrong) = (Arc::clone(&store), wrong.clone());
        async move {
            let recorded = store.record(id, &fence, std::slice::from_ref(&wrong)).await;
            assert!(matches!(recorded, Err(StoreError::LeaseLost { .. })), "{recorded:?}");
            let finished = store.finish(id, &fence, JobEnd::Final(JobState::Failed), &[wrong]).await;
            assert!(matches!(finished, Err(StoreError::LeaseLost { .. })), "{finished:?}");
        }
    };
    refused(sleeper.clone()).await;
    let holder = claimed(&store, "holder", LONG).await;
    refused(sleeper).await;
    assert_eq!(store.find(id).await.unwrap().unwrap().assets, holder.job.assets);
    assert!(store.renew(&holder.fence, LONG).await.unwrap(), "the holder has it still");
}

async fn a_job_to_be_tried_again_waits_for_its_time(backend: Backend) {
    let (store, _database) = store(backend).await;
    let id = accepted(&store, catch_up(&["BTC"])).await.id;
    let fence = claimed(&store, "worker", LONG).await.fence;
    let why = Some("the exchange is away".to_owned());
    let asset = JobAsset { error: why.clone(), ..JobAsset::queued(asset("BTC")) };
    store.finish(id, &fence, JobEnd::Again { after: SHORT, counts: true }, &[asset]).await.unwrap();
    store.release(&fence).await.unwrap();
    assert_eq!(store.claim("too early", LONG).await.unwrap(), None);
    tokio::time::sleep(SHORT * 2).await;
    let again = claimed(&store, "worker", LONG).await;
    assert_eq!((again.job.attempts, &again.job.assets[0].error), (2, &why));
    let stopped = JobEnd::Again { after: Duration::ZERO, counts: false };
    store.finish(id, &again.fence, stopped, &[]).await.unwrap();
    assert_eq!(store.claim("before the lease is back", LONG).await.unwrap(), None);
    store.release(&again.fence).await.unwrap();
    assert_eq!(claimed(&store, "at once", LONG).await.job.attempts, 2, "a stop is no attempt");
}

async fn a_waiting_job_is_cancelled_at_once_and_a_running_one_is_told(backend: Backend) {
    let (store, _database) = store(backend).await;
    let id = accepted(&store, catch_up(&["BTC"])).await.id;
    let Some(Cancelling::Wished(job)) = store.cancel(id).await.unwrap() else { panic!("it waits") };
    assert_eq!((job.state, job.assets[0].state), (JobState::Cancelled, JobState::Cancelled));
    assert!(job.finished_at.is_some());
    assert!(matches!(store.cancel(id).await.unwrap(), Some(Cancelling::TooLate(_))));
    assert_eq!(store.claim("worker", LONG).await.unwrap(), None);

    let id = accepted(&store, catch_up(&["BTC"])).await.id;
    let fence = claimed(&store, "worker", LONG).await.fence;
    assert!(!store.record(id, &fence, &[]).await.unwrap());
    let Some(Cancelling::Wished(job)) = store.cancel(id).await.unwrap() else { panic!("it goes on") };
    assert_eq!(job.state, JobState::Running);
    assert!(store.record(id, &fence, &[]).await.unwrap());
    store.finish(id, &fence, JobEnd::Final(JobState::Cancelled), &[]).await.unwrap();
    assert_eq!(store.find(id).await.unwrap().unwrap().state, JobState::Cancelled);
    assert_eq!(store.cancel(ohlcv_domain::JobId::from_u128(7)).await.unwrap(), None);
}

async fn a_wish_to_cancel_outlives_the_worker_that_did_not_hear_it(backend: Backend) {
    let (store, _database) = store(backend).await;
    let given_back = accepted(&store, catch_up(&["BTC"])).await.id;
    let fence = claimed(&store, "worker", LONG).await.fence;
    store.cancel(given_back).await.unwrap();
    let stopped = JobEnd::Again { after: Duration::ZERO, counts: false };
    store.finish(given_back, &fence, stopped, &[]).await.unwrap();
    let seen = store.find(given_back).await.unwrap().unwrap();
    assert_eq!((seen.state, seen.assets[0].state), (JobState::Cancelled, JobState::Cancelled));

    let died = accepted(&store, catch_up(&["BTC"])).await.id;
    claimed(&store, "dead", SHORT).await;
    store.cancel(died).await.unwrap();
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(store.claim("next", LONG).await.unwrap(), None, "nobody is to work on it");
    assert_eq!(store.find(died).await.unwrap().unwrap().state, JobState::Cancelled);
}

async fn attempts_are_counted_anew_when_a_job_gets_on(backend: Backend) {
    let (store, _database) = store(backend).await;
    let id = accepted(&store, catch_up(&["BTC"])).await.id;
    let mut attempts = Vec::new();
    for done in [0, 0, 5, 5, 5] {
        let ClaimedJob { job, fence } = claimed(&store, "worker", LONG).await;
        attempts.push(job.attempts);
        let asset = JobAsset { done, expected: 9, ..JobAsset::queued(asset("BTC")) };
        store.record(id, &fence, &[asset]).await.unwrap();
        let again = JobEnd::Again { after: Duration::ZERO, counts: true };
        store.finish(id, &fence, again, &[]).await.unwrap();
        store.release(&fence).await.unwrap();
    }
    assert_eq!(attempts, [1, 2, 3, 2, 3]);
}

async fn a_job_that_cannot_be_read_keeps_no_other_from_its_turn(backend: Backend) {
    let (store, database) = store(backend).await;
    let strange = accepted(&store, catch_up(&["BTC"])).await.id;
    database.execute("UPDATE job SET kind = 'of a later version', created_ms = created_ms - 1000").await;
    let plain = accepted(&store, catch_up(&["BTC"])).await.id;
    assert_eq!(store.claim("worker", LONG).await.unwrap(), None);
    assert_eq!(claimed(&store, "worker", LONG).await.job.id, plain);
    let state: String = database.query(&format!("SELECT state FROM job WHERE id = '{strange}'")).await[0]
        .try_get("", "state")
        .unwrap();
    assert_eq!(state, "failed");
}

async fn a_repeated_key_returns_the_first_job(backend: Backend) {
    let (store, _database) = store(backend).await;
    let mut wishes = Vec::new();
    for _ in 0..8 {
        let store = Arc::clone(&store);
        let wish = async move { store.submit(catch_up(&["BTC"]), Some("once".to_owned()), ROOM).await };
        wishes.push(tokio::spawn(wish));
    }
    let (mut accepted, mut ids) = (0, BTreeSet::new());
    for wish in wishes {
        match wish.await.unwrap().unwrap() {
            Submitted::Accepted(job) => {
                accepted += 1;
                ids.insert(job.id);
            }
            Submitted::Repeated(job) => drop(ids.insert(job.id)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((accepted, ids.len()), (1, 1));
    let other = store.submit(catch_up(&["ETH"]), Some("once".to_owned()), ROOM).await.unwrap();
    assert_eq!(other, Submitted::KeyTaken(*ids.first().unwrap()));
}

async fn a_full_queue_takes_no_more_even_from_many_at_once(backend: Backend) {
    let (store, _database) = store(backend).await;
    let mut wishes = Vec::new();
    for _ in 0..20 {
        let store = Arc::clone(&store);
        wishes.push(tokio::spawn(async move { store.submit(catch_up(&["BTC"]), None, 5).await.unwrap() }));
    }
    let mut taken = 0;
    for wish in wishes {
        match wish.await.unwrap() {
            Submitted::Accepted(_) => taken += 1,
            Submitted::QueueFull(unended) => assert_eq!(unended, 5),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(taken, 5);
    let ClaimedJob { job, fence } = claimed(&store, "worker", LONG).await;
    assert_eq!(store.submit(catch_up(&["BTC"]), None, 5).await.unwrap(), Submitted::QueueFull(5));
    store.finish(job.id, &fence, JobEnd::Final(JobState::Succeeded), &[]).await.unwrap();
    assert!(matches!(store.submit(catch_up(&["BTC"]), None, 5).await.unwrap(), Submitted::Accepted(_)));
}

async fn ended_jobs_are_forgotten_when_there_are_too_many_or_they_are_old(backend: Backend) {
    let (store, database) = store(backend).await;
    let old = accepted(&store, catch_up(&["BTC"])).await.id;
    store.cancel(old).await.unwrap();
    database.execute("UPDATE job SET finished_ms = finished_ms - 8 * 86400000").await;
    let waiting =
        accepted(&store, NewJob { work: Work::Backfill { days: None, force: false }, ..catch_up(&["ETH"]) })
            .await
            .id;
    let ended = accepted(&store, catch_up(&["BTC"])).await.id;
    let fence = claimed(&store, "worker", LONG).await.fence;
    store.finish(ended, &fence, JobEnd::Final(JobState::Succeeded), &[]).await.unwrap();
    assert_eq!(store.find(old).await.unwrap(), None);
    assert!(store.find(ended).await.unwrap().is_some() && store.find(waiting).await.unwrap().is_some());
    let left = database.query("SELECT job_id FROM job_asset").await;
    assert_eq!(left.len(), 2, "nothing is left of the forgotten one");

    let fill = "INSERT INTO job (id, kind, forced, state, urgency, attempts, not_before_ms, cancel_wished, created_ms, finished_ms)
        SELECT 'made-' || n, kind, forced, 'failed', 0, 1, 0, cancel_wished, created_ms, created_ms - 1000
        FROM job, (SELECT a.n * 100 + b.n * 10 + c.n AS n FROM digit a, digit b, digit c) numbers WHERE job.id = ";
    database.execute("CREATE TABLE digit AS SELECT 0 AS n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9").await;
    database.execute(&format!("{fill} '{ended}'")).await;
    let ClaimedJob { job, fence } = claimed(&store, "worker", LONG).await;
    store.finish(job.id, &fence, JobEnd::Final(JobState::Succeeded), &[]).await.unwrap();
    let count: i64 = database.query("SELECT COUNT(*) AS jobs FROM job WHERE finished_ms IS NOT NULL").await
        [0]
    .try_get("", "jobs")
    .unwrap();
    assert_eq!(count, 1_000);
    assert!(store.find(ended).await.unwrap().is_some(), "the newest stay");
}

async fn changes_of_jobs_are_numbered_in_the_order_in_which_they_come_to_light(backend: Backend) {
    let (store, _database) = store(backend).await;
    assert_eq!(store.changes(0, ROOM).await.unwrap(), JobChanges::default());
    let first = accepted(&store, catch_up(&["BTC"])).await.id;
    let second = accepted(&store, catch_up(&["ETH"])).await.id;
    let ids = |changes: JobChanges| -> Vec<_> { changes.jobs.into_iter().map(|(_, job)| job.id).collect() };
    let all = store.changes(0, ROOM).await.unwrap();
    assert_eq!(all.newest, all.jobs[1].0);
    assert_eq!(ids(all.clone()), [first, second]);
    assert_eq!(ids(store.changes(0, 1).await.unwrap()), [first]);
    assert_eq!(store.changes(0, 0).await.unwrap(), JobChanges { newest: all.newest, jobs: Vec::new() });
    // Whatever is done with a job moves it to the end.
    let mut newest = all.newest;
    let mut moved = async |wanted: JobState| {
        let changes = store.changes(newest, ROOM).await.unwrap();
        assert_eq!(changes.jobs.len(), 1, "{wanted}");
        assert!(changes.newest > newest && changes.jobs[0].0 == changes.newest);
        newest = changes.newest;
        let job = &changes.jobs[0].1;
        assert_eq!((job.id, job.state), (first, wanted));
        assert_eq!(store.find(first).await.unwrap().as_ref(), Some(job));
    };
    let fence = claimed(&store, "worker", LONG).await.fence;
    moved(JobState::Running).await;
    let half = JobAsset { state: JobState::Running, done: 3, expected: 9, ..JobAsset::queued(asset("BTC")) };
    store.record(first, &fence, std::slice::from_ref(&half)).await.unwrap();
    moved(JobState::Running).await;
    store.finish(first, &fence, JobEnd::Again { after: Duration::ZERO, counts: true }, &[]).await.unwrap();
    moved(JobState::Queued).await;
    store.cancel(first).await.unwrap();
    moved(JobState::Cancelled).await;
    // A look that finds nothing to note changes nothing.
    store.cancel(first).await.unwrap();
    assert_eq!(store.changes(newest, ROOM).await.unwrap(), JobChanges { newest, jobs: Vec::new() });
}

async fn numbers_of_changes_go_on_when_the_newest_one_is_forgotten(backend: Backend) {
    let (store, database) = store(backend).await;
    let first = accepted(&store, catch_up(&["BTC"])).await.id;
    let fence = claimed(&store, "worker", LONG).await.fence;
    store.finish(first, &fence, JobEnd::Final(JobState::Succeeded), &[]).await.unwrap();
    database.execute("UPDATE job SET finished_ms = 0").await;
    let newest = store.changes(0, 0).await.unwrap().newest;
    let second = accepted(&store, catch_up(&["BTC"])).await.id;
    assert_eq!(store.find(first).await.unwrap(), None, "it was forgotten");
    let changes = store.changes(newest, ROOM).await.unwrap();
    assert!(changes.newest > newest, "{} after {newest}", changes.newest);
    assert_eq!(changes.jobs.into_iter().map(|(_, job)| job.id).collect::<Vec<_>>(), [second]);
}

async fn who_reads_changes_of_jobs_while_many_are_made_misses_none(backend: Backend) {
    const WRITERS: usize = 6;
    const JOBS: usize = 12;
    let (store, _database) = store(backend).await;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            for _ in 0..JOBS {
                accepted(&store, catch_up(&["BTC"])).await;
            }
        });
    }
    let (mut seq, mut seen) = (0, BTreeSet::new());
    // Ends: the writers do.
    loop {
        let ended = writers.is_empty();
        let changes = store.changes(seq, ROOM).await.unwrap();
        for (number, job) in changes.jobs {
            assert!(number > seq, "numbers ascend");
            seq = number;
            seen.insert(job.id);
        }
        if ended {
            break;
        }
        while writers.try_join_next().is_some() {}
    }
    assert_eq!(seen.len(), WRITERS * JOBS);
}
