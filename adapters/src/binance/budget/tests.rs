//! The pace, in paused time.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::Urgency::{Patient, Urgent};
use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const PATIENT: Duration = Duration::from_secs(3_600);

fn budget(weight_per_minute: u32, delay: Duration, in_flight_max: usize) -> Arc<Budget> {
    Arc::new(Budget::new(weight_per_minute, delay, NonZeroUsize::new(in_flight_max).unwrap(), None))
}

/// Lets that many workers ask without rest for `length`; says when requests started.
async fn starts(budget: &Arc<Budget>, workers: usize, weight: u32, length: Duration) -> Vec<Instant> {
    let end = Instant::now() + length;
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        let budget = Arc::clone(budget);
        tasks.spawn(async move {
            let mut starts = Vec::new();
            while Instant::now() < end {
                let pass = budget.acquire(weight, Patient, PATIENT).await.unwrap();
                starts.push(Instant::now());
                drop(pass);
            }
            starts
        });
    }
    let mut starts: Vec<Instant> = tasks.join_all().await.into_iter().flatten().collect();
    starts.sort();
    starts
}

fn most_in_a_minute(starts: &[Instant]) -> usize {
    let until_minute_after = |at: usize| starts.partition_point(|start| *start <= starts[at] + MINUTE) - at;
    (0..starts.len()).map(until_minute_after).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn no_sixty_seconds_ever_see_more_than_the_budget() {
    for weight_per_minute in [10, 11, 100, 300, 1_200, 5_000, 6_000] {
        let budget = budget(weight_per_minute, Duration::ZERO, 10);
        // Idle first: what the bucket may have saved up counts too.
        tokio::time::sleep(10 * MINUTE).await;
        let starts = starts(&budget, 4, 2, 3 * MINUTE).await;
        let most = most_in_a_minute(&starts) as u32 * 2;
        assert!(most <= weight_per_minute, "{most} of {weight_per_minute}");
        // And most of it can be used.
        let least = if weight_per_minute < 100 { 60 } else { 95 };
        let used = starts.len() as u32 * 2 / 3;
        assert!(used * 100 >= weight_per_minute * least, "{used} of {weight_per_minute}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_does_not_save_up_weight_for_afterwards() {
    let budget = budget(300, Duration::ZERO, 50);
    let pauses = {
        let budget = Arc::clone(&budget);
        tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(31)).await;
                budget.pause(Duration::from_secs(7), "a test");
            }
        })
    };
    let starts = starts(&budget, 50, 2, 4 * MINUTE).await;
    pauses.await.unwrap();
    assert!(most_in_a_minute(&starts) * 2 <= 300);
}

#[tokio::test(start_paused = true)]
async fn starts_keep_their_distance() {
    let delay = Duration::from_millis(100);
    let starts = starts(&budget(6_000, delay, 10), 5, 2, MINUTE).await;
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= delay));
    assert!(starts.len() > 500, "{}", starts.len());
}

