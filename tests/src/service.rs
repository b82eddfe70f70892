//! The program in the test's own process: the real wiring on a real database, talking to a fake
//! exchange over HTTP, seen over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use ohlcv::settings::{self, Settings, Sources};
use ohlcv::wiring::{App, Outside};
use ohlcv_domain::{Asset, TimeRange};
use ohlcv_ports::Clock;
use ohlcv_usecases::{RunReport, Verification};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::database::TestDatabase;
use crate::fake_binance::FakeBinance;

/// How many pages a reader follows before a test gives up.
const PAGES_MAX: usize = 100_000;

/// The wired program and its API on a port of its own; the API is gone when this is dropped.
#[derive(Debug)]
pub struct Service {
    /// The wired program.
    pub app: App,
    url: String,
    client: reqwest::Client,
    server: JoinHandle<()>,
}

/// An answer of the API.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The targets of the `Link` header by their relation.
    pub links: BTreeMap<String, String>,
    /// The content type.
    pub content_type: String,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The rows of an answer with candles.
    #[must_use]
    pub fn rows(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()["data"].as_array().expect("an array of rows").clone()
    }
}

/// Settings as an operator would give them in the environment; the ones given win over those that
/// suit every test.
#[must_use]
pub fn settings(database: &TestDatabase, exchange_url: &str, given: &[(&str, &str)]) -> Settings {
    let mut env: BTreeMap<String, String> = [
        ("DATABASE_URL", database.url()),
        ("BINANCE_API_BASE_URL", exchange_url),
        ("BINANCE_ARCHIVE_BASE_URL", ""),
        ("BINANCE_REQUEST_DELAY_MS", "0"),
        ("LISTEN_ADDRESS", "127.0.0.1:0"),
        ("TRACKED_ASSETS", "BTC"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    env.extend(given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    // A folder without configuration files.
    let dir = tempfile::tempdir().expect("a temporary folder").path().to_owned();
    settings::load(Sources { dir, env, flags: BTreeMap::new() }).expect("settings that are right")
}

impl Service {
    /// The program with its own clock, before the API serves.
    pub async fn start(
        database: &TestDatabase,
        exchange: &FakeBinance,
        clock: Arc<dyn Clock>,
        given: &[(&str, &str)],
    ) -> Self {
        let settings = settings(database, &exchange.url(), given);
        let outside = Outside::over_http(&settings, clock).expect("the exchange's address is right");
        Self::of(App::open(settings, outside).await.expect("the program starts")).await
    }

    /// The program with a source of the test's own instead of an exchange.
    pub async fn of(app: App) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let stop = CancellationToken::new();
        let endpoint = app.endpoint(stop.clone());
        let server = tokio::spawn(async move {
            ohlcv::http::serve(listener, endpoint, stop).await.expect("the API serves");
        });
        Self { app, url, client: crate::http_client(), server }
    }

    /// Where the API is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// One backfill of all tracked assets as `ohlcv backfill` does it.
    pub async fn backfill(&self) -> RunReport {
        self.backfill_by(false).await
    }

    /// The same, asking for everything again.
    pub async fn backfill_by_force(&self) -> RunReport {
        self.backfill_by(true).await
    }

    async fn backfill_by(&self, force: bool) -> RunReport {
        let jobs = self.app.run_job(CancellationToken::new(), Arc::new(|_| {}), Arc::new(|_| {}));
        let worked = jobs.backfill(self.assets(), None, force).await.expect("the database works");
        worked.report.expect("it was run").expect("the exchange tells its time")
    }

    /// One catch-up of all tracked assets as the scheduler does it.
    pub async fn catch_up(&self) -> RunReport {
        let catch_up = self.app.catch_up(CancellationToken::new(), Arc::new(|_| {}));
        catch_up.run(&self.assets()).await.expect("the exchange tells its time")
    }

    /// One verification of all tracked assets as `ohlcv verify` does it.
    pub async fn verify(&self) -> Vec<Verification> {
        let stop = CancellationToken::new();
        let verify = self.app.verify(TimeRange::ALL, false, stop, Arc::new(|_| {}), Arc::new(|_| {}));
        verify.run(&self.assets()).await
    }

    fn assets(&self) -> Vec<Asset> {
        self.app.settings.tracked_assets.clone()
    }

    /// GET of a path with its query.
    pub async fn get(&self, path: &str) -> Answer {
        get(&self.client, &self.url, path).await
    }

    /// All rows from a path on, followed over `rel` as a reader would.
    pub async fn follow(&self, path: &str, rel: &str) -> Vec<Vec<Value>> {
        self.follow_of(path, rel, "data").await
    }

    /// All that stands in the list `name` of answers from a path on.
    pub async fn follow_of(&self, path: &str, rel: &str, name: &str) -> Vec<Vec<Value>> {
        let mut pages = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            assert!(pages.len() < PAGES_MAX, "{rel} goes on for ever");
            let answer = self.get(&path).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            pages.push(answer.json()[name].as_array().expect("an array of rows").clone());
            next = answer.links.get(rel).cloned();
        }
        pages
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// GET of a path on any server.
pub async fn get(client: &reqwest::Client, url: &str, path: &str) -> Answer {
    let response = client.get(format!("{url}{path}")).send().await.expect("the API answers");
    let header = |name: &str| -> String {
        let values = response.headers().get_all(name).into_iter();
        values.map(|value| value.to_str().expect("plain text")).collect::<Vec<_>>().join(", ")
    };
    Answer {
        status: response.status().as_u16(),
        links: links(&header("link")),
        content_type: header("content-type"),
        text: response.text().await.expect("a whole body"),
    }
}

/// `<target>; rel="name", …` by name.
fn links(header: &str) -> BTreeMap<String, String> {
    let one = |link: &str| {
        let (target, rel) = link.trim().split_once(">; rel=\"")?;
        Some((rel.strip_suffix('"')?.to_owned(), target.strip_prefix('<')?.to_owned()))
    };
    header.split(", ").filter_map(one).collect()
}
