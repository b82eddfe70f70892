//! The shared budget as one process uses it, in paused time.

use std::num::NonZeroUsize;
use std::sync::Mutex;

use async_trait::async_trait;
use ohlcv_ports::MockRequestBudget;
use tokio::task::JoinSet;

use super::super::budget::{Budget, Halt, Urgency};
use super::*;

const PER_MINUTE: u32 = 6_000;
const SECOND: Duration = Duration::from_secs(1);
const PATIENT: Duration = Duration::from_secs(3_600);

/// What was reserved so far, request by request.
type Reserved = Arc<Mutex<Vec<u32>>>;

/// A budget of which everything is free, up to a hundred at a time.
fn generous() -> (MockRequestBudget, Reserved) {
    let reserved = Reserved::default();
    let mut shared = MockRequestBudget::new();
    let noted = Arc::clone(&reserved);
    shared.expect_reserve().returning(move |exchange, weight, per_minute| {
        assert_eq!((exchange, per_minute), ("an exchange", PER_MINUTE));
        let weight = weight.min(100);
        noted.lock().unwrap().push(weight);
        Ok(granted(weight, Duration::ZERO))
    });
    (shared, reserved)
}

fn granted(weight: u32, opens_in: Duration) -> Reservation {
    Reservation::Granted { weight, opens_in, closes_in: opens_in + SECOND }
}

fn paused(left: Duration) -> Paused {
    Paused { left, reason: "banned".to_owned() }
}

fn budget(shared: MockRequestBudget, delay: Duration) -> Budget {
    let share = Share::new(Arc::new(shared), "an exchange".to_owned(), PER_MINUTE, delay);
    Budget::new(PER_MINUTE, delay, NonZeroUsize::new(10).unwrap(), Some(share))
}

