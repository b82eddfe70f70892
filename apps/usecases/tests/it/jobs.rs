//! A job in the hands of a worker: how it ends, what is written down meanwhile, when it is tried again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ohlcv_domain::{Fence, JobId, TimeRange};
use ohlcv_ports::{
    CandleSource, ClaimedJob, Job, JobAsset, JobEnd, JobQueue, JobState, Leases, MockJobQueue, MockLeases,
    SourceError, StoreError, Work,
};
use ohlcv_usecases::{FetchContext, LeaseTerms, RunJob, Worked};

use crate::sources::SlowSource;
use crate::world::{MINUTE, World, asset, at, away, goal, range};

const SECOND: Duration = Duration::from_secs(1);

fn job(work: Work, attempts: u32, assets: &[&str]) -> ClaimedJob {
    let job = Job {
        id: JobId::from_u128(7),
        work,
        state: JobState::Running,
        attempts,
        created_at: at("2024-11-06"),
        started_at: Some(at("2024-11-06")),
        finished_at: None,
        assets: assets.iter().map(|name| JobAsset::queued(asset(name))).collect(),
    };
    ClaimedJob { job, fence: Fence { lease: "job 7".to_owned(), token: 1 } }
}

/// How a job was given back, and how its assets stood.
type Finished = Vec<(JobEnd, Vec<JobAsset>)>;

/// A queue that a worker gives its job back to.
struct Desk {
    queue: MockJobQueue,
    finished: Arc<Mutex<Finished>>,
}

impl Desk {
    /// Nobody wishes to cancel.
    fn quiet() -> Self {
        let mut desk = Self::silent();
        desk.queue.expect_record().returning(|_, _, _| Ok(false));
        desk
    }

    /// What happens when progress is recorded is left to the test.
    fn silent() -> Self {
        let finished: Arc<Mutex<Finished>> = Arc::default();
        let mut queue = MockJobQueue::new();
        let told = Arc::clone(&finished);
        queue.expect_finish().returning(move |_, _, end, assets| {
            told.lock().unwrap().push((end, assets.to_vec()));
            Ok(())
        });
        Self { queue, finished }
    }

    /// Has a job worked on in a world.
    async fn work(self, world: &World, job: ClaimedJob) -> (Worked, Finished) {
        let interactive = Arc::clone(&world.source) as Arc<dyn CandleSource>;
        let worked = worker(self.queue, world, interactive).work(job).await.unwrap();
        let finished = self.finished.lock().unwrap().clone();
        (worked, finished)
    }
}

fn worker(queue: MockJobQueue, world: &World, interactive: Arc<dyn CandleSource>) -> RunJob {
    worker_in(queue, world.context(), interactive)
}

fn worker_in(queue: MockJobQueue, context: FetchContext, interactive: Arc<dyn CandleSource>) -> RunJob {
    let mut leases = MockLeases::new();
    leases.expect_renew().returning(|_, _| Ok(true));
    leases.expect_release().returning(|_| Ok(()));
    let leases: Arc<dyn Leases> = Arc::new(leases);
    let terms = LeaseTerms { leases, holder: "the test".to_owned(), lasts: Duration::from_secs(20) };
    let queue: Arc<dyn JobQueue> = Arc::new(queue);
    RunJob::new(queue, terms, context, interactive, goal(10))
}

fn states(assets: &[JobAsset]) -> Vec<JobState> {
    assets.iter().map(|asset| asset.state).collect()
}

#[tokio::test(start_paused = true)]
async fn a_job_that_can_be_done_succeeds_and_says_what_it_did() {
    let world = World::of_btc();
    world.lists("ETH", "2023-01-01", "2025-06-01");
    let (worked, finished) = Desk::quiet().work(&world, job(Work::CatchUp, 1, &["ETH", "BTC"])).await;
    let [(end, assets)] = finished.as_slice() else { panic!("{finished:?}") };
    assert_eq!((*end, worked.end), (JobEnd::Final(JobState::Succeeded), Some(*end)));
    let done: Vec<_> = assets.iter().map(|asset| (asset.asset, asset.done, asset.expected)).collect();
    assert_eq!(done, [(asset("ETH"), 20, 20), (asset("BTC"), 20, 20)]);
    assert_eq!(states(assets), [JobState::Succeeded; 2]);
}

