//! Answers that clients keep: tags, and what is said to who has the answer already.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use ohlcv_domain::{Applied, Breaks, Change, TimeRange};
use ohlcv_ports::{MockCandleStore, MockCoverage, StoreError, Take};
use tokio::runtime::{self, Handle};

use super::*;

/// What a test waits for at most.
const PATIENCE: Duration = Duration::from_secs(10);

async fn with_tag(client: &Client, url: &str, tag: &str) -> Answer {
    send(client, Method::GET, url, &[("if-none-match", tag)]).await
}

#[tokio::test]
async fn who_has_the_answer_is_sent_none_until_it_changes() {
    let store = example_store().await;
    let client = client_of(Arc::clone(&store), CorsOrigins::None);
    let url = "/api/v1/ohlcv/BTC?fill=true&limit=1000";
    let whole = get(&client, url).await;
    let tag = whole.header("etag").unwrap().to_owned();
    assert_eq!(whole.header("cache-control"), Some("no-cache"));
    let known = with_tag(&client, url, &tag).await;
    assert_eq!((known.status, known.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    assert_eq!((known.header("etag"), known.header("content-type")), (Some(tag.as_str()), None));
    assert_eq!(known.header("cache-control"), Some("no-cache"));

    // Another series changes, then this one.
    write(&store, "ETH", vec![example(0)], slot(1)).await;
    assert_eq!(with_tag(&client, url, &tag).await.status, StatusCode::NOT_MODIFIED);
    write(&store, "BTC", vec![candle(slot(3), ["1", "1", "1", "1", "1"])], slot(4)).await;
    let changed = with_tag(&client, url, &tag).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    assert_eq!(changed.rows()[3]["close"], "1.00000000");
}

#[tokio::test]
async fn each_read_asks_once_where_the_series_stands_also_the_first_one_after_a_change() {
    let store = example_store().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let mut coverage = MockCoverage::new();
    let (real, count) = (Arc::clone(&store), Arc::clone(&asked));
    coverage.expect_heads().returning(move |assets| {
        count.fetch_add(1, Ordering::Relaxed);
        futures::executor::block_on(real.heads(assets))
    });
    let parts = parts_of(Arc::clone(&store), CorsOrigins::None);
    let candles = Arc::<MemoryStore>::clone(&store);
    let history = Arc::new(MemoryStore::new());
    let series = ReadSeries::new(candles, Arc::new(coverage), history, Interval::H12, vec![asset("BTC")]);
    let client = serving(HttpParts { series, ..parts });
    let url = "/api/v1/ohlcv/BTC?limit=1000";
    for (times, changed) in [(1, false), (2, false), (3, true), (4, false)] {
        if changed {
            write(&store, "BTC", vec![candle(slot(3), ["1", "1", "1", "1", "1"])], slot(4)).await;
        }
        let rows = get(&client, url).await.rows();
        let close = rows.iter().any(|row| row["close"] == "1.00000000");
        assert_eq!((close, asked.load(Ordering::Relaxed)), (times > 2, times));
    }
}

#[tokio::test]
async fn a_change_elsewhere_in_the_series_leaves_the_tag_of_a_range_alone() {
    let store = example_store().await;
    let client = client_of(Arc::clone(&store), CorsOrigins::None);
    let url = "/api/v1/ohlcv/BTC?start=2024-11-01T00:00:00Z&end=2024-11-02T00:00:00Z";
    let tag = get(&client, url).await.header("etag").unwrap().to_owned();
    write(&store, "BTC", vec![candle(slot(3), ["1", "1", "1", "1", "1"])], slot(4)).await;
    assert_eq!(with_tag(&client, url, &tag).await.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn different_answers_have_different_tags() {
    let client = example_client().await;
    let mut tags = std::collections::BTreeSet::new();
    let options = ["", "?fill=true", "?fields=all", "?limit=3", "?limit=4", "?start=2024-11-05T00:00:00Z"];
    let urls = options.map(|options| format!("/api/v1/ohlcv/BTC{options}"));
    for url in urls.iter().map(String::as_str).chain(["/api/v1/ohlcv/ETH", "/api/v1/ohlcv/DOGE"]) {
        let tag = get(&client, url).await.header("etag").unwrap().to_owned();
        assert!(tags.insert(tag), "{url}");
    }
}

#[tokio::test]
async fn the_settled_past_may_be_kept_for_ever() {
    let client = example_client().await;
    // The service's clock shows 2024-11-08T12:00.
    for (as_of, control) in [
        ("2024-11-08T11:00:00Z", "public, max-age=31536000, immutable"),
        ("2024-11-08T11:59:00Z", "no-cache"),
        ("2024-11-09T00:00:00Z", "no-cache"),
    ] {
        let answer = get(&client, &format!("/api/v1/ohlcv/BTC?as_of={as_of}")).await;
        assert_eq!(answer.header("cache-control"), Some(control), "{as_of}");
    }
}

#[tokio::test]
async fn the_tag_is_the_same_however_the_answer_is_compressed() {
    let client = example_client().await;
    let url = "/api/v1/ohlcv/BTC?fill=true";
    let plain = get(&client, url).await;
    for coding in ["zstd", "gzip"] {
        // Made once, then taken from memory.
        let [first, again] = [(); 2].map(|()| client.get(url).header("accept-encoding", coding).send());
        for answer in [first.await, again.await] {
            answer.assert_header("content-encoding", coding);
            answer.assert_header("etag", plain.header("etag").unwrap());
            let bytes = answer.0.into_body().into_vec().await.unwrap();
            let text = match coding {
                "zstd" => zstd::decode_all(bytes.as_slice()).unwrap(),
                _ => {
                    let mut text = Vec::new();
                    let mut decoder = flate2::read::GzDecoder::new(bytes.as_slice());
                    std::io::Read::read_to_end(&mut decoder, &mut text).unwrap();
                    text
                }
            };
            assert_eq!(String::from_utf8(text).unwrap(), plain.text);
        }
    }
}

#[tokio::test]
async fn large_answers_come_whole_with_their_length() {
    let store = Arc::new(MemoryStore::new());
    let candles = (0..400).map(|number| candle(slot(number), ["5", "9", "1", "7", "2.5"])).collect();
    write(&store, "BTC", candles, slot(400)).await;
    let client = client_of(store, CorsOrigins::None);
    let answer = get(&client, "/api/v1/ohlcv/BTC?limit=390").await;
    assert!(answer.text.len() > 50_000);
    assert_eq!(answer.rows().len(), 390);
    let head = send(&client, Method::HEAD, "/api/v1/ohlcv/BTC?limit=390", &[]).await;
    assert_eq!(head.header("content-length"), Some(answer.text.len().to_string().as_str()));
    assert_eq!(head.header("etag"), answer.header("etag"));
}

#[tokio::test]
async fn an_answer_that_is_given_again_is_the_same_but_for_who_asks() {
    let store = example_store().await;
    let origins = CorsOrigins::List(vec!["https://app.example".to_owned()]);
    let client = client_of(Arc::clone(&store), origins);
    for url in
        ["/api/v1/ohlcv/btc?limit=3&fields=all", "/api/v1/ohlcv/ETH", "/api/v1/ohlcv/BTC?start=0&limit=4"]
    {
        let first = get(&client, url).await;
        let again = send(&client, Method::GET, url, &[("origin", "https://app.example")]).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text), "{url}");
        for name in ["content-type", "etag", "link", "cache-control", "x-content-type-options"] {
            assert_eq!(again.header(name), first.header(name), "{url} {name}");
        }
        assert!(
            again.header("access-control-allow-origin").is_some() && again.header("x-request-id").is_some()
        );
        assert_eq!(get(&client, url).await.header("access-control-allow-origin"), None);
        assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
        let head = send(&client, Method::HEAD, url, &[]).await;
        assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
        assert_eq!(head.header("content-length"), Some(first.text.len().to_string().as_str()));
        let known = with_tag(&client, url, first.header("etag").unwrap()).await;
        assert_eq!((known.status, known.header("link")), (StatusCode::NOT_MODIFIED, first.header("link")));
        assert!(known.headers.get_all("vary").iter().any(|vary| vary == "Accept-Encoding"), "{known:?}");
        let tag = first.header("etag").unwrap();
        let head = send(&client, Method::HEAD, url, &[("if-none-match", tag)]).await;
        assert_eq!((head.status, head.header("content-length")), (StatusCode::NOT_MODIFIED, None));
        // Another method is another question.
        assert_eq!(send(&client, Method::DELETE, url, &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    write(&store, "BTC", vec![candle(slot(0), ["1", "1", "1", "1", "1"])], slot(1)).await;
    let changed = get(&client, "/api/v1/ohlcv/BTC?start=0&limit=4").await;
    assert_eq!(changed.rows()[0]["close"], "1.00000000");
}

#[tokio::test]
async fn an_answer_that_follows_a_change_is_the_one_that_another_process_gives() {
    let store = example_store().await;
    let client = client_of(Arc::clone(&store), CorsOrigins::None);
    for (turn, options) in ["fill=true", "limit=1000", "limit=2", "fields=all&format=json"].iter().enumerate()
    {
        let url = format!("/api/v1/ohlcv/BTC?{options}");
        get(&client, &url).await;
        let at = SLOTS - PENDING_SLOTS.len() + turn;
        write(&store, "BTC", vec![candle(slot(at), ["1", "1", "1", "1", "1"])], slot(at + 1)).await;
        let mut here = get(&client, &url).await;
        let mut elsewhere = get(&client_of(Arc::clone(&store), CorsOrigins::None), &url).await;
        for answer in [&mut here, &mut elsewhere] {
            answer.headers.remove("x-request-id");
        }
        assert_eq!((here.status, &here.headers), (elsewhere.status, &elsewhere.headers), "{url}");
        assert_eq!(here.text, elsewhere.text, "{url}");
        assert_eq!(here.rows().last().unwrap()["close"], "1.00000000", "{url}");
        assert_eq!(get(&client, &url).await.text, elsewhere.text, "{url}");
    }
}

/// Asks a thread of the API for the example series, then once more after a new candle; `read` is told where
/// rows are read. Returns the second answer, and the runtime of that thread.
async fn asked_twice(read: impl Fn(runtime::Id) + Send + Sync + 'static) -> (Answer, runtime::Id) {
    let store = example_store().await;
    let mut candles = MockCandleStore::new();
    let real = Arc::clone(&store);
    candles.expect_page().returning(move |asset, range, take, limit| {
        read(Handle::current().id());
        futures::executor::block_on(real.page(asset, range, take, limit))
    });
    asked_twice_of(Arc::new(candles), store).await
}

/// The same of candles that come from `store`, however they are read.
async fn asked_twice_of(candles: Arc<dyn CandleStore>, store: Arc<MemoryStore>) -> (Answer, runtime::Id) {
    let parts = parts_of(Arc::clone(&store), CorsOrigins::None);
    let coverage = Arc::<MemoryStore>::clone(&store);
    let history = Arc::new(MemoryStore::new());
    let series = ReadSeries::new(candles, coverage, history, Interval::H12, vec![asset("BTC")]);
    let client = TestClient::new(endpoint(HttpParts { series, ..parts }).for_thread().boxed());
    let front = std::thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let second = runtime.block_on(async {
            let url = "/api/v1/ohlcv/BTC?fill=true";
            assert_eq!(get(&client, url).await.rows().len(), 18);
            write(&store, "BTC", vec![example(18)], slot(19)).await;
            get(&client, url).await
        });
        (second, runtime.handle().id())
    });
    tokio::task::spawn_blocking(|| front.join().unwrap()).await.unwrap()
}

#[tokio::test]
async fn what_a_new_candle_changes_is_read_where_the_question_came_in() {
    let readers = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&readers);
    let (answer, front) = asked_twice(move |reader| seen.lock().unwrap().push(reader)).await;
    assert_eq!(answer.rows().len(), 19);
    assert_eq!(*readers.lock().unwrap(), [Handle::current().id(), front]);
}

#[tokio::test]
async fn a_bug_that_is_met_while_an_answer_is_mended_is_answered_as_any_other() {
    let usual = Handle::current().id();
    let (answer, _) = asked_twice(move |reader| assert_eq!(reader, usual, "a bug of the store")).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.json()["code"], "internal");
    assert!(answer.header("x-request-id").is_some());
}

/// Gives rows on one runtime at once; who asks elsewhere waits for long.
#[derive(Debug)]
struct SlowElsewhere {
    real: Arc<MemoryStore>,
    home: runtime::Id,
}

#[async_trait]
impl CandleStore for SlowElsewhere {
    async fn apply(&self, commit: Commit) -> Result<Applied, StoreError> {
        self.real.apply(commit).await
    }

    async fn page(
        &self,
        asset: Asset,
        range: TimeRange,
        take: Take,
        limit: u64,
    ) -> Result<Vec<Candle>, StoreError> {
        if Handle::current().id() != self.home {
            tokio::time::sleep(2 * PATIENCE).await;
        }
        self.real.page(asset, range, take, limit).await
    }

    async fn breaks(&self, asset: Asset, range: TimeRange, longer: Duration) -> Result<Breaks, StoreError> {
        self.real.breaks(asset, range, longer).await
    }

    async fn changes(&self, asset: Asset, seq: u64, limit: u64) -> Result<Vec<Change>, StoreError> {
        self.real.changes(asset, seq, limit).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.real.ready().await
    }
}

#[tokio::test]
async fn an_answer_that_takes_long_to_mend_is_made_in_the_usual_way() {
    let store = example_store().await;
    let candles = SlowElsewhere { real: Arc::clone(&store), home: Handle::current().id() };
    let asked = Instant::now();
    let (answer, _) = asked_twice_of(Arc::new(candles), store).await;
    assert_eq!(answer.rows().len(), 19);
    // It was tried for the second that it may take, and no more of the time that a client is kept waiting.
    assert!(asked.elapsed() >= Duration::from_secs(1), "{:?}", asked.elapsed());
    assert!(asked.elapsed() < PATIENCE, "{:?}", asked.elapsed());
}