async fn start(budget: &Budget) -> Result<(), Halt> {
    budget.acquire(2, Urgency::Patient, PATIENT).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn the_row_is_not_written_for_every_request() {
    let (shared, reserved) = generous();
    let budget = budget(shared, Duration::ZERO);
    let begun = Instant::now();
    for _ in 0..1_000 {
        start(&budget).await.unwrap();
    }
    let seconds = begun.elapsed().as_secs();
    let reserved = reserved.lock().unwrap();
    assert_eq!(reserved[..7], [2, 4, 8, 16, 32, 64, 100], "it begins with one request");
    assert!(reserved.len() as u64 <= seconds + 8, "{} times in {seconds} s", reserved.len());
    assert!(reserved.iter().all(|weight| *weight <= 100));
}

#[tokio::test(start_paused = true)]
async fn no_more_is_reserved_than_can_be_used_in_a_second() {
    let (shared, reserved) = generous();
    let budget = budget(shared, Duration::from_millis(100));
    for _ in 0..600 {
        start(&budget).await.unwrap();
    }
    let reserved = reserved.lock().unwrap();
    assert_eq!(reserved.iter().max(), Some(&20));
    assert!(reserved.len() < 600 / 8, "{} times", reserved.len());
    assert!(reserved.iter().sum::<u32>() < 1_200 + 1_200 / 5, "and little of it is left unused");
}

#[tokio::test(start_paused = true)]
async fn who_asks_seldom_reserves_one_request_at_a_time() {
    let (shared, reserved) = generous();
    let budget = budget(shared, Duration::ZERO);
    for _ in 0..50 {
        start(&budget).await.unwrap();
    }
    for _ in 0..10 {
        tokio::time::sleep(5 * SECOND).await;
        start(&budget).await.unwrap();
    }
    let reserved = reserved.lock().unwrap();
    assert!(reserved.ends_with(&[2; 9]), "{reserved:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reservation_is_not_used_before_it_opens() {
    let mut shared = MockRequestBudget::new();
    shared.expect_reserve().returning(|_, weight, _| Ok(granted(weight, 3 * SECOND)));
    shared.expect_paused().returning(|_| Ok(None));
    let budget = budget(shared, Duration::ZERO);
    let begun = Instant::now();
    start(&budget).await.unwrap();
    assert_eq!(begun.elapsed(), 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_ban_that_begins_while_a_reservation_is_awaited_is_obeyed() {
    let mut shared = MockRequestBudget::new();
    shared.expect_reserve().returning(|_, weight, _| Ok(granted(weight, 3 * SECOND)));
    let mut looks = vec![None, Some(paused(20 * SECOND))];
    shared.expect_paused().times(2).returning(move |_| Ok(looks.pop().unwrap()));
    let budget = budget(shared, Duration::ZERO);
    let begun = Instant::now();
    start(&budget).await.unwrap();
    // What was reserved before the ban has passed with it.
    assert_eq!(begun.elapsed(), (3 + 20 + 3) * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_ban_in_the_row_is_sat_out_or_told_at_once() {
    for (left, told) in [(60 * SECOND, false), (7_200 * SECOND, true)] {
        let mut shared = MockRequestBudget::new();
        let mut answers = vec![granted(2, Duration::ZERO), Reservation::Paused(paused(left))];
        shared.expect_reserve().returning(move |_, _, _| Ok(answers.pop().unwrap()));
        let budget = budget(shared, Duration::ZERO);
        let begun = Instant::now();
        match start(&budget).await {
            Err(Halt::Paused(halt)) => {
                assert!(told && begun.elapsed().is_zero());
                assert_eq!(halt, paused(left));
            }
            other => assert!(other.is_ok() && !told && begun.elapsed() == left, "{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_told_to_all_and_holds_here_even_if_that_fails() {
    for works in [true, false] {
        let mut shared = MockRequestBudget::new();
        shared
            .expect_pause()
            .withf(|exchange, length, reason| {
                (exchange, *length, reason) == ("an exchange", 30 * SECOND, "banned")
            })
            .times(1)
            .returning(move |_, _, _| if works { Ok(()) } else { Err(too_slow()) });
        shared.expect_reserve().returning(|_, weight, _| Ok(granted(weight, Duration::ZERO)));
        let budget = budget(shared, Duration::ZERO);
        budget.pause_all(30 * SECOND, "banned").await;
        let begun = Instant::now();
        start(&budget).await.unwrap();
        assert_eq!(begun.elapsed(), 30 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_if_the_row_cannot_be_had() {
    let mut shared = MockRequestBudget::new();
    shared.expect_reserve().times(1).returning(|_, _, _| Err(too_slow()));
    let budget = budget(shared, Duration::ZERO);
    assert!(matches!(start(&budget).await, Err(Halt::Unreserved(_))));
}

#[tokio::test(start_paused = true)]
async fn reservations_that_come_too_late_are_dropped_and_at_some_point_complained_of() {
    let late = || Reservation::Granted { weight: 2, opens_in: Duration::ZERO, closes_in: Duration::ZERO };
    let mut shared = MockRequestBudget::new();
    let mut answers = vec![granted(2, Duration::ZERO), late(), Reservation::Wait(2 * SECOND), late()];
    shared.expect_reserve().times(4).returning(move |_, _, _| Ok(answers.pop().unwrap()));
    let patient = budget(shared, Duration::ZERO);
    start(&patient).await.unwrap();

    let mut shared = MockRequestBudget::new();
    shared.expect_reserve().times(5).returning(move |_, _, _| Ok(late()));
    let hopeless = budget(shared, Duration::ZERO);
    assert!(matches!(start(&hopeless).await, Err(Halt::Unreserved(StoreError::Unavailable { .. }))));
}

/// The timeline that the store keeps, for a budget of 6000, answered after a while.
#[derive(Debug)]
struct Timeline(tokio::sync::Mutex<Instant>);

#[async_trait]
impl RequestBudget for Timeline {
    async fn reserve(&self, _: &str, weight: u32, _: u32) -> Result<Reservation, StoreError> {
        let (weight, asked) = (weight.min(100), Instant::now());
        sleep(Duration::from_millis(4)).await;
        let mut reserved_until = self.0.lock().await;
        let opens_in = reserved_until.saturating_duration_since(Instant::now());
        *reserved_until =
            Instant::now() + opens_in + Duration::from_millis((u64::from(weight) * 61_010).div_ceil(5_900));
        drop(reserved_until);
        sleep(Duration::from_millis(4)).await;
        Ok(Reservation::Granted {
            weight,
            opens_in,
            closes_in: (opens_in + SECOND).saturating_sub(asked.elapsed()),
        })
    }

    async fn pause(&self, _: &str, _: Duration, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn paused(&self, _: &str) -> Result<Option<Paused>, StoreError> {
        sleep(Duration::from_millis(4)).await;
        Ok(None)
    }
}

#[tokio::test(start_paused = true)]
async fn processes_together_use_nearly_all_of_a_budget_and_no_minute_sees_more() {
    const MINUTE: Duration = Duration::from_secs(60);
    for processes in [1, 2, 5] {
        let timeline = Arc::new(Timeline(tokio::sync::Mutex::new(Instant::now())));
        let end = Instant::now() + 4 * MINUTE;
        let mut tasks = JoinSet::new();
        for _ in 0..processes {
            let shared: Arc<dyn RequestBudget> = Arc::<Timeline>::clone(&timeline);
            let share = Share::new(shared, "an exchange".to_owned(), PER_MINUTE, Duration::ZERO);
            let budget = Budget::new(PER_MINUTE, Duration::ZERO, NonZeroUsize::new(10).unwrap(), Some(share));
            tasks.spawn(async move {
                let mut starts = Vec::new();
                while Instant::now() < end {
                    start(&budget).await.unwrap();
                    starts.push(Instant::now());
                }
                starts
            });
        }
        let mut starts: Vec<Instant> = tasks.join_all().await.into_iter().flatten().collect();
        starts.sort();
        let within = |at: usize| starts.partition_point(|start| *start <= starts[at] + MINUTE) - at;
        let most = (0..starts.len()).map(within).max().unwrap() * 2;
        assert!(most <= 6_000, "{most} by {processes}");
        let used = starts.len() * 2 / 4;
        assert!(used >= 6_000 * 95 / 100, "{used} a minute by {processes}");
    }
}