#[tokio::test(start_paused = true)]
async fn only_so_many_requests_are_under_way() {
    let budget = budget(6_000, Duration::ZERO, 2);
    let first = budget.acquire(2, Patient, PATIENT).await.unwrap();
    let _second = budget.acquire(2, Patient, PATIENT).await.unwrap();
    assert!(tokio::time::timeout(MINUTE, budget.acquire(2, Patient, PATIENT)).await.is_err());
    drop(first);
    assert!(tokio::time::timeout(MINUTE, budget.acquire(2, Patient, PATIENT)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_for_all_who_wait() {
    let delay = Duration::from_millis(100);
    let budget = budget(6_000, delay, 10);
    let began = Instant::now();
    drop(budget.acquire(2, Patient, PATIENT).await.unwrap());
    let mut waiting = JoinSet::new();
    for _ in 0..5 {
        let budget = Arc::clone(&budget);
        waiting.spawn(async move {
            let _pass = budget.acquire(2, Patient, PATIENT).await.unwrap();
            Instant::now() - began
        });
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    budget.pause(Duration::from_secs(30), "a test");
    // A shorter one does not open it earlier.
    budget.pause(Duration::from_secs(1), "a test");
    let mut starts = waiting.join_all().await;
    starts.sort();
    assert!(starts[0] >= Duration::from_millis(30_050), "{starts:?}");
    assert!(starts[4] < Duration::from_secs(32), "{starts:?}");
    assert_eq!(budget.paused(), None);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_begins_while_tokens_are_awaited_is_obeyed() {
    let budget = budget(10, Duration::ZERO, 10);
    drop(budget.acquire(2, Patient, PATIENT).await.unwrap());
    let began = Instant::now();
    let waiting = {
        let budget = Arc::clone(&budget);
        tokio::spawn(async move { budget.acquire(2, Patient, PATIENT).await.map(|_| Instant::now()) })
    };
    tokio::time::sleep(Duration::from_secs(5)).await;
    budget.pause(MINUTE, "a test");
    assert!(waiting.await.unwrap().unwrap() - began >= Duration::from_secs(65));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_pause_longer_than_they_care_to() {
    let budget = budget(6_000, Duration::ZERO, 1);
    let under_way = budget.acquire(2, Patient, MINUTE).await.unwrap();
    let queued = {
        let budget = Arc::clone(&budget);
        tokio::spawn(async move { budget.acquire(2, Patient, MINUTE).await.map(|_| ()) })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    budget.pause(5 * MINUTE, "banned");
    let wanted = Paused { left: 5 * MINUTE, reason: "banned".to_owned() };
    for halt in [queued.await.unwrap().unwrap_err(), budget.acquire(2, Patient, MINUTE).await.unwrap_err()] {
        assert!(matches!(halt, Halt::Paused(ref paused) if *paused == wanted), "{halt:?}");
    }
    assert_eq!(Instant::now(), began);
    drop(under_way);
    // Once little enough of it is left, waiting is fine again.
    tokio::time::sleep(4 * MINUTE).await;
    assert!(budget.acquire(2, Patient, MINUTE).await.is_ok());
    assert_eq!(Instant::now() - began, 5 * MINUTE);
}

#[tokio::test(start_paused = true)]
async fn who_stops_waiting_leaves_the_budget_whole() {
    let budget = budget(10, Duration::ZERO, 1);
    drop(budget.acquire(2, Patient, PATIENT).await.unwrap());
    for _ in 0..20 {
        assert!(
            tokio::time::timeout(Duration::from_millis(10), budget.acquire(2, Patient, PATIENT))
                .await
                .is_err()
        );
    }
    assert!(tokio::time::timeout(Duration::from_secs(21), budget.acquire(2, Patient, PATIENT)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn urgent_requests_start_before_all_that_wait_already() {
    let budget = budget(6_000, Duration::from_millis(100), 10);
    drop(budget.acquire(2, Patient, PATIENT).await.unwrap());
    let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
    let ask = |name: &'static str, urgency: Urgency| {
        let (budget, started) = (Arc::clone(&budget), started.clone());
        tokio::spawn(async move {
            drop(budget.acquire(2, urgency, PATIENT).await.unwrap());
            started.send(name).unwrap();
        })
    };
    for name in ["patient 1", "patient 2", "patient 3"] {
        ask(name, Patient);
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    for name in ["urgent 1", "urgent 2"] {
        ask(name, Urgent);
        tokio::task::yield_now().await;
    }
    let mut order = Vec::new();
    for _ in 0..5 {
        order.push(starts.recv().await.unwrap());
    }
    assert_eq!(order, ["urgent 1", "urgent 2", "patient 1", "patient 2", "patient 3"]);
}

#[tokio::test(start_paused = true)]
async fn an_urgent_request_goes_before_a_patient_one_that_waits_for_weight() {
    // The first token comes after ten seconds.
    let budget = budget(10, Duration::ZERO, 1);
    drop(budget.acquire(2, Patient, PATIENT).await.unwrap());
    let patient = {
        let budget = Arc::clone(&budget);
        tokio::spawn(
            async move { budget.acquire(2, Patient, PATIENT).await.map(|_| Instant::now()).unwrap() },
        )
    };
    tokio::time::sleep(Duration::from_secs(5)).await;
    drop(budget.acquire(2, Urgent, PATIENT).await.unwrap());
    let urgent_started = Instant::now();
    assert!(patient.await.unwrap() > urgent_started + Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn an_urgent_request_that_is_given_up_holds_nobody_back() {
    let budget = budget(6_000, Duration::ZERO, 1);
    let under_way = budget.acquire(2, Patient, PATIENT).await.unwrap();
    let given_up = budget.acquire(2, Urgent, PATIENT);
    assert!(tokio::time::timeout(Duration::from_secs(1), given_up).await.is_err());
    drop(under_way);
    assert!(tokio::time::timeout(MINUTE, budget.acquire(2, Patient, PATIENT)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn urgent_requests_keep_to_the_budget_and_leave_the_rest_to_the_others() {
    let budget = budget(300, Duration::ZERO, 10);
    let urgent = {
        let budget = Arc::clone(&budget);
        tokio::spawn(async move {
            let mut starts = Vec::new();
            for _ in 0..30 {
                drop(budget.acquire(2, Urgent, PATIENT).await.unwrap());
                starts.push(Instant::now());
                tokio::time::sleep(Duration::from_secs(4)).await;
            }
            starts
        })
    };
    let mut all = starts(&budget, 4, 2, 2 * MINUTE).await;
    let patient = all.len();
    all.extend(urgent.await.unwrap());
    all.sort();
    assert!(most_in_a_minute(&all) * 2 <= 300);
    assert!(patient * 2 > 2 * 220, "{patient}");
}

#[tokio::test(start_paused = true)]
async fn urgent_requests_without_end_leave_every_tenth_turn_to_a_patient_one() {
    let budget = budget(6_000, Duration::from_millis(10), 10);
    let mut urgent = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let budget = Arc::clone(&budget);
        urgent.spawn(async move {
            loop {
                drop(budget.acquire(2, Urgent, PATIENT).await.unwrap());
            }
        });
    }
    let started = Instant::now();
    for _ in 0..20 {
        drop(budget.acquire(2, Patient, PATIENT).await.unwrap());
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    urgent.abort_all();
}
