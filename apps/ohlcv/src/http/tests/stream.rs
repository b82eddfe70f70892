//! What followers are told, and when.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::StreamExt;
use futures::stream::BoxStream;
use ohlcv_domain::TimeRange;
use ohlcv_ports::{JobChanges, StoreError};
use tokio::time::{Instant, timeout};

use super::stores::BrokenStore;
use super::*;

/// How often it is looked whether there is something new.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a comment goes out.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
const KEY: &str = "a-key-of-the-tests-alone";

/// A stream, block by block.
struct Followed {
    body: BoxStream<'static, std::io::Result<bytes::Bytes>>,
    text: String,
}

impl Followed {
    async fn begin(client: &Client, url: &str, id: Option<&str>) -> Self {
        let headers: Vec<(&str, &str)> = id.into_iter().map(|id| ("last-event-id", id)).collect();
        Self::with(client, url, &headers).await
    }

    async fn with(client: &Client, url: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = client.get(url);
        for &(name, value) in headers {
            request = request.header(name, value);
        }
        let response = request.header("accept-encoding", "gzip").send().await.0;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        assert!(response.headers().get("content-encoding").is_none());
        let body = response.into_body().into_bytes_stream().boxed();
        Self { body, text: String::new() }
    }

    /// The next block as it was sent, without its end.
    async fn block(&mut self) -> String {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return block;
            }
            let chunk = self.body.next().await.expect("the stream goes on").unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event: its id, kind and data.
    async fn event(&mut self) -> (String, String, Value) {
        let block = loop {
            let block = self.block().await;
            if block.contains("data: ") {
                break block;
            }
        };
        let field = |name: &str| {
            let line =
                block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{block}"));
            line.to_owned()
        };
        (field("id: "), field("event: "), serde_json::from_str(&field("data: ")).unwrap())
    }
}

/// The API over a store and these jobs, with [`KEY`].
fn with_jobs(store: Arc<MemoryStore>, jobs: MockJobs) -> Client {
    let parts = parts_of(store, CorsOrigins::None);
    let api_keys = ApiKeys::of(&[KEY]);
    serving(HttpParts { jobs: Arc::new(jobs), api_keys, ..parts })
}

