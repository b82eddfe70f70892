//! The API as clients see it, over stores in memory.

mod bad_requests;
mod coding;
mod dashboard;
mod document;
mod edge;
mod formats;
mod gaps;
mod intervals;
mod jobs;
mod keeping;
mod load;
mod metrics_page;
mod paging;
mod request_ids;
mod rows;
mod several;
mod stores;
mod stream;
mod udf;

use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{
    Asset, Candle, Cause, Commit, Finding, Grid, Interval, Ohlc, SlotRange, Timestamp, TradeDetails, gaps,
};
use ohlcv_ports::testing::{MemoryStore, PausedClock};
use ohlcv_ports::{CandleStore, Clock, Coverage, MockJobs};
use ohlcv_usecases::{ListAssets, ListGaps, ListRevisions, Monitor, MonitorPolicy, ReadSeries, SubmitJob};
use poem::EndpointExt;
use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderMap, Method, StatusCode};
use poem::test::TestClient;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{CorsOrigins, DATABASE_REQUESTS_MAX, HttpParts, endpoint};
use crate::monitoring::Metrics;
use crate::settings::ApiKeys;

/// Where the example series begins: BTC, twelve-hour candles, twenty slots.
const FIRST: &str = "2024-11-01T00:00:00Z";
/// Slots of the example series that the exchange does not have.
const EMPTY_SLOTS: [usize; 3] = [5, 6, 12];
/// Slots at its end that were not answered about yet.
const PENDING_SLOTS: [usize; 2] = [18, 19];
const SLOTS: usize = 20;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn asset(name: &str) -> Asset {
    name.parse().unwrap()
}

/// The open time of a slot of the example series.
fn slot(number: usize) -> Timestamp {
    Grid::new(Interval::H12).step(at(FIRST), i64::try_from(number).unwrap())
}

fn candle(open_time: Timestamp, [open, high, low, close, volume]: [&str; 5]) -> Candle {
    let [open, high, low, close] = [open, high, low, close].map(|price| price.parse().unwrap());
    Candle::new(open_time, Ohlc { open, high, low, close }, volume.parse().unwrap()).unwrap()
}

/// The candle of a slot of the example series; every other one with the rest of the kline.
fn example(number: usize) -> Candle {
    let [open, high, low, close] = [5, 9, 0, 7].map(|tenths| format!("{}.{tenths}", 100 + number));
    let candle = candle(slot(number), [&open, &high, &low, &close, "2.5"]);
    if number % 2 == 1 {
        return candle;
    }
    candle.with_details(TradeDetails {
        quote_volume: "250.25".parse().unwrap(),
        trades: 42,
        taker_buy_volume: "1.5".parse().unwrap(),
        taker_buy_quote_volume: "150.125".parse().unwrap(),
    })
}

/// Writes candles, and `cause` for every slot between `start` and `end` that has none.
async fn write(store: &MemoryStore, name: &str, candles: Vec<Candle>, end: Timestamp) {
    let start = candles[0].open_time();
    let asked = SlotRange::new(Grid::new(Interval::H12), start, end).unwrap();
    let last = candles[candles.len() - 1].open_time();
    let holes = gaps(asked, candles.iter().map(Candle::open_time));
    let findings = holes
        .map(|hole| Finding {
            range: hole.time(),
            cause: if hole.start() > last { Cause::Pending } else { Cause::SourceEmpty },
            detail: String::new(),
        })
        .collect();
    let commit = Commit::new(asset(name), asked, candles, findings, end).unwrap();
    store.apply(commit).await.unwrap();
}

/// BTC with the example series, ETH tracked without data, DOGE with data but no longer tracked.
async fn example_store() -> Arc<MemoryStore> {
    let store = MemoryStore::new();
    let real = (0..SLOTS).filter(|number| !EMPTY_SLOTS.contains(number) && !PENDING_SLOTS.contains(number));
    write(&store, "BTC", real.map(example).collect(), slot(SLOTS)).await;
    write(&store, "DOGE", vec![example(0)], slot(1)).await;
    Arc::new(store)
}