#[tokio::test(start_paused = true)]
async fn one_bad_asset_fails_alone_and_the_job_in_part() {
    let world = World::of_btc();
    let (_, finished) = Desk::quiet().work(&world, job(Work::CatchUp, 1, &["NOPE", "BTC"])).await;
    let (end, assets) = &finished[0];
    assert_eq!(*end, JobEnd::Final(JobState::PartlyFailed));
    assert_eq!(states(assets), [JobState::Failed, JobState::Succeeded]);
    assert!(assets[0].error.as_ref().unwrap().contains("no market"), "{assets:?}");
    let (_, finished) = Desk::quiet().work(&world, job(Work::CatchUp, 1, &["NOPE"])).await;
    assert_eq!(finished[0].0, JobEnd::Final(JobState::Failed), "it would fail again");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_can_pass_is_tried_again_later_and_later_but_not_for_ever() {
    let waits = [(1, Some(30)), (2, Some(60)), (4, Some(240)), (5, None)];
    for (attempts, wait) in waits {
        let world = World::of_btc();
        world.lists("ETH", "2023-01-01", "2025-06-01");
        world.source.fail_asset(asset("ETH"), away);
        let work = Work::Range(range("2024-10-01", "2024-10-03"));
        let (_, finished) = Desk::quiet().work(&world, job(work, attempts, &["BTC", "ETH"])).await;
        let (end, assets) = &finished[0];
        let (wanted, state) = match wait {
            Some(seconds) => (JobEnd::Again { after: SECOND * seconds, counts: true }, JobState::Queued),
            None => (JobEnd::Final(JobState::PartlyFailed), JobState::Failed),
        };
        assert_eq!((*end, states(assets)), (wanted, vec![JobState::Succeeded, state]), "attempt {attempts}");
        assert!(assets[1].error.as_ref().unwrap().contains("connection reset"), "{assets:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_asset_that_another_process_works_on_is_come_back_to() {
    let world = World::of_btc();
    let desk = Desk::quiet();
    let finished = Arc::clone(&desk.finished);
    let mut leases = MockLeases::new();
    leases.expect_acquire().returning(|_, _, _| Ok(None));
    let leases: Arc<dyn Leases> = Arc::new(leases);
    let terms = LeaseTerms { leases, holder: "the test".to_owned(), lasts: SECOND };
    let context = FetchContext { terms: Some(terms), patience: Some(SECOND * 2), ..world.context() };
    let express = Arc::clone(&world.source) as Arc<dyn CandleSource>;
    let worker = worker_in(desk.queue, context, express);
    worker.work(job(Work::CatchUp, 1, &["BTC"])).await.unwrap();
    let (end, assets) = finished.lock().unwrap()[0].clone();
    assert_eq!(end, JobEnd::Again { after: SECOND * 5, counts: false }, "others may use the place");
    assert_eq!(states(&assets), [JobState::Queued]);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_does_not_even_tell_its_time_fails_all_assets_until_it_does() {
    let world = World::of_btc();
    world.source.fail_next(1, away);
    let (_, finished) = Desk::quiet().work(&world, job(Work::CatchUp, 1, &["BTC"])).await;
    let (end, assets) = &finished[0];
    assert_eq!(*end, JobEnd::Again { after: SECOND * 30, counts: true });
    assert_eq!(states(assets), [JobState::Queued]);
}

#[tokio::test(start_paused = true)]
async fn a_ban_is_waited_for() {
    let world = World::of_btc();
    let until = at("2024-11-06T14:00");
    world.source.fail_next(1, move || SourceError::RateLimited { until, reason: "banned".to_owned() });
    let (_, finished) = Desk::quiet().work(&world, job(Work::CatchUp, 1, &["BTC"])).await;
    let JobEnd::Again { after, counts: true } = finished[0].0 else { panic!("{finished:?}") };
    assert!(after > 59 * MINUTE && after <= 60 * MINUTE, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_killed_all_its_workers_is_given_up_without_another_try() {
    let world = World::of_btc();
    let (_, finished) = Desk::quiet().work(&world, job(Work::CatchUp, 6, &["BTC"])).await;
    let (end, assets) = &finished[0];
    assert_eq!(*end, JobEnd::Final(JobState::Failed));
    assert!(assets[0].error.as_ref().unwrap().contains("given up"), "{assets:?}");
    assert_eq!(world.calls(), []);
}

#[tokio::test(start_paused = true)]
async fn assets_that_an_earlier_worker_finished_are_left_alone() {
    let world = World::of_btc();
    world.lists("ETH", "2023-01-01", "2025-06-01");
    let work = Work::Backfill { days: None, force: true };
    let mut claimed = job(work, 2, &["ETH", "BTC"]);
    claimed.job.assets[0] =
        JobAsset { state: JobState::Succeeded, done: 20, expected: 20, ..claimed.job.assets[0].clone() };
    claimed.job.assets[1] = JobAsset { done: 5, expected: 20, ..claimed.job.assets[1].clone() };
    let (_, finished) = Desk::quiet().work(&world, claimed).await;
    assert_eq!(world.rows("ETH").await, []);
    let (end, assets) = &finished[0];
    assert_eq!(*end, JobEnd::Final(JobState::Succeeded));
    assert_eq!((assets[1].done, assets[1].expected), (25, 25), "what was done before counts");
}

/// A world in which a page takes three seconds.
fn slow_world() -> (World, Arc<dyn CandleSource>) {
    let world = World::of_btc();
    world.source.set_page_slots_max(4.try_into().unwrap());
    let slow = Arc::new(SlowSource::new(&world.source, SECOND * 3));
    (world, slow)
}

#[tokio::test(start_paused = true)]
async fn a_wish_to_cancel_ends_the_work_after_what_is_stored() {
    let (world, slow) = slow_world();
    let mut desk = Desk::silent();
    let mut records = 0;
    desk.queue.expect_record().returning(move |_, _, _| {
        records += 1;
        Ok(records >= 7)
    });
    let finished = Arc::clone(&desk.finished);
    let worked = worker(desk.queue, &world, slow).work(job(Work::CatchUp, 1, &["BTC"])).await.unwrap();
    assert_eq!(worked.end, Some(JobEnd::Final(JobState::Cancelled)));
    let (end, assets) = finished.lock().unwrap()[0].clone();
    assert_eq!((end, states(&assets)), (JobEnd::Final(JobState::Cancelled), vec![JobState::Cancelled]));
    assert_eq!(world.rows("BTC").await.len(), 12, "one page, then two at once");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_told_to_stop_gives_its_job_back_at_once() {
    let (world, slow) = slow_world();
    let desk = Desk::quiet();
    let finished = Arc::clone(&desk.finished);
    let worker = worker(desk.queue, &world, slow);
    let stop = world.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(SECOND * 4).await;
        stop.cancel();
    });
    worker.work(job(Work::CatchUp, 1, &["BTC"])).await.unwrap();
    let (end, assets) = finished.lock().unwrap()[0].clone();
    assert_eq!(end, JobEnd::Again { after: Duration::ZERO, counts: false });
    assert_eq!((states(&assets), assets[0].done), (vec![JobState::Queued], 4));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_another_worker_has_is_let_go() {
    let (world, slow) = slow_world();
    let mut desk = Desk::silent();
    let lost = || StoreError::LeaseLost { lease: "job 7".to_owned() };
    desk.queue.expect_record().returning(move |_, _, _| Err(lost()));
    let finished = Arc::clone(&desk.finished);
    let worked = worker(desk.queue, &world, slow).work(job(Work::CatchUp, 1, &["BTC"])).await.unwrap();
    assert_eq!(worked.end, None);
    assert!(finished.lock().unwrap().is_empty(), "it is not its to finish");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_a_while_costs_a_job_nothing_and_it_hears_all_later() {
    let (world, slow) = slow_world();
    let mut desk = Desk::silent();
    let told: Arc<Mutex<Vec<u64>>> = Arc::default();
    let noted = Arc::clone(&told);
    let mut records = 0;
    desk.queue.expect_record().returning(move |_, _, assets| {
        records += 1;
        if records <= 4 {
            return Err(StoreError::Unavailable { reason: "away".to_owned(), source: None });
        }
        noted.lock().unwrap().extend(assets.iter().map(|asset| asset.done));
        Ok(false)
    });
    let worked = worker(desk.queue, &world, slow).work(job(Work::CatchUp, 1, &["BTC"])).await.unwrap();
    assert_eq!(worked.end, Some(JobEnd::Final(JobState::Succeeded)));
    assert_eq!(told.lock().unwrap().first(), Some(&4), "what could not be told is told again");
}

#[tokio::test(start_paused = true)]
async fn only_jobs_that_somebody_waits_for_go_the_fast_way() {
    let whole = TimeRange::new(at("2024-11-01"), at("2024-11-03")).unwrap();
    let backfill = Work::Backfill { days: None, force: false };
    for (work, fast) in [(Work::CatchUp, true), (Work::Range(whole), true), (backfill, false)] {
        let world = World::of_btc();
        let express = World::of_btc();
        let desk = Desk::quiet();
        let interactive = Arc::clone(&express.source) as Arc<dyn CandleSource>;
        worker(desk.queue, &world, interactive).work(job(work, 1, &["BTC"])).await.unwrap();
        assert_eq!((world.calls().is_empty(), express.calls().is_empty()), (fast, !fast), "{work:?}");
    }
}