/// Says one thing about some slots of the example series.
async fn say(store: &MemoryStore, slots: std::ops::Range<usize>, cause: Cause, detail: &str) {
    let range = TimeRange::new(slot(slots.start), slot(slots.end)).unwrap();
    let asked = Grid::new(Interval::H12).slots_in(range);
    let commit = Commit::of_finding(asset("BTC"), asked, cause, detail, slot(SLOTS));
    store.apply(commit).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_with_where_it_stands_and_says_nothing_that_is_old() {
    let client = example_client().await;
    let mut followed = Followed::begin(&client, "/api/v1/stream", None).await;
    assert_eq!(followed.block().await, "retry: 2000");
    assert_eq!(followed.block().await, "id: BTC_1.ETH_0");
    let started = Instant::now();
    for beat in 1..=3 {
        assert_eq!(followed.block().await, ":", "nothing but a comment");
        let waited = started.elapsed();
        assert!(
            waited >= HEARTBEAT_EVERY * beat - LOOK_EVERY && waited <= HEARTBEAT_EVERY * beat + LOOK_EVERY
        );
    }
}

#[tokio::test(start_paused = true)]
async fn candles_are_told_as_the_api_answers_with_them() {
    let store = example_store().await;
    let client = client_of(Arc::clone(&store), CorsOrigins::None);
    let mut followed = Followed::begin(&client, "/api/v1/stream", None).await;
    let started = Instant::now();
    write(&store, "BTC", vec![example(SLOTS)], slot(SLOTS + 1)).await;
    let (id, kind, data) = followed.event().await;
    assert!(started.elapsed() <= LOOK_EVERY, "{:?}", started.elapsed());
    assert_eq!((id.as_str(), kind.as_str()), ("BTC_2.ETH_0", "candle"));
    let mut row = get(&client, "/api/v1/ohlcv/BTC?limit=1").await.rows()[0].clone();
    row.as_object_mut().unwrap().insert("asset".to_owned(), "BTC".into());
    assert_eq!(data, row);
    // Without having been followed, from wherever the client stood.
    for id in ["BTC_1.ETH_0", "BTC_1"] {
        let mut resumed = Followed::begin(&client, "/api/v1/stream?assets=BTC", Some(id)).await;
        assert_eq!(resumed.event().await.2, row);
    }
}

#[tokio::test(start_paused = true)]
async fn holes_are_told_when_they_are_new_or_grow_or_have_another_cause() {
    let store = example_store().await;
    let client = client_of(Arc::clone(&store), CorsOrigins::None);
    let mut followed = Followed::begin(&client, "/api/v1/stream", None).await;
    say(&store, 5..6, Cause::Rejected, "negative").await;
    let (_, kind, data) = followed.event().await;
    assert_eq!((kind.as_str(), &data["asset"], &data["cause"]), ("gap", &"BTC".into(), &"rejected".into()));
    assert_eq!((&data["start"], &data["slots"]), (&slot(5).to_string().into(), &1.into()));
    assert_eq!(data["detail"], "negative");
    // Asked in vain once more: nobody is told. Nor of what a candle leaves of a hole.
    say(&store, 12..13, Cause::SourceEmpty, "").await;
    write(&store, "BTC", vec![example(18)], slot(19)).await;
    let (_, kind, data) = followed.event().await;
    assert_eq!((kind.as_str(), &data["timestamp"]), ("candle", &slot(18).to_string().into()));
    say(&store, 20..21, Cause::Pending, "").await;
    let (_, kind, data) = followed.event().await;
    assert_eq!((kind.as_str(), &data["cause"]), ("gap", &"pending".into()));
    assert_eq!((&data["start"], &data["slots"]), (&slot(19).to_string().into(), &2.into()));
}

#[tokio::test(start_paused = true)]
async fn what_changed_more_than_once_is_told_once_as_it_is_now() {
    let store = example_store().await;
    let client = client_of(Arc::clone(&store), CorsOrigins::None);
    for volume in ["1", "2", "3"] {
        let revised = candle(slot(0), ["1", "1", "1", "1", volume]);
        write(&store, "BTC", vec![revised], slot(1)).await;
    }
    let mut followed = Followed::begin(&client, "/api/v1/stream", Some("BTC_1.ETH_0")).await;
    let (id, _, data) = followed.event().await;
    assert_eq!((id.as_str(), &data["volume"]), ("BTC_4.ETH_0", &"3.00000000".into()));
    assert_eq!(followed.block().await, ":");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_cut_off_in_the_midst_of_a_write_hears_the_rest_of_it() {
    let store = example_store().await;
    let client = client_of(Arc::clone(&store), CorsOrigins::None);
    let all = {
        let mut followed = Followed::begin(&client, "/api/v1/stream?after=BTC_0", None).await;
        let mut all = Vec::new();
        while all.len() < SLOTS - EMPTY_SLOTS.len() - PENDING_SLOTS.len() + 3 {
            all.push(followed.event().await);
        }
        assert_eq!(followed.block().await, ":");
        all
    };
    let times: Vec<&Value> =
        all.iter().map(|(_, _, data)| data.get("timestamp").unwrap_or(&data["start"])).collect();
    assert!(times.is_sorted_by(|one, next| one.as_str() < next.as_str()), "{times:?}");
    assert_eq!(all.last().unwrap().0, "BTC_1.ETH_0");
    for (at, (id, ..)) in all.iter().enumerate() {
        let mut resumed = Followed::begin(&client, "/api/v1/stream?after=BTC_0", Some(id)).await;
        for rest in &all[at + 1..] {
            assert_eq!(resumed.event().await, *rest);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_waits_while_the_database_is_away_and_is_told_when_it_is_back() {
    let store = example_store().await;
    let away = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&away);
    let mut jobs = MockJobs::new();
    jobs.expect_changes().returning(move |_, _| {
        if seen.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable { reason: "away".to_owned(), source: None });
        }
        Ok(JobChanges::default())
    });
    let client = with_jobs(Arc::clone(&store), jobs);
    let mut followed = Followed::with(&client, "/api/v1/stream", &[("x-api-key", KEY)]).await;
    assert!(timeout(LOOK_EVERY * 3 / 2, followed.event()).await.is_err(), "nothing is new");
    away.store(true, Ordering::SeqCst);
    write(&store, "BTC", vec![example(SLOTS)], slot(SLOTS + 1)).await;
    assert!(timeout(LOOK_EVERY * 5, followed.event()).await.is_err(), "it waits");
    away.store(false, Ordering::SeqCst);
    let back = Instant::now();
    let (id, kind, _) = followed.event().await;
    assert_eq!((id.as_str(), kind.as_str()), ("BTC_2.ETH_0.jobs_0", "candle"));
    assert!(back.elapsed() <= LOOK_EVERY, "{:?}", back.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_read_ends_no_stream() {
    let store = example_store().await;
    let mut jobs = MockJobs::new();
    jobs.expect_changes().returning(|_, limit| match limit {
        0 => Ok(JobChanges { newest: 5, jobs: Vec::new() }),
        _ => Err(StoreError::Corrupt { reason: "of a later version".to_owned() }),
    });
    let client = with_jobs(Arc::clone(&store), jobs);
    let headers = [("x-api-key", KEY), ("last-event-id", "BTC_1.ETH_0.jobs_3")];
    let mut followed = Followed::with(&client, "/api/v1/stream", &headers).await;
    write(&store, "BTC", vec![example(SLOTS)], slot(SLOTS + 1)).await;
    let (id, kind, _) = followed.event().await;
    assert_eq!((id.as_str(), kind.as_str()), ("BTC_2.ETH_0.jobs_5", "candle"));
}

#[tokio::test(start_paused = true)]
async fn an_id_that_another_process_gave_a_moment_ago_is_not_refused() {
    let newest = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&newest);
    let mut jobs = MockJobs::new();
    jobs.expect_changes()
        .returning(move |_, _| Ok(JobChanges { newest: seen.load(Ordering::SeqCst), jobs: Vec::new() }));
    let client = with_jobs(example_store().await, jobs);
    let key = ("x-api-key", KEY);
    Followed::with(&client, "/api/v1/stream", &[key]).await;
    newest.store(7, Ordering::SeqCst);
    Followed::with(&client, "/api/v1/stream", &[key, ("last-event-id", "BTC_1.jobs_7")]).await;
    let ahead = send(&client, Method::GET, "/api/v1/stream?after=BTC_1.jobs_8", &[key]).await;
    assert_eq!(ahead.status, StatusCode::BAD_REQUEST);
    assert!(ahead.problem().1.contains("7 changes of jobs, not 8"), "{}", ahead.text);
}

#[tokio::test(start_paused = true)]
async fn followers_take_no_turns_from_other_requests() {
    let parts = parts_of(example_store().await, CorsOrigins::None);
    let client = serving(HttpParts { database_requests_max: 1, ..parts });
    let mut followed = Followed::begin(&client, "/api/v1/stream", None).await;
    let idle = tokio::spawn(async move { followed.event().await });
    for _ in 0..3 {
        tokio::time::sleep(LOOK_EVERY).await;
        assert_eq!(get(&client, "/api/v1/assets").await.status, StatusCode::OK);
    }
    assert!(!idle.is_finished(), "it follows all the while");
    idle.abort();
}

#[tokio::test(start_paused = true)]
async fn who_wants_to_follow_while_the_database_is_away_is_told() {
    let client = client_of(Arc::new(BrokenStore::Away), CorsOrigins::None);
    let answer = get(&client, "/api/v1/stream").await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("5")));
    assert_eq!(answer.problem().0, "unavailable");
}

#[tokio::test]
async fn a_question_about_the_head_of_a_stream_is_answered_at_once() {
    let answer = send(&example_client().await, Method::HEAD, "/api/v1/stream", &[]).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
}
