//! Reading bulk archives, from zip to row, against the writes alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ohlcv_adapters::SystemClock;
use ohlcv_domain::{Grid, Interval, Timestamp};
use ohlcv_ports::{CandleSource, Clock};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::fake_archive::FakeArchive;
use ohlcv_tests::fake_binance::{FakeBinance, FakeClock};
use ohlcv_tests::http_client;
use ohlcv_tests::process::said;
use poem::endpoint::make;
use poem::http::StatusCode;
use poem::listener::TcpAcceptor;
use poem::{Response, Server};
use tokio::net::TcpListener;

use crate::candles::{DAY_MILLIS, Plenty};
use crate::options::Options;
use crate::table::{Table, median, ratio, seconds, times};
use crate::{world, writes};

/// The wanted days end now: the exchange itself is asked about the months that they begin and end in.
pub(crate) async fn measure(options: &Options, backend: Backend, table: &mut Table) -> anyhow::Result<()> {
    let clock = Arc::new(FakeClock::new(Arc::new(SystemClock)));
    let now = Grid::new(Interval::D1).floor(clock.now()).millis();
    let listed = Timestamp::from_millis(now - options.days * DAY_MILLIS)?;
    let source: Arc<dyn CandleSource> = Arc::new(Plenty { listed });
    let exchange = FakeBinance::start(Arc::clone(&source), clock).await;
    let archive = kept(FakeArchive::start(source).await).await?;
    // What makes the files is not measured: they are made now, and kept.
    backfill(options, &TestDatabase::new(backend).await, &exchange, &archive).await?;
    let (mut ours, mut alone, mut asked) = (Vec::new(), Vec::new(), 0);
    for _ in 0..options.rounds {
        exchange.clear_requests();
        let database = TestDatabase::new(backend).await;
        ours.push(backfill(options, &database, &exchange, &archive).await?);
        asked = exchange.klines_requests().len();
        let (_database, store) = world::empty(backend).await?;
        alone.push(writes::write(&store, options.days).await?.0);
        store.close().await;
    }
    let [ours, alone] = [ours, alone].map(|took| seconds(&took));
    table.row(
        format!(
            "{}, backfill of {} days of 1m from archives: time against the writes alone",
            world::name_of(backend),
            options.days
        ),
        times(ratio(&ours, &alone)),
        "≤ 1.3",
        format!(
            "{:.1} s against {:.1} s; {asked} requests for what the archive lacks and for samples",
            median(ours.clone()),
            median(alone.clone())
        ),
    );
    Ok(())
}

/// One backfill by a process of its own, from its start to its end.
async fn backfill(
    options: &Options,
    database: &TestDatabase,
    exchange: &FakeBinance,
    archive: &str,
) -> anyhow::Result<Duration> {
    let program = world::program(database)
        .with("BINANCE_API_BASE_URL", &exchange.url())
        .with("BINANCE_ARCHIVE_BASE_URL", archive)
        .with("BINANCE_RATE_LIMIT_REQUESTS_PER_MINUTE", "6000")
        .with("BINANCE_REQUEST_DELAY_MS", "0")
        .with("CANDLE_INTERVAL", "1m")
        .with("INITIAL_BACKFILL_DAYS", &options.days.to_string());
    let started = Instant::now();
    let ended = tokio::task::spawn_blocking(move || program.run(&["backfill"])).await?;
    let took = started.elapsed();
    anyhow::ensure!(ended.status.success(), "the backfill failed: {}", said(&ended));
    let stored = database.query("SELECT CAST(SUM(candles) AS BIGINT) AS n FROM series").await;
    let stored: i64 = stored.first().map_or(Ok(0), |row| row.try_get("", "n"))?;
    anyhow::ensure!(stored >= options.days * 1_440, "only {stored} candles are stored");
    Ok(took)
}

/// An archive in front of another one, which asks that only once for each file; its address.
async fn kept(archive: FakeArchive) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let files = Arc::new(Mutex::new(HashMap::<String, (StatusCode, Vec<u8>)>::new()));
    let (archive, client) = (Arc::new(archive), http_client());
    let endpoint = make(move |request: poem::Request| {
        let (files, archive, client) = (Arc::clone(&files), Arc::clone(&archive), client.clone());
        async move {
            let path = request.uri().path().to_owned();
            let known = files.lock().unwrap_or_else(PoisonError::into_inner).get(&path).cloned();
            let (status, body) = match known {
                Some(file) => file,
                None => {
                    let url = format!("{}{path}", archive.url());
                    let answer = client.get(url).send().await.map_err(poem::error::BadGateway)?;
                    let status =
                        StatusCode::from_u16(answer.status().as_u16()).map_err(poem::error::BadGateway)?;
                    let file = (status, answer.bytes().await.map_err(poem::error::BadGateway)?.to_vec());
                    files.lock().unwrap_or_else(PoisonError::into_inner).insert(path, file.clone());
                    file
                }
            };
            Ok::<Response, poem::Error>(Response::builder().status(status).body(body))
        }
    });
    let acceptor = TcpAcceptor::from_tokio(listener)?;
    // It ends with this process.
    tokio::spawn(Server::new_with_acceptor(acceptor).run(endpoint));
    Ok(url)
}
