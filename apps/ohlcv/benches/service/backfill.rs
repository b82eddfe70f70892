//! A backfill from an exchange at its limit: how much of each minute's weight is used, and never more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ohlcv_adapters::SystemClock;
use ohlcv_domain::{Grid, Interval, Timestamp};
use ohlcv_ports::{CandleSource, Clock};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::fake_binance::{FakeBinance, FakeClock, Request};

use crate::candles::{DAY_MILLIS, Plenty};
use crate::options::Options;
use crate::table::{Table, median};
use crate::world;

/// What Binance allows an address.
const WEIGHT_PER_MINUTE: u32 = 6_000;
/// Enough that it does not run out of them: a minute of weight is 3,000 pages, an asset 1,052.
const ASSETS: usize = 24;
const DAYS: i64 = 730;

pub(crate) async fn measure(options: &Options, backend: Backend, table: &mut Table) -> anyhow::Result<()> {
    let clock = Arc::new(FakeClock::new(Arc::new(SystemClock)));
    let listed = Timestamp::from_millis(clock.now().millis() - (DAYS + 30) * DAY_MILLIS)?;
    let source: Arc<dyn CandleSource> = Arc::new(Plenty { listed });
    let exchange = FakeBinance::start(source, Arc::clone(&clock)).await;
    let database = TestDatabase::new(backend).await;
    let assets: Vec<String> = (0..ASSETS).map(|number| format!("A{number}")).collect();
    let program = world::program(&database)
        .with("BINANCE_API_BASE_URL", &exchange.url())
        .with("BINANCE_ARCHIVE_BASE_URL", "")
        .with("BINANCE_RATE_LIMIT_REQUESTS_PER_MINUTE", &WEIGHT_PER_MINUTE.to_string())
        .with("BINANCE_REQUEST_DELAY_MS", "0")
        .with("CANDLE_INTERVAL", "1m")
        .with("INITIAL_BACKFILL_DAYS", &DAYS.to_string())
        .with("TRACKED_ASSETS", &assets.join(","));
    let started = Instant::now();
    let mut running = program.start(&["backfill"]);
    // The minute that it starts in is not a whole one.
    let minutes = Grid::new(Interval::M1);
    let first = minutes.next(clock.now());
    let end = minutes.step(first, options.minutes);
    while clock.now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (lasted, peak) = (started.elapsed(), running.memory_peak_kib());
    let requests = exchange.requests();
    running.signal("KILL");
    running.wait();
    drop(running);
    let stored = database.query("SELECT CAST(SUM(candles) AS BIGINT) AS n FROM series").await;
    let stored: Option<i64> = stored.first().map(|row| row.try_get("", "n")).transpose()?;
    let refused = requests.iter().filter(|request| matches!(request.status, Some(418 | 429))).count();
    let used = used(&requests, minutes);
    let whole: Vec<f64> = (0..options.minutes)
        .map(|minute| minutes.step(first, minute))
        .map(|minute| f64::from(used.get(&minute).copied().unwrap_or(0)))
        .collect();
    let share = whole.iter().map(|used| used / f64::from(WEIGHT_PER_MINUTE) * 100.0);
    table.row(
        format!("{}, backfill of 1m at the exchange's limit: share of it", world::name_of(backend)),
        format!("{:.1} %", median(share.collect())),
        "≥ 95 %, no 429, < 100 MB",
        format!(
            "{whole:?} of {WEIGHT_PER_MINUTE} a minute, {refused} × 429 or 418, {:.0} candles/s stored, peak {} MiB",
            stored.unwrap_or(0) as f64 / lasted.as_secs_f64(),
            peak / 1_024
        ),
    );
    Ok(())
}

/// The weight of each minute of the exchange's clock.
fn used(requests: &[Request], minutes: Grid) -> BTreeMap<Timestamp, u32> {
    let mut used = BTreeMap::new();
    for request in requests {
        *used.entry(minutes.floor(request.at)).or_default() += request.weight;
    }
    used
}