type Client = TestClient<BoxEndpoint<'static>>;

fn client_of<S: CandleStore + Coverage + 'static>(store: Arc<S>, cors: CorsOrigins) -> Client {
    serving(parts_of(store, cors))
}

fn serving(parts: HttpParts) -> Client {
    TestClient::new(endpoint(parts).boxed())
}

/// What the API is made of, over a store, without a key.
fn parts_of<S: CandleStore + Coverage + 'static>(store: Arc<S>, cors: CorsOrigins) -> HttpParts {
    let jobs = Arc::new(MockJobs::new());
    let clock: Arc<dyn Clock> = Arc::new(PausedClock::new(at("2024-11-08T12:00:00.789Z")));
    let policy = MonitorPolicy { interval: Interval::H12, grace: Duration::ZERO, days: 10 };
    let candles: Arc<dyn CandleStore> = Arc::<S>::clone(&store);
    let coverage: Arc<dyn Coverage> = store;
    let tracked = vec![asset("BTC"), asset("ETH")];
    let history = Arc::new(MemoryStore::new());
    let series = ReadSeries::new(
        Arc::clone(&candles),
        Arc::clone(&coverage),
        Arc::<MemoryStore>::clone(&history),
        Interval::H12,
        tracked.clone(),
    );
    let monitor = Monitor::new(Arc::clone(&coverage), Arc::clone(&clock), tracked.clone(), policy);
    HttpParts {
        series,
        assets: ListAssets::new(Arc::clone(&coverage), Arc::clone(&clock), tracked.clone(), policy),
        revisions: ListRevisions::new(history, Arc::clone(&coverage), Interval::H12, tracked.clone()),
        gaps: ListGaps::new(coverage, Interval::H12, tracked.clone()),
        store: candles,
        submit: SubmitJob::new(Arc::<MockJobs>::clone(&jobs), Arc::clone(&clock), tracked.clone()),
        jobs,
        clock,
        quote: asset("USDT"),
        tracked,
        cors,
        api_keys: ApiKeys::default(),
        metrics: Metrics::new(monitor),
        database_requests_max: DATABASE_REQUESTS_MAX,
        read_cache_bytes: 1 << 20,
        stop: CancellationToken::new(),
    }
}

async fn example_client() -> Client {
    client_of(example_store().await, CorsOrigins::None)
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn rows(&self) -> Vec<Value> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        let json = self.json();
        let rows = json["data"].as_array().unwrap().clone();
        assert_eq!(json["count"], rows.len());
        rows
    }

    /// Open times of the rows.
    fn times(&self) -> Vec<String> {
        self.rows().iter().map(|row| row["timestamp"].as_str().unwrap().to_owned()).collect()
    }

    /// The path and query of the page in this direction.
    fn link(&self, rel: &str) -> Option<String> {
        let mut links = self.header("link")?.split(", ");
        let link = links.find_map(|link| link.strip_suffix(&format!(">; rel=\"{rel}\"")))?;
        Some(link.strip_prefix('<').unwrap().to_owned())
    }

    /// That it is a whole problem document, and its code and detail.
    fn problem(&self) -> (String, String) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["type"], "about:blank");
        assert_eq!(json["status"], self.status.as_u16());
        assert_eq!(json["title"], self.status.canonical_reason().unwrap());
        (json["code"].as_str().unwrap().to_owned(), json["detail"].as_str().unwrap().to_owned())
    }
}

async fn send(client: &Client, method: Method, url: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = client.request(method, url);
    for &(name, value) in headers {
        request = request.header(name, value);
    }
    let response = request.send().await.0;
    let (parts, body) = response.into_parts();
    Answer { status: parts.status, headers: parts.headers, text: body.into_string().await.unwrap() }
}

async fn get(client: &Client, url: &str) -> Answer {
    send(client, Method::GET, url, &[]).await
}
